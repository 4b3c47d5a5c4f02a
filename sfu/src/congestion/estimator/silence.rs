//! No feedback while packets are out: the path, or the way back, is broken.

use std::time::{Duration, Instant};

/// Silence that lowers the estimate, and the time to each further decrease.
const FIRST: Duration = Duration::from_secs(1);
const EACH: Duration = Duration::from_millis(500);
/// After this long, what the estimate was says nothing about the path.
const LONG: Duration = Duration::from_secs(5);

/// Waits for feedback.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// When the first packet left that no report has followed.
    since: Option<Instant>,
    /// When the next decrease is due.
    due: Option<Instant>,
}

impl Silence {
    pub(super) fn on_sent(&mut self, now: Instant) {
        if self.since.is_none() {
            self.since = Some(now);
            self.due = Some(now + FIRST);
        }
    }

    /// Handles a report. Returns whether it ends a long silence.
    pub(super) fn on_report(&mut self, now: Instant) -> bool {
        self.due = None;
        self.since.take().is_some_and(|since| now.saturating_duration_since(since) >= LONG)
    }

    /// Whether a decrease is due; the next one is due later.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| now >= due);
        if is_due {
            self.due = Some(now + EACH);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_first_packet_out() {
        let (mut silence, start) = (Silence::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!silence.is_due(at(10_000)), "nothing was sent");
        silence.on_sent(at(0));
        silence.on_sent(at(500));
        assert!(!silence.is_due(at(999)));
        assert!(silence.is_due(at(1_000)) && !silence.is_due(at(1_499)) && silence.is_due(at(1_500)));
        assert!(!silence.on_report(at(1_600)));
        assert!(!silence.is_due(at(5_000)));
        silence.on_sent(at(6_000));
        assert!(silence.on_report(at(11_000)));
    }
}
