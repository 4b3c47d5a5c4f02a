//! The layered source: what a forwarding server has to choose from, and how it moves between the rungs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Three encodings with three temporal layers each, in bits per second.
const RUNGS: [f64; 9] = [50e3, 90e3, 150e3, 300e3, 500e3, 850e3, 1_020e3, 1_700e3, 3_400e3];
/// Up to this share of the least estimate of [`WINDOW`]; down when the sum exceeds the budget by this factor.
const UP: f64 = 0.93;
const DOWN: f64 = 1.02;
const WINDOW: Duration = Duration::from_millis(1_500);
/// After a step down; and after one up that is undone within this time, unless less than this share of it is left, or there is
/// room for more than this multiple.
const WAIT: Duration = Duration::from_secs(3);
const APART: Duration = Duration::from_secs(20);
const FALLEN: f64 = 0.5;
const EXCEEDED: f64 = 3.0;

/// A source with layers.
#[derive(Debug)]
pub(crate) struct Ladder {
    most: f64,
    rung: usize,
    /// Beside the video: audio and headers.
    reserved: f64,
    recent: VecDeque<(Instant, f64)>,
    /// Steps up, and their rates: the last one, and the last one that was undone.
    last_up: Option<(Instant, f64)>,
    undone: Option<(Instant, f64)>,
    last_down: Option<Instant>,
}

impl Ladder {
    pub(crate) fn new(most: f64, reserved: f64) -> Self {
        Self { most, rung: 0, reserved, recent: VecDeque::new(), last_up: None, undone: None, last_down: None }
    }

    fn top(&self) -> usize {
        RUNGS.iter().rposition(|rung| *rung <= self.most).unwrap_or(0)
    }

    pub(crate) fn rate(&self) -> f64 {
        RUNGS.get(self.rung).copied().unwrap_or_default()
    }

    /// What it wants in all, and what the next rung needs.
    pub(crate) fn wanted(&self) -> (f64, f64) {
        let cost = |rung: usize| RUNGS.get(rung).map_or(0.0, |rate| rate + self.reserved);
        let next = if self.rung < self.top() { cost(self.rung + 1) / UP * 1.05 } else { cost(self.top()) };
        (cost(self.top()).max(next), next)
    }

    /// Chooses for this estimate; returns whether the rung has changed.
    pub(crate) fn choose(&mut self, now: Instant, estimate: f64) -> bool {
        self.recent.push_back((now, estimate));
        while self.recent.pop_front_if(|(at, _)| *at + WINDOW < now).is_some() {}
        let least = self.recent.iter().map(|(_, estimate)| *estimate).fold(f64::INFINITY, f64::min);
        let top = self.top();
        let fits = |budget: f64| RUNGS.iter().take(top + 1).rposition(|rung| *rung <= budget).unwrap_or(0);
        let within = |since: Option<Instant>, time: Duration| since.is_some_and(|since| now < since + time);
        let (before, budget) = (self.rung, estimate - self.reserved);
        if self.rate() > budget * DOWN && self.rung > 0 {
            self.rung = fits(budget).min(self.rung);
            self.undone = self.last_up.take().or(self.undone);
            self.last_down = Some(now);
        } else {
            let higher = fits(UP * (least - self.reserved));
            let is_apart = !within(self.undone.map(|(at, _)| at), APART);
            if higher > self.rung && is_apart && !within(self.last_down, WAIT) {
                self.rung = higher;
                self.last_up = Some((now, self.rate()));
            }
        }
        self.undone.take_if(|(_, rate)| budget < *rate * FALLEN || least - self.reserved > *rate * EXCEEDED);
        self.rung != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_is_immediate_and_up_waits() {
        let start = Instant::now();
        let mut ladder = Ladder::new(1.5e6, 40e3);
        let mut run = |from: u64, to: u64, estimate: f64| {
            (from..to)
                .map(|ms| ladder.choose(start + Duration::from_millis(ms), estimate))
                .filter(|moved| *moved)
                .count()
        };
        assert_eq!(run(0, 11_000, 1.2e6), 1, "straight to what fits");
        assert_eq!(run(11_000, 11_001, 4e5), 1);
        assert_eq!(run(11_001, 13_900, 1.2e6), 0);
        assert_eq!(run(13_900, 14_100, 1.2e6), 1, "three seconds after the step down");
    }
}
