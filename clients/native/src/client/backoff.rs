//! When to try again: later each time, half of it by chance, and not for ever.
//!
//! The chance keeps the clients of a server that restarts from meeting it all at once.

use std::time::Duration;

/// How a lost connection is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// Before the first attempt; doubles with each.
    pub first: Duration,
    /// Longest wait between two attempts.
    pub longest: Duration,
    /// How long to go on trying before the call is given up. Zero never tries.
    pub give_up_after: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(300),
            longest: Duration::from_secs(8),
            give_up_after: Duration::from_secs(120),
        }
    }
}

impl Reconnect {
    /// A client that ends when its connection does.
    pub const NEVER: Self = Self { first: Duration::ZERO, longest: Duration::ZERO, give_up_after: Duration::ZERO };

    /// How long to wait before attempt number `attempt` (from 0), if the connection has been lost for `lost`; `None` to
    /// give up. `chance` is from 0 to 1.
    pub(super) fn wait(&self, attempt: u32, lost: Duration, chance: f64) -> Option<Duration> {
        if lost >= self.give_up_after {
            return None;
        }
        let longest = self.first.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(self.longest);
        let wait = longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        // The last attempt is made just before the end, not long before it.
        Some(wait.min(self.give_up_after.saturating_sub(lost)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest() {
        let reconnect = Reconnect::default();
        let waits: Vec<_> = (0..7).filter_map(|attempt| reconnect.wait(attempt, SECOND, 1.0)).collect();
        assert_eq!(
            waits.iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [300, 600, 1_200, 2_400, 4_800, 8_000, 8_000]
        );
        assert_eq!(reconnect.wait(u32::MAX, SECOND, 1.0), Some(8 * SECOND));
    }

    #[test]
    fn half_of_a_wait_is_chance() {
        let reconnect = Reconnect::default();
        assert_eq!(reconnect.wait(0, SECOND, 0.0), Some(Duration::from_millis(150)));
        assert_eq!(reconnect.wait(0, SECOND, 7.0), Some(Duration::from_millis(300)));
    }

    #[test]
    fn it_ends_when_it_said_it_would() {
        let reconnect = Reconnect { give_up_after: 10 * SECOND, ..Reconnect::default() };
        assert_eq!(reconnect.wait(9, 9 * SECOND, 1.0), Some(SECOND), "one more attempt at the end");
        assert_eq!(reconnect.wait(9, 10 * SECOND, 1.0), None);
        assert_eq!(Reconnect::NEVER.wait(0, Duration::ZERO, 0.0), None);
    }
}
