//! Sound: samples to Opus frames, and frames that arrive as they may back to an unbroken stream of samples.
//!
//! ```text
//!  microphone, file ─► Encoder ─► [seal] ─► RTP ─► … ─► RTP ─► [open] ─► Playout ─► Mixer ─► speaker, file
//!                         │                                     │  jitter buffer, decoder,
//!                       Level ─► RFC 6464 header extension      │  repair, stretching
//!                                                               └► Level, statistics
//! ```
//! Samples are `f32` between −1 and 1, interleaved, at 48 kHz; a block is 20 ms of them. Nothing here does I/O or reads
//! a clock: time is an argument, so that an hour of a call runs in a second of a test.

mod delay;
mod encoder;
mod jitter;
mod level;
mod mixer;
mod playout;
pub(crate) mod resample;
mod stretch;

pub use self::{
    delay::DelayBounds,
    encoder::{Content, Encoder, EncoderOptions, Rate},
    jitter::{Inserted, JitterBuffer, JitterStats, Lag, Step},
    level::Level,
    mixer::Mixer,
    playout::{Block, Heard, Playout, PlayoutStats},
    resample::{ResampleError, Resampler},
};

/// Samples a second and channel.
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples of one block and channel: 20 ms.
pub const FRAME_SAMPLES: usize = 960;
/// Samples of the longest Opus packet and channel: 120 ms (RFC 6716 section 2.1.4).
const MAX_PACKET_SAMPLES: usize = 5_760;

/// How many channels a stream of samples has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Channels {
    /// One.
    #[default]
    Mono,
    /// Two, left before right.
    Stereo,
}

impl Channels {
    /// Their number.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }

    /// Samples of one block, all channels counted.
    #[must_use]
    pub const fn block_samples(self) -> usize {
        FRAME_SAMPLES * self.count()
    }
}

impl From<Channels> for opus::Channels {
    fn from(channels: Channels) -> Self {
        match channels {
            Channels::Mono => Self::Mono,
            Channels::Stereo => Self::Stereo,
        }
    }
}

/// Why sound could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// A setting that Opus does not take, or a fault of the codec.
    #[error("opus: {0}")]
    Codec(#[from] opus::Error),
    /// A block of another length than 20 ms.
    #[error("a block of {got} samples where 20 ms are {wanted}")]
    BlockLength {
        /// Samples given, all channels.
        got: usize,
        /// Samples of 20 ms, all channels.
        wanted: usize,
    },
}
