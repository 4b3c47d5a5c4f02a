//! Recorded audio and video.
//!
//! * [`wav`]: audio at any sample rate and bit depth, as blocks at 48 kHz;
//! * [`ivf`]: encoded video;
//! * [`y4m`]: raw video, through the programs `vpxenc` and `vpxdec`.

pub mod ivf;
#[cfg(feature = "media")]
pub mod wav;
pub mod y4m;
