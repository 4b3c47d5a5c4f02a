//! A per-second quota, and a limit on how often something is reported.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// A quota that is renewed each second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    limit: u32,
    used: u32,
    since: Option<Instant>,
}

impl Allowance {
    pub(crate) const fn new(limit: u32) -> Self {
        Self { limit, used: 0, since: None }
    }

    /// Whether nothing is left in this second.
    pub(crate) fn is_used_up(&mut self, now: Instant) -> bool {
        self.renew(now);
        self.used >= self.limit
    }

    /// Takes `amount`. If less is left, takes what is left and returns false.
    pub(crate) fn take(&mut self, now: Instant, amount: u32) -> bool {
        self.renew(now);
        let within = amount <= self.limit.saturating_sub(self.used);
        self.used = self.used.saturating_add(amount).min(self.limit);
        within
    }

    fn renew(&mut self, now: Instant) {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            self.since = Some(now);
            self.used = 0;
        }
    }
}

/// Limits how often something is reported.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notice {
    reported: Option<Instant>,
}

impl Notice {
    /// Whether to report it now. If so, the next report is due after `interval`.
    pub(crate) fn due(&mut self, now: Instant, interval: Duration) -> bool {
        let due = self.reported.is_none_or(|reported| now.saturating_duration_since(reported) >= interval);
        if due {
            self.reported = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowance_is_renewed_each_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(10);
        assert_eq!((0..20).filter(|_| allowance.take(start, 1)).count(), 10);
        assert!(allowance.is_used_up(start + Duration::from_millis(999)));
        assert!(!allowance.is_used_up(start + WINDOW));
        assert!(allowance.take(start + WINDOW, 9));
        assert!(!allowance.take(start + WINDOW, 2), "more than is left");
        assert!(allowance.is_used_up(start + WINDOW));
    }

    #[test]
    fn notice_is_due_once_per_interval() {
        let (mut notice, start) = (Notice::default(), Instant::now());
        let reports = (0..100u32).filter(|&s| notice.due(start + s * WINDOW, Duration::from_secs(10)));
        assert_eq!(reports.collect::<Vec<_>>(), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    }
}
