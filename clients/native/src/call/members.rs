//! The server's roster of a call: who is here, who is away, and who is expected back after a restart of the server.
//!
//! A server that restarts has forgotten who was in the call. While it gathers them, participants that are not back are
//! shown as away; they have left when the server sends its full roster, or after a while if it never does.

use super::CallEvent;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tacet_proto::{
    ParticipantId, Seat,
    client::MAX_EXPECTED,
    resume::Expected,
    server::{Roster, RosterEntry},
};

/// How long participants are expected back without the server's full roster.
const GATHERING_TIMEOUT: Duration = Duration::from_secs(40);

/// The participants on the server's roster.
#[derive(Debug, Default)]
pub(super) struct Members {
    members: BTreeMap<ParticipantId, Member>,
    gathering_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// `None` for a participant that is only known from an earlier session.
    seat: Option<Seat>,
    presence: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    Away,
    /// Not on the roster of the restarted server yet.
    Expected,
}

impl Members {
    /// Participants that were here before this session; they stay if the server lists them, or expects them.
    pub(super) fn expecting(known: &[ParticipantId]) -> Self {
        let here = Member { seat: None, presence: Presence::Here };
        Self { members: known.iter().map(|id| (*id, here)).collect(), gathering_until: None }
    }

    /// The participants that a restarted server should expect back.
    pub(super) fn expected(&self) -> Vec<Expected> {
        let expected =
            |(id, member): (&ParticipantId, &Member)| Some(Expected { participant: *id, seat: member.seat? });
        self.members.iter().filter_map(expected).take(MAX_EXPECTED).collect()
    }

    /// The server has admitted this client: its roster, and whether it waits for others.
    pub(super) fn joined(&mut self, now: Instant, roster: &[RosterEntry], gathering: bool) -> Vec<CallEvent> {
        self.gathering_until = gathering.then_some(now + GATHERING_TIMEOUT);
        self.replace(roster, gathering)
    }

    /// The roster has changed.
    pub(super) fn changed(&mut self, roster: &Roster) -> Vec<CallEvent> {
        if roster.full {
            self.gathering_until = None;
            // Departures of participants that this client never saw concern its keys too.
            let unknown = roster.del.iter().filter(|id| !self.members.contains_key(id));
            let mut events: Vec<_> = unknown.map(|id| CallEvent::Left(*id)).collect();
            events.extend(self.replace(&roster.add, false));
            return events;
        }
        let mut events = Vec::new();
        for id in &roster.del {
            self.members.remove(id);
            events.push(CallEvent::Left(*id));
        }
        for entry in roster.add.iter().chain(&roster.upd) {
            self.set(entry, &mut events);
        }
        events
    }

    /// When [`Self::expired`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gathering_until
    }

    /// Stops expecting participants after [`GATHERING_TIMEOUT`].
    pub(super) fn expired(&mut self, now: Instant) -> Vec<CallEvent> {
        if self.gathering_until.is_none_or(|until| until > now) {
            return Vec::new();
        }
        self.gathering_until = None;
        let mut gone = Vec::new();
        self.members.retain(|id, member| {
            let stays = member.presence != Presence::Expected;
            if !stays {
                gone.push(CallEvent::Left(*id));
            }
            stays
        });
        gone
    }

    /// Takes over a whole roster. Participants that it lacks have left, or are expected back.
    fn replace(&mut self, roster: &[RosterEntry], gathering: bool) -> Vec<CallEvent> {
        let mut events = Vec::new();
        let absent: Vec<_> =
            self.members.keys().copied().filter(|id| roster.iter().all(|entry| entry.participant != *id)).collect();
        for id in absent {
            if gathering {
                if let Some(member) = self.members.get_mut(&id)
                    && std::mem::replace(&mut member.presence, Presence::Expected) == Presence::Here
                {
                    events.push(CallEvent::Away(id));
                }
            } else {
                self.members.remove(&id);
                events.push(CallEvent::Left(id));
            }
        }
        for entry in roster {
            self.set(entry, &mut events);
        }
        events
    }

    fn set(&mut self, entry: &RosterEntry, events: &mut Vec<CallEvent>) {
        let presence = if entry.away { Presence::Away } else { Presence::Here };
        let member = Member { seat: Some(entry.seat), presence };
        let before = self.members.insert(entry.participant, member).map_or(Presence::Here, |before| before.presence);
        match (before == Presence::Here, presence == Presence::Here) {
            (true, false) => events.push(CallEvent::Away(entry.participant)),
            (false, true) => events.push(CallEvent::Back(entry.participant)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: ParticipantId = ParticipantId(1);
    const BOB: ParticipantId = ParticipantId(2);
    const CAROL: ParticipantId = ParticipantId(3);

    fn ids(members: &Members) -> Vec<ParticipantId> {
        members.members.keys().copied().collect()
    }

    fn entry(participant: ParticipantId, away: bool) -> RosterEntry {
        RosterEntry { participant, seat: Seat(0), away, role: tacet_proto::Role::Speaker, hand: false }
    }

    fn here(participants: &[ParticipantId]) -> Vec<RosterEntry> {
        participants.iter().map(|id| entry(*id, false)).collect()
    }

    fn full(participants: &[ParticipantId]) -> Roster {
        Roster { rev: 1, full: true, add: here(participants), del: Vec::new(), upd: Vec::new() }
    }

    #[test]
    fn participants_go_away_and_come_back() {
        let mut members = Members::default();
        assert_eq!(members.joined(Instant::now(), &here(&[ADA, BOB]), false), []);
        let away = |away| Roster { full: false, add: Vec::new(), upd: vec![entry(ADA, away)], ..full(&[]) };
        assert_eq!(members.changed(&away(true)), [CallEvent::Away(ADA)]);
        assert_eq!(members.changed(&away(true)), []);
        assert_eq!(members.changed(&away(false)), [CallEvent::Back(ADA)]);
        let gone = Roster { full: false, add: Vec::new(), del: vec![BOB], ..full(&[]) };
        assert_eq!(members.changed(&gone), [CallEvent::Left(BOB)]);
        assert_eq!(ids(&members), [ADA]);
    }

    #[test]
    fn participants_of_an_earlier_session_stay_or_leave() {
        let mut members = Members::expecting(&[ADA, BOB]);
        assert_eq!(members.joined(Instant::now(), &here(&[BOB, CAROL]), false), [CallEvent::Left(ADA)]);
        assert_eq!(ids(&members), [BOB, CAROL]);
    }

    #[test]
    fn restarted_server_gathers_the_others() {
        let mut members = Members::default();
        members.joined(Instant::now(), &here(&[ADA, BOB, CAROL]), false);
        let away = [CallEvent::Away(ADA), CallEvent::Away(BOB)];
        assert_eq!(members.expected().len(), 3);
        assert_eq!(members.joined(Instant::now(), &here(&[CAROL]), true), away);
        let back = Roster { full: false, ..full(&[ADA]) };
        assert_eq!(members.changed(&back), [CallEvent::Back(ADA)]);
        assert_eq!(members.changed(&full(&[ADA, CAROL])), [CallEvent::Left(BOB)]);
        assert_eq!(members.deadline(), None);
    }

    #[test]
    fn gathering_ends_without_the_server_after_a_while() {
        let now = Instant::now();
        let mut members = Members::expecting(&[ADA, BOB]);
        members.joined(now, &here(&[ADA]), true);
        assert_eq!(members.expired(now + GATHERING_TIMEOUT - Duration::from_millis(1)), []);
        assert_eq!(members.expired(now + GATHERING_TIMEOUT), [CallEvent::Left(BOB)]);
        assert_eq!(members.expired(now + 2 * GATHERING_TIMEOUT), []);
    }
}
