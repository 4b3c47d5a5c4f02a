//! WAV files.
//!
//! The reader accepts any sample rate, bit depth and number of channels, and returns blocks of 20 ms at 48 kHz. The
//! writer writes 16 bits at 48 kHz and updates the header every second, so that at most the last second is lost if a
//! program ends without finishing the file.

mod reader;
mod writer;

pub use self::{reader::Reader, writer::Writer};

use crate::audio::ResampleError;
use std::path::PathBuf;

/// Why a WAV file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// The file does not exist, or cannot be opened or created.
    #[error("cannot open {path}: {source}", path = path.display())]
    Open {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The file is not a WAV file, or has an unsupported format.
    #[error("not a WAV file, or an unsupported one: {0}")]
    Format(hound::Error),
    /// The file is shorter than its header says.
    #[error("the WAV file is truncated after {frames} of {announced} frames")]
    CutShort {
        /// Frames in the file.
        frames: u64,
        /// Frames according to the header.
        announced: u64,
    },
    /// A sample cannot be read.
    #[error("WAV file, frame {frame}: {source}")]
    Read {
        /// Number of the frame.
        frame: u64,
        /// Error of the decoder.
        source: hound::Error,
    },
    /// The sample rate is not supported.
    #[error("WAV file: {0}")]
    Rate(#[from] ResampleError),
    /// The file cannot be written, for example because the disk is full. What was written before stays readable.
    #[error("cannot write the WAV file: {0}")]
    Write(hound::Error),
    /// The file has reached 4 GiB, the maximum of a WAV file. What was written before stays readable.
    #[error("the WAV file has reached its maximum size of 4 GiB")]
    Full,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
