//! Whether the others show the same participants: the roster hashes in their key batches.
//!
//! ```text
//!   own roster changes ──► views: hashes of the last 45 s ──┐
//!                                                           ├─► equal: agrees
//!   authentic key batch ──► the hash its sender stated    ──┘   else: differs ──45 s──► Problem::RosterDiffers
//! ```
//! A server that splits a room lets one sender seal keys for participants that the receiver is not shown. Nothing else
//! reveals that without people comparing the call code.
//!
//! A statement is fair if it equals what the own roster was within 45 s before it arrived or becomes within 45 s after.
//! Where many join and leave at once, rosters pass through states that no other device has. So the time starts again when
//! the own roster changes, up to [`LONGEST`], and once it has rested the sender is asked for its key, again and again, whose
//! batch states its roster of then.

use super::{Problem, Session, reception::Wanted};
use crate::{
    clock::{MonotonicTime, WallTime},
    ids::ParticipantId,
    keys::{identity::JoinId, sender::LIFE_AFTER_LEAVE},
};
use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;
use e2ee_core::{Primitives, SortedMap, array};

/// How far apart in time two devices may have the same roster.
const TOLERANCE: Duration = LIFE_AFTER_LEAVE;
/// The own roster must rest this long before a sender whose statement differs is asked for another one.
const REST: Duration = Duration::from_secs(10);
/// The time until it is asked again doubles this often.
const MAX_DOUBLINGS: u32 = 3;
/// However often the own roster changes, a difference is reported after this time.
const LONGEST: Duration = Duration::from_secs(180);
/// Maximum number of rosters remembered: more than 45 s of 80 joins a second. Beyond it, the oldest are forgotten.
const MAX_VIEWS: usize = 4_096;

/// Half of a roster hash: no one finds two rosters with the same half, and a great many are kept.
type View = [u8; 16];

fn view(hash: &[u8; 32]) -> View {
    *array::split::<16, 16, 32>(hash).0
}

/// A sender whose last statement equals no roster of this device.
struct Differing {
    participant: ParticipantId,
    stated: View,
    since: MonotonicTime,
    /// When it is reported.
    until: MonotonicTime,
    /// When its key is requested again, to see what it states now.
    ask_at: MonotonicTime,
    asked: u32,
    reported: bool,
}

/// The rosters of this device, and the senders that differ.
#[derive(Default)]
pub(super) struct Agreement {
    now: View,
    /// Former rosters, and when each was replaced.
    past: VecDeque<(View, MonotonicTime)>,
    /// By join id. There is no more than one for each member.
    differing: SortedMap<JoinId, Differing>,
}

impl Agreement {
    /// The own roster changes. Returns reported senders that agree by it.
    fn changed(&mut self, hash: &[u8; 32], now: MonotonicTime) -> Vec<ParticipantId> {
        let new = view(hash);
        let old = core::mem::replace(&mut self.now, new);
        self.past.push_back((old, now));
        if self.past.len() > MAX_VIEWS {
            self.past.pop_front();
        }
        self.forget(now);
        let mut agree = Vec::new();
        self.differing.retain(|_, differing| {
            if differing.stated == new {
                agree.extend(differing.reported.then_some(differing.participant));
                return false;
            }
            (differing.ask_at, differing.asked) = (now.saturating_add(REST), 0);
            let longest = differing.since.saturating_add(LONGEST);
            differing.until = differing.until.max(now.saturating_add(TOLERANCE)).min(longest);
            true
        });
        agree
    }

    /// Drops rosters that no statement may equal any more.
    fn forget(&mut self, now: MonotonicTime) {
        while self.past.front().is_some_and(|(_, until)| until.saturating_add(TOLERANCE) <= now) {
            self.past.pop_front();
        }
    }

    /// A member states its roster. Returns whether it was reported and agrees again.
    fn states(&mut self, join_id: JoinId, participant: ParticipantId, hash: &[u8; 32], now: MonotonicTime) -> bool {
        self.forget(now);
        let stated = view(hash);
        if stated == self.now || self.past.iter().any(|(past, _)| *past == stated) {
            return self.differing.remove(&join_id).is_some_and(|differing| differing.reported);
        }
        let (until, ask_at) = (now.saturating_add(TOLERANCE), now.saturating_add(REST));
        let new = || Differing { participant, stated, since: now, until, ask_at, asked: 0, reported: false };
        self.differing.get_or_insert_with(join_id, new).stated = stated;
        false
    }

    /// A member is off the roster.
    fn remove(&mut self, join_id: &JoinId) {
        self.differing.remove(join_id);
    }

    /// There is a connection again: what was missed comes now.
    pub(super) fn not_before(&mut self, now: MonotonicTime) {
        for differing in self.differing.values_mut() {
            differing.until = differing.until.max(now.saturating_add(TOLERANCE));
            differing.ask_at = differing.ask_at.max(now.saturating_add(REST));
        }
    }

    /// When [`Session::compare_rosters`] is due.
    fn next(&self) -> Option<MonotonicTime> {
        let times = |differing: &Differing| [Some(differing.ask_at), (!differing.reported).then_some(differing.until)];
        self.differing.values().flat_map(times).flatten().min()
    }
}

impl<P: Primitives> Session<P> {
    pub(super) fn next_agreement(&self) -> Option<MonotonicTime> {
        self.agreement.next().filter(|_| self.attached())
    }

    /// The roster has changed, or this device has joined.
    pub(super) fn roster_changed(&mut self) {
        self.code_changed = true;
        let hash = self.roster.hash(&self.identity.join_id);
        for participant in self.agreement.changed(&hash, self.clock.now) {
            self.solved(participant, Problem::RosterDiffers);
        }
    }

    /// Forgets what a device stated that is off the roster.
    pub(super) fn no_longer_states(&mut self, join_id: &JoinId) {
        self.agreement.remove(join_id);
    }

    /// An authentic batch of a member states its roster. Older batches than one before are repeated by the server.
    pub(super) fn stated_roster(
        &mut self,
        join_id: JoinId,
        participant: ParticipantId,
        hash: &[u8; 32],
        created: WallTime,
    ) {
        let newest = &mut self.roster.record(&join_id).stated;
        if created < *newest {
            return;
        }
        *newest = created;
        if self.agreement.states(join_id, participant, hash, self.clock.now) {
            self.solved(participant, Problem::RosterDiffers);
        }
    }

    /// Requests keys of senders that differ, and reports those that go on to differ.
    pub(super) fn compare_rosters(&mut self) {
        let now = self.clock.now;
        if self.next_agreement().is_none_or(|at| now < at) {
            return;
        }
        let (mut ask, mut report) = (Vec::new(), Vec::new());
        for (join_id, differing) in self.agreement.differing.iter_mut() {
            let never_asked = differing.asked == 0 && now < differing.since.saturating_add(LONGEST);
            if now >= differing.ask_at {
                differing.asked = differing.asked.saturating_add(1).min(MAX_DOUBLINGS);
                differing.ask_at = now.saturating_add(REST.saturating_mul(1 << differing.asked));
                ask.push((*join_id, differing.participant));
            }
            if !differing.reported && now >= differing.until {
                if never_asked {
                    // Timers are late, as in a hidden page. The answer may still come.
                    differing.until = now.saturating_add(REST);
                } else {
                    differing.reported = true;
                    report.push(differing.participant);
                }
            }
        }
        for (join_id, participant) in ask {
            let seat = self.roster.get(participant).map(|member| member.seat);
            let kid = seat.and_then(|seat| self.receiver.newest_kid(seat, &join_id));
            if let Some(kid) = kid {
                self.wanted.get_or_insert_with(join_id, || Wanted::known(kid, now));
            }
        }
        for participant in report {
            self.problem(participant, Problem::RosterDiffers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> [u8; 32] {
        array::concat(&[&number.to_be_bytes(), &[7; 24]])
    }

    fn at(millis: u64) -> MonotonicTime {
        MonotonicTime::from_millis(millis)
    }

    #[test]
    fn views_are_bounded_and_forgotten() {
        let mut agreement = Agreement::default();
        for number in 0..20_000 {
            agreement.changed(&hash(number), at(number));
            assert!(agreement.past.len() <= MAX_VIEWS);
        }
        agreement.changed(&hash(0), at(20_000 + 45_000));
        assert_eq!(agreement.past.len(), 1);
    }

    #[test]
    fn statement_is_fair_within_the_tolerance() {
        let (member, id) = (JoinId([1; 32]), ParticipantId(1));
        let mut agreement = Agreement::default();
        agreement.changed(&hash(1), at(1_000));
        agreement.changed(&hash(2), at(2_000));
        agreement.states(member, id, &hash(1), at(46_999));
        assert!(agreement.differing.is_empty());
        agreement.states(member, id, &hash(1), at(47_000));
        assert_eq!(agreement.differing.len(), 1, "replaced 45 s ago");
        agreement.changed(&hash(1), at(60_000));
        assert!(agreement.differing.is_empty(), "it has become so");
    }
}
