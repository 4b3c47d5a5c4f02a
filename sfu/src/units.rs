//! Units of media: sizes, bitrates, and ticks of RTP clocks.
//!
//! A size divided by a duration is a bitrate, and a bitrate times a duration is a size; everything saturates.
//!
//! ```
//! use sfu::units::{Bitrate, DataSize};
//! use std::time::Duration;
//!
//! let rate = DataSize::from_bytes(125_000) / Duration::from_secs(1);
//! assert_eq!(rate, Bitrate::from_kbps(1_000));
//! assert_eq!(rate * Duration::from_millis(10), DataSize::from_bytes(1_250));
//! ```

use std::{
    ops::{Add, AddAssign, Div, Mul},
    time::Duration,
};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataSize(u64);

impl DataSize {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// A size in bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size of something in memory.
    #[must_use]
    pub const fn from_len(bytes: usize) -> Self {
        Self(bytes as u64)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The difference; `None` if `other` is larger.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(bytes) => Some(Self(bytes)),
            None => None,
        }
    }
}

impl Add for DataSize {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for DataSize {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<u64> for DataSize {
    type Output = Self;

    fn mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

/// Over a duration of zero, the bitrate is [`Bitrate::MAX`].
impl Div<Duration> for DataSize {
    type Output = Bitrate;

    fn div(self, duration: Duration) -> Bitrate {
        let bit_nanos = u128::from(self.0) * 8 * NANOS;
        Bitrate(bit_nanos.checked_div(duration.as_nanos()).map_or(u64::MAX, saturate))
    }
}

/// Bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(u64);

impl Bitrate {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The highest bitrate that can be expressed.
    pub const MAX: Self = Self(u64::MAX);

    /// A bitrate in bits a second.
    #[must_use]
    pub const fn from_bps(bps: u64) -> Self {
        Self(bps)
    }

    /// A bitrate in kbit/s (1,000 bits a second).
    #[must_use]
    pub const fn from_kbps(kbps: u64) -> Self {
        Self(kbps.saturating_mul(1_000))
    }

    /// Bits a second.
    #[must_use]
    pub const fn bps(self) -> u64 {
        self.0
    }

    /// The bitrate times a factor, rounded down. A product that is negative or not a number is 0.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "`as` saturates"
    )]
    pub fn mul_f64(self, factor: f64) -> Self {
        Self((self.0 as f64 * factor) as u64)
    }

    /// Bits a second, for arithmetic that needs fractions.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "exact below 9 Pbit/s")]
    pub const fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// The mean of two bitrates, rounded down.
    #[must_use]
    pub const fn midpoint(self, other: Self) -> Self {
        Self(self.0.midpoint(other.0))
    }
}

impl Add for Bitrate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A divisor of 0 is taken as 1.
impl Div<u64> for Bitrate {
    type Output = Self;

    fn div(self, divisor: u64) -> Self {
        Self(self.0.checked_div(divisor).unwrap_or(self.0))
    }
}

/// Whole bytes, rounded down.
impl Mul<Duration> for Bitrate {
    type Output = DataSize;

    fn mul(self, duration: Duration) -> DataSize {
        DataSize(
            u128::from(self.0).checked_mul(duration.as_nanos()).map_or(u64::MAX, |bits| saturate(bits / 8 / NANOS)),
        )
    }
}

const NANOS: u128 = 1_000_000_000;

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// A duration in ticks of an RTP clock of `clock_rate` Hz, modulo 2³².
pub(crate) fn rtp_ticks(duration: Duration, clock_rate: u32) -> u32 {
    ((duration.as_micros() * u128::from(clock_rate) / 1_000_000) & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_over_duration_and_back() {
        let (size, duration) = (DataSize::from_bytes(40_000), Duration::from_millis(500));
        assert_eq!(size / duration, Bitrate::from_kbps(640));
        assert_eq!((size / duration) * duration, size);
    }

    #[test]
    fn extremes_saturate() {
        let most = DataSize::from_bytes(u64::MAX);
        assert_eq!(most + most, most);
        assert_eq!(most * 2, most);
        assert_eq!(most / Duration::ZERO, Bitrate::MAX);
        assert_eq!(most / Duration::from_nanos(1), Bitrate::MAX);
        assert_eq!(DataSize::ZERO / Duration::from_secs(1), Bitrate::ZERO);
        assert_eq!(Bitrate::MAX * Duration::MAX, most);
        assert_eq!(Bitrate::MAX / 0, Bitrate::MAX);
        assert_eq!(DataSize::ZERO.checked_sub(DataSize::from_bytes(1)), None);
    }

    #[test]
    fn rtp_ticks_wrap_around() {
        assert_eq!(rtp_ticks(Duration::from_millis(10), 90_000), 900);
        assert_eq!(rtp_ticks(Duration::from_secs(1 << 32), 1), 0);
    }
}
