//! Shares, rates, sizes and times, and how they are parsed from text.

use std::{fmt, str::FromStr, time::Duration};

/// Why a text is not a valid quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number from 0 to 100 %.
    #[error("`{0}` is no share: write 5% or 0.05")]
    Share(String),
    /// Not a positive number with a unit of bitrate.
    #[error("`{0}` is no rate: write 800kbit, 2mbit or 1gbit")]
    Rate(String),
    /// Not a number with a unit of size.
    #[error("`{0}` is no size: write 1500, 64kB or 1MB")]
    Size(String),
    /// Not a number.
    #[error("`{0}` is no number")]
    Number(String),
    /// Not a number with a unit of time, or longer than an hour.
    #[error("`{0}` is no time of at most an hour: write 250us, 20ms or 1.5s")]
    Time(String),
}

/// A share from 0 to 1: of packets, the probability for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// None: 0.
    pub const NONE: Self = Self(0.0);
    /// All: 1.
    pub const ALL: Self = Self(1.0);

    /// A share from 0 to 1; `None` for other numbers.
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// A percentage, at most 100.
    pub const fn percent(value: u8) -> Self {
        if value >= 100 { Self::ALL } else { Self(value as f64 / 100.0) }
    }

    /// The share as a number from 0 to 1.
    pub const fn value(self) -> f64 {
        self.0
    }

    /// Whether the share is 0.
    pub const fn is_none(self) -> bool {
        self.0 == 0.0
    }
}

impl FromStr for Share {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
        let share = number.trim().parse::<f64>().ok().and_then(|number| Self::new(number / whole));
        share.ok_or_else(|| QuantityError::Share(text.to_owned()))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, since 0.07 × 100 is not quite 7 in binary.
        write!(f, "{}%", (self.0 * 1e10).round() / 1e8)
    }
}

/// Bits per second, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(u64);

impl Bitrate {
    /// `None` for zero.
    pub const fn new(bits_per_second: u64) -> Option<Self> {
        if bits_per_second == 0 { None } else { Some(Self(bits_per_second)) }
    }

    /// Thousands of bits per second; zero is taken as one bit per second.
    pub const fn kbit(value: u32) -> Self {
        if value == 0 { Self(1) } else { Self(value as u64 * 1_000) }
    }

    /// Millions of bits per second; zero is taken as one bit per second.
    pub const fn mbit(value: u32) -> Self {
        if value == 0 { Self(1) } else { Self(value as u64 * 1_000_000) }
    }

    /// Bits per second.
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }

    /// Time to send this number of bytes, rounded up to a nanosecond, at most an hour.
    pub fn time_for(self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * 8_000_000_000).div_ceil(u128::from(self.0));
        u64::try_from(nanos).map_or(LONGEST, |nanos| Duration::from_nanos(nanos).min(LONGEST))
    }

    /// Bytes that pass within this time, rounded down.
    pub fn bytes_in(self, time: Duration) -> u64 {
        u64::try_from(time.as_nanos().saturating_mul(u128::from(self.0)) / 8_000_000_000).unwrap_or(u64::MAX)
    }
}

impl FromStr for Bitrate {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const UNITS: [(&str, f64); 4] = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("bit", 1.0)];
        let value = measure(text.trim().trim_end_matches("/s"), &UNITS).filter(|bits| (1.0..=1e15).contains(bits));
        value.and_then(|bits| Self::new(bits.round() as u64)).ok_or_else(|| QuantityError::Rate(text.to_owned()))
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bits if bits % 1_000_000 == 0 => write!(f, "{}mbit", bits / 1_000_000),
            bits if bits % 1_000 == 0 => write!(f, "{}kbit", bits / 1_000),
            bits => write!(f, "{bits}bit"),
        }
    }
}

/// Maximum duration in this crate.
pub(crate) const LONGEST: Duration = Duration::from_secs(3_600);

/// Reads a time such as `20ms`.
pub(crate) fn time(text: &str) -> Result<Duration, QuantityError> {
    const UNITS: [(&str, f64); 6] = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("min", 60.0), ("s", 1.0)];
    let seconds = measure(text, &UNITS).or_else(|| text.trim().parse().ok().filter(|zero| *zero == 0.0));
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| *time <= LONGEST).ok_or_else(|| QuantityError::Time(text.to_owned()))
}

/// Reads a size such as `64kB`, in bytes.
pub(crate) fn size(text: &str) -> Result<u64, QuantityError> {
    const UNITS: [(&str, f64); 5] = [("kib", 1_024.0), ("mib", 1_048_576.0), ("kb", 1e3), ("mb", 1e6), ("b", 1.0)];
    let bytes = measure(text, &UNITS).or_else(|| text.trim().parse().ok());
    let bytes = bytes.filter(|bytes| (0.0..=1e12).contains(bytes));
    bytes.map(|bytes| bytes.round() as u64).ok_or_else(|| QuantityError::Size(text.to_owned()))
}

/// Reads a number without a unit.
pub(crate) fn number(text: &str) -> Result<f64, QuantityError> {
    text.trim().parse().map_err(|_| QuantityError::Number(text.to_owned()))
}

/// A number with one of these units; the first that fits.
fn measure(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim().to_lowercase();
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    Some(number.trim().parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_units() {
        assert_eq!("5%".parse(), Ok(Share::percent(5)));
        assert_eq!("0.05".parse(), Ok(Share::percent(5)));
        assert_eq!("2mbit".parse(), Ok(Bitrate::mbit(2)));
        assert_eq!("1.5 Mbit/s".parse(), Ok(Bitrate::kbit(1_500)));
        assert_eq!("64bit".parse(), Ok(Bitrate(64)));
        assert_eq!(time("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(time("250us"), Ok(Duration::from_micros(250)));
        assert_eq!((time("0"), time("2min")), (Ok(Duration::ZERO), Ok(Duration::from_secs(120))));
        assert_eq!((size("1500"), size("64kB"), size("1MiB")), (Ok(1_500), Ok(64_000), Ok(1_048_576)));
    }

    #[test]
    fn parse_refuses_other_text() {
        for text in ["", "%", "101%", "-1%", "nan", "inf", "5 %%", "1e9"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        for text in ["", "0mbit", "-1mbit", "2", "mbit", "nanmbit", "infgbit", "1e30gbit"] {
            assert!(text.parse::<Bitrate>().is_err(), "{text}");
        }
        for text in ["", "5", "-1ms", "nans", "2h", "3601s", "infs"] {
            assert!(time(text).is_err(), "{text}");
        }
        for text in ["", "-1", "nan", "1e300mb", "kB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rate_converts_time_and_bytes() {
        let rate = Bitrate::mbit(2);
        assert_eq!(rate.time_for(1_250), Duration::from_millis(5));
        assert_eq!(rate.bytes_in(Duration::from_millis(5)), 1_250);
        assert_eq!(Bitrate(1).time_for(u64::MAX), LONGEST);
        assert_eq!(Bitrate(u64::MAX).bytes_in(Duration::MAX), u64::MAX);
    }
}
