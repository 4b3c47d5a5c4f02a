//! Whether the queue of the path comes and goes by itself, as on mobile networks, whose bitrate changes every 100 ms.
//!
//! There, a queue that grows says little as long as it was empty a moment ago: it will be empty again before less could be
//! sent.

use std::time::{Duration, Instant};

/// A queue below the first is empty; one above the second is a peak.
const EMPTY: Duration = Duration::from_millis(10);
const PEAK: Duration = Duration::from_millis(15);
/// A peak between two empty queues that are no further apart than this is a swing. A queue that we fill, and drain after an
/// overuse, takes longer.
const SWING: Duration = Duration::from_millis(600);
/// The path swings if there were this many in this time.
const MANY: usize = 4;
const COUNTED_FOR: Duration = Duration::from_secs(20);
/// Then an empty queue excuses one that grows, for this time, up to this length.
const EXCUSES_FOR: Duration = Duration::from_millis(400);
const EXCUSED: Duration = Duration::from_millis(100);

/// The last swings.
#[derive(Debug, Default)]
pub(super) struct Swings {
    /// When the queue was empty last, and whether there has been a peak since.
    emptied: Option<Instant>,
    peak: bool,
    /// Times of the last swings, as a ring.
    times: [Option<Instant>; MANY],
    oldest: usize,
}

impl Swings {
    /// Handles a report.
    pub(super) fn step(&mut self, now: Instant, queue: Duration) {
        if queue >= PEAK {
            self.peak = true;
        } else if queue < EMPTY {
            if self.peak
                && within(now, self.emptied, SWING)
                && let Some(time) = self.times.get_mut(self.oldest)
            {
                *time = Some(now);
                self.oldest = (self.oldest + 1) % MANY;
            }
            (self.emptied, self.peak) = (Some(now), false);
        }
    }

    /// Whether a growing queue of this length is one of many swings.
    pub(super) fn excuse(&self, now: Instant, queue: Duration) -> bool {
        let swings = within(now, self.times.get(self.oldest).copied().flatten(), COUNTED_FOR);
        swings && queue < EXCUSED && within(now, self.emptied, EXCUSES_FOR)
    }
}

fn within(now: Instant, at: Option<Instant>, time: Duration) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) <= time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    /// Queues in milliseconds, one each 100 ms, the last of which grows. Returns whether that is excused.
    fn excused(queues: &[u64]) -> bool {
        let (mut swings, mut now) = (Swings::default(), Instant::now());
        for queue in queues {
            now += STEP;
            swings.step(now, Duration::from_millis(*queue));
        }
        swings.excuse(now, Duration::from_millis(queues.last().copied().unwrap_or(0)))
    }

    #[test]
    fn queue_that_comes_and_goes_is_excused() {
        let swing = [5, 40, 20, 5];
        assert!(!excused(&[&swing.repeat(3)[..], &[40]].concat()), "too few");
        assert!(excused(&[&swing.repeat(5)[..], &[40]].concat()));
        assert!(!excused(&[&swing.repeat(5)[..], &[120]].concat()), "too long");
        assert!(!excused(&[&swing.repeat(5)[..], &[40; 6]].concat()), "it stays");
        assert!(!excused(&[&swing.repeat(5)[..], &[5; 250], &[40]].concat()), "long ago");
    }

    #[test]
    fn slow_queue_is_no_swing() {
        let sawtooth = [5, 15, 25, 35, 45, 55, 40, 25, 12, 5];
        assert!(!excused(&[&sawtooth.repeat(10)[..], &[25]].concat()));
    }
}
