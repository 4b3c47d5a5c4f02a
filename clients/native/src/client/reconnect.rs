//! How long to wait before the next attempt: exponential backoff with jitter.
//!
//! The jitter spreads the clients of a server that restarts.

use std::time::Duration;

/// How long after a loss the attempts are frequent.
const EARLY: Duration = Duration::from_secs(120);
/// Maximum delay between two attempts during [`EARLY`]: most servers and networks are back within seconds.
const MAX_EARLY_DELAY: Duration = Duration::from_secs(1);

/// How a lost connection is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconnectPolicy {
    /// Delay before the first attempt; doubles with each attempt.
    pub initial_delay: Duration,
    /// Maximum delay between two attempts. In the first two minutes it is one second at most.
    pub max_delay: Duration,
    /// Time without a connection after which the call is given up. By default the client tries until the application
    /// leaves or the server says that the call is over.
    pub give_up_after: Option<Duration>,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self { initial_delay: Duration::from_millis(200), max_delay: Duration::from_secs(10), give_up_after: None }
    }
}

impl ReconnectPolicy {
    /// The client ends when its signaling connection, its keys or its media path do. A media path that is only silent
    /// may recover.
    pub const NEVER: Self =
        Self { initial_delay: Duration::ZERO, max_delay: Duration::ZERO, give_up_after: Some(Duration::ZERO) };

    /// Delay before the next attempt after `backoff` failures of a connection that was lost `lost_for` ago, and counts
    /// the attempt. `jitter`, from 0 to 1, decides about half of the delay.
    pub(super) fn delay(&self, backoff: &mut Backoff, lost_for: Duration, jitter: f64) -> Duration {
        let max = if lost_for < EARLY { self.max_delay.min(MAX_EARLY_DELAY) } else { self.max_delay };
        let delay = backoff.delay(self.initial_delay, max).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        backoff.failed();
        // The last attempt is made right before the end, not long before it.
        self.give_up_after.map_or(delay, |limit| delay.min(limit.saturating_sub(lost_for)))
    }
}

/// Number of consecutive failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff(u32);

impl Backoff {
    pub(super) fn failed(&mut self) {
        self.0 = self.0.saturating_add(1);
    }

    /// `first`, doubled with each failure, up to `max`.
    pub(super) fn delay(self, first: Duration, max: Duration) -> Duration {
        first.saturating_mul(1u32.checked_shl(self.0).unwrap_or(u32::MAX)).min(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn delays(policy: &ReconnectPolicy, lost_for: Duration, jitter: f64) -> Vec<u128> {
        let mut backoff = Backoff::default();
        (0..8).map(|_| policy.delay(&mut backoff, lost_for, jitter).as_millis()).collect()
    }

    #[test]
    fn delay_doubles_up_to_the_maximum() {
        let policy = ReconnectPolicy::default();
        assert_eq!(delays(&policy, SECOND, 1.0), [200, 400, 800, 1_000, 1_000, 1_000, 1_000, 1_000]);
        let later = delays(&policy, EARLY, 1.0);
        assert_eq!(later, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(policy.delay(&mut Backoff(u32::MAX), EARLY, 1.0), 10 * SECOND);
    }

    #[test]
    fn jitter_decides_half_of_the_delay() {
        let policy = ReconnectPolicy::default();
        assert_eq!(delays(&policy, SECOND, 0.0).first(), Some(&100));
        assert_eq!(delays(&policy, SECOND, 7.0).first(), Some(&200));
    }

    #[test]
    fn last_attempt_is_made_at_the_limit() {
        let policy = ReconnectPolicy { give_up_after: Some(10 * SECOND), ..ReconnectPolicy::default() };
        assert_eq!(policy.delay(&mut Backoff(9), 10 * SECOND - SECOND / 2, 1.0), SECOND / 2);
        assert_eq!(policy.delay(&mut Backoff(9), 11 * SECOND, 1.0), Duration::ZERO);
    }
}
