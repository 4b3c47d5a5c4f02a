//! What the receivers of a track want of it, as its publisher is informed: it need not send the rest.
//!
//! Each change costs the publisher a key frame on every encoding. So it is informed of more at once, because a receiver
//! waits for it; of less only after no receiver has wanted more for a while.

use std::time::{Duration, Instant};

/// How long less must be wanted before the publisher is informed.
const LESS_AFTER: Duration = Duration::from_secs(5);

/// Layers that receivers want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Number of encodings, from the lowest one up.
    pub(crate) encodings: usize,
    /// Greatest height in lines.
    pub(crate) height: u16,
}

impl Wanted {
    /// What satisfies both.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { encodings: self.encodings.max(other.encodings), height: self.height.max(other.height) }
    }
}

/// The demand for one track.
#[derive(Debug)]
pub(crate) struct Demand {
    signaled: Wanted,
    /// What has been wanted at most since less than `signaled` was.
    less: Option<(Instant, Wanted)>,
}

impl Demand {
    /// Of a track whose publisher sends all it has.
    pub(crate) fn new(encodings: usize) -> Self {
        Self { signaled: Wanted { encodings, height: u16::MAX }, less: None }
    }

    /// A receiver wants this, whatever the others do. Returns what to inform the publisher of, if that changes.
    pub(crate) fn raise(&mut self, wanted: Wanted) -> Option<Wanted> {
        let all = self.signaled.or(wanted);
        self.less = self.less.map(|(since, most)| (since, most.or(wanted))).filter(|(_, most)| *most != all);
        (std::mem::replace(&mut self.signaled, all) != all).then_some(all)
    }

    /// All receivers together want this. Returns what to inform the publisher of, if that changes.
    pub(crate) fn update(&mut self, now: Instant, wanted: Wanted) -> Option<Wanted> {
        if let Some(more) = self.raise(wanted) {
            return Some(more);
        }
        if wanted == self.signaled {
            return None;
        }
        let &mut (since, most) = self.less.get_or_insert((now, wanted));
        if now.saturating_duration_since(since) < LESS_AFTER {
            return None;
        }
        self.less = None;
        self.signaled = most;
        Some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wanted = Wanted { encodings: 3, height: u16::MAX };
    const MIDDLE: Wanted = Wanted { encodings: 2, height: 360 };
    const LOW: Wanted = Wanted { encodings: 1, height: 180 };

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn less_is_signaled_after_five_seconds_and_more_at_once() {
        let (mut demand, start) = (Demand::new(3), Instant::now());
        let signaled: Vec<_> = (0..8).map(|second| demand.update(start + secs(second), LOW)).collect();
        assert_eq!(signaled.iter().position(Option::is_some), Some(5));
        assert_eq!(signaled[5], Some(LOW));
        assert_eq!(demand.update(start + secs(8), ALL), Some(ALL));
        assert_eq!(demand.raise(MIDDLE), None, "is sent already");
    }

    #[test]
    fn who_wants_more_for_a_moment_keeps_it_for_five_seconds() {
        let (mut demand, start) = (Demand::new(3), Instant::now());
        assert_eq!(demand.update(start, LOW), None);
        assert_eq!(demand.update(start + secs(3), MIDDLE), None);
        assert_eq!(demand.update(start + secs(5), LOW), Some(MIDDLE), "the most that was wanted meanwhile");
        assert_eq!(demand.update(start + secs(6), LOW), None);
        assert_eq!(demand.update(start + secs(11), LOW), Some(LOW));
    }

    #[test]
    fn less_counts_from_when_it_is_less_however_long_all_was_wanted_before() {
        for seconds_of_all in 1..=12 {
            let (mut demand, start) = (Demand::new(3), Instant::now());
            for second in 0..seconds_of_all {
                assert_eq!(demand.update(start + secs(second), ALL), None);
            }
            let signaled: Vec<_> = (0..7).map(|s| demand.update(start + secs(seconds_of_all + s), LOW)).collect();
            assert_eq!(signaled.iter().position(Option::is_some), Some(5), "after {seconds_of_all} s of all");
        }
    }

    #[test]
    fn who_wants_all_for_a_moment_keeps_it_for_five_seconds() {
        let (mut demand, start) = (Demand::new(3), Instant::now());
        assert_eq!(demand.update(start, LOW), None);
        assert_eq!(demand.raise(ALL), None, "is sent already");
        let signaled: Vec<_> = (4..12).map(|second| demand.update(start + secs(second), LOW)).collect();
        assert_eq!(signaled.iter().position(Option::is_some), Some(5));
    }

    #[test]
    fn demand_that_stays_is_signaled_once() {
        let (mut demand, start) = (Demand::new(3), Instant::now());
        assert_eq!((0..60).filter_map(|second| demand.update(start + secs(second), ALL)).count(), 0);
        assert_eq!((60..120).filter_map(|second| demand.update(start + secs(second), LOW)).count(), 1);
    }
}
