//! What a step is worth to who sees it: more lines and more frames are worth more, each a little less than the one before.

use super::{Demand, Role};
use crate::publisher::ladder::Step;

/// What is left of the worth at a half, and a quarter, of the full frame rate.
const FRAME_RATES: [f64; 3] = [1.0, 0.85, 0.6];
/// Worth of what the subscriber has pinned, or of a screen, beside a camera.
const IMPORTANT: f64 = 2.0;
/// Lines that are assumed of the lowest resolution, if the publisher does not tell, and doubled for each further one.
const ASSUMED_LINES: u16 = 180;

impl Demand<'_> {
    /// What each step is worth, up to and with the goal.
    pub(super) fn worths(&self) -> Vec<f64> {
        let steps = self.steps.get(..=self.goal()).unwrap_or_default();
        let tops = steps.iter().map(|step| self.lines(step));
        let area = f64::from(tops.max().unwrap_or_default().min(self.tile.height)).powi(2);
        let weight = if self.tile.pinned || self.role == Role::Screen { IMPORTANT } else { 1.0 };
        let worth = |step| {
            let lines = f64::from(self.lines(step).min(self.tile.height));
            weight * area * (1.0 + lines).log2() * self.smoothness(step)
        };
        steps.iter().map(worth).collect()
    }

    /// The cheapest step that is worth more than the present one.
    pub(crate) fn improvement(&self) -> Option<&Step> {
        let worths = self.worths();
        let now = self.current.and_then(|current| worths.get(current)).copied().unwrap_or_default();
        let better = self.steps.iter().zip(&worths).filter(|(_, worth)| **worth > now);
        better.map(|(step, _)| step).min_by_key(|step| step.rate)
    }

    fn lines(&self, step: &Step) -> u16 {
        let lower = || self.steps.iter().take_while(|other| other.encoding != step.encoding);
        let assumed = || {
            let mut resolutions: Vec<_> = lower().map(|step| step.encoding).collect();
            resolutions.dedup();
            u32::try_from(resolutions.len()).ok().and_then(|lower| ASSUMED_LINES.checked_shl(lower))
        };
        step.height.or_else(assumed).unwrap_or(ASSUMED_LINES)
    }

    /// The share of the worth that the frame rate of a step leaves.
    fn smoothness(&self, step: &Step) -> f64 {
        let same = |other: &&Step| (other.encoding, other.height) == (step.encoding, step.height);
        let highest = self.steps.iter().filter(same).map(|other| other.temporal).max().unwrap_or_default();
        let dropped = usize::from(highest.saturating_sub(step.temporal));
        let [.., lowest] = FRAME_RATES;
        FRAME_RATES.get(dropped).copied().unwrap_or(lowest)
    }
}
