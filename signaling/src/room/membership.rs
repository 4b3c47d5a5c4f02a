//! Who is in the call: joining, renewing an announce, and what others are sent of it.

use super::{
    Answer, DONE, Member, Refusal, Room,
    authorized::{Authorized, Present},
    backlog::{Announced, Backlog},
    chat::Sent,
    identity::check_expected,
    presence::Presence,
    refusal,
    slots::Slots,
    subscribe::Subscription,
    tiles::Tiles,
    transport::Transport,
    wake,
};
use sfu_api::Command;
use std::time::Instant;
use tacet_proto::{
    CloseCode, ErrorCode, ParticipantId, Role, Seat,
    bytes::Base64,
    client::{Announce, Join, MAX_EXPECTED},
    server::{Policy, RosterEntry},
};

impl Room {
    pub(super) fn join(
        &mut self,
        now: Instant,
        from: ParticipantId,
        id: Option<u32>,
        join: Join,
    ) -> Result<Answer, Refusal> {
        let Some(guest) = self.guests.get(&from) else {
            return Err(refusal(ErrorCode::Unauthenticated, "send hello first"));
        };
        if self.members.contains_key(&from) {
            return Err(refusal(ErrorCode::OutOfOrder, "already joined"));
        }
        self.check_admitted(guest)?;
        let (place, identity) = (guest.place, self.identity(&join.announce, &join.display)?);
        if self.is_device_banned(identity.device()) {
            return Err(refusal(ErrorCode::Banned, "this device was banned from the room"));
        }
        if join.expects.len() > MAX_EXPECTED {
            return Err(refusal(ErrorCode::BadMessage, "expects: too many"));
        }
        check_expected(from, &join.expects)?;
        let owner = self.owner_of(&identity);
        let seat = match place {
            Some((_, device)) if identity.device() != &device => {
                return Err(refusal(ErrorCode::NotYours, "announce: of another device"));
            }
            Some((seat, _)) => {
                if let Some(owner) = owner {
                    // Who returns to a seat has proven that the device is its own, and who repeats its announce has not.
                    self.end(now, owner, CloseCode::Policy, "the announced device is another's");
                }
                seat
            }
            None if owner.is_some() => {
                return Err(refusal(ErrorCode::NotYours, "announce: the device of another participant"));
            }
            // A place that is held counts.
            None if self.members.len() >= self.limits.participants => {
                return Err(refusal(ErrorCode::RoomFull, "the room is full"));
            }
            None if self.on_top_until.is_some_and(|until| until > now) => {
                let awaited = |seat| self.gathering.as_ref().is_some_and(|gathering| gathering.awaits(seat));
                self.seats.take_from_top(now, awaited).ok_or(refusal(ErrorCode::RoomFull, "no free seat"))?
            }
            None => self.seats.take(now).ok_or(refusal(ErrorCode::RoomFull, "no free seat"))?,
        };
        tracing::debug!(participant = from.0, seat = seat.0, "joined");
        if place.is_some()
            && let Some(gathering) = &mut self.gathering
        {
            gathering.returned(&join.expects);
        }
        if let Some(guest) = self.guests.get_mut(&from) {
            (guest.before, guest.place, guest.join_by) = (None, None, None);
        }
        self.departed.remove(from);
        self.send_leave(now, from);

        let mut backlog = Backlog::default();
        for (&other, member) in &self.members {
            if let Some(entry) = self.roster_entry(other) {
                backlog.arrived(now, entry, member.announced.clone());
            }
        }
        for published in self.tracks.values() {
            backlog.track_added(now, published.track.clone());
        }
        let gathering = self.gathering.is_some();
        let policy = Policy { locked: self.admittance.policy.locked };
        let joined = backlog.joined(seat, policy, gathering);
        wake(&mut self.wake, backlog.due());

        let announced = announced(seat, &join.announce, &join.display);
        let role = self.guests.get(&from).map_or(Role::Listener, |guest| guest.standing.role);
        let entry = RosterEntry { participant: from, seat, away: false, role, hand: false };
        for member in self.members.values_mut() {
            member.backlog.arrived(now, entry, announced.clone());
            wake(&mut self.wake, member.backlog.due());
        }
        let slots = Slots::new(self.limits.slots_per_participant);
        let subscription = Subscription::default();
        let command = self.outputs.command(Command::AddParticipant { room: self.id, participant: from });
        let transport = Transport::requested(now, command);
        let presence = Presence::new(now);
        wake(&mut self.wake, presence.deadline(now));
        let tiles = Tiles::default();
        let diagnoses = false;
        let member = Member {
            announced,
            hand: false,
            identity,
            presence,
            transport,
            subscription,
            tiles,
            diagnoses,
            slots,
            backlog,
            sent: Sent::default(),
        };
        self.members.insert(from, member);
        self.outputs.joined(from, id, joined, self.claims(from));
        if gathering {
            self.end_gathering(now);
        }
        Ok(None)
    }

    pub(super) fn announce(
        &mut self,
        now: Instant,
        by: Authorized<Present>,
        announce: Announce,
    ) -> Result<Answer, Refusal> {
        let from = by.participant();
        let identity = self.identity(&announce.announce, &announce.display)?;
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        let renewed = announced(member.announced.seat, &announce.announce, &announce.display);
        if renewed == member.announced {
            // It was sent again, because its answer was lost.
            return Ok(DONE);
        }
        member.identity.check_renewal(&identity)?;
        member.identity = identity;
        member.announced = renewed.clone();
        for (_, other) in self.members.iter_mut().filter(|(other, _)| **other != from) {
            other.backlog.renewed(now, from, renewed.clone());
            wake(&mut self.wake, other.backlog.due());
        }
        Ok(DONE)
    }

    pub(super) fn resync(&mut self, now: Instant, by: Authorized<Present>, id: Option<u32>) -> Result<Answer, Refusal> {
        let from = by.participant();
        let others = self.roster_without(from);
        if let Some(member) = self.members.get_mut(&from) {
            member.backlog.resync(now, id, others);
            wake(&mut self.wake, member.backlog.due());
        }
        Ok(None)
    }

    /// The others as a participant sees them.
    fn roster_without(&self, participant: ParticipantId) -> Vec<RosterEntry> {
        let others = self.members.iter().filter(|(other, _)| **other != participant);
        let members = others.filter_map(|(other, _)| self.roster_entry(*other));
        members.chain(self.returning.roster_entries()).collect()
    }

    /// Ends gathering if it is over: all members get a full roster, and those who are not on it have left.
    pub(super) fn end_gathering(&mut self, now: Instant) {
        let back = |participant: ParticipantId| {
            self.members.contains_key(&participant)
                || self.gone.contains(&participant)
                || self.departed.get(participant).is_some()
        };
        let Some(gathering) = &self.gathering else { return };
        let Some(absent) = gathering.end(now, back) else {
            wake(&mut self.wake, Some(gathering.until));
            return;
        };
        tracing::debug!(participants = self.members.len(), "those who were in the call are back, or late");
        self.gathering = None;
        let members: Vec<_> = self.members.keys().copied().collect();
        for participant in members {
            let others = self.roster_without(participant);
            if let Some(member) = self.members.get_mut(&participant) {
                // Those who came while it lasted do not know them, and replace their keys like all others.
                absent.iter().for_each(|absent| member.backlog.left(now, *absent, None));
                member.backlog.resync(now, None, others);
                wake(&mut self.wake, member.backlog.due());
            }
        }
        self.end_deserted_call();
    }
}

/// An announce as it is passed on.
fn announced(seat: Seat, announce: &Base64, display: &Base64) -> Announced {
    Announced { seat, announce: announce.0.as_slice().into(), display: display.0.as_slice().into() }
}
