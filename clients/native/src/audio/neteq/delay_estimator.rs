//! Estimates how long to delay frames so that late ones still arrive in time.
//!
//! A frame's *offset* is its arrival time minus its RTP timestamp, on one clock of 48 kHz ticks. The lowest offset in
//! a window belongs to the fastest frame; how far the others lie above it is the jitter, including clock drift, since
//! the window moves. The target delay is what all but a few frames would have needed, plus one frame: then the frame
//! after a lost one is there in time, and with it the in-band FEC of the lost one.
//!
//! Frames that all come far too late are not outliers: the path has become longer, or the sender's clock is slow. Only the
//! latest offsets count then.

use crate::audio::FRAME_SAMPLES;
use std::{collections::VecDeque, time::Duration};

/// Number of frames in the window: ten seconds.
const WINDOW: usize = 500;
/// Frames per thousand that may be late.
const LATE_PER_MILLE: usize = 20;
/// Number of frames that must have arrived before the target may fall below its initial value.
const WARM: usize = 25;
/// Upper limit of the configured bounds: ten seconds.
const LONGEST: i64 = 480_000;
/// Frames are skipped when their delay exceeds the upper bound by this much: 100 ms.
const SKIP_ABOVE: i64 = 5 * FRAME_SAMPLES as i64;
/// Number of consecutive frames that would all be skipped after which the offsets before them are forgotten.
const MOVED: usize = 5;
/// Initial target delay: 60 ms.
const GUESS: i64 = 3 * FRAME_SAMPLES as i64;

/// Bounds of the delay that a jitter buffer chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayBounds {
    /// Minimum delay. A lower value reduces latency; a higher one tolerates sudden jitter on a calm path.
    pub minimum: Duration,
    /// Maximum delay: frames that arrive later are lost. Above 400 ms people talk over each other.
    pub maximum: Duration,
}

impl Default for DelayBounds {
    fn default() -> Self {
        Self { minimum: Duration::from_millis(20), maximum: Duration::from_millis(400) }
    }
}

/// Samples of a duration at 48 kHz.
pub(super) fn ticks(duration: Duration) -> i64 {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    micros / 1_000 * 48 + micros % 1_000 * 48 / 1_000
}

/// Duration of a number of samples; zero if it is negative.
pub(super) fn duration(ticks: i64) -> Duration {
    Duration::from_micros(u64::try_from(ticks).unwrap_or(0).saturating_mul(1_000) / 48)
}

/// Recent offsets and the target that follows from them.
#[derive(Debug)]
pub(super) struct DelayEstimator {
    minimum: i64,
    maximum: i64,
    offsets: VecDeque<i64>,
    sorted: Vec<i64>,
    earliest: i64,
    target: i64,
    /// Number of frames at the end of the window that would all be skipped.
    too_late: usize,
}

impl DelayEstimator {
    pub(super) fn new(bounds: DelayBounds) -> Self {
        let minimum = ticks(bounds.minimum).min(LONGEST);
        let maximum = ticks(bounds.maximum).clamp(minimum, LONGEST);
        Self {
            minimum,
            maximum,
            offsets: VecDeque::new(),
            sorted: Vec::new(),
            earliest: 0,
            target: initial(minimum, maximum),
            too_late: 0,
        }
    }

    /// Records the offset of a frame that arrived.
    pub(super) fn arrived(&mut self, offset: i64) {
        if self.offsets.len() == WINDOW {
            self.offsets.pop_front();
        }
        self.offsets.push_back(offset);
        let is_too_late = self.offsets.len() > 1 && offset - self.earliest > self.skipped_above();
        self.too_late = if is_too_late { self.too_late + 1 } else { 0 };
        if self.too_late == MOVED {
            self.offsets.drain(..self.offsets.len() - MOVED);
            self.target = initial(self.minimum, self.maximum);
            self.too_late = 0;
        }
        self.sorted.clear();
        self.sorted.extend(&self.offsets);
        let rank = (self.sorted.len() * (1_000 - LATE_PER_MILLE) / 1_000).min(self.sorted.len() - 1);
        let (earlier, ranked, _) = self.sorted.select_nth_unstable(rank);
        self.earliest = earlier.iter().copied().min().unwrap_or(*ranked);
        let needed = (*ranked - self.earliest + FRAME_SAMPLES as i64).clamp(self.minimum, self.maximum);
        self.target = if self.offsets.len() < WARM { needed.max(self.target) } else { needed };
    }

    /// Forgets the timeline but keeps the target as a lower bound.
    pub(super) fn restart(&mut self) {
        self.offsets.clear();
        self.too_late = 0;
        self.target = self.target.max(initial(self.minimum, self.maximum));
    }

    /// The lowest offset in the window; `None` before the first frame.
    pub(super) fn earliest(&self) -> Option<i64> {
        (!self.offsets.is_empty()).then_some(self.earliest)
    }

    /// The target delay, in samples.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    /// The delay above which frames are skipped, in samples.
    pub(super) fn skipped_above(&self) -> i64 {
        self.maximum + SKIP_ABOVE
    }
}

fn initial(minimum: i64, maximum: i64) -> i64 {
    GUESS.clamp(minimum, maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(offsets: impl IntoIterator<Item = i64>) -> DelayEstimator {
        let mut estimate = DelayEstimator::new(DelayBounds::default());
        offsets.into_iter().for_each(|offset| estimate.arrived(offset));
        estimate
    }

    #[test]
    fn calm_path_needs_one_frame_of_delay() {
        assert_eq!(estimate([5_000; 100]).target(), 960);
    }

    #[test]
    fn target_covers_jitter_except_outliers() {
        let jittery = estimate((0..500).map(|n| if n % 100 == 0 { 48_000 } else { n % 10 * 100 }));
        assert_eq!(jittery.target(), 900 + 960);
    }

    #[test]
    fn target_rises_at_once_within_bounds() {
        let mut estimate = estimate([0; 100]);
        (0..20).for_each(|_| estimate.arrived(9_600));
        assert_eq!(estimate.target(), 9_600 + 960);
        (0..20).for_each(|_| estimate.arrived(23_000));
        assert_eq!(estimate.target(), ticks(DelayBounds::default().maximum));
    }

    #[test]
    fn clock_drift_does_not_accumulate() {
        // Drift of 200 ppm: 0.2 samples per millisecond, 4 samples per frame.
        let drifting = estimate((0..180_000).map(|n| n / 5));
        assert!(drifting.target() < 960 + 110, "{}", drifting.target());
    }

    #[test]
    fn longer_path_is_known_after_a_few_frames() {
        let mut estimate = estimate([0; 100]);
        let beyond = estimate.skipped_above() + 1;
        (1..MOVED).for_each(|_| estimate.arrived(beyond));
        assert_eq!(estimate.earliest(), Some(0));
        estimate.arrived(0);
        (1..MOVED).for_each(|_| estimate.arrived(beyond));
        assert_eq!(estimate.earliest(), Some(0), "not all were late");
        estimate.arrived(beyond);
        assert_eq!(estimate.earliest(), Some(beyond));
        estimate.arrived(0);
        assert_eq!(estimate.earliest(), Some(0), "shorter again");
    }

    #[test]
    fn restart_keeps_the_target() {
        let mut estimate = estimate((0..100).map(|n| n % 2 * 9_600));
        estimate.restart();
        assert_eq!(estimate.earliest(), None);
        estimate.arrived(-1_000_000);
        assert_eq!(estimate.target(), 9_600 + 960);
    }
}
