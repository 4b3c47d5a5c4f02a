//! A room: its participants, their tracks, who receives what, and what each has yet to be sent.
//!
//! The room has no clock, no socket and no task: its methods take what happened and when, and [`Room::poll`] returns
//! [`Output`]s.
//!
//! ```text
//!   connections ──► enter, request, binary, leave ──►┌──────┐──► Output::Send      ──► outboxes
//!   SFU         ──► media ──────────────────────────►│ Room │──► Output::Command   ──► SFU
//!   clock       ──► tick at deadline() ─────────────►└──────┘──► Output::Close     ──► sockets
//! ```
//!
//! Invariants: a participant is *attached* from `hello` on and a *member* from `join` on. Every member is on the roster of
//! every other, so no one listens unseen. A refused request changes nothing. Nothing that one client sends can end
//! another's call.

mod backlog;
mod keys;
mod outputs;
mod pages;
mod publish;
mod seats;
mod slots;
mod subscribe;
#[cfg(test)]
mod tests;

use crate::{config::RoomLimits, media, outbox::Outgoing};
use backlog::{Announced, Backlog};
pub use outputs::Output;
use outputs::Outputs;
use publish::Published;
use seats::Seats;
use sfu_api::{Command, CommandError, CommandId, Event, event::TransportState as MediaState};
use slots::Slots;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicU32},
    time::Instant,
};
use subscribe::Subscription;
use tacet_proto::{
    CallId, ClientMessage, CloseCode, ErrorCode, ParticipantId, Seat, ServerMessage, TrackId,
    binary::{ANNOUNCE_BYTES, MAX_DISPLAY_BYTES},
    bytes::Base64,
    client::{Announce, ClientTransport, Join},
    limits::MAX_NAME_BYTES,
    server::{
        Bye, ByeReason, ErrorMessage, Ok as OkMessage, Pong, Speaker, Speakers, TransportState, TransportStateChange,
    },
};

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

/// How far a member's transport is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    /// The media plane has not answered this command yet.
    Requested(CommandId),
    /// The client has the server's half.
    Offered,
    /// The media plane has the client's half.
    Connecting {
        /// The client's request that it came with.
        re: Option<u32>,
        /// The command that passed it on.
        command: CommandId,
    },
}

/// A participant of the call.
#[derive(Debug)]
struct Member {
    announced: Announced,
    transport: Transport,
    subscription: Subscription,
    slots: Slots,
    backlog: Backlog,
}

/// One room.
#[derive(Debug)]
pub struct Room {
    id: sfu_api::RoomId,
    limits: RoomLimits,
    call: Option<CallId>,
    attached: BTreeSet<ParticipantId>,
    members: BTreeMap<ParticipantId, Member>,
    seats: Seats,
    tracks: BTreeMap<TrackId, Published>,
    track_ids: Arc<AtomicU32>,
    /// At or before the time of the first delivery.
    wake: Option<Instant>,
    outputs: Outputs,
}

impl Room {
    /// An empty room. Tracks are numbered by a counter that all rooms share.
    #[must_use]
    pub fn new(id: sfu_api::RoomId, limits: RoomLimits, track_ids: Arc<AtomicU32>) -> Self {
        Self {
            id,
            limits,
            call: None,
            attached: BTreeSet::new(),
            members: BTreeMap::new(),
            seats: Seats::default(),
            tracks: BTreeMap::new(),
            track_ids,
            wake: None,
            outputs: Outputs::default(),
        }
    }

    /// Whether no participant is attached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
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

    /// A client sent `hello` with a valid credential. Returns the call: `fresh` if it begins now.
    pub fn enter(&mut self, participant: ParticipantId, fresh: CallId) -> CallId {
        self.attached.insert(participant);
        *self.call.get_or_insert(fresh)
    }

    /// A request after `hello`. `ping` is answered before it gets here.
    pub fn request(&mut self, now: Instant, from: ParticipantId, id: Option<u32>, message: ClientMessage) {
        let result = match message {
            ClientMessage::Hello(_) => Err(refusal(ErrorCode::OutOfOrder, "hello was sent before")),
            ClientMessage::Join(join) => self.join(now, from, id, join),
            ClientMessage::Ping(ping) => {
                self.send(from, id, ServerMessage::Pong(Pong { ms: ping.ms, tokens: None }));
                Ok(None)
            }
            ClientMessage::Leave(_) => {
                self.send(from, id, ServerMessage::Bye(Bye { reason: ByeReason::Left }));
                self.close(from, CloseCode::Normal, "left");
                self.leave(now, from);
                Ok(None)
            }
            _ if !self.members.contains_key(&from) => Err(refusal(ErrorCode::NotMember, "join first")),
            ClientMessage::Announce(announce) => self.announce(now, from, announce),
            ClientMessage::Transport(transport) => self.connect(from, id, transport),
            ClientMessage::Publish(publish) => self.publish(now, from, id, publish),
            ClientMessage::Unpublish(track) => self.unpublish(now, from, track.track),
            ClientMessage::Mute(track) => self.set_muted(now, from, track.track, true),
            ClientMessage::Unmute(track) => self.set_muted(now, from, track.track, false),
            ClientMessage::Subscribe(subscribe) => self.subscribe(now, from, &subscribe),
            ClientMessage::Unsubscribe(unsubscribe) => self.unsubscribe(now, from, &unsubscribe.tracks),
            ClientMessage::SlotsReady(ready) => self.slots_ready(from, ready.rev),
            ClientMessage::Resync(_) => self.resync(now, from, id),
            ClientMessage::Ack(_) | ClientMessage::Heartbeat(_) | ClientMessage::Away(_) => Ok(DONE),
            ClientMessage::IceRestart(_) => Err(refusal(ErrorCode::OutOfOrder, "connect the transport first")),
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
            Event::Transport { command, participant, local } => {
                if let Some(member) = self.members.get_mut(&participant)
                    && member.transport == Transport::Requested(command)
                {
                    member.transport = Transport::Offered;
                    self.send(participant, None, ServerMessage::Transport(media::transport(&local)));
                }
            }
            Event::SlotAdded { command, participant, ssrc, rtx, .. } => {
                if let Some(member) = self.members.get_mut(&participant) {
                    member.slots.added(command, ssrc.0, rtx.map(|rtx| rtx.0));
                    member.backlog.touch(now);
                    wake(&mut self.wake, &member.backlog);
                }
            }
            Event::TransportState { participant, state } => {
                if self.members.contains_key(&participant) {
                    let state = match state {
                        MediaState::Connected => TransportState::Connected,
                        MediaState::Disconnected => TransportState::Disconnected,
                        // Neither recovers.
                        MediaState::Failed | MediaState::Closed => TransportState::Failed,
                    };
                    tracing::debug!(participant = participant.0, ?state, "media transport changed");
                    let message = ServerMessage::TransportState(TransportStateChange { state });
                    self.send(participant, None, message);
                }
            }
            Event::Refused { command, participant, error } => self.media_refused(now, command, participant, error),
            Event::Speakers { levels, .. } => {
                let speakers = levels.into_iter().map(|(participant, level)| Speaker { participant, level }).collect();
                let message = ServerMessage::Speakers(Speakers { speakers });
                for &member in self.members.keys() {
                    self.outputs.hint(member, message.clone());
                }
            }
            // The media plane has dropped the excess. No message tells the client: an honest one stays far below.
            Event::LimitExceeded { participant, limit } => {
                tracing::warn!(participant = participant.0, ?limit, "limit exceeded");
            }
            Event::RoomFailed { participants, .. } => {
                for participant in participants {
                    self.close(participant, CloseCode::Internal, "the media of the room failed");
                    self.remove(now, participant);
                }
            }
            other => tracing::debug!(?other, "unknown event of the media plane"),
        }
        self.settle(now);
    }

    /// The participant left, or its connection ended.
    pub fn leave(&mut self, now: Instant, participant: ParticipantId) {
        if self.remove(now, participant) {
            self.outputs.command(Command::RemoveParticipant { participant });
        }
        self.attached.remove(&participant);
        if self.attached.is_empty() {
            self.call = None;
        }
        self.settle(now);
    }

    /// Delivers what is due.
    pub fn tick(&mut self, now: Instant) {
        self.settle(now);
    }

    fn join(&mut self, now: Instant, from: ParticipantId, id: Option<u32>, join: Join) -> Result<Answer, Refusal> {
        if !self.attached.contains(&from) {
            return Err(refusal(ErrorCode::Unauthenticated, "send hello first"));
        }
        if self.members.contains_key(&from) {
            return Err(refusal(ErrorCode::OutOfOrder, "already joined"));
        }
        check_announce(&join.announce, &join.display)?;
        if self.members.len() >= self.limits.participants {
            return Err(refusal(ErrorCode::RoomFull, "the room is full"));
        }
        let seat = self.seats.take(now).ok_or(refusal(ErrorCode::RoomFull, "no free seat"))?;
        tracing::debug!(participant = from.0, seat = seat.0, "joined");

        let mut backlog = Backlog::default();
        for (&other, member) in &self.members {
            backlog.arrived(now, other, member.announced.clone());
        }
        for published in self.tracks.values() {
            backlog.track_added(now, published.track.clone());
        }
        self.send(from, id, ServerMessage::Joined(backlog.joined(seat)));
        wake(&mut self.wake, &backlog);

        let announced = announced(seat, &join.announce, &join.display);
        for member in self.members.values_mut() {
            member.backlog.arrived(now, from, announced.clone());
            wake(&mut self.wake, &member.backlog);
        }
        let slots = Slots::new(self.limits.slots_per_participant);
        let subscription = Subscription::default();
        let command = self.outputs.command(Command::AddParticipant { room: self.id, participant: from });
        let transport = Transport::Requested(command);
        self.members.insert(from, Member { announced, transport, subscription, slots, backlog });
        Ok(None)
    }

    fn announce(&mut self, now: Instant, from: ParticipantId, announce: Announce) -> Result<Answer, Refusal> {
        check_announce(&announce.announce, &announce.display)?;
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        member.announced = announced(member.announced.seat, &announce.announce, &announce.display);
        let announced = member.announced.clone();
        for (_, other) in self.members.iter_mut().filter(|(other, _)| **other != from) {
            other.backlog.announced(now, from, announced.clone());
            wake(&mut self.wake, &other.backlog);
        }
        Ok(DONE)
    }

    fn connect(&mut self, from: ParticipantId, id: Option<u32>, transport: ClientTransport) -> Result<Answer, Refusal> {
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        match member.transport {
            Transport::Offered => {}
            Transport::Requested(_) => {
                return Err(refusal(ErrorCode::OutOfOrder, "wait for the transport of the server"));
            }
            Transport::Connecting { .. } => {
                return Err(refusal(ErrorCode::OutOfOrder, "the transport is already connected"));
            }
        }
        let ClientTransport { ice, dtls } = transport;
        // RFC 8839 section 5.4: ice-char, at least 4 and 22 of them.
        let ice_chars = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
        let ufrag = (4..=MAX_NAME_BYTES).contains(&ice.ufrag.len()) && ice_chars(&ice.ufrag);
        let pwd = (22..=256).contains(&ice.pwd.len()) && ice_chars(&ice.pwd);
        if !(ufrag && pwd) {
            return Err(refusal(ErrorCode::BadMessage, "ice: invalid ufrag or password"));
        }
        let remote = sfu_api::RemoteTransport { ufrag: ice.ufrag, pwd: ice.pwd, fingerprint: dtls.fingerprint.0 };
        let command = self.outputs.command(Command::Connect { participant: from, remote });
        member.transport = Transport::Connecting { re: id, command };
        Ok(DONE)
    }

    fn resync(&mut self, now: Instant, from: ParticipantId, id: Option<u32>) -> Result<Answer, Refusal> {
        let others: Vec<_> = self
            .members
            .iter()
            .filter(|(other, _)| **other != from)
            .map(|(other, member)| (*other, member.announced.seat))
            .collect();
        if let Some(member) = self.members.get_mut(&from) {
            member.backlog.resync(now, id, others.into_iter());
            wake(&mut self.wake, &member.backlog);
        }
        Ok(None)
    }

    /// The media plane refused a command. What depends on it is undone; a refusal of a command that nothing depends on
    /// any more is ignored.
    fn media_refused(&mut self, now: Instant, command: CommandId, participant: ParticipantId, error: CommandError) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        tracing::debug!(participant = participant.0, command = command.0, %error, "media plane refused a command");
        match member.transport {
            Transport::Requested(requested) if requested == command => {
                self.refuse(participant, None, refusal(ErrorCode::ServerBusy, "no capacity for another transport"));
                self.close(participant, CloseCode::TryLater, "the server is busy");
                self.leave(now, participant);
            }
            Transport::Connecting { re, command: connecting } if connecting == command => {
                if error == CommandError::Invalid {
                    member.transport = Transport::Offered;
                    self.refuse(participant, re, refusal(ErrorCode::BadMessage, "transport: invalid parameters"));
                } else {
                    self.refuse(
                        participant,
                        None,
                        refusal(ErrorCode::Internal, "the media plane refused the transport"),
                    );
                }
            }
            _ if member.slots.refused(command) => {
                member.backlog.touch(now);
                wake(&mut self.wake, &member.backlog);
            }
            _ => self.publication_refused(now, command, participant, error),
        }
    }

    /// Takes a member out of the room. Returns whether it was one.
    fn remove(&mut self, now: Instant, participant: ParticipantId) -> bool {
        let Some(member) = self.members.remove(&participant) else { return false };
        self.seats.leave(now, member.announced.seat);
        let tracks: Vec<_> =
            self.tracks.values().filter(|p| p.track.participant == participant).map(|p| p.track.track).collect();
        for track in tracks {
            self.withdraw(now, track);
        }
        for other in self.members.values_mut() {
            other.backlog.left(now, participant);
            wake(&mut self.wake, &other.backlog);
        }
        true
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

    fn close(&mut self, participant: ParticipantId, code: CloseCode, reason: &'static str) {
        self.outputs.close(participant, code, reason);
    }

    /// Delivers every backlog that is due, and notes when the next one is.
    fn settle(&mut self, now: Instant) {
        if self.wake.is_none_or(|wake| wake > now) {
            return;
        }
        self.wake = None;
        for (&participant, member) in &mut self.members {
            if member.backlog.due().is_some_and(|due| due <= now) {
                let (slots, outputs) = (&mut member.slots, &mut self.outputs);
                let more = || slots.next_message().map(ServerMessage::Slots);
                member.backlog.deliver(now, more, |out| outputs.send(participant, out));
            }
            wake(&mut self.wake, &member.backlog);
        }
    }
}

/// The answer to a request, if it has one.
type Answer = Option<ServerMessage>;
/// The answer to a request without a specific answer.
const DONE: Answer = Some(ServerMessage::Ok(OkMessage {}));

/// Notes when a backlog is due.
fn wake(at: &mut Option<Instant>, backlog: &Backlog) {
    if let Some(due) = backlog.due() {
        *at = Some(at.map_or(due, |at| at.min(due)));
    }
}

/// Checks what the server knows of an announce: its length.
fn check_announce(announce: &Base64, display: &Base64) -> Result<(), Refusal> {
    if announce.0.len() != ANNOUNCE_BYTES {
        return Err(refusal(ErrorCode::BadMessage, "announce: wrong length"));
    }
    if display.0.len() > MAX_DISPLAY_BYTES {
        return Err(refusal(ErrorCode::BadMessage, "display: too long"));
    }
    Ok(())
}

fn announced(seat: Seat, announce: &Base64, display: &Base64) -> Announced {
    Announced { seat, announce: announce.0.as_slice().into(), display: display.0.as_slice().into() }
}
