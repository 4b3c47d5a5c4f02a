//! What moderators and hosts do to others: asking for silence, removing, banning, locking, changing roles, ending.
//!
//! A change takes effect in the room at once, is written into the room's record, and is answered then
//! ([`Output::Record`](super::Output::Record)). Those who moderate are acted on by hosts alone.

use super::{
    Answer, DONE, Holder, Refusal, Room, RoomPolicy, Standing,
    admittance::{Ban, MAX_BANS},
    authorized::{Authorized, Manages, Moderates, Present},
    refusal, wake,
};
use crate::outbox::Closing;
use sfu_api::Command;
use std::{collections::BTreeSet, time::Instant};
use tacet_proto::{
    CallId, Capability, CloseCode, ErrorCode, ParticipantId, Role, ServerMessage,
    client::{Assign, Hand, Lock, Target},
    server::{MuteRequest, Policy, RoleChange},
};

/// A change of a room's record that is written before it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Participants of a call do not return to it, and these are refused from now on.
    Removed {
        /// The call.
        call: CallId,
        /// The participants.
        participants: Vec<ParticipantId>,
        /// What is refused.
        bans: Vec<Ban>,
        /// Whether this locks the room. Otherwise that stays as it is.
        locks: bool,
    },
    /// The room is locked, or unlocked.
    Locked(bool),
    /// A participant of a call has another role.
    Role {
        /// The call.
        call: CallId,
        /// The participant.
        participant: ParticipantId,
        /// Its role.
        role: Role,
    },
}

/// Who asks for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A participant, by a request of this number.
    Member(ParticipantId, Option<u32>),
    /// The operator.
    Operator,
}

impl Room {
    pub(super) fn raise_hand(&mut self, now: Instant, by: Authorized<Present>, hand: Hand) -> Result<Answer, Refusal> {
        let from = by.participant();
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        if std::mem::replace(&mut member.hand, hand.raised) != hand.raised {
            self.tell_entry(now, from);
        }
        Ok(DONE)
    }

    pub(super) fn request_mute(
        &mut self,
        now: Instant,
        by: Authorized<Moderates>,
        Target { participant }: Target,
    ) -> Result<Answer, Refusal> {
        self.check_target(&by, participant)?;
        if !self.members.contains_key(&participant) {
            return Err(refusal(ErrorCode::NoParticipant, "the participant has not joined again"));
        }
        self.notify(now, participant, ServerMessage::MuteRequest(MuteRequest { by: by.participant() }));
        Ok(DONE)
    }

    pub(super) fn kick(
        &mut self,
        now: Instant,
        by: Authorized<Moderates>,
        re: Option<u32>,
        Target { participant }: Target,
    ) -> Result<Answer, Refusal> {
        self.check_target(&by, participant)?;
        self.remove_for_good(now, Asker::Member(by.participant(), re), vec![participant], None);
        Ok(None)
    }

    pub(super) fn ban(
        &mut self,
        now: Instant,
        by: Authorized<Moderates>,
        re: Option<u32>,
        Target { participant }: Target,
    ) -> Result<Answer, Refusal> {
        self.check_target(&by, participant)?;
        let bans = self.new_bans(participant)?;
        let banned = self.banned_with(participant, &bans);
        for other in &banned {
            if *other == by.participant() {
                return Err(refusal(ErrorCode::BadMessage, "participant: has the token or identity of its sender"));
            }
            self.check_target(&by, *other)?;
        }
        self.remove_for_good(now, Asker::Member(by.participant(), re), banned, Some(bans));
        Ok(None)
    }

    pub(super) fn lock(
        &mut self,
        now: Instant,
        by: Authorized<Moderates>,
        re: Option<u32>,
        Lock { locked }: Lock,
    ) -> Result<Answer, Refusal> {
        // Even if it is so already: that may be unwritten.
        self.set_locked(now, locked);
        self.outputs.record(Asker::Member(by.participant(), re), Change::Locked(locked), Vec::new());
        Ok(None)
    }

    pub(super) fn assign(
        &mut self,
        now: Instant,
        by: Authorized<Moderates>,
        re: Option<u32>,
        Assign { participant, role }: Assign,
    ) -> Result<Answer, Refusal> {
        let from = by.participant();
        if participant != from {
            self.check_target(&by, participant)?;
        }
        let (before, call) = match (self.standing_of(participant), self.call) {
            (Some(standing), Some(call)) => (standing.role, call),
            _ => return Err(refusal(ErrorCode::NoParticipant, "there is no such participant")),
        };
        let assigned = self.assigned.contains_key(&participant);
        if role == before && !assigned {
            return Ok(DONE);
        }
        // A moderator may step down, and neither up nor beside.
        if role >= Role::Moderator && !self.may(from, Capability::Manage) {
            return Err(refusal(ErrorCode::Forbidden, "only hosts make moderators and hosts"));
        }
        // It may be that it has the role, and that this is unwritten.
        if role != before {
            self.set_role(now, participant, role);
        }
        self.outputs.record(Asker::Member(from, re), Change::Role { call, participant, role }, Vec::new());
        Ok(None)
    }

    /// Ends the room for all, once that is written.
    pub(super) fn end_for_all(&mut self, by: Authorized<Manages>, re: Option<u32>) -> Result<Answer, Refusal> {
        self.outputs.end_room(by.participant(), re);
        Ok(None)
    }

    /// The operator removes a participant.
    ///
    /// # Errors
    /// There is none, or the room has as many bans as it may.
    pub fn remove_by_operator(&mut self, now: Instant, participant: ParticipantId, ban: bool) -> Result<(), Refusal> {
        if self.standing_of(participant).is_none() {
            return Err(refusal(ErrorCode::NoParticipant, "there is no such participant"));
        }
        let bans = if ban { Some(self.new_bans(participant)?) } else { None };
        let removed = self.banned_with(participant, bans.as_deref().unwrap_or_default());
        self.remove_for_good(now, Asker::Operator, removed, bans);
        self.settle(now);
        Ok(())
    }

    /// The operator has changed who may come in.
    pub fn set_policy(&mut self, now: Instant, policy: RoomPolicy) {
        self.admittance.policy.guests = policy.guests;
        self.set_locked(now, policy.locked);
        self.settle(now);
    }

    /// Whether a member may act on another participant.
    fn check_target(&self, by: &Authorized<Moderates>, target: ParticipantId) -> Result<(), Refusal> {
        if target == by.participant() {
            return Err(refusal(ErrorCode::BadMessage, "participant: names its sender"));
        }
        let Some(standing) = self.standing_of(target) else {
            return Err(refusal(ErrorCode::NoParticipant, "there is no such participant"));
        };
        if standing.capabilities().has(Capability::Moderate) && !self.may(by.participant(), Capability::Manage) {
            return Err(refusal(ErrorCode::Forbidden, "only hosts act on moderators and hosts"));
        }
        Ok(())
    }

    /// What a participant may do that is here, or on its way back.
    fn standing_of(&self, participant: ParticipantId) -> Option<&Standing> {
        let here = self.guests.get(&participant).map(|guest| &guest.standing);
        here.or_else(|| self.returning.standing(participant))
    }

    /// The bans that keep out a participant by all that the room knows of it: of someone who is on its way back, the session
    /// of before.
    fn known_of(&self, participant: ParticipantId) -> Vec<Ban> {
        let mut bans: BTreeSet<_> = self.bans_of(participant).into_iter().collect();
        let place = self.guests.get(&participant).and_then(|guest| guest.place);
        let departed = self.departed.get(participant);
        bans.extend(place.map(|(_, device)| Ban::Device(device)));
        bans.extend(departed.map(|departed| Ban::Device(departed.device)));
        let before = self.returning.standing(participant).into_iter();
        bans.extend(before.flat_map(Standing::holders).flat_map(Holder::bans));
        bans.into_iter().collect()
    }

    /// The bans that keep out a participant, if there is space for all of them.
    fn new_bans(&self, participant: ParticipantId) -> Result<Vec<Ban>, Refusal> {
        let bans = self.known_of(participant);
        let new = bans.iter().filter(|ban| !self.admittance.bans.contains(ban)).count();
        if self.admittance.bans.len().saturating_add(new) > MAX_BANS {
            let detail = "the room has as many bans as it may: remove the participant, and lock the room";
            return Err(refusal(ErrorCode::ServerBusy, detail));
        }
        Ok(bans)
    }

    /// A participant, and the others whose token or identity these bans name.
    fn banned_with(&self, participant: ParticipantId, bans: &[Ban]) -> Vec<ParticipantId> {
        let is_banned = |standing: &Standing| standing.holders().flat_map(Holder::bans).any(|ban| bans.contains(&ban));
        let here = self.guests.iter().map(|(other, guest)| (*other, &guest.standing));
        let others: BTreeSet<_> = here
            .chain(self.returning.standings())
            .filter(|(other, standing)| *other != participant && is_banned(standing))
            .map(|(other, _)| other)
            .collect();
        std::iter::once(participant).chain(others).collect()
    }

    /// Removes participants at once, and bans them by these if they are to be banned; their connections are closed when that is
    /// written.
    fn remove_for_good(
        &mut self,
        now: Instant,
        asker: Asker,
        participants: Vec<ParticipantId>,
        bans: Option<Vec<Ban>>,
    ) {
        let Some(call) = self.call else { return };
        // Someone who was banned can come back by link as someone else, all the more if nothing is known of it.
        let banned = bans.is_some();
        let bans = bans.unwrap_or_default();
        let locks = banned && self.admittance.policy.guests.is_some();
        if locks {
            self.set_locked(now, true);
        }
        self.admittance.bans.extend(bans.iter().cloned());
        for &participant in &participants {
            self.gone.insert(participant);
            self.free(now, participant);
            self.send_leave(now, participant);
            self.departed.remove(participant);
        }
        let reason = if banned { "a moderator has banned you" } else { "a moderator has removed you" };
        let closing = Closing { code: CloseCode::Removed, reason };
        let removes = participants.iter().map(|participant| (*participant, closing)).collect();
        self.outputs.record(asker, Change::Removed { call, participants, bans, locks }, removes);
        self.end_deserted_call();
    }

    fn set_locked(&mut self, now: Instant, locked: bool) {
        if std::mem::replace(&mut self.admittance.policy.locked, locked) == locked {
            return;
        }
        let members: Vec<_> = self.members.keys().copied().collect();
        for member in members {
            self.notify(now, member, ServerMessage::Policy(Policy { locked }));
        }
    }

    /// Assigns another role to a participant. What it may not publish any more is withdrawn before anything else happens.
    fn set_role(&mut self, now: Instant, participant: ParticipantId, role: Role) {
        if let Some(guest) = self.guests.get_mut(&participant) {
            guest.standing.role = role;
        }
        self.returning.set_role(participant, role);
        let Some(capabilities) = self.standing_of(participant).map(Standing::capabilities) else { return };
        self.assigned.insert(participant, role);
        let own = self.tracks.values().filter(|published| published.track.participant == participant);
        let lost = own.filter(|published| !capabilities.has(Capability::to_publish(published.track.source)));
        let withdrawn: Vec<_> = lost.map(|published| published.track.track).collect();
        for &track in &withdrawn {
            self.withdraw(now, track);
            self.outputs.command(Command::Unpublish { participant, track });
        }
        if self.guests.contains_key(&participant) {
            self.notify(now, participant, ServerMessage::Role(RoleChange { role, capabilities, withdrawn }));
        }
        self.tell_entry(now, participant);
    }

    /// Sends a participant something that it has not asked for.
    fn notify(&mut self, now: Instant, to: ParticipantId, message: ServerMessage) {
        if let Some(member) = self.members.get_mut(&to) {
            member.backlog.count(now);
        }
        self.send(to, None, message);
    }

    /// Tells the others what the roster says of a participant now.
    pub(super) fn tell_entry(&mut self, now: Instant, participant: ParticipantId) {
        let entry = self.roster_entry(participant).or_else(|| self.returning.roster_entry(participant));
        let Some(entry) = entry else { return };
        for (_, other) in self.members.iter_mut().filter(|(other, _)| **other != participant) {
            other.backlog.entry_changed(now, entry);
            wake(&mut self.wake, other.backlog.due());
        }
    }
}
