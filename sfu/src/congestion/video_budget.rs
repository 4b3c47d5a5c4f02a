//! The part of an estimate that video may use.

use super::Needs;
use crate::units::Bitrate;
use std::time::{Duration, Instant};

/// What is left of the estimate for what was not counted, such as retransmissions, in percent.
pub(crate) const USED: u64 = 95;
/// Share of what the path carries that the estimate is while a queue drains.
const DRAINING: f64 = 0.7;
/// More is spent only within the least estimate of this time: three intervals.
const INTERVAL: Duration = Duration::from_millis(500);
const INTERVALS: usize = 3;
/// How long after the first feedback an estimate rests on the assumption that it began with: bitrates of layers are averages of
/// two seconds, and nothing is probed for beyond them.
const UNTESTED: Duration = Duration::from_secs(3);

/// A budget of video, on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VideoBudget {
    /// For what is sent already.
    pub(crate) now: Bitrate,
    /// For what is to be added.
    pub(crate) steady: Bitrate,
    /// What there is again once a queue has drained, if one drains now.
    pub(crate) drained: Bitrate,
}

/// The least of the estimates of the last 1.5 s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spendable {
    /// Since when there is feedback, as long as little is known.
    assumed_since: Option<Instant>,
    least: [Bitrate; INTERVALS],
    interval_end: Instant,
}

impl Spendable {
    pub(super) fn new(now: Instant) -> Self {
        Self { assumed_since: Some(now), least: [Bitrate::MAX; INTERVALS], interval_end: now + INTERVAL }
    }

    /// Records the estimate.
    pub(super) fn add(&mut self, now: Instant, estimate: Bitrate) {
        if now >= self.interval_end {
            self.least.rotate_right(1);
            self.least[0] = estimate;
            self.interval_end = now + INTERVAL;
        }
        self.least[0] = self.least[0].min(estimate);
    }

    /// The estimate no longer rests on an assumption.
    pub(super) fn end_assumption(&mut self) {
        self.assumed_since = None;
    }

    /// What video may use beside the audio in `needs`; `None` while nothing is known. An estimate that has `fallen` is known.
    pub(super) fn budget(&self, now: Instant, estimate: Bitrate, needs: Needs, fallen: bool) -> Option<VideoBudget> {
        let is_assumed = self.assumed_since.is_some_and(|since| now.saturating_duration_since(since) < UNTESTED);
        if is_assumed && !fallen {
            return None;
        }
        let least = self.least.iter().copied().min().unwrap_or(estimate).min(estimate);
        let left = |rate: Bitrate| {
            let rate = rate.bps().saturating_sub(needs.audio.bps());
            Bitrate::from_bps(rate.saturating_mul(USED) / 100)
        };
        let drained = left(estimate.mul_f64(1.0 / DRAINING));
        Some(VideoBudget { now: left(estimate), steady: left(least), drained })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: Needs = Needs { audio: Bitrate::from_kbps(40), wanted: Bitrate::ZERO, next: Bitrate::ZERO };

    #[test]
    fn budget_is_what_audio_leaves_and_grows_after_a_second_and_a_half() {
        let start = Instant::now();
        let mut spendable = Spendable::new(start);
        let kbps = Bitrate::from_kbps;
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(spendable.budget(at(2_900), kbps(600), AUDIO, false), None, "nothing is known");
        assert!(spendable.budget(at(2_900), kbps(300), AUDIO, true).is_some());
        let mut full = spendable;
        full.end_assumption();
        assert!(full.budget(at(100), kbps(600), AUDIO, false).is_some());
        spendable.add(at(3_000), kbps(440));
        let drained = Bitrate::from_bps(1_373_428);
        let expected = |now, steady| Some(VideoBudget { now: kbps(now), steady: kbps(steady), drained });
        for ms in [3_600, 4_200] {
            spendable.add(at(ms), kbps(1_040));
            assert_eq!(spendable.budget(at(ms), kbps(1_040), AUDIO, false), expected(950, 380));
        }
        spendable.add(at(4_800), kbps(1_040));
        assert_eq!(spendable.budget(at(4_800), kbps(1_040), AUDIO, false), expected(950, 950));
        spendable.add(at(4_900), kbps(40));
        assert_eq!(spendable.budget(at(4_900), kbps(1_040), AUDIO, false), expected(950, 0));
    }
}
