//! From Opus packets that arrive irregularly to a continuous stream of samples.
//!
//! ```text
//!   packets ─► JitterBuffer ─► decoder ─► time stretching ─► Playout::pull, 20 ms at a time
//!                   ▲          (FEC, PLC)        ▲
//!                   └──── DelayEstimator: target delay ────┘
//! ```
//! The division of work is that of libwebrtc's NetEQ.

mod delay_estimator;
mod jitter_buffer;
mod playout;
mod time_stretch;

pub use self::{
    delay_estimator::DelayBounds,
    jitter_buffer::{InsertOutcome, JitterBuffer, JitterStats, PlayoutStep, TimeScale},
    playout::{Block, BlockKind, Playout, PlayoutStats},
};
