//! Distribution of the own session key: when it ratchets, when it is replaced, and who receives it.
//!
//! | event | what happens |
//! |---|---|
//! | join | newcomers of 500 ms receive the key one ratchet step further, which does not open the past |
//! | join, nothing sealed yet | newcomers receive the key as it is |
//! | join while no stream is open | nothing; the next start makes a new generation |
//! | leave, expiry | a new generation for all who remain, in use after 1, 2 or 5 s depending on the size of the call |
//! | leave during a rotation | another rotation follows the switch |
//! | leave while no stream is open | a new generation, and no key until it is in use |
//! | last ratchet step, ten minutes, 2^31 frames | a new generation |
//!
//! Every recipient is on the roster, and was reported as verified before.
//!
//! # When a key comes into use
//!
//! A new generation is used once its window is over and the server has accepted all batches with it, over a connection
//! that lasts: never a key that the others cannot have got. Until then the current one goes on. Where none does, because
//! it is the first or because no stream was open, no frame is sealed before, which costs one round trip to the server
//! before the first frame. Sealing at once would gain nothing: frames that overtake their key are held for a moment and
//! dropped, and after a connection that broke just then no device could open them for seconds.
//!
//! A step of the ratchet is used at once: every holder of the generation computes it, and only the newcomers, who had no
//! key before, depend on the batch. Nor is a batch awaited by which newcomers receive a key as it is, or the next one
//! during a rotation, or by which a request is answered: joins and requests could put a switch off for ever.
//!
//! # After a leave
//!
//! Any leave replaces the key, whether or not it is known that the participant held it: another device may be ahead. The
//! own keys of that moment [seal nothing](crate::keys::sender::LIFE_AFTER_LEAVE) from 45 s later on, when they are dead at
//! every receiver as well. Batches with them say so, for receivers to which they are new. A server that accepts no batch, or none in time, silences this device; it does not keep a key
//! in use that a leaver has taken along.

use super::{Action, EventError, Session};
use crate::{
    clock::MonotonicTime,
    ids::{ParticipantId, Seat, StreamId},
    keys::{
        batch::{self, DYING, Ends, MAX_ENTRIES, Reason, Recipient},
        schedule::{Epoch, SessionKey},
        sender::{LIFE_AFTER_LEAVE, NextKey, OwnKey, SendKey, Switched},
    },
    sframe::kid::Kid,
};
use alloc::vec::Vec;
use core::time::Duration;
use e2ee_core::{Primitives, Reader, SecretBytes};

/// Joins within this time are served together.
const COALESCE_JOINS: Duration = Duration::from_millis(500);
/// For this time after joining, announces are of the room as it was, not of newcomers one by one.
pub(super) const SETTLE: Duration = Duration::from_secs(1);
/// Key requests within this time are answered together.
const COALESCE_ANSWERS: Duration = Duration::from_millis(200);
/// Minimum time between two answers to one requester.
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);
/// Up to this many devices, the first key is made when joining, not when the first stream opens.
const EAGER_ROOM: usize = 64;

/// Which own key is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Current,
    Next,
}

/// What a new generation takes over from.
#[derive(Clone, Copy)]
enum Takeover {
    /// No key: there is none, or it seals nothing and is erased.
    FromNone,
    /// The current key, which seals frames for this long.
    After(Duration),
}

/// How long a new generation is distributed before it is used. `devices` includes this one.
pub(super) const fn switch_window(devices: usize) -> Duration {
    Duration::from_secs(match devices {
        0..=32 => 1,
        33..=200 => 2,
        _ => 5,
    })
}

impl<P: Primitives> Session<P> {
    /// Devices in the call, the own included.
    pub(super) fn devices(&self) -> usize {
        self.roster.len().saturating_add(1)
    }

    pub(super) fn next_distribution(&self) -> Option<MonotonicTime> {
        let death = self.own.key.next_death();
        if !self.attached() {
            return death;
        }
        let key = match &self.own.key {
            OwnKey::Waiting(next) | OwnKey::Rotating { next, .. } => next.use_at(),
            OwnKey::Current(current) if self.own.active() => Some(self.expires_at(current)),
            OwnKey::None | OwnKey::Current(_) => None,
        };
        let owed = self.leave_owed().then_some(self.clock.now);
        [death, key, owed, self.own.serve_at, self.own.answer_at].into_iter().flatten().min()
    }

    /// Runs the timers of the own key.
    pub(super) fn distribute(&mut self) {
        self.erase_own_dead();
        if !self.attached() {
            return;
        }
        self.switch_if_due();
        if self.leave_owed()
            && let Some(seat) = self.seat
        {
            self.rotate(seat, Reason::Leave, self.takeover());
        }
        if let OwnKey::Current(current) = &self.own.key
            && self.own.active()
            && (self.aged(current) || current.worn())
        {
            self.rotate(current.seat(), Reason::Periodic, self.takeover());
        }
        if self.own.serve_at.is_some_and(|at| self.clock.now >= at) {
            self.own.serve_at = None;
            self.serve_newcomers();
        }
        if self.own.answer_at.is_some_and(|at| self.clock.now >= at) {
            self.own.answer_at = None;
            self.answer();
        }
    }

    /// When a key is replaced because of its age.
    fn expires_at(&self, key: &SendKey<P>) -> MonotonicTime {
        key.made_at().saturating_add(self.timing.rotation)
    }

    fn aged(&self, key: &SendKey<P>) -> bool {
        self.clock.now >= self.expires_at(key)
    }

    /// How a generation that replaces the current one takes over.
    fn takeover(&self) -> Takeover {
        let seals = self.own.active() && self.own.key.current().is_some();
        if seals { Takeover::After(switch_window(self.devices())) } else { Takeover::FromNone }
    }

    /// Schedules the first key after joining: at once if a stream waits for it, else when the announces of the room are here.
    pub(super) fn first_key(&mut self) {
        let wait = if self.own.active() { Duration::ZERO } else { COALESCE_JOINS };
        self.own.serve_at = Some(self.clock.now.saturating_add(wait));
    }

    /// Schedules keys for a new member of the roster.
    pub(super) fn newcomer(&mut self) {
        let settling = self.clock.now < self.joined_at.saturating_add(SETTLE);
        let at = if settling { self.clock.now } else { self.clock.now.saturating_add(COALESCE_JOINS) };
        self.own.serve_at = Some(self.own.serve_at.map_or(at, |serve_at| serve_at.min(at)));
    }

    /// The members without the key, in roster order.
    fn lacking(&self, which: Which) -> Vec<ParticipantId> {
        let lacks = |has_current: bool, has_next: bool| match which {
            Which::Current => !has_current,
            Which::Next => !has_next,
        };
        let members = self.roster.iter().filter(|member| lacks(member.has_current, member.has_next));
        members.map(|member| member.participant).collect()
    }

    fn serve_newcomers(&mut self) {
        let active = self.own.active();
        let eager = active || self.devices() <= EAGER_ROOM;
        let Some(current) = self.own.key.current() else {
            if self.own.key.next().is_some() {
                let lacking = self.lacking(Which::Next);
                self.seal_to(Which::Next, &lacking, Reason::Join);
            } else if let Some(seat) = self.seat.filter(|_| eager) {
                self.rotate(seat, Reason::First, Takeover::FromNone);
            }
            return;
        };
        let (seat, unused, aged) = (current.seat(), current.unused(), self.aged(current));
        let lacking = self.lacking(Which::Current);
        if !lacking.is_empty() {
            let rotating = self.own.key.next().is_some();
            if unused && eager {
                self.seal_to(Which::Current, &lacking, Reason::Join);
            } else if active {
                let replace = aged && !rotating;
                if !replace && self.ratchet() {
                    self.seal_to(Which::Current, &lacking, Reason::Join);
                } else if !rotating {
                    // During a rotation, newcomers wait for the next generation.
                    self.rotate(seat, Reason::Join, self.takeover());
                }
            }
        }
        let lacking = self.lacking(Which::Next);
        self.seal_to(Which::Next, &lacking, Reason::Join);
    }

    /// Steps the ratchet of the current key. Returns false behind its last step.
    fn ratchet(&mut self) -> bool {
        let stepped = self.own.key.ratchet();
        stepped.map(|epoch| self.in_use(epoch)).is_some()
    }

    /// Reports that a key of this epoch seals frames from now on.
    fn in_use(&mut self, Epoch { generation, step }: Epoch) {
        self.actions.push_back(Action::GenerationChanged { generation, step });
        self.report_ready();
    }

    /// Makes a new generation and seals it to the whole roster.
    fn rotate(&mut self, seat: Seat, reason: Reason, takeover: Takeover) {
        let mut secret = SecretBytes::zeros();
        self.random.fill(&mut *secret);
        let epoch = Epoch { generation: self.own.next_generation, step: 0 };
        self.own.next_generation = self.own.next_generation.saturating_add(1);
        self.own.leave_owed = false;
        let key = SendKey::new(SessionKey::new(secret, epoch, self.identity.join_id, self.call), seat, self.clock.now);
        let window = match takeover {
            Takeover::After(window) if self.roster.len() > 0 => window,
            Takeover::After(_) => Duration::ZERO,
            Takeover::FromNone => {
                self.own.key.erase_current();
                Duration::ZERO
            }
        };
        self.own.key.rotate(NextKey::new(key, self.clock.now.saturating_add(window)));
        let current = self.own.key.current().is_some();
        for member in self.roster.iter_mut() {
            member.has_current &= current;
            member.has_next = false;
        }
        let all = self.lacking(Which::Next);
        let first = self.own.batches_made.saturating_add(1);
        self.seal_to(Which::Next, &all, reason);
        if let Some(next) = self.own.key.next_mut() {
            (first..=self.own.batches_made).for_each(|number| next.sent(number));
        }
        self.switch_if_due();
    }

    /// Uses the next key from now on, and erases the current one.
    fn switch(&mut self) {
        let Some(Switched { use_at, again }) = self.own.key.switch() else { return };
        for member in self.roster.iter_mut() {
            member.has_current = core::mem::replace(&mut member.has_next, false);
        }
        let Some((seat, epoch)) = self.own.key.current().map(|key| (key.seat(), key.epoch())) else { return };
        self.in_use(epoch);
        if again {
            // The second window began at the end of the first, even if that is noticed late. If it is over, this key, which
            // a leaver took along, seals nothing.
            let late = self.clock.now.saturating_duration_since(use_at);
            let takeover = match self.takeover() {
                Takeover::After(window) if late < window => Takeover::After(window.saturating_sub(late)),
                Takeover::After(_) | Takeover::FromNone => Takeover::FromNone,
            };
            self.rotate(seat, Reason::Leave, takeover);
        }
    }

    /// Switches to the next key at its time; also called before every frame.
    pub(super) fn switch_if_due(&mut self) {
        let due = self.own.key.next().and_then(NextKey::use_at).is_some_and(|use_at| self.clock.now >= use_at);
        if due && self.attached() {
            self.switch();
        }
    }

    /// The server relays this batch to all its recipients.
    pub(super) fn key_batch_accepted(&mut self, number: u32) {
        let now = self.clock.now;
        if let Some(next) = self.own.key.next_mut() {
            next.accepted(number, now);
        }
    }

    /// A participant that may hold the own keys has left: they are replaced, as soon as this device is attached.
    pub(super) fn replace_own_key(&mut self) {
        self.own.key.die_by(self.clock.now.saturating_add(LIFE_AFTER_LEAVE));
        match &mut self.own.key {
            OwnKey::None => {}
            OwnKey::Waiting(_) | OwnKey::Current(_) => self.own.leave_owed = true,
            OwnKey::Rotating { next, .. } => next.again = true,
        }
    }

    /// Whether a leave is not followed by a rotation yet. A next key that a leaver took along does not come into use
    /// where no current key goes on.
    fn leave_owed(&self) -> bool {
        self.own.leave_owed || matches!(&self.own.key, OwnKey::Waiting(next) if next.again)
    }

    /// Erases own keys that have outlived a leave; also called before every frame.
    pub(super) fn erase_own_dead(&mut self) {
        let rotating = self.own.key.next().is_some();
        self.own.key.erase_dead(self.clock.now);
        self.own.leave_owed |= rotating && self.own.key.next().is_none();
    }

    pub(super) fn stream_opened(&mut self, stream: StreamId) -> Result<(), EventError> {
        if stream > StreamId::MAX {
            return Err(EventError::Malformed);
        }
        if self.own.streams.contains(&stream) {
            return Err(EventError::StreamAlreadyOpen);
        }
        let was_active = self.own.active();
        self.own.streams.insert_new(stream, false);
        match self.seat.filter(|_| !was_active) {
            Some(seat) if self.attached() => self.start(seat),
            // Who lacks the key receives it with the next newcomers.
            Some(_) => self.own.serve_at = Some(self.clock.now),
            None => {}
        }
        self.report_ready();
        Ok(())
    }

    /// The first stream opens: the whole roster must hold the key in use, and newcomers only from now on.
    fn start(&mut self, seat: Seat) {
        let Some(current) = self.own.key.current() else {
            if self.own.key.next().is_some() {
                let lacking = self.lacking(Which::Next);
                self.seal_to(Which::Next, &lacking, Reason::Start);
            } else {
                self.rotate(seat, Reason::First, Takeover::FromNone);
            }
            return;
        };
        let (unused, aged) = (current.unused(), self.aged(current));
        let lacking = self.lacking(Which::Current);
        if lacking.is_empty() && !aged {
            return;
        }
        if unused && !aged {
            self.seal_to(Which::Current, &lacking, Reason::Start);
        } else if self.own.key.next().is_some_and(|next| !next.again) {
            let lacking = self.lacking(Which::Next);
            self.seal_to(Which::Next, &lacking, Reason::Start);
            self.start_with_next();
        } else {
            self.rotate(seat, Reason::Start, Takeover::FromNone);
        }
    }

    /// The next key seals the first frame, without its window, since the current one seals none before.
    fn start_with_next(&mut self) {
        self.own.key.erase_current();
        for member in self.roster.iter_mut() {
            member.has_current = false;
        }
        if let Some(next) = self.own.key.next_mut() {
            next.use_now(self.clock.now);
        }
        self.switch_if_due();
    }

    /// No stream is open any more. In a large room a key that seals nothing is erased, so that who has written once does not
    /// replace it after every leave.
    pub(super) fn forget_unused_key(&mut self) {
        if self.own.active() || self.devices() <= EAGER_ROOM {
            return;
        }
        self.own.key = OwnKey::None;
        self.own.leave_owed = false;
        for member in self.roster.iter_mut() {
            member.has_current = false;
            member.has_next = false;
        }
    }

    /// Seals an own key to members and records that they hold it. Does nothing if there is no such key.
    fn seal_to(&mut self, which: Which, recipients: &[ParticipantId], reason: Reason) {
        let key = match which {
            Which::Current => self.own.key.current(),
            Which::Next => self.own.key.next().map(|next| &next.key),
        };
        let Some((seat, dying, key)) = key.map(|key| (key.seat(), key.dying(), key.key())) else { return };
        let sender = self.identity.join_id;
        let roster_hash = self.roster.hash(&sender);
        for chunk in recipients.chunks(MAX_ENTRIES) {
            let mut nonce = [0; 24];
            self.random.fill(&mut nonce);
            let header = batch::Header {
                call: self.call,
                seat,
                join_id: *sender.prefix(),
                announce_seq: self.ephemeral.seq,
                epoch: key.epoch(),
                reason: reason as u8 | if dying { DYING } else { 0 },
                created: self.clock.wall,
                roster_hash,
                commitment: key.commitment::<P>(),
                nonce,
            };
            let header = header.write();
            let mut entries = Vec::with_capacity(chunk.len());
            for participant in chunk {
                let Some(member) = self.roster.get_mut(*participant) else { continue };
                let (recipient, announced) = (member.join_id, member.announced.clone());
                let ends = Ends {
                    sender: &sender,
                    sender_announce: &self.ephemeral.announce_hash,
                    recipient: &recipient,
                    recipient_announce: &announced.hash,
                };
                let clear = Recipient { seat: member.seat, announce_seq: announced.seq };
                let shared =
                    member.shared_key(self.ephemeral.seq, &self.ephemeral.secret, announced.seq, &announced.ephemeral);
                // A member whose key could not be boxed still lacks it, and is served with the next newcomers.
                let Some(entry) = batch::write_entry::<P>(&header, &nonce, clear, &ends, shared, key) else { continue };
                entries.push(entry);
                match which {
                    Which::Current => member.has_current = true,
                    Which::Next => member.has_next = true,
                }
            }
            let number = self.own.batches_made.saturating_add(1);
            self.own.batches_made = number;
            self.actions.push_back(Action::SendKeyBatch { number, body: batch::write(&header, &entries) });
        }
    }

    /// Another device asks for keys of this one. Only members are answered, and only with keys they received before.
    pub(super) fn key_request(&mut self, body: &[u8]) -> Result<(), EventError> {
        let own_seat = self.seat.ok_or(EventError::NotJoined)?;
        let (requester, wanted) = read_request(body).ok_or(EventError::Malformed)?;
        let own_join_id = self.identity.join_id;
        let ours = |(join_id, kid): &WantedKey| {
            own_join_id.prefix() == join_id && Kid::unpack(*kid).is_some_and(|kid| kid.seat == own_seat)
        };
        if !wanted.iter().any(ours) {
            return Ok(());
        }
        let now = self.clock.now;
        let mut asked = false;
        for member in self.roster.iter_mut().filter(|member| member.seat.0 == requester) {
            if now >= member.answer_after {
                member.answer_after = now.saturating_add(ANSWER_INTERVAL);
                member.asked = true;
                asked = true;
            }
        }
        if asked && self.own.answer_at.is_none() {
            self.own.answer_at = Some(now.saturating_add(COALESCE_ANSWERS));
        }
        Ok(())
    }

    fn answer(&mut self) {
        let (mut current, mut next) = (Vec::new(), Vec::new());
        for member in self.roster.iter_mut().filter(|member| member.asked) {
            member.asked = false;
            if member.has_current {
                current.push(member.participant);
            }
            if member.has_next {
                next.push(member.participant);
            }
        }
        self.seal_to(Which::Current, &current, Reason::Request);
        self.seal_to(Which::Next, &next, Reason::Request);
    }
}

/// A wanted key: prefix of the sender's join id, and KID.
type WantedKey = ([u8; 16], u64);

/// The requester's seat and the keys it wants.
fn read_request(body: &[u8]) -> Option<(u16, Vec<WantedKey>)> {
    let mut reader = Reader::new(body);
    let (requester, count) = (reader.u16()?, reader.u8()?);
    let mut wanted = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        wanted.push((reader.array()?, reader.u64()?));
    }
    reader.end().map(|()| (requester, wanted))
}
