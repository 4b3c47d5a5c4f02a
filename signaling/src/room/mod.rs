//! A room: its participants, their tracks, who receives what, and what each has yet to be sent.
//!
//! The room has no clock, no socket and no task: its methods take what happened and when, and [`Room::poll`] returns
//! [`Output`]s.
//!
//! ```text
//!   connections ──► enter, request, binary, detach ──►┌──────┐──► Output::Send      ──► outboxes
//!   SFU         ──► media ───────────────────────────►│ Room │──► Output::Command   ──► SFU
//!   clock       ──► tick at deadline() ──────────────►└──────┘──► Output::End       ──► sockets
//! ```
//!
//! Invariants: a participant is a *guest* from `hello` on and a *member* from `join` on. Every member is on the roster of
//! every other, so no one listens unseen. A member stays without a connection for a while; what it has yet to be sent
//! waits in its backlog. A refused request changes nothing. Nothing that one client sends can end another's call.

mod admittance;
mod arrange;
mod audio;
mod authorized;
mod backlog;
mod chat;
mod encodings;
mod entry;
mod gathering;
mod identity;
mod keys;
mod layers;
mod membership;
mod moderation;
mod outputs;
mod pages;
mod presence;
mod publish;
mod returning;
mod seats;
mod slots;
mod standing;
mod subscribe;
#[cfg(test)]
mod tests;
mod tiles;
mod transport;

use crate::{config::RoomLimits, outbox::Outgoing, resume::token::Claims, rooms::registry::CallRecord};
use admittance::KeptOut;
pub use admittance::{Admittance, Ban, RoomPolicy};
use audio::AudioMode;
use authorized::{Authorized, Present};
use backlog::{Announced, Backlog};
use entry::Departed;
pub(crate) use entry::JOIN_TIME;
pub use entry::{Entered, Entry, FreshIds, NotEntered, RECENT};
use gathering::{Gathering, NEWCOMERS_ON_TOP};
use identity::Identity;
pub(crate) use identity::is_token;
pub use moderation::{Asker, Change};
pub use outputs::Output;
use outputs::Outputs;
use presence::{PAUSE, Presence};
use publish::{Pending, Published};
use returning::Returning;
use seats::Seats;
use sfu_api::{Command, CommandError, CommandId, Event};
use slots::Slots;
pub use standing::{Holder, Standing};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Instant,
};
use subscribe::Subscription;
use tacet_proto::{
    CallId, ClientMessage, CloseCode, ErrorCode, ParticipantId, Role, RoomId, Seat, ServerMessage, SessionId, TrackId,
    server::{ErrorMessage, Ok as OkMessage, RosterEntry, Speaker, Speakers},
};
use tiles::Tiles;
use transport::Transport;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Code on the wire.
    pub code: ErrorCode,
    /// Human-readable explanation.
    pub detail: &'static str,
}

/// A refusal with its reason.
pub(crate) const fn refusal(code: ErrorCode, detail: &'static str) -> Refusal {
    Refusal { code, detail }
}

/// A client that has entered, whether or not it has joined the call.
#[derive(Debug)]
struct Guest {
    session: SessionId,
    /// What it may do.
    standing: Standing,
    /// The session that it had before this one, until it joins.
    before: Option<SessionId>,
    /// The seat that it had on a server that forgot it, and its device, until it joins.
    place: Option<(Seat, [u8; 32])>,
    /// By when it is to join, until it does.
    join_by: Option<Instant>,
}

impl Guest {
    /// Whether it was not in the call before. Asked of one that has yet to join.
    fn is_newcomer(&self) -> bool {
        self.before.is_none() && self.place.is_none()
    }
}

/// A session that has ended without a goodbye.
#[derive(Clone, Debug)]
struct DepartedSession {
    session: SessionId,
    device: [u8; 32],
    /// What its participant might do.
    standing: Standing,
    /// When its participant was last there.
    seen: Instant,
}

/// A source of random numbers.
struct Numbers(Box<dyn FnMut() -> u32 + Send>);

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Numbers")
    }
}

/// A participant of the call.
#[derive(Debug)]
struct Member {
    announced: Announced,
    /// Whether its hand is up.
    hand: bool,
    identity: Identity,
    presence: Presence,
    transport: Transport,
    subscription: Subscription,
    tiles: Tiles,
    /// It wants to know what is known of its downlink.
    diagnoses: bool,
    slots: Slots,
    backlog: Backlog,
    sent: chat::Sent,
}

/// One room.
#[derive(Debug)]
pub struct Room {
    id: sfu_api::RoomId,
    /// Its id on the wire.
    room: RoomId,
    limits: RoomLimits,
    call: Option<CallId>,
    /// Participants of the call that said goodbye.
    gone: BTreeSet<ParticipantId>,
    /// Roles that participants of the call were given in it.
    assigned: BTreeMap<ParticipantId, Role>,
    admittance: Admittance,
    departed: Departed,
    returning: Returning,
    /// Sessions of the call that ended on a server before this one.
    departed_before: BTreeSet<SessionId>,
    guests: BTreeMap<ParticipantId, Guest>,
    members: BTreeMap<ParticipantId, Member>,
    seats: Seats,
    gathering: Option<Gathering>,
    /// Until when newcomers get seats from the top.
    on_top_until: Option<Instant>,
    tracks: BTreeMap<TrackId, Published>,
    publishing: BTreeMap<CommandId, Pending>,
    audio: AudioMode,
    numbers: Numbers,
    /// At or before the time at which something is due.
    wake: Option<Instant>,
    /// When the room meant to run next, as of its last run; `None` if that was not ahead.
    planned: Option<Instant>,
    outputs: Outputs,
}

impl Room {
    /// A room without participants. If a call goes on in it, those who were in it are awaited. `numbers` are random ids for
    /// tracks, and `admittance` says who may come in.
    #[must_use]
    pub fn new(
        now: Instant,
        id: sfu_api::RoomId,
        room: RoomId,
        limits: RoomLimits,
        admittance: Admittance,
        call: Option<CallRecord>,
        numbers: Box<dyn FnMut() -> u32 + Send>,
    ) -> Self {
        let gathering = call.as_ref().map(|_| Gathering::new(now));
        Self {
            id,
            room,
            limits,
            call: call.as_ref().map(|call| call.id),
            departed_before: call.iter().flat_map(|call| call.departed.iter().copied()).collect(),
            assigned: call.iter().flat_map(|call| call.roles.iter().copied()).collect(),
            gone: call.map(|call| call.gone.into_iter().collect()).unwrap_or_default(),
            admittance,
            departed: Departed::default(),
            returning: Returning::default(),
            guests: BTreeMap::new(),
            members: BTreeMap::new(),
            seats: Seats::default(),
            wake: gathering.as_ref().map(|gathering| gathering.until),
            on_top_until: gathering.as_ref().map(|_| now + NEWCOMERS_ON_TOP),
            gathering,
            tracks: BTreeMap::new(),
            publishing: BTreeMap::new(),
            audio: AudioMode::new(limits.speakers),
            planned: None,
            numbers: Numbers(numbers),
            outputs: Outputs::default(),
        }
    }

    /// Whether no participant is here or awaited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guests.is_empty() && self.gathering.is_none()
    }

    /// Whether those who were in the call are awaited.
    #[must_use]
    pub fn is_gathering(&self) -> bool {
        self.gathering.is_some()
    }

    /// Number of members without a connection.
    #[must_use]
    pub fn held(&self) -> usize {
        self.members.values().filter(|member| !member.presence.is_attached()).count()
    }

    /// When [`tick`](Self::tick) is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.wake
    }

    /// Takes the next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// What a token says of a participant.
    #[must_use]
    pub fn claims(&self, participant: ParticipantId) -> Option<Claims> {
        let (call, guest) = (self.call?, self.guests.get(&participant)?);
        let (seat, device) = match (self.members.get(&participant), guest.place) {
            (Some(member), _) => (member.announced.seat, member.announced.device().copied()),
            (None, Some((seat, device))) => (seat, Some(device)),
            (None, None) => (Seat(0), None),
        };
        Some(Claims { call, session: guest.session, participant, seat, device })
    }

    /// A request after `hello`.
    pub fn request(&mut self, now: Instant, from: ParticipantId, id: Option<u32>, message: ClientMessage) {
        if !matches!(message, ClientMessage::Away(_)) {
            self.heard(now, from);
        }
        self.count_answer(now, from, id);
        let result = match message {
            ClientMessage::Hello(_) => Err(refusal(ErrorCode::OutOfOrder, "hello was sent before")),
            ClientMessage::Join(join) => self.join(now, from, id, join),
            ClientMessage::Ping(ping) => {
                let claims = self.claims(from).filter(|claims| claims.device.is_some());
                self.outputs.pong(from, id, ping.ms, claims);
                Ok(None)
            }
            ClientMessage::Leave(_) => {
                self.say_goodbye(now, from, id);
                Ok(None)
            }
            ClientMessage::Announce(announce) => self.authorize(from).and_then(|by| self.announce(now, by, announce)),
            ClientMessage::Transport(transport) => self.authorize(from).and_then(|by| self.connect(by, id, transport)),
            ClientMessage::IceRestart(_) => self.authorize(from).and_then(|by| self.restart_ice(by, id)),
            ClientMessage::Publish(publish) => {
                self.authorize_publishing(from, publish.source).and_then(|by| self.publish(by, id, publish))
            }
            ClientMessage::Unpublish(track) => self.authorize(from).and_then(|by| self.unpublish(now, by, track.track)),
            ClientMessage::Mute(track) => self.authorize(from).and_then(|by| self.mute(now, by, track.track)),
            ClientMessage::Unmute(track) => {
                let source = self.authorize(from).and_then(|by| self.source_of(&by, track.track));
                let by = source.and_then(|source| self.authorize_publishing(from, source));
                by.and_then(|by| self.unmute(now, by, track.track))
            }
            ClientMessage::Speech(speech) => self.authorize(from).and_then(|by| self.set_speaking(by, speech)),
            ClientMessage::Subscribe(subscribe) => {
                self.authorize(from).and_then(|by| self.subscribe(now, by, &subscribe))
            }
            ClientMessage::Unsubscribe(unsubscribe) => {
                self.authorize(from).and_then(|by| self.unsubscribe(now, by, &unsubscribe.tracks))
            }
            ClientMessage::Layers(layers) => self.authorize(from).and_then(|by| self.set_layers(now, by, layers)),
            ClientMessage::SlotsReady(ready) => self.authorize(from).and_then(|by| self.slots_ready(by, ready.rev)),
            ClientMessage::Resync(_) => self.authorize(from).and_then(|by| self.resync(now, by, id)),
            ClientMessage::Hand(hand) => self.authorize(from).and_then(|by| self.raise_hand(now, by, hand)),
            ClientMessage::MuteRequest(target) => {
                self.authorize(from).and_then(|by| self.request_mute(now, by, target))
            }
            ClientMessage::Kick(target) => self.authorize(from).and_then(|by| self.kick(now, by, id, target)),
            ClientMessage::Ban(target) => self.authorize(from).and_then(|by| self.ban(now, by, id, target)),
            ClientMessage::Lock(lock) => self.authorize(from).and_then(|by| self.lock(now, by, id, lock)),
            ClientMessage::Role(assign) => self.authorize(from).and_then(|by| self.assign(now, by, id, assign)),
            ClientMessage::End(_) => self.authorize(from).and_then(|by| self.end_for_all(by, id)),
            // The outbox knows, and the participant was heard of.
            ClientMessage::Ack(_) | ClientMessage::Heartbeat(_) => self.authorize::<Present>(from).map(|_| DONE),
            ClientMessage::Away(_) => self.authorize(from).and_then(|by| self.go_away(now, &by)),
        };
        match result {
            Ok(Some(answer)) => self.send(from, id, answer),
            Ok(None) => {}
            Err(refusal) => self.refuse(from, id, refusal),
        }
        self.settle(now);
    }

    /// Handles an event of the media plane. Events about participants that have left are ignored.
    pub fn media(&mut self, now: Instant, event: Event) {
        match event {
            Event::Transport { command, participant, local } => self.transport_made(command, participant, &local),
            Event::SlotAdded { command, participant, ssrc, rtx, .. } => {
                if let Some(member) = self.members.get_mut(&participant) {
                    member.slots.added(command, ssrc.0, rtx.map(|rtx| rtx.0));
                    member.backlog.touch(now);
                    wake(&mut self.wake, member.backlog.due());
                }
            }
            Event::TransportState { participant, state } => self.transport_changed(now, participant, state),
            Event::Published { command, .. } => self.published(now, command),
            Event::TrackActivity { participant, track, active } => self.track_active(now, participant, track, active),
            Event::Refused { command, participant, error } => self.media_refused(now, command, participant, error),
            Event::Speakers { levels, .. } => {
                let speakers = levels.into_iter().map(|(participant, level)| Speaker { participant, level }).collect();
                let message = ServerMessage::Speakers(Speakers { speakers });
                for (&participant, member) in &mut self.members {
                    member.backlog.count(now);
                    self.outputs.hint(participant, message.clone());
                }
            }
            Event::Layer { participant, mid, height, temporal, reason } => {
                self.layer_changed(now, participant, mid, height, temporal, reason);
            }
            Event::LayersWanted { participant, track, active, height } => {
                self.layers_wanted(now, participant, track, active, height);
            }
            Event::Downlink { participant, state } => self.downlink_changed(participant, state),
            // The media plane has dropped the excess. No message tells the client: an honest one stays far below.
            Event::LimitExceeded { participant, limit } => {
                tracing::warn!(participant = participant.0, ?limit, "limit exceeded");
            }
            Event::RoomFailed { participants, .. } => {
                for participant in participants {
                    self.transport_changed(now, participant, sfu_api::TransportState::Failed);
                }
            }
            other => tracing::debug!(?other, "unknown event of the media plane"),
        }
        self.settle(now);
    }

    /// Everyone who has entered, whether or not they have joined the call.
    pub fn present(&self) -> impl Iterator<Item = (ParticipantId, Role, bool)> + '_ {
        self.guests.iter().map(|(id, guest)| (*id, guest.standing.role, self.members.contains_key(id)))
    }

    /// Whether a participant is here, with or without a connection.
    #[must_use]
    pub fn has(&self, participant: ParticipantId) -> bool {
        self.guests.contains_key(&participant)
    }

    /// The connection of a participant ended without a goodbye. A member keeps its place for a while.
    pub fn detach(&mut self, now: Instant, participant: ParticipantId) {
        match self.members.get_mut(&participant) {
            Some(member) => {
                member.presence.detach();
                wake(&mut self.wake, member.presence.deadline(now));
            }
            None => {
                self.free(now, participant);
                self.tell_entry(now, participant);
                self.end_deserted_call();
            }
        }
        self.settle(now);
    }

    /// Ends the session and connection of a participant. It may return as the same participant, but not to the session.
    pub fn expel(&mut self, now: Instant, participant: ParticipantId, code: CloseCode, reason: &'static str) {
        self.end(now, participant, code, reason);
        self.settle(now);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        self.settle(now);
    }

    /// What the roster says of a participant.
    fn roster_entry(&self, participant: ParticipantId) -> Option<RosterEntry> {
        let (member, guest) = (self.members.get(&participant)?, self.guests.get(&participant)?);
        Some(RosterEntry {
            participant,
            seat: member.announced.seat,
            away: member.presence.is_away(),
            role: guest.standing.role,
            hand: member.hand,
        })
    }

    /// A participant's page is being unloaded.
    fn go_away(&mut self, now: Instant, by: &Authorized<Present>) -> Result<Answer, Refusal> {
        if let Some(member) = self.members.get_mut(&by.participant()) {
            member.presence.depart(now);
        }
        self.presence_changed(now, by.participant());
        Ok(DONE)
    }

    /// A client is leaving, and is not to come back as the same participant.
    fn say_goodbye(&mut self, now: Instant, participant: ParticipantId, re: Option<u32>) {
        if let Some(call) = self.call {
            self.gone.insert(participant);
            self.outputs.goodbye(participant, re, call);
        }
        self.free(now, participant);
        self.send_leave(now, participant);
        self.departed.remove(participant);
        self.end_deserted_call();
    }

    /// Ends a participant's session and connection, after what was sent to it before. It may return as the same
    /// participant.
    fn end(&mut self, now: Instant, participant: ParticipantId, code: CloseCode, reason: &'static str) {
        if self.guests.contains_key(&participant) {
            self.outputs.end(participant, code, reason);
        }
        self.free(now, participant);
        self.send_leave(now, participant);
        self.end_deserted_call();
    }

    /// Frees the place of a participant.
    fn free(&mut self, now: Instant, participant: ParticipantId) {
        if let Some(seat) = self.remove(now, participant) {
            self.notify_left(now, participant, seat);
        }
    }

    /// Removes a participant, of which the others are not notified. Returns the seat that it had.
    fn remove(&mut self, now: Instant, participant: ParticipantId) -> Option<Seat> {
        let guest = self.guests.remove(&participant);
        if let Some(Guest { place: Some((seat, _)), .. }) = guest {
            self.seats.unclaim(seat);
        }
        let member = self.members.remove(&participant)?;
        tracing::debug!(participant = participant.0, "left");
        if let Some(Guest { session, standing, .. }) = guest {
            let (device, seen) = (*member.identity.device(), member.presence.last_seen(now));
            self.departed.insert(participant, DepartedSession { session, device, standing, seen });
            if let Some(call) = self.call.filter(|_| !self.gone.contains(&participant)) {
                self.outputs.departed(session, call);
            }
        }
        self.seats.leave(now, member.announced.seat);
        self.withdraw_all(now, participant);
        self.outputs.command(Command::RemoveParticipant { participant });
        Some(member.announced.seat)
    }

    /// The keys of a participant are void.
    fn notify_left(&mut self, now: Instant, participant: ParticipantId, seat: Seat) {
        for other in self.members.values_mut() {
            other.backlog.left(now, participant, Some(seat));
            wake(&mut self.wake, other.backlog.due());
        }
    }

    /// A call ends with its last participant.
    fn end_deserted_call(&mut self) {
        if self.is_empty()
            && let Some(call) = self.call.take()
        {
            self.gone.clear();
            self.assigned.clear();
            self.departed = Departed::default();
            self.returning.clear();
            self.departed_before.clear();
            self.outputs.call_ended(call);
        }
    }

    /// A participant gave a sign of life.
    fn heard(&mut self, now: Instant, participant: ParticipantId) {
        if let Some(member) = self.members.get_mut(&participant) {
            member.presence.heard(now);
            self.presence_changed(now, participant);
            self.renew_transport(now, participant);
        }
    }

    /// Tells the others if a participant went away or is back.
    fn presence_changed(&mut self, now: Instant, participant: ParticipantId) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        let changed = member.presence.update(now);
        wake(&mut self.wake, member.presence.deadline(now));
        if !changed {
            return;
        }
        tracing::debug!(participant = participant.0, away = member.presence.is_away(), "presence changed");
        self.tell_entry(now, participant);
        self.tell_stalled(now, participant);
    }

    /// The media plane refused a command. What depends on it is undone; a refusal of a command that nothing depends on
    /// any more is ignored.
    fn media_refused(&mut self, now: Instant, command: CommandId, participant: ParticipantId, error: CommandError) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        tracing::debug!(participant = participant.0, command = command.0, %error, "media plane refused a command");
        if member.slots.refused(command) {
            member.backlog.touch(now);
            wake(&mut self.wake, member.backlog.due());
        } else if !self.transport_refused(now, command, participant, error) {
            self.publication_refused(command, error);
        }
    }

    /// A request with this number is answered, which is one message less for changes.
    fn count_answer(&mut self, now: Instant, to: ParticipantId, id: Option<u32>) {
        if let Some(member) = self.members.get_mut(&to).filter(|_| id.is_some()) {
            member.backlog.count(now);
        }
    }

    fn send(&mut self, to: ParticipantId, re: Option<u32>, message: ServerMessage) {
        // Without a request number, `ok` says nothing.
        if re.is_some() || !matches!(message, ServerMessage::Ok(_)) {
            self.outputs.send(to, Outgoing::Message { re, message });
        }
    }

    fn refuse(&mut self, to: ParticipantId, re: Option<u32>, Refusal { code, detail }: Refusal) {
        tracing::debug!(participant = to.0, ?code, detail, "request refused");
        let error = ErrorMessage { code, retry_ms: None, detail: detail.to_owned() };
        self.send(to, re, ServerMessage::Error(error));
    }

    /// Does what is due, and notes when the next thing is.
    fn settle(&mut self, now: Instant) {
        if self.planned.is_some_and(|planned| now.saturating_duration_since(planned) > PAUSE) {
            tracing::warn!("the server did not run for a while");
            self.members.values_mut().for_each(|member| member.presence.excuse(now));
            let waiting = self.guests.values_mut().filter_map(|guest| guest.join_by.as_mut());
            waiting.for_each(|join_by| *join_by = now + JOIN_TIME);
        }
        if self.wake.is_some_and(|due| due <= now) {
            self.run(now);
        }
        self.planned = self.wake.filter(|planned| *planned > now);
    }

    fn run(&mut self, now: Instant) {
        self.wake = None;
        let over =
            |(participant, member): (&ParticipantId, &Member)| member.presence.is_over(now).then_some(*participant);
        let over: Vec<_> = self.members.iter().filter_map(over).collect();
        for participant in over {
            self.end(now, participant, CloseCode::IdleOrSlow, "the participant was silent for too long");
        }
        let members: Vec<_> = self.members.keys().copied().collect();
        for participant in members {
            self.presence_changed(now, participant);
        }
        self.close_unjoined(now);
        self.send_late_leaves(now);
        self.end_gathering(now);
        match self.audio.deadline() {
            Some(deadline) if deadline <= now => {
                self.follow_audio_mode(now);
            }
            later => wake(&mut self.wake, later),
        }
        for (&participant, member) in &mut self.members {
            let due = member.backlog.due().is_some_and(|due| due <= now);
            if !member.presence.is_attached() {
                // It waits, and is put together with what is still to come.
                continue;
            }
            if due {
                let (slots, outputs) = (&mut member.slots, &mut self.outputs);
                member.backlog.deliver(now, slots, |out| outputs.send(participant, out));
            }
            wake(&mut self.wake, member.backlog.due());
        }
    }
}

/// The answer to a request, if it has one.
type Answer = Option<ServerMessage>;
/// The answer to a request without a specific answer.
const DONE: Answer = Some(ServerMessage::Ok(OkMessage {}));

/// Notes when something is due.
fn wake(at: &mut Option<Instant>, due: Option<Instant>) {
    if let Some(due) = due {
        *at = Some(at.map_or(due, |at| at.min(due)));
    }
}
