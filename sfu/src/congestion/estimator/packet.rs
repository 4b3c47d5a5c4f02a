//! What feedback says of one packet, and the moments that follow from it.

use super::cluster::ClusterId;
use crate::units::DataSize;
use std::time::{Duration, Instant};

/// What feedback says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketResult {
    /// When the packet left.
    pub sent: Instant,
    /// Size on the wire, with the headers of UDP and IP.
    pub size: DataSize,
    /// When the packet arrived, in microseconds of the receiver's clock, unwrapped; `None` if it is reported missing.
    pub received_micros: Option<u64>,
    /// The probe that the packet belongs to.
    pub cluster: Option<ClusterId>,
}

/// Moments beyond this many microseconds, 36,000 years, are clamped, so that differences cannot overflow.
const MAX_MICROS: u64 = 1 << 60;

/// When a packet left and when it arrived, in microseconds of two clocks with different zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transit {
    /// Our clock.
    pub(super) sent: i64,
    /// The receiver's clock.
    pub(super) received: i64,
}

impl Transit {
    /// `sent` is in microseconds since the estimator's zero.
    pub(super) fn new(sent: i64, received_micros: u64) -> Self {
        Self { sent, received: received_micros.min(MAX_MICROS).cast_signed() }
    }

    /// Time on the way, plus the unknown difference between the clocks.
    pub(super) fn delay(self) -> i64 {
        self.received - self.sent
    }
}

/// A duration in microseconds.
pub(super) fn micros(duration: Duration) -> i64 {
    // Not `as_micros`, which divides 128 bits.
    let micros = duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros()));
    micros.min(MAX_MICROS).cast_signed()
}

/// Microseconds as a duration; no less than zero.
pub(super) fn duration(micros: i64) -> Duration {
    Duration::from_micros(micros.max(0).cast_unsigned())
}

/// A difference of microseconds in milliseconds.
#[allow(clippy::cast_precision_loss, reason = "differences are short")]
pub(super) fn millis(micros: i64) -> f64 {
    micros as f64 / 1e3
}
