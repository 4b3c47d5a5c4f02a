//! Recorded sound and pictures, in and out.
//!
//! * [`wav`]: sound of any rate and depth, as blocks of 48 kHz;
//! * [`ivf`]: encoded pictures;
//! * [`y4m`]: raw pictures, through encoder and decoder programs that the user has.

pub mod ivf;
#[cfg(feature = "media")]
pub mod wav;
pub mod y4m;
