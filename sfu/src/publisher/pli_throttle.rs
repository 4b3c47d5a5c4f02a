//! Limits the PLIs sent to a publisher.
//!
//! Requests of many receivers become few PLIs. A request soon after the last PLI is not dropped but sent at the end of
//! the interval (trailing edge): the key frame on its way may have been sealed before the new receiver got its key, and
//! would be useless to it. Requests of receivers that have video, and only want a better layer, wait longer: many of them
//! share one key frame.

use std::time::{Duration, Instant};

/// Shortest time between two PLIs. Above 300 ms, within which Chromium ignores a second PLI.
pub(crate) const INTERVAL: Duration = Duration::from_millis(400);
/// The same before a PLI for receivers that have video and want a better layer.
pub(crate) const SWITCH_INTERVAL: Duration = Duration::from_millis(1_000);
/// Schedules the PLIs for one track.
#[derive(Debug, Default)]
pub(crate) struct PliThrottle {
    last_pli: Option<Instant>,
    /// The time that is to pass from the last PLI to the next, if one is requested.
    requested: Option<Duration>,
}

impl PliThrottle {
    /// Requests a key frame that is encoded after this moment.
    pub(crate) fn request(&mut self) {
        self.requested = Some(INTERVAL);
    }

    /// Requests one for a receiver that can wait.
    pub(crate) fn request_for_switch(&mut self) {
        self.requested.get_or_insert(SWITCH_INTERVAL);
    }

    /// Takes back what was requested, if all of it can wait. Returns whether it was.
    pub(crate) fn cancel_switches(&mut self) -> bool {
        self.requested.take_if(|interval| *interval == SWITCH_INTERVAL).is_some()
    }

    /// Whether a PLI is to be sent, or was sent within this time.
    pub(crate) fn is_recent(&self, now: Instant, time: Duration) -> bool {
        self.requested.is_some() || self.last_pli.is_some_and(|last| now.saturating_duration_since(last) < time)
    }

    /// Whether to send a PLI now; it counts as sent.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let due = self.deadline(now).is_some_and(|at| at <= now);
        if due {
            self.requested = None;
            self.last_pli = Some(now);
        }
        due
    }

    /// When to send the next PLI, if a key frame is requested.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.requested.map(|interval| self.last_pli.map_or(now, |last| last + interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn request_within_the_interval_is_sent_at_its_end() {
        let (mut throttle, start) = (PliThrottle::default(), Instant::now());
        throttle.request();
        assert!(throttle.poll(start));
        assert!(!throttle.poll(start), "no new request");

        let soon = start + Duration::from_millis(10);
        throttle.request();
        throttle.request();
        assert!(!throttle.poll(soon));
        assert_eq!(throttle.deadline(soon), Some(start + INTERVAL));
        assert!(throttle.poll(start + INTERVAL));
        assert_eq!(throttle.deadline(start + INTERVAL), None);
    }

    #[test]
    fn switch_waits_unless_another_request_comes() {
        let (mut throttle, start) = (PliThrottle::default(), Instant::now());
        throttle.request_for_switch();
        assert!(throttle.poll(start), "the first one");
        throttle.request_for_switch();
        assert_eq!(throttle.deadline(start), Some(start + SWITCH_INTERVAL));
        throttle.request();
        throttle.request_for_switch();
        assert_eq!(throttle.deadline(start), Some(start + INTERVAL), "serves all");
    }

    #[test]
    fn what_can_wait_can_be_taken_back() {
        let (mut throttle, start) = (PliThrottle::default(), Instant::now());
        assert!(!throttle.cancel_switches(), "nothing is requested");
        throttle.request_for_switch();
        assert!(throttle.is_recent(start, INTERVAL) && throttle.cancel_switches());
        assert_eq!((throttle.deadline(start), throttle.is_recent(start, INTERVAL)), (None, false));
        throttle.request_for_switch();
        throttle.request();
        assert!(!throttle.cancel_switches() && throttle.poll(start));
        assert!(throttle.is_recent(start + INTERVAL / 2, INTERVAL) && !throttle.is_recent(start + INTERVAL, INTERVAL));
    }

    proptest! {
        #[test]
        fn every_request_leads_to_a_pli_within_the_interval(times in prop::collection::vec(0u64..5_000, 1..60)) {
            let start = Instant::now();
            let (mut throttle, mut times, mut sent) = (PliThrottle::default(), times, Vec::new());
            times.sort_unstable();
            for ms in 0..6_000 {
                let now = start + Duration::from_millis(ms);
                times.iter().filter(|&&time| time == ms).for_each(|_| throttle.request());
                if throttle.poll(now) {
                    sent.push(ms);
                }
            }
            let interval = u64::try_from(INTERVAL.as_millis()).unwrap();
            prop_assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= interval));
            for time in times {
                prop_assert!(sent.iter().any(|&at| (time..=time + interval).contains(&at)));
            }
        }
    }
}
