//! The wall clock of another device, as far as its announces show it.
//!
//! Announces and key batches carry times of their sender's clock, which may be off by [`MAX_SKEW`]. The first announce that
//! arrives ties that clock to the own monotonic one: it showed `not_before` by then at the latest. So does every time in
//! a later message. A server that holds messages back cannot make what is known any later.

use super::announce::MAX_SKEW;
use crate::clock::{Clock, MonotonicTime, WallTime};

/// Ties another device's wall clock to the monotonic clock of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderClock {
    /// Own clock minus the other one, milliseconds, at most.
    offset: i128,
}

impl SenderClock {
    /// From the first announce, signed when the other clock showed `not_before`. It is surely as old as the two wall clocks
    /// say beyond the skew that is allowed.
    pub(crate) fn anchored(not_before: WallTime, clock: Clock) -> Self {
        let age = clock.wall.saturating_duration_since(not_before).saturating_sub(MAX_SKEW);
        let (now, shown) = (i128::from(clock.now.as_millis()), i128::from(not_before.as_millis()));
        Self { offset: now.saturating_sub(age.as_millis() as i128).saturating_sub(shown) }
    }

    /// From a later message, signed when the other clock showed this.
    pub(crate) fn tighten(&mut self, wall: WallTime, now: MonotonicTime) {
        let offset = i128::from(now.as_millis()).saturating_sub(i128::from(wall.as_millis()));
        self.offset = self.offset.min(offset);
    }

    /// The time of the own clock by which the other one showed this, at the latest.
    pub(crate) fn latest(&self, wall: WallTime) -> MonotonicTime {
        let at = i128::from(wall.as_millis()).saturating_add(self.offset);
        MonotonicTime::from_millis(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const MINUTE: Duration = Duration::from_secs(60);

    fn clock(now: u64, wall: u64) -> Clock {
        Clock { now: MonotonicTime::from_millis(now), wall: WallTime::from_millis(wall) }
    }

    #[test]
    fn later_times_follow_the_first_announce() {
        let sender = SenderClock::anchored(WallTime::from_millis(9_000_000), clock(500, 9_000_010));
        assert_eq!(sender.latest(WallTime::from_millis(9_000_000)).as_millis(), 500);
        assert_eq!(sender.latest(WallTime::from_millis(9_000_700)).as_millis(), 1_200);
        let mut later = sender;
        later.tighten(WallTime::from_millis(9_000_900), MonotonicTime::from_millis(2_000));
        assert_eq!(later, sender, "that took a while");
        later.tighten(WallTime::from_millis(9_001_800), MonotonicTime::from_millis(2_000));
        assert_eq!(
            later.latest(WallTime::from_millis(9_000_000)).as_millis(),
            200,
            "the first one took 300 ms or more"
        );
        assert_eq!(sender.latest(WallTime::from_millis(1)).as_millis(), 0);
        assert_eq!(sender.latest(WallTime::from_millis(u64::MAX)).as_millis(), u64::MAX - 8_999_500);
    }

    #[test]
    fn announce_that_is_surely_old_is_not_new() {
        let made = WallTime::from_millis(9_000_000);
        let seen = clock(5_000, made.saturating_add(MAX_SKEW + MINUTE).as_millis());
        let sender = SenderClock::anchored(made, seen);
        // Its clock showed `not_before` a minute ago or earlier, also where that is before the start of the own clock.
        assert_eq!(sender.latest(made.saturating_add(MINUTE)), seen.now);
    }
}
