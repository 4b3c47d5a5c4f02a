//! Chat: app data sealed under the sender's current key, sent until the server has accepted it, opened once.
//!
//! ```text
//!  SendChat ──► waiting ── key in use ──► SendChat ──► server ──► ChatAnswered     sealed again on the next connection
//!  Chat ──► the sender, by the key ──► opened before? ──► ChatReceived
//!             └ its key is missing: held
//! ```
//! A first message opens the stream [`StreamId::DATA`], so that a key is made and distributed as for a first frame. The
//! stream closes when nothing was said for a while: a device that has written once does not replace keys for ever.
//!
//! The server says which participant a message is from. What counts is the key that opens it: the two must name the same participant.
//! Each key opens a counter once, and each sender's number is accepted once, since a message that is sealed again has
//! another counter.

use super::{Action, EventError, Problem, Session, distribution::SETTLE};
use crate::{
    chat::{self, ChatContent, ChatId, Received, Unreadable},
    clock::MonotonicTime,
    ids::{ParticipantId, StreamId},
    keys::receiver::ReceiveFailure,
    sframe::{
        context::{Metadata, OpenFailure},
        header,
        kid::Kid,
        window::ReplayWindow,
    },
};
use alloc::{boxed::Box, vec, vec::Vec};
use core::time::Duration;
use e2ee_core::Primitives;
use zeroize::Zeroizing;

/// Maximum number of own messages that the server has not answered.
const MAX_WAITING: usize = 64;
/// How long the stream stays open after the last message.
pub(super) const LINGER: Duration = Duration::from_secs(10);
/// Maximum number of messages whose key is missing.
const MAX_HELD: usize = 256;
/// Maximum number of them of one participant.
const MAX_HELD_OF_SENDER: usize = 32;
/// How long a message waits for its key.
const HOLD: Duration = Duration::from_secs(10);
/// For this time after joining, messages may come that were sealed before, whose keys this device never gets.
const EARLY: Duration = Duration::from_secs(5);

/// An own message that the server has not answered.
struct Waiting {
    id: ChatId,
    content: Zeroizing<Vec<u8>>,
    /// Whether it was sealed for this connection.
    sent: bool,
}

/// A message whose key is missing.
struct Held {
    participant: ParticipantId,
    id: ChatId,
    sealed: Vec<u8>,
    arrived: MonotonicTime,
}

/// Own messages on their way, and those of others that wait for a key.
#[derive(Default)]
pub(super) struct Chat {
    /// Largest number of an own message.
    last: u64,
    waiting: Vec<Waiting>,
    /// When the stream closes.
    closes_at: Option<MonotonicTime>,
    /// In the order of their arrival.
    held: Vec<Held>,
}

impl Chat {
    /// The connection is lost, and with it what was not answered.
    pub(super) fn detached(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.sent = false);
    }

    fn unsent(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.sent)
    }
}

/// The outcome of a message.
enum Verdict {
    Opened(ChatContent),
    /// Its key may still come.
    Hold,
    /// Opened before, of a later version, or sealed before this device joined: nothing to report.
    Ignored,
    Refused,
}

impl<P: Primitives> Session<P> {
    pub(super) fn next_chat(&self) -> Option<MonotonicTime> {
        let seals = self.attached() && self.own.key.current().is_some() && self.chat.unsent();
        let seal = seals.then(|| self.chat_from().max(self.clock.now));
        let held = self.chat.held.first().map(|held| held.arrived.saturating_add(HOLD));
        [seal, held, self.chat.closes_at].into_iter().flatten().min()
    }

    /// When the first message is sealed. Before, those who are in the call may not have been announced to this device, and would
    /// not get the key.
    fn chat_from(&self) -> MonotonicTime {
        self.joined_at.saturating_add(SETTLE)
    }

    /// Seals what waits for a key, drops what waited too long for one, and closes the stream.
    pub(super) fn run_chat(&mut self) {
        self.seal_chat();
        self.give_up_chat();
        if self.chat.closes_at.is_some_and(|at| self.clock.now >= at) {
            self.chat.closes_at = None;
            self.own.streams.remove(&StreamId::DATA);
            self.forget_unused_key();
        }
    }

    /// The user of this device says something.
    pub(super) fn send_chat(&mut self, id: ChatId, content: &ChatContent) -> Result<(), EventError> {
        if self.seat.is_none() {
            return Err(EventError::NotJoined);
        }
        if id.kind() != content.kind() || id.number() <= self.chat.last {
            return Err(EventError::Malformed);
        }
        let content = content.pad().ok_or(EventError::Malformed)?;
        if self.chat.waiting.len() >= MAX_WAITING {
            return Err(EventError::ChatFull);
        }
        self.chat.last = id.number();
        self.chat.waiting.push(Waiting { id, content, sent: false });
        self.chat.closes_at = None;
        if !self.own.streams.contains(&StreamId::DATA) {
            self.stream_opened(StreamId::DATA)?;
        }
        Ok(())
    }

    /// The server has answered an own message.
    pub(super) fn chat_answered(&mut self, id: ChatId) {
        if let Some(index) = self.chat.waiting.iter().position(|waiting| waiting.id == id) {
            self.chat.waiting.remove(index);
        }
        if self.chat.waiting.is_empty() && self.own.streams.contains(&StreamId::DATA) {
            self.chat.closes_at = Some(self.clock.now.saturating_add(LINGER));
        }
    }

    fn seal_chat(&mut self) {
        if !self.attached() || !self.chat.unsent() || self.clock.now < self.chat_from() {
            return;
        }
        let mut waiting = core::mem::take(&mut self.chat.waiting);
        for message in waiting.iter_mut().filter(|waiting| !waiting.sent) {
            let metadata = chat::metadata(message.id);
            let Ok(context) = self.seal_context(self.clock, StreamId::DATA) else { break };
            let mut sealed = vec![0; context.sealed_len(message.content.len())];
            if context.seal(Metadata::of(&metadata), &message.content, &mut sealed).is_err() {
                break;
            }
            message.sent = true;
            self.actions.push_back(Action::SendChat { id: message.id, sealed });
        }
        self.chat.waiting = waiting;
    }

    /// A message of another.
    pub(super) fn chat_received(&mut self, body: &[u8]) -> Result<(), EventError> {
        if self.seat.is_none() {
            return Err(EventError::NotJoined);
        }
        let Received { participant, id, sealed } = Received::read(body).ok_or(EventError::Malformed)?;
        let arrived = self.clock.now;
        self.take_chat(Held { participant: ParticipantId(participant), id, sealed: sealed.to_vec(), arrived });
        Ok(())
    }

    /// A key or a participant is new: opens what was held for it.
    pub(super) fn retry_chat(&mut self) {
        for held in core::mem::take(&mut self.chat.held) {
            self.take_chat(held);
        }
    }

    fn take_chat(&mut self, message: Held) {
        let participant = message.participant;
        let waiting = self.chat.held.iter().filter(|held| held.participant == participant).count();
        // What follows a message that waits is not shown before it.
        let verdict = if waiting == 0 { self.open_chat(&message) } else { Verdict::Hold };
        match verdict {
            Verdict::Opened(content) => {
                self.actions.push_back(Action::ChatReceived { participant, id: message.id, content });
            }
            Verdict::Hold => {
                if waiting < MAX_HELD_OF_SENDER && self.chat.held.len() < MAX_HELD {
                    self.chat.held.push(message);
                }
            }
            Verdict::Ignored => {}
            Verdict::Refused => self.problem(participant, Problem::ChatRefused),
        }
    }

    fn open_chat(&mut self, Held { participant, id, sealed, .. }: &Held) -> Verdict {
        let Ok((header, start)) = header::parse(sealed) else { return Verdict::Refused };
        let Some(kid) = Kid::unpack(header.kid).filter(|kid| kid.stream == StreamId::DATA) else {
            return Verdict::Refused;
        };
        // Its announce comes first, unless the server reorders what it sends.
        let Some(member) = self.roster.get(*participant) else { return Verdict::Hold };
        if kid.seat != member.seat {
            return Verdict::Refused;
        }
        let mut copy = Zeroizing::new(sealed.clone());
        let Some(body) = copy.get_mut(start..) else { return Verdict::Refused };
        let opened = self.receiver.open(self.clock.now, &header, kid, Metadata::of(&chat::metadata(*id)), body);
        let (sender, length) = match opened {
            Ok(opened) => opened,
            Err(ReceiveFailure::Frame(OpenFailure::Replay) | ReceiveFailure::NoKey { ask: false }) => {
                return Verdict::Ignored;
            }
            Err(ReceiveFailure::Frame(_)) => return Verdict::Refused,
            Err(failure @ (ReceiveFailure::NoKey { ask: true } | ReceiveFailure::NoSender)) => {
                let _ = self.not_opened(kid, failure);
                return Verdict::Hold;
            }
        };
        if sender != *participant {
            return Verdict::Refused;
        }
        let Some(member) = self.roster.get_mut(sender) else { return Verdict::Refused };
        let window = member.said.get_or_insert_with(|| Box::new(ReplayWindow::new()));
        if !window.screen(id.number()) {
            return Verdict::Ignored;
        }
        window.record(id.number());
        match body.get(..length).map(ChatContent::read) {
            Some(Ok(content)) if content.kind() == id.kind() => Verdict::Opened(content),
            Some(Err(Unreadable::UnknownType)) => Verdict::Ignored,
            _ => Verdict::Refused,
        }
    }

    /// Drops messages whose key has not come, which are the first ones. Those that were sealed before this device joined are
    /// not missed.
    fn give_up_chat(&mut self) {
        let (now, early) = (self.clock.now, self.joined_at.saturating_add(EARLY));
        let mut dropped = false;
        while self.chat.held.first().is_some_and(|held| now >= held.arrived.saturating_add(HOLD)) {
            let Held { participant, arrived, .. } = self.chat.held.remove(0);
            if arrived >= early {
                self.problem(participant, Problem::ChatRefused);
            }
            dropped = true;
        }
        if dropped {
            self.retry_chat();
        }
    }
}
