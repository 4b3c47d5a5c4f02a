//! How long to hold frames back, so that late ones are still in time.
//!
//! A frame's *offset* is its arrival less its RTP timestamp, on one clock of 48 kHz ticks. The least offset of a window is
//! the fastest way that a frame took; how far the others lie above it is the jitter, clock drift included, since the
//! window forgets. The target is what all but a few of them would have needed, and one frame more: then the frame behind
//! a lost one is there in time, and with it the in-band copy of what was lost.

use super::FRAME_SAMPLES;
use std::{collections::VecDeque, time::Duration};

/// Frames that are looked back at: ten seconds of them.
const WINDOW: usize = 500;
/// Of these, so many in a thousand may be late.
const LATE_PER_MILLE: usize = 20;
/// Frames that must be known before the target may fall below the first guess.
const WARM: usize = 25;
/// No bound is above ten seconds.
const LONGEST: i64 = 480_000;
/// The first guess: 60 ms.
const GUESS: i64 = 3 * FRAME_SAMPLES as i64;

/// Between which delays a jitter buffer may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayBounds {
    /// At least this. A lower bound sounds sooner, a higher one forgives a path that is calm for a while and then is not.
    pub least: Duration,
    /// At most this: frames that come later still are lost. Above 400 ms people talk into each other.
    pub most: Duration,
}

impl Default for DelayBounds {
    fn default() -> Self {
        Self { least: Duration::from_millis(20), most: Duration::from_millis(400) }
    }
}

/// Samples of a duration, at 48 kHz.
pub(super) fn ticks(duration: Duration) -> i64 {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    micros / 1_000 * 48 + micros % 1_000 * 48 / 1_000
}

/// The duration of so many samples; none for less than none.
pub(super) fn duration(ticks: i64) -> Duration {
    Duration::from_micros(u64::try_from(ticks).unwrap_or(0).saturating_mul(1_000) / 48)
}

/// The offsets of late, and the target that follows from them.
#[derive(Debug)]
pub(super) struct DelayEstimate {
    least: i64,
    most: i64,
    offsets: VecDeque<i64>,
    sorted: Vec<i64>,
    earliest: i64,
    target: i64,
}

impl DelayEstimate {
    pub(super) fn new(bounds: DelayBounds) -> Self {
        let least = ticks(bounds.least).min(LONGEST);
        let most = ticks(bounds.most).clamp(least, LONGEST);
        Self {
            least,
            most,
            offsets: VecDeque::new(),
            sorted: Vec::new(),
            earliest: 0,
            target: GUESS.clamp(least, most),
        }
    }

    /// Takes the offset of an arrived frame.
    pub(super) fn arrived(&mut self, offset: i64) {
        if self.offsets.len() == WINDOW {
            self.offsets.pop_front();
        }
        self.offsets.push_back(offset);
        self.sorted.clear();
        self.sorted.extend(&self.offsets);
        let rank = (self.sorted.len() * (1_000 - LATE_PER_MILLE) / 1_000).min(self.sorted.len() - 1);
        let (earlier, ranked, _) = self.sorted.select_nth_unstable(rank);
        self.earliest = earlier.iter().copied().min().unwrap_or(*ranked);
        let needed = (*ranked - self.earliest + FRAME_SAMPLES as i64).clamp(self.least, self.most);
        self.target = if self.offsets.len() < WARM { needed.max(self.target) } else { needed };
    }

    /// Forgets the timeline, but not how much delay this path needed.
    pub(super) fn restart(&mut self) {
        self.offsets.clear();
        self.target = self.target.max(GUESS.clamp(self.least, self.most));
    }

    /// The least offset; `None` before the first frame.
    pub(super) fn earliest(&self) -> Option<i64> {
        (!self.offsets.is_empty()).then_some(self.earliest)
    }

    /// The delay to aim at.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    /// The largest target that is allowed.
    pub(super) fn most(&self) -> i64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(offsets: impl IntoIterator<Item = i64>) -> DelayEstimate {
        let mut estimate = DelayEstimate::new(DelayBounds::default());
        offsets.into_iter().for_each(|offset| estimate.arrived(offset));
        estimate
    }

    #[test]
    fn a_calm_path_needs_one_frame() {
        assert_eq!(estimate([5_000; 100]).target(), 960);
    }

    #[test]
    fn jitter_is_covered_but_for_outliers() {
        let jittery = estimate((0..500).map(|n| if n % 100 == 0 { 48_000 } else { n % 10 * 100 }));
        assert_eq!(jittery.target(), 900 + 960);
    }

    #[test]
    fn the_target_rises_at_once_and_stays_in_bounds() {
        let mut estimate = estimate([0; 100]);
        (0..20).for_each(|_| estimate.arrived(9_600));
        assert_eq!(estimate.target(), 9_600 + 960);
        (0..20).for_each(|_| estimate.arrived(96_000));
        assert_eq!(estimate.target(), ticks(DelayBounds::default().most));
    }

    #[test]
    fn a_drifting_clock_is_forgotten_with_the_window() {
        // 200 parts in a million: 0.2 samples a millisecond, hence 4 a frame less over an hour.
        let drifting = estimate((0..180_000).map(|n| n / 5));
        assert!(drifting.target() < 960 + 110, "{}", drifting.target());
    }

    #[test]
    fn a_restart_keeps_what_the_path_needs() {
        let mut estimate = estimate((0..100).map(|n| n % 2 * 9_600));
        estimate.restart();
        assert_eq!(estimate.earliest(), None);
        estimate.arrived(-1_000_000);
        assert_eq!(estimate.target(), 9_600 + 960);
    }
}
