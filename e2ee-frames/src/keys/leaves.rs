//! Leaves that this device has heard of, for keys that arrive later.
//!
//! A leave kills the keys that are installed. A key that the server has withheld until then is as well known to the
//! participant that left, so it dies at the same time if it was made before.

use super::sender::LIFE_AFTER_LEAVE;
use crate::clock::MonotonicTime;
use alloc::collections::VecDeque;
use core::time::Duration;

/// How long a generation opens frames at a receiver, counted from when its key was sealed: its sender replaces it after ten
/// minutes, and has a minute for the switch, a lost connection and a clock that is set.
pub(crate) const HARD_LIFE: Duration = Duration::from_secs(11 * 60);
/// A key that was made at most this long before a leave was heard of may have been made because of it: devices that return
/// within 30 s hear of leaves that late, and messages take their time.
pub(crate) const HEARD_LATE: Duration = Duration::from_secs(35);
/// Leaves closer together count as the first one.
const APART: Duration = Duration::from_secs(1);

/// When leaves were heard of, ascending: at most one a second, and as old as a key can be.
#[derive(Default)]
pub(crate) struct Leaves(VecDeque<MonotonicTime>);

impl Leaves {
    pub(crate) fn heard(&mut self, now: MonotonicTime) {
        let longest = HARD_LIFE.saturating_add(HEARD_LATE);
        while self.0.front().is_some_and(|at| at.saturating_add(longest) < now) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|last| last.saturating_add(APART) <= now) {
            self.0.push_back(now);
        }
    }

    /// When a key made at this time is dead because of a leave.
    pub(crate) fn death_of(&self, made: MonotonicTime) -> Option<MonotonicTime> {
        let after = self.0.iter().find(|at| made.saturating_add(HEARD_LATE) < **at);
        after.map(|at| at.saturating_add(LIFE_AFTER_LEAVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime::from_millis(seconds * 1_000)
    }

    #[test]
    fn key_dies_by_the_first_leave_after_it() {
        let mut leaves = Leaves::default();
        [100, 200, 300].into_iter().for_each(|second| leaves.heard(at(second)));
        assert_eq!(leaves.death_of(at(64)), Some(at(145)));
        assert_eq!(leaves.death_of(at(65)), Some(at(245)), "it may be the one that was made because of the leave");
        assert_eq!(leaves.death_of(at(270)), None);
    }

    #[test]
    fn leaves_are_bounded() {
        let mut leaves = Leaves::default();
        (0..10_000_000).step_by(100).for_each(|now| leaves.heard(MonotonicTime::from_millis(now)));
        assert!(leaves.0.len() <= 700, "{}", leaves.0.len());
    }
}
