//! So many in a second, of whatever is counted.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// What was used in the current second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    most: u32,
    used: u32,
    since: Option<Instant>,
}

impl Allowance {
    pub(crate) const fn new(most: u32) -> Self {
        Self { most, used: 0, since: None }
    }

    /// Whether nothing is left.
    pub(crate) fn is_used_up(&mut self, now: Instant) -> bool {
        self.renew(now);
        self.used >= self.most
    }

    /// Takes `amount`; false if that was more than was left, and then nothing is left.
    pub(crate) fn take(&mut self, now: Instant, amount: u32) -> bool {
        self.renew(now);
        let within = amount <= self.most.saturating_sub(self.used);
        self.used = self.used.saturating_add(amount).min(self.most);
        within
    }

    fn renew(&mut self, now: Instant) {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            self.since = Some(now);
            self.used = 0;
        }
    }
}

/// Something that is told seldom, however often there is cause to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notice {
    told: Option<Instant>,
}

impl Notice {
    /// Whether to tell now; it counts as told.
    pub(crate) fn due(&mut self, now: Instant, interval: Duration) -> bool {
        let due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= interval);
        if due {
            self.told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_in_a_second_can_be_taken_and_no_more() {
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
    fn a_notice_is_given_once_in_its_interval() {
        let (mut notice, start) = (Notice::default(), Instant::now());
        let told = (0..100u32).filter(|&s| notice.due(start + s * WINDOW, Duration::from_secs(10)));
        assert_eq!(told.collect::<Vec<_>>(), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    }
}
