//! What a limit rose to and had to fall from: it would fail again, so that it is not tried for a while.

use super::percent;
use crate::units::Bitrate;
use std::time::{Duration, Instant};

/// Part of a limit that failed to which the limit may rise again at once, in percent. What is a little less fails soon, too, and
/// each change costs messages and key frames.
const LEFT: u64 = 70;
/// How long that holds, at first, and after it has failed again and again.
const FIRST: Duration = Duration::from_secs(8);
const LONGEST: Duration = Duration::from_secs(64);
/// A worker that could send this percentage of what it could then is another one: people have left, or it has a core again.
const OTHER: u64 = 150;

/// A limit that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ceiling {
    rate: Bitrate,
    /// Whether not even lowest layers could be sent.
    pauses: bool,
    until: Instant,
    holds: Duration,
    /// What the worker could send to each receiver then.
    possible: Bitrate,
}

impl Ceiling {
    /// A limit failed at which not even lowest layers could be sent if it `pauses`. `before` is the ceiling that there was.
    pub(super) fn new(before: Option<Self>, now: Instant, rate: Bitrate, pauses: bool, possible: Bitrate) -> Self {
        // One that fell step by step failed once.
        let again = before.filter(|before| now < before.until + before.holds);
        let holds = match again {
            Some(before) if now < before.until => before.holds,
            Some(before) => (2 * before.holds).min(LONGEST),
            None => FIRST,
        };
        Self { rate: percent(rate, LEFT), pauses, until: now + holds, holds, possible }
    }

    /// Whether it holds for a worker that could send this to each receiver now.
    pub(super) fn holds(&self, now: Instant, possible: Bitrate) -> bool {
        now < self.until && possible < percent(self.possible, OTHER)
    }

    /// The highest limit to try.
    pub(super) fn rate(&self) -> Bitrate {
        self.rate
    }

    /// Whether lowest layers are too many.
    pub(super) fn pauses(&self) -> bool {
        self.pauses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Bitrate = Bitrate::from_kbps(1_000);

    #[test]
    fn limit_that_fails_again_is_not_tried_for_longer() {
        let start = Instant::now();
        let (mut ceiling, mut now, mut held) = (None, start, Vec::new());
        for _ in 0..5 {
            let new = Ceiling::new(ceiling, now, RATE, false, RATE);
            let seconds = (0..).find(|seconds| !new.holds(now + Duration::from_secs(*seconds), RATE)).unwrap();
            held.push(seconds);
            now += Duration::from_secs(seconds + 1);
            ceiling = Some(new);
        }
        assert_eq!((held, ceiling.unwrap().rate()), (vec![8, 16, 32, 64, 64], Bitrate::from_kbps(700)));
        let later = Ceiling::new(ceiling, now + Duration::from_secs(64), RATE, false, RATE);
        assert!(!later.holds(now + Duration::from_secs(64 + 8), RATE), "after a minute of peace");
    }

    #[test]
    fn fall_step_by_step_fails_once() {
        let start = Instant::now();
        let mut ceiling = None;
        for second in 0..5 {
            ceiling = Some(Ceiling::new(ceiling, start + Duration::from_secs(second), RATE, false, RATE));
        }
        assert!(!ceiling.unwrap().holds(start + Duration::from_secs(4 + 8), RATE));
    }

    #[test]
    fn worker_that_could_send_more_tries_again_at_once() {
        let start = Instant::now();
        let ceiling = Ceiling::new(None, start, RATE, true, RATE);
        let holds = |kbps| ceiling.holds(start, Bitrate::from_kbps(kbps));
        assert_eq!((holds(1_499), holds(1_500)), (true, false));
    }
}
