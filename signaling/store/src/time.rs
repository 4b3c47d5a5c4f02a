//! Times as they are stored.

/// Seconds of a day.
const DAY: u64 = 86_400;

/// A time of the wall clock: whole seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// A number of seconds after the beginning of 1970.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the beginning of 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The day (UTC).
    #[must_use]
    pub fn day(self) -> Day {
        Day(u32::try_from(self.0 / DAY).unwrap_or(u32::MAX))
    }

    /// Seconds since an earlier time; 0 if it is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// A number of seconds later.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// A day (UTC): whole days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

impl Day {
    /// A number of days later.
    #[must_use]
    pub fn plus(self, days: u32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The day's first second.
    #[must_use]
    pub fn start(self) -> Time {
        Time(u64::from(self.0).saturating_mul(DAY))
    }

    pub(crate) fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight() {
        let noon = Time::from_secs(20_000 * 86_400 + 43_200);
        assert_eq!(noon.day(), Day(20_000));
        assert_eq!(noon.seconds_since(noon.day().start()), 43_200);
        assert_eq!(noon.day().start().seconds_since(noon), 0);
        assert_eq!(noon.plus_seconds(43_200).day(), noon.day().plus(1));
        assert_eq!(Time::from_secs(u64::MAX).day(), Day(u32::MAX));
    }
}
