//! Time, passed in: a monotonic reading for timers and a wall reading for the times that announces carry.
//!
//! The two are different types, and a [`Clock`] carries both, so that they cannot be swapped. Resolution is one
//! millisecond.

use core::time::Duration;

/// One reading of both clocks.
///
/// They must be independent sources: a session compares how far each has advanced, to detect that the machine slept or
/// was restored from a snapshot.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use e2ee_frames::Clock;
/// use std::time::{Instant, SystemTime};
///
/// let started = Instant::now(); // once per session
/// let clock = Clock { now: started.elapsed().into(), wall: SystemTime::now().into() };
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The monotonic clock. A reading earlier than the previous one counts as the previous one.
    pub now: MonotonicTime,
    /// The time of day.
    pub wall: WallTime,
}

/// A reading of a monotonic clock: milliseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonotonicTime(u64);

/// A time of day: milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

macro_rules! time {
    ($time:ident, $origin:literal) => {
        impl $time {
            #[doc = concat!("This many milliseconds after ", $origin, ".")]
            #[must_use]
            pub const fn from_millis(millis: u64) -> Self {
                Self(millis)
            }

            #[doc = concat!("Milliseconds after ", $origin, ".")]
            #[must_use]
            pub const fn as_millis(self) -> u64 {
                self.0
            }

            /// The time after `duration`, or the latest representable one.
            #[must_use]
            pub const fn saturating_add(self, duration: Duration) -> Self {
                Self(self.0.saturating_add(millis(duration)))
            }

            /// How long after `earlier` this is; zero if it is not later.
            #[must_use]
            pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
                Duration::from_millis(self.0.saturating_sub(earlier.0))
            }
        }
    };
}

time!(MonotonicTime, "the start of the clock");
time!(WallTime, "1970");

/// Whole milliseconds of a duration, or the largest number of them.
const fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(duration.subsec_millis() as u64)
}

/// The time that has passed since the start of the clock.
impl From<Duration> for MonotonicTime {
    fn from(since_start: Duration) -> Self {
        Self(millis(since_start))
    }
}

/// The time that has passed since the start of the clock.
impl From<MonotonicTime> for Duration {
    fn from(time: MonotonicTime) -> Self {
        Self::from_millis(time.0)
    }
}

/// Times before 1970 become 1970.
#[cfg(feature = "std")]
impl From<std::time::SystemTime> for WallTime {
    fn from(time: std::time::SystemTime) -> Self {
        Self(time.duration_since(std::time::UNIX_EPOCH).map_or(0, millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_saturates() {
        let time = MonotonicTime::from_millis(5);
        assert_eq!(time.saturating_add(Duration::from_millis(3)).as_millis(), 8);
        assert_eq!(time.saturating_add(Duration::MAX).as_millis(), u64::MAX);
        assert_eq!(time.saturating_duration_since(MonotonicTime::from_millis(2)), Duration::from_millis(3));
        assert_eq!(time.saturating_duration_since(MonotonicTime::from_millis(9)), Duration::ZERO);
    }

    #[test]
    fn monotonic_time_counts_whole_milliseconds() {
        assert_eq!(MonotonicTime::from(Duration::from_micros(2_999)).as_millis(), 2);
        assert_eq!(Duration::from(MonotonicTime::from_millis(7)), Duration::from_millis(7));
    }

    #[cfg(feature = "std")]
    #[test]
    fn wall_time_before_1970_is_1970() {
        use std::time::UNIX_EPOCH;
        assert_eq!(WallTime::from(UNIX_EPOCH + Duration::from_secs(2)), WallTime::from_millis(2_000));
        assert_eq!(WallTime::from(UNIX_EPOCH - Duration::from_secs(2)), WallTime::default());
    }
}
