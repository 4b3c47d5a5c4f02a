//! Audio: samples to Opus frames, and frames that arrive irregularly back to a continuous stream of samples.
//!
//! ```text
//!  microphone, file ─► Encoder ─► [seal] ─► RTP ─► … ─► RTP ─► [open] ─► Playout ─► Mixer ─► speaker, file
//!                         │                                     │  jitter buffer, decoder,
//!                       Level ─► RFC 6464 header extension      │  FEC, PLC, comfort noise, time stretching
//!                                                               └► Level, statistics
//! ```
//! Samples are `f32` between −1 and 1, interleaved, at 48 kHz; a block is 20 ms of them. Nothing here does I/O or reads
//! a clock: time is an argument, so that a test can run an hour of a call in a second.

mod encoder;
mod level;
mod mixer;
mod neteq;
pub(crate) mod opus_packet;
pub(crate) mod resample;
mod speech;

pub use self::{
    encoder::{Content, Encoder, EncoderOptions, Rate, Silence},
    level::Level,
    mixer::Mixer,
    neteq::{
        Block, BlockKind, DelayBounds, InsertOutcome, JitterBuffer, JitterStats, Playout, PlayoutStats, PlayoutStep,
        TimeScale,
    },
    opus_packet::has_in_band_fec,
    resample::{ResampleError, Resampler},
    speech::SpeechDetector,
};

/// Sample rate, hertz.
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples per channel of a 20 ms block.
pub const FRAME_SAMPLES: usize = 960;
/// Samples per channel of the longest Opus packet: 120 ms (RFC 6716 section 2.1.4).
pub(crate) const MAX_PACKET_SAMPLES: usize = 5_760;

/// Channels of a stream of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Channels {
    /// One channel.
    #[default]
    Mono,
    /// Two channels, left before right.
    Stereo,
}

impl Channels {
    /// Number of channels.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }

    /// Samples of a 20 ms block, all channels counted.
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

/// Why audio could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// Opus rejected an option, or failed.
    #[error("opus: {0}")]
    Codec(#[from] opus::Error),
    /// A block is not 20 ms long.
    #[error("a block has {got} samples; 20 ms are {wanted}")]
    BlockLength {
        /// Samples of the block, all channels counted.
        got: usize,
        /// Samples of 20 ms, all channels counted.
        wanted: usize,
    },
}
