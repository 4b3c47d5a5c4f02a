//! Gathering: after a start in the middle of a call, those who were in it are awaited.
//!
//! No participant is said to have left meanwhile, because it is not known yet who comes back. Clients that return name those
//! who are still on their rosters; gathering ends when all of those are back, or after [`GATHERING`], with a full roster for
//! all.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tacet_proto::{ParticipantId, Seat, resume::Expected};

/// How long participants are awaited after a start.
pub(super) const GATHERING: Duration = Duration::from_secs(30);
/// How long newcomers get seats from the top after a start: as long as a seat rests that was left.
pub(super) const NEWCOMERS_ON_TOP: Duration = super::seats::REST;
/// Maximum number of participants that are awaited.
const MAX_AWAITED: usize = Seat::MAX.0 as usize + 1;

/// Who is awaited.
#[derive(Debug)]
pub(super) struct Gathering {
    /// When it ends at the latest.
    pub(super) until: Instant,
    awaited: BTreeMap<ParticipantId, Seat>,
    /// Whether a participant is back who can say which others to expect.
    begun: bool,
}

impl Gathering {
    /// Begins with a start of the room.
    pub(super) fn new(now: Instant) -> Self {
        Self { until: now + GATHERING, awaited: BTreeMap::new(), begun: false }
    }

    /// A participant is back, and still has these on its roster.
    pub(super) fn returned(&mut self, expects: &[Expected]) {
        self.begun = true;
        for Expected { participant, seat } in expects {
            if self.awaited.len() < MAX_AWAITED {
                self.awaited.entry(*participant).or_insert(*seat);
            }
        }
    }

    /// Whether the owner of a seat is awaited.
    pub(super) fn awaits(&self, seat: Seat) -> bool {
        self.awaited.values().any(|awaited| *awaited == seat)
    }

    /// If it is over, because time is up or all are back that are expected: the expected participants that are not back.
    pub(super) fn end(&self, now: Instant, is_back: impl Fn(ParticipantId) -> bool) -> Option<Vec<ParticipantId>> {
        let missing: Vec<_> = self.awaited.keys().copied().filter(|awaited| !is_back(*awaited)).collect();
        (now >= self.until || (self.begun && missing.is_empty())).then_some(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathering_lasts_until_all_expected_participants_are_back() {
        let start = Instant::now();
        let mut gathering = Gathering::new(start);
        let [ada, bo, cy] = [1, 2, 3].map(ParticipantId);
        assert!(gathering.end(start, |_| true).is_none(), "it is not known which others to expect");
        gathering.returned(&[Expected { participant: bo, seat: Seat(1) }]);
        assert!(gathering.awaits(Seat(1)) && !gathering.awaits(Seat(0)));
        assert!(gathering.end(start, |participant| participant == ada).is_none());
        gathering
            .returned(&[Expected { participant: cy, seat: Seat(2) }, Expected { participant: ada, seat: Seat(0) }]);
        assert!(gathering.end(start, |participant| participant != cy).is_none());
        assert!(gathering.end(start, |_| true).is_some());
        assert!(gathering.end(start + GATHERING, |_| false).is_some());
    }
}
