//! Decides when a publisher is asked for a key frame.
//!
//! Requests of many receivers become few. A request that comes too soon after the last one is not dropped but kept to
//! the end of the interval (*trailing edge*): the key frame that is already under way may have been sealed before the
//! new receiver had its key, and would be of no use to it.

use std::time::{Duration, Instant};

/// Shortest time between two requests. Chromium ignores requests within 300 ms of each other, so it lies above.
pub(crate) const INTERVAL: Duration = Duration::from_millis(400);
/// A receiver that still waits after this time is taken as a lost request, or a lost key frame.
const LOST: Duration = Duration::from_millis(1_000);

/// The requests to one publisher's stream.
#[derive(Debug, Default)]
pub(crate) struct KeyFrameRequests {
    last: Option<Instant>,
    wanted: bool,
}

impl KeyFrameRequests {
    /// Somebody needs a key frame that is made after this moment.
    pub(crate) fn request(&mut self) {
        self.wanted = true;
    }

    /// Somebody could not use a packet because it waits for a key frame that was requested earlier.
    pub(crate) fn still_waiting(&mut self, now: Instant) {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) >= LOST) {
            self.wanted = true;
        }
    }

    /// Whether to send a request now; it counts as sent.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        let due = self.deadline(now).is_some_and(|at| at <= now);
        if due {
            self.wanted = false;
            self.last = Some(now);
        }
        due
    }

    /// When the next request is to be sent, if one is wanted.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.wanted.then(|| self.last.map_or(now, |last| last + INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_within_the_interval_is_sent_at_its_end() {
        let (mut requests, start) = (KeyFrameRequests::default(), Instant::now());
        requests.request();
        assert!(requests.due(start));
        assert!(!requests.due(start), "nothing new is wanted");

        let soon = start + Duration::from_millis(10);
        requests.request();
        requests.request();
        assert!(!requests.due(soon));
        assert_eq!(requests.deadline(soon), Some(start + INTERVAL));
        assert!(requests.due(start + INTERVAL));
        assert_eq!(requests.deadline(start + INTERVAL), None);
    }

    #[test]
    fn waiting_alone_repeats_a_request_only_when_it_seems_lost() {
        let (mut requests, start) = (KeyFrameRequests::default(), Instant::now());
        requests.still_waiting(start);
        assert!(requests.due(start));
        requests.still_waiting(start + INTERVAL);
        assert!(!requests.due(start + INTERVAL));
        requests.still_waiting(start + LOST);
        assert!(requests.due(start + LOST));
    }

    proptest! {
        #[test]
        fn every_request_is_followed_by_one_sent_within_the_interval(times in prop::collection::vec(0u64..5_000, 1..60)) {
            let start = Instant::now();
            let (mut requests, mut times, mut sent) = (KeyFrameRequests::default(), times, Vec::new());
            times.sort_unstable();
            for ms in 0..6_000 {
                let now = start + Duration::from_millis(ms);
                times.iter().filter(|&&time| time == ms).for_each(|_| requests.request());
                if requests.due(now) {
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
