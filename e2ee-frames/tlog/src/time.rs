//! Times of cosignatures.

use core::{fmt, time::Duration};

/// A POSIX time in whole seconds, at most 2^63 - 1 (tlog-cosignature).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time in seconds since 1970; `None` above 2^63 - 1.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Option<Self> {
        if seconds > i64::MAX as u64 { None } else { Some(Self(seconds)) }
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The time that has passed since `earlier`; zero if that is later than this.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
