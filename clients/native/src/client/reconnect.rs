//! When to reconnect: exponential backoff with jitter, up to a limit.
//!
//! The jitter spreads the clients of a server that restarts.

use std::time::Duration;

/// How a lost connection is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconnectPolicy {
    /// Delay before the first attempt; doubles with each attempt.
    pub initial_delay: Duration,
    /// Maximum delay between two attempts.
    pub max_delay: Duration,
    /// Time after which the call is given up. Zero never reconnects.
    pub give_up_after: Duration,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_millis(300),
            max_delay: Duration::from_secs(8),
            give_up_after: Duration::from_secs(120),
        }
    }
}

impl ReconnectPolicy {
    /// The client ends when its connection does.
    pub const NEVER: Self =
        Self { initial_delay: Duration::ZERO, max_delay: Duration::ZERO, give_up_after: Duration::ZERO };

    /// Delay before attempt number `attempt` (from 0) of a connection that was lost `lost_for` ago; `None` to give up.
    /// `jitter`, from 0 to 1, decides about half of the delay.
    pub(super) fn delay(&self, attempt: u32, lost_for: Duration, jitter: f64) -> Option<Duration> {
        if lost_for >= self.give_up_after {
            return None;
        }
        let doubled = self.initial_delay.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX));
        let delay = doubled.min(self.max_delay).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        // The last attempt is made right before the end, not long before it.
        Some(delay.min(self.give_up_after.saturating_sub(lost_for)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delay_doubles_up_to_the_maximum() {
        let policy = ReconnectPolicy::default();
        let delays: Vec<_> = (0..7).filter_map(|attempt| policy.delay(attempt, SECOND, 1.0)).collect();
        assert_eq!(
            delays.iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [300, 600, 1_200, 2_400, 4_800, 8_000, 8_000]
        );
        assert_eq!(policy.delay(u32::MAX, SECOND, 1.0), Some(8 * SECOND));
    }

    #[test]
    fn jitter_decides_half_of_the_delay() {
        let policy = ReconnectPolicy::default();
        assert_eq!(policy.delay(0, SECOND, 0.0), Some(Duration::from_millis(150)));
        assert_eq!(policy.delay(0, SECOND, 7.0), Some(Duration::from_millis(300)));
    }

    #[test]
    fn attempts_end_at_the_limit() {
        let policy = ReconnectPolicy { give_up_after: 10 * SECOND, ..ReconnectPolicy::default() };
        assert_eq!(policy.delay(9, 9 * SECOND, 1.0), Some(SECOND), "one more attempt at the end");
        assert_eq!(policy.delay(9, 10 * SECOND, 1.0), None);
        assert_eq!(ReconnectPolicy::NEVER.delay(0, Duration::ZERO, 0.0), None);
    }
}
