//! Whether less has been sent than the estimate for a while, as by a sender with layers of which none fits just so.
//!
//! Then two things say less than they seem to. That nothing objects does not test the estimate. And just after a better layer
//! has begun, what arrived in the last half second is less than what is sent, though the path carries all of it.

use crate::units::Bitrate;
use std::time::{Duration, Instant};

/// Below this share of the estimate, for this time, there is room to spare.
const USED: f64 = 0.8;
const FOR: Duration = Duration::from_secs(2);
/// A layer has begun if less than this share of what is sent arrives; the queue of a path that does not carry it is longer soon.
const ARRIVES: f64 = 0.9;
const QUEUE: Duration = Duration::from_millis(25);

/// Since when less is sent.
#[derive(Debug, Default)]
pub(super) struct Spare {
    since: Option<Instant>,
}

impl Spare {
    /// Handles a report. Returns whether there has been room to spare for a while.
    pub(super) fn step(&mut self, now: Instant, sent: Bitrate, estimate: Bitrate) -> bool {
        if sent >= estimate.mul_f64(USED) {
            self.since = None;
            return false;
        }
        now.saturating_duration_since(*self.since.get_or_insert(now)) > FOR
    }
}

/// Whether a layer has just begun, after there was room to spare: an overuse would take what arrives for what the path carries.
pub(super) fn has_just_risen(acked: Bitrate, sent: Bitrate, queue: Duration) -> bool {
    acked < sent.mul_f64(ARRIVES) && queue < QUEUE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_spare_after_a_while() {
        let (mut spare, start, rate) = (Spare::default(), Instant::now(), Bitrate::from_kbps);
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!spare.step(at(0), rate(700), rate(1_000)));
        assert!(!spare.step(at(2_000), rate(700), rate(1_000)));
        assert!(spare.step(at(2_100), rate(700), rate(1_000)));
        assert!(!spare.step(at(2_200), rate(900), rate(1_000)));
        assert!(!spare.step(at(2_300), rate(700), rate(1_000)), "from the beginning");
    }

    #[test]
    fn layer_that_has_begun_is_not_yet_in_what_arrives() {
        let (rate, queue) = (Bitrate::from_kbps, Duration::from_millis);
        assert!(has_just_risen(rate(1_450), rate(1_700), queue(20)));
        assert!(!has_just_risen(rate(1_450), rate(1_700), queue(30)), "the path is full");
        assert!(!has_just_risen(rate(1_650), rate(1_700), queue(20)));
    }
}
