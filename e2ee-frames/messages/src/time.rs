//! Time, which is always the caller's.

use core::time::Duration;

/// Milliseconds since 1970, as the device's clock says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Time {
    /// Days since 1970.
    #[must_use]
    pub fn day(self) -> u32 {
        u32::try_from(u128::from(self.0) / DAY.as_millis()).unwrap_or(u32::MAX)
    }

    /// How long ago `earlier` was; zero if it is in the future.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl core::ops::Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}
