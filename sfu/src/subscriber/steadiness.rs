//! How soon a slot may get a better layer again after it had to go down: a layer that comes and goes is worse than either.

use std::time::{Duration, Instant};

/// Shortest time from a step down to a step up.
const WAIT: Duration = Duration::from_secs(3);
/// A step up that is undone within this time was a mistake: the next one waits as long, or a little longer after several.
const UNDONE: Duration = Duration::from_secs(20);
const MAX_WAIT: Duration = Duration::from_secs(24);
/// After this long without a step down, the wait is the shortest again.
const PEACE: Duration = Duration::from_secs(30);

/// A slot gets nothing only if nothing has fitted for this long. An estimate falls below what the path carries for a moment
/// while a queue drains, and video that stops takes seconds to begin again.
const PATIENCE: Duration = Duration::from_secs(4);

/// The steps of one slot that its receiver's bitrate has caused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steadiness {
    wait: Duration,
    down: Option<Instant>,
    up: Option<Instant>,
    /// Since when not even the lowest step fits.
    unfit: Option<Instant>,
}

impl Default for Steadiness {
    fn default() -> Self {
        Self { wait: WAIT, down: None, up: None, unfit: None }
    }
}

impl Steadiness {
    /// The slot gets a lower step.
    pub(crate) fn on_down(&mut self, now: Instant) {
        let within = |at: Option<Instant>, time| at.is_some_and(|at| now.saturating_duration_since(at) < time);
        if within(self.up, UNDONE) {
            self.wait = (self.wait * 2).clamp(UNDONE, MAX_WAIT);
        } else if !within(self.down, PEACE) {
            self.wait = WAIT;
        }
        self.down = Some(now);
        self.up = None;
    }

    /// The slot gets a higher step.
    pub(crate) fn on_up(&mut self, now: Instant) {
        self.up = Some(now);
    }

    /// Not even the lowest step fits. Returns whether that lasts, so that nothing is sent.
    pub(crate) fn on_unfit(&mut self, now: Instant) -> bool {
        let since = *self.unfit.get_or_insert(now);
        now.saturating_duration_since(since) >= PATIENCE
    }

    /// A step fits.
    pub(crate) fn on_fit(&mut self) {
        self.unfit = None;
    }

    /// Whether it may get a higher step.
    pub(crate) fn may_rise(&self, now: Instant) -> bool {
        self.down.is_none_or(|down| now.saturating_duration_since(down) >= self.wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(steadiness: &Steadiness, down: Instant) -> u64 {
        (0..).find(|seconds| steadiness.may_rise(down + Duration::from_secs(*seconds))).unwrap()
    }

    #[test]
    fn step_up_that_is_undone_makes_the_next_one_wait() {
        let (mut steadiness, mut now) = (Steadiness::default(), Instant::now());
        assert!(steadiness.may_rise(now));
        let mut waits = Vec::new();
        for _ in 0..6 {
            steadiness.on_down(now);
            waits.push(seconds(&steadiness, now));
            now += Duration::from_secs(*waits.last().unwrap());
            steadiness.on_up(now);
            now += Duration::from_secs(5);
        }
        assert_eq!(waits, [3, 20, 24, 24, 24, 24]);
        now += PEACE;
        steadiness.on_down(now);
        assert_eq!(seconds(&steadiness, now), 3, "after a time of peace");
    }

    #[test]
    fn what_does_not_fit_is_cut_after_four_seconds() {
        let (mut steadiness, start) = (Steadiness::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!steadiness.on_unfit(at(0)) && !steadiness.on_unfit(at(3)));
        steadiness.on_fit();
        assert!(!steadiness.on_unfit(at(4)) && !steadiness.on_unfit(at(7)));
        assert!(steadiness.on_unfit(at(8)));
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
