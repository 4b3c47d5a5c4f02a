//! How long to wait before the next attempt: exponential backoff with jitter.
//!
//! The jitter spreads the clients of a server that restarts.

use std::time::Duration;

/// How long after a loss the attempts are frequent.
const EARLY: Duration = Duration::from_secs(120);
/// Maximum delay between two attempts during [`EARLY`]: most servers and networks are back within seconds.
const MAX_EARLY_DELAY: Duration = Duration::from_secs(2);
/// Maximum delay that a server may ask for.
const MAX_REQUESTED_DELAY: Duration = Duration::from_secs(60);

/// How a lost connection is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconnectPolicy {
    /// Delay before the first attempt; doubles with each attempt.
    pub initial_delay: Duration,
    /// Maximum delay between two attempts. In the first two minutes it is two seconds at most.
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
    ///
    /// A server that refuses an attempt may say when another one is welcome: `requested`. Its clients are spread over a
    /// quarter of that time more.
    pub(super) fn delay(
        &self,
        backoff: &mut Backoff,
        lost_for: Duration,
        requested: Option<Duration>,
        jitter: f64,
    ) -> Duration {
        let jitter = jitter.clamp(0.0, 1.0);
        let max = if lost_for < EARLY { self.max_delay.min(MAX_EARLY_DELAY) } else { self.max_delay };
        let delay = backoff.delay(self.initial_delay, max).mul_f64(0.5 + jitter / 2.0);
        let requested = requested.unwrap_or_default().min(MAX_REQUESTED_DELAY).mul_f64(1.0 + jitter / 4.0);
        let delay = delay.max(requested);
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
        (0..8).map(|_| policy.delay(&mut backoff, lost_for, None, jitter).as_millis()).collect()
    }

    #[test]
    fn delay_doubles_up_to_the_maximum() {
        let policy = ReconnectPolicy::default();
        assert_eq!(delays(&policy, SECOND, 1.0), [200, 400, 800, 1_600, 2_000, 2_000, 2_000, 2_000]);
        let later = delays(&policy, EARLY, 1.0);
        assert_eq!(later, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(policy.delay(&mut Backoff(u32::MAX), EARLY, None, 1.0), 10 * SECOND);
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
        assert_eq!(policy.delay(&mut Backoff(9), 10 * SECOND - SECOND / 2, None, 1.0), SECOND / 2);
        assert_eq!(policy.delay(&mut Backoff(9), 11 * SECOND, None, 1.0), Duration::ZERO);
    }

    #[test]
    fn server_may_ask_for_a_longer_delay() {
        let policy = ReconnectPolicy::default();
        let delay = |requested, jitter| policy.delay(&mut Backoff::default(), SECOND, Some(requested), jitter);
        assert_eq!(delay(8 * SECOND, 0.0), 8 * SECOND);
        assert_eq!(delay(8 * SECOND, 1.0), 10 * SECOND, "not all at once");
        assert_eq!(delay(SECOND / 100, 1.0), SECOND / 5, "never sooner than by itself");
        assert_eq!(delay(Duration::from_millis(u32::MAX.into()), 0.0), MAX_REQUESTED_DELAY);
        let policy = ReconnectPolicy { give_up_after: Some(3 * SECOND), ..policy };
        assert_eq!(policy.delay(&mut Backoff::default(), SECOND, Some(8 * SECOND), 0.0), 2 * SECOND);
    }
}
