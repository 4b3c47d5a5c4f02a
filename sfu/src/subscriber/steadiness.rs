//! How soon a slot may get a better layer again after it had to go down: a layer that comes and goes is worse than either.

use crate::{congestion::VideoBudget, units::Bitrate};
use std::time::{Duration, Instant};

/// Shortest time from a step down to a step up.
const WAIT: Duration = Duration::from_secs(3);
/// A step up that is undone within this time was a mistake, and none follows within this time of it.
const APART: Duration = Duration::from_secs(20);
/// Unless less than the first share of what the step up took is left: then the path has become slow, and what it carries again
/// later is not known to fail. Or unless there is room for more than the second.
const OTHER_PATH: (f64, f64) = (0.5, 3.0);

/// A slot whose lowest layer would fit once a queue has drained gets nothing only if that lasts this long: drains are shorter, and
/// video that stops takes seconds to begin again.
const PATIENCE: Duration = Duration::from_secs(2);

/// A step up.
#[derive(Clone, Copy, Debug)]
struct Rise {
    at: Instant,
    /// Bitrate of all video of the receiver with it.
    sum: Bitrate,
}

/// The steps of one slot that its receiver's bitrate has caused.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steadiness {
    down: Option<Instant>,
    /// The last step up, while nothing has followed.
    up: Option<Rise>,
    /// A step up that was a mistake.
    undone: Option<Rise>,
    /// Since when not even the lowest step fits.
    unfit: Option<Instant>,
    /// It has been known before what its receiver's downlink carries.
    is_measured: bool,
}

impl Steadiness {
    /// The slot gets a lower step.
    pub(crate) fn on_down(&mut self, now: Instant) {
        self.undone = self.up.take().or(self.undone);
        self.down = Some(now);
    }

    /// The slot gets a higher step, with which all video of its receiver has the bitrate `sum`.
    pub(crate) fn on_up(&mut self, now: Instant, sum: Bitrate) {
        self.up = Some(Rise { at: now, sum });
    }

    /// All video of the receiver may have this bitrate.
    pub(crate) fn on_budget(&mut self, budget: VideoBudget) {
        self.is_measured = true;
        let (little, much) = OTHER_PATH;
        self.undone.take_if(|up| budget.now < up.sum.mul_f64(little) || budget.steady > up.sum.mul_f64(much));
    }

    /// Not even the lowest step fits. Returns whether that lasts. What did not fit from the first measurement on was sent for want of
    /// one.
    pub(crate) fn on_unfit(&mut self, now: Instant) -> bool {
        let since = *self.unfit.get_or_insert(now);
        !self.is_measured || now.saturating_duration_since(since) >= PATIENCE
    }

    /// A step fits.
    pub(crate) fn on_fit(&mut self) {
        self.unfit = None;
    }

    /// Whether it may get a higher step.
    pub(crate) fn may_rise(&self, now: Instant) -> bool {
        let has_passed = |since: Instant, time| now.saturating_duration_since(since) >= time;
        self.down.is_none_or(|down| has_passed(down, WAIT)) && self.undone.is_none_or(|up| has_passed(up.at, APART))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: Bitrate = Bitrate::from_kbps(1_000);

    fn budget(kbps: u64) -> VideoBudget {
        let rate = Bitrate::from_kbps(kbps);
        VideoBudget { now: rate, steady: rate, drained: rate }
    }

    fn seconds(steadiness: &Steadiness, down: Instant) -> u64 {
        (0..).find(|seconds| steadiness.may_rise(down + Duration::from_secs(*seconds))).unwrap()
    }

    /// A slot that has risen, and fallen after these seconds; and when that was.
    fn fallen_after(seconds: u64) -> (Steadiness, Instant) {
        let (mut steadiness, start) = (Steadiness::default(), Instant::now());
        assert!(steadiness.may_rise(start));
        steadiness.on_up(start, SUM);
        let down = start + Duration::from_secs(seconds);
        steadiness.on_down(down);
        (steadiness, down)
    }

    #[test]
    fn step_up_that_is_undone_is_not_repeated_for_twenty_seconds() {
        for (after, expected) in [(1, 19), (12, 8), (18, 3), (20, 3), (300, 3)] {
            let (steadiness, down) = fallen_after(after);
            assert_eq!(seconds(&steadiness, down), expected, "undone after {after} s");
        }
    }

    #[test]
    fn path_that_becomes_slow_undoes_a_step_that_was_no_mistake() {
        for (left, expected) in [(900, 15), (501, 15), (499, 3), (40, 3)] {
            let (mut steadiness, down) = fallen_after(5);
            steadiness.on_budget(budget(800));
            steadiness.on_down(down);
            steadiness.on_budget(budget(left));
            steadiness.on_budget(budget(1_000));
            assert_eq!(seconds(&steadiness, down), expected, "{left} kbit/s were left");
        }
    }

    #[test]
    fn path_that_becomes_much_better_is_another_one() {
        for (found, expected) in [(2_900, 15), (3_100, 3)] {
            let (mut steadiness, down) = fallen_after(5);
            steadiness.on_budget(budget(found));
            assert_eq!(seconds(&steadiness, down), expected, "{found} kbit/s were found");
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_after_two_seconds() {
        let (mut steadiness, start) = (Steadiness::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(steadiness.on_unfit(at(0)), "it never did");
        steadiness.on_fit();
        steadiness.on_budget(budget(1_000));
        assert!(!steadiness.on_unfit(at(0)) && !steadiness.on_unfit(at(1)));
        steadiness.on_fit();
        assert!(!steadiness.on_unfit(at(2)) && !steadiness.on_unfit(at(3)));
        assert!(steadiness.on_unfit(at(4)));
    }

    #[test]
    fn further_steps_down_wait_no_longer() {
        let (mut steadiness, now) = (Steadiness::default(), Instant::now());
        for second in 0..4 {
            steadiness.on_down(now + Duration::from_secs(second));
        }
        assert_eq!(seconds(&steadiness, now + Duration::from_secs(3)), 3);
    }
}
