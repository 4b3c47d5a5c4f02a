//! The own keys: when they ratchet, when they are replaced, and to whom they are sealed.
//!
//! | event | what happens |
//! |---|---|
//! | join | newcomers of 500 ms are given the key one ratchet step on, which cannot open the past |
//! | join, nothing sealed yet | they are given the key as it is |
//! | join while no stream is open | nothing; the next start makes a new generation |
//! | leave, expiry | a new generation to all who remain, used after 1, 2 or 5 s by the size of the room |
//! | leave while one is on its way | another follows as soon as that one is in use |
//! | eighth step, ten minutes, 2^31 frames | a new generation |
//!
//! Every recipient is on the roster, hence was reported as verified before.

use super::{Action, EventError, Session};
use crate::{
    ids::{ParticipantId, StreamId},
    keys::{
        batch::{self, ENTRY_BYTES, Ends, MAX_ENTRIES, Reason},
        schedule::{Epoch, SessionKey},
        sender::{Pending, SendKey},
    },
    sframe::kid::Kid,
};
use alloc::vec::Vec;
use e2ee_core::{Primitives, Reader, SecretBytes};

/// Joins within this time are served together, milliseconds.
const COALESCE_JOINS_MS: u64 = 500;
/// After joining, whom the server announces is the room as it was, not newcomers one by one.
const SETTLE_MS: u64 = 1_000;
/// Key requests within this time are answered together, milliseconds.
const COALESCE_ANSWERS_MS: u64 = 200;
/// A requester is answered at most this often, milliseconds.
const ANSWER_EVERY_MS: u64 = 1_000;
/// Up to this many devices, the first key is made at join rather than at the first stream.
const EAGER_ROOM: usize = 64;

/// Which own key is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Current,
    Pending,
}

/// How long a new generation travels before it is used, milliseconds; `devices` includes the own.
pub(super) fn switch_window(devices: usize) -> u64 {
    match devices {
        0..=32 => 1_000,
        33..=200 => 2_000,
        _ => 5_000,
    }
}

impl<P: Primitives> Session<P> {
    /// Devices in the call, the own included.
    pub(super) fn devices(&self) -> usize {
        self.roster.len().saturating_add(1)
    }

    pub(super) fn next_distribution(&self) -> Option<u64> {
        let periodic = self.own.current.as_ref().filter(|_| self.own.active() && self.own.pending.is_none());
        let deadlines = [
            self.own.pending.as_ref().map(|pending| pending.use_at),
            periodic.map(|key| key.made_at().saturating_add(self.timing.rotation_ms)),
            self.serve_at,
            self.answer_at,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Runs the timers of the own keys.
    pub(super) fn distribute(&mut self) {
        self.switch_if_due();
        let due = |key: &SendKey<P>| self.aged(key) || key.worn();
        if self.own.active() && self.own.pending.is_none() && self.own.current.as_ref().is_some_and(due) {
            self.rotate(Reason::Periodic, switch_window(self.devices()));
        }
        if self.serve_at.is_some_and(|at| self.now >= at) {
            self.serve_at = None;
            self.serve_newcomers();
        }
        if self.answer_at.is_some_and(|at| self.now >= at) {
            self.answer_at = None;
            self.answer();
        }
    }

    fn aged(&self, key: &SendKey<P>) -> bool {
        self.now >= key.made_at().saturating_add(self.timing.rotation_ms)
    }

    /// Joined: a key is made when the announces of the room have come, or at once if a stream waits for it.
    pub(super) fn first_key(&mut self) {
        if self.own.active() {
            self.rotate(Reason::First, 0);
        } else {
            self.serve_at = Some(self.now.saturating_add(COALESCE_JOINS_MS));
        }
    }

    /// Somebody new is on the roster and has no key of ours.
    pub(super) fn newcomer(&mut self) {
        let settling = self.now < self.joined_at.saturating_add(SETTLE_MS);
        let at = if settling { self.now } else { self.now.saturating_add(COALESCE_JOINS_MS) };
        self.serve_at = Some(self.serve_at.map_or(at, |serve_at| serve_at.min(at)));
    }

    /// Those without the key, in roster order.
    fn lacking(&self, which: Which) -> Vec<ParticipantId> {
        let lacks = |has_current: bool, has_pending: bool| match which {
            Which::Current => !has_current,
            Which::Pending => !has_pending,
        };
        let members = self.roster.iter().filter(|member| lacks(member.has_current, member.has_pending));
        members.map(|member| member.participant).collect()
    }

    fn serve_newcomers(&mut self) {
        let active = self.own.active();
        let eager = active || self.devices() <= EAGER_ROOM;
        let Some(current) = &self.own.current else {
            if eager && self.own.pending.is_none() {
                self.rotate(Reason::First, 0);
            }
            return;
        };
        let (unused, aged) = (current.unused(), self.aged(current));
        let lacking = self.lacking(Which::Current);
        if !lacking.is_empty() {
            if unused && eager {
                self.seal_to(Which::Current, &lacking, Reason::Join);
            } else if active {
                let replace = aged && self.own.pending.is_none();
                if replace || !self.ratchet() {
                    // With a generation on its way already, newcomers wait for that.
                    if self.own.pending.is_none() {
                        self.rotate(Reason::Join, switch_window(self.devices()));
                    }
                } else {
                    self.seal_to(Which::Current, &lacking, Reason::Join);
                }
            }
        }
        if self.own.pending.is_some() {
            let lacking = self.lacking(Which::Pending);
            self.seal_to(Which::Pending, &lacking, Reason::Join);
        }
    }

    /// Steps the key in use; false behind its last step.
    fn ratchet(&mut self) -> bool {
        let Some(next) = self.own.current.as_ref().and_then(SendKey::ratcheted) else { return false };
        self.put_in_use(next);
        true
    }

    fn put_in_use(&mut self, key: SendKey<P>) {
        let Epoch { generation, step } = key.epoch();
        self.own.current = Some(key);
        self.actions.push_back(Action::GenerationChanged { generation, step });
        self.report_ready();
    }

    /// Makes a new generation, seals it to everybody, and uses it after `window` milliseconds.
    fn rotate(&mut self, reason: Reason, window: u64) {
        let Some(seat) = self.seat else { return };
        let mut secret = SecretBytes::zeros();
        self.random.fill(&mut *secret);
        let epoch = Epoch { generation: self.own.next_generation, step: 0 };
        self.own.next_generation = self.own.next_generation.saturating_add(1);
        let key = SessionKey::new(secret, epoch, self.identity.join_id, self.call);
        let window = if self.roster.len() == 0 { 0 } else { window };
        let use_at = self.now.saturating_add(window);
        self.own.pending = Some(Pending { key: SendKey::new(key, seat, self.now), use_at, again: false });
        self.roster.iter_mut().for_each(|member| member.has_pending = false);
        let all = self.lacking(Which::Pending);
        self.seal_to(Which::Pending, &all, reason);
        if window == 0 {
            self.switch();
        }
    }

    /// Uses the pending key from now on. The one before is erased.
    fn switch(&mut self) {
        let Some(Pending { key, again, use_at }) = self.own.pending.take() else { return };
        for member in self.roster.iter_mut() {
            member.has_current = core::mem::replace(&mut member.has_pending, false);
        }
        self.put_in_use(key);
        if again {
            // The second window began when the first was over, however late that is noticed.
            let late = self.now.saturating_sub(use_at);
            self.rotate(Reason::Leave, switch_window(self.devices()).saturating_sub(late));
        }
    }

    /// Switches to the pending key if its time has come; also asked before every frame.
    pub(super) fn switch_if_due(&mut self) {
        if self.own.pending.as_ref().is_some_and(|pending| self.now >= pending.use_at) {
            self.switch();
        }
    }

    /// Members who held the key in use, or the pending one, are off the roster.
    pub(super) fn holders_left(&mut self, held_current: bool, held_pending: bool) {
        match &mut self.own.pending {
            Some(pending) => pending.again |= held_pending,
            None if held_current && self.own.current.is_some() => {
                let window = if self.own.active() { switch_window(self.devices()) } else { 0 };
                self.rotate(Reason::Leave, window);
            }
            None => {}
        }
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
        if self.seat.is_some() && !was_active {
            self.start();
        }
        self.report_ready();
        Ok(())
    }

    /// The first stream opens: everybody on the roster must hold the key that is used, and newcomers only from now on.
    fn start(&mut self) {
        let Some(current) = &self.own.current else {
            self.rotate(Reason::First, 0);
            return;
        };
        let (unused, aged) = (current.unused(), self.aged(current));
        let lacking = self.lacking(Which::Current);
        if lacking.is_empty() && !aged {
            return;
        }
        if unused && !aged {
            self.seal_to(Which::Current, &lacking, Reason::Start);
        } else if self.own.pending.is_some() {
            let lacking = self.lacking(Which::Pending);
            self.seal_to(Which::Pending, &lacking, Reason::Start);
            self.switch();
        } else {
            self.rotate(Reason::Start, 0);
        }
    }

    /// Seals an own key to members and notes that they hold it.
    fn seal_to(&mut self, which: Which, recipients: &[ParticipantId], reason: Reason) {
        let Some(seat) = self.seat else { return };
        let key = match which {
            Which::Current => self.own.current.as_ref(),
            Which::Pending => self.own.pending.as_ref().map(|pending| &pending.key),
        };
        let Some(key) = key.map(SendKey::key) else { return };
        let own_join_id = self.identity.join_id;
        let join_id = own_join_id.first_chunk::<16>().copied().unwrap_or_default();
        let roster_hash = self.roster.hash(&own_join_id);
        for chunk in recipients.chunks(MAX_ENTRIES) {
            let mut nonce = [0; 24];
            self.random.fill(&mut nonce);
            let header = batch::Header {
                call: self.call,
                seat,
                join_id,
                announce_seq: self.ephemeral.seq,
                epoch: key.epoch(),
                reason: reason as u8,
                created: self.wall,
                roster_hash,
                commitment: key.commitment::<P>(),
                nonce,
            };
            let mut body = header.write(u16::try_from(chunk.len()).unwrap_or(0));
            let header = body.clone();
            body.reserve_exact(chunk.len().saturating_mul(ENTRY_BYTES));
            for participant in chunk {
                let Some(member) = self.roster.get_mut(*participant) else { continue };
                let (recipient, announced) = (member.join_id, member.announced.clone());
                let ends = Ends {
                    sender: &own_join_id,
                    sender_announce: &self.ephemeral.announce_hash,
                    recipient: &recipient,
                    recipient_announce: &announced.hash,
                };
                let seat = member.seat;
                let shared =
                    member.shared_key(self.ephemeral.seq, &self.ephemeral.secret, announced.seq, &announced.ephemeral);
                let entry = batch::write_entry::<P>(&header, &nonce, seat, announced.seq, &ends, shared, key);
                let Some(entry) = entry else { continue };
                body.extend_from_slice(&entry);
                match which {
                    Which::Current => member.has_current = true,
                    Which::Pending => member.has_pending = true,
                }
            }
            self.actions.push_back(Action::SendKeyBatch(body));
        }
    }

    /// Somebody lacks keys of ours. Only members are answered, and only with a key that they were given before.
    pub(super) fn key_request(&mut self, body: &[u8]) -> Result<(), EventError> {
        let own_seat = self.seat.ok_or(EventError::NotJoined)?;
        let (requester, wanted) = read_request(body).ok_or(EventError::Malformed)?;
        let own_join_id = self.identity.join_id;
        let ours = |(join_id, kid): &WantedKey| {
            own_join_id.starts_with(join_id) && Kid::unpack(*kid).is_some_and(|kid| kid.seat == own_seat)
        };
        if !wanted.iter().any(ours) {
            return Ok(());
        }
        let now = self.now;
        let mut asked = false;
        for member in self.roster.iter_mut().filter(|member| member.seat.0 == requester) {
            if now >= member.answer_after {
                member.answer_after = now.saturating_add(ANSWER_EVERY_MS);
                member.asked = true;
                asked = true;
            }
        }
        if asked && self.answer_at.is_none() {
            self.answer_at = Some(now.saturating_add(COALESCE_ANSWERS_MS));
        }
        Ok(())
    }

    fn answer(&mut self) {
        let (mut current, mut pending) = (Vec::new(), Vec::new());
        for member in self.roster.iter_mut().filter(|member| member.asked) {
            member.asked = false;
            if member.has_current {
                current.push(member.participant);
            }
            if member.has_pending {
                pending.push(member.participant);
            }
        }
        self.seal_to(Which::Current, &current, Reason::Request);
        self.seal_to(Which::Pending, &pending, Reason::Request);
    }
}

/// A wanted key: first half of the sender's join id, and KID.
type WantedKey = ([u8; 16], u64);

/// Requester's seat and what it wants.
fn read_request(body: &[u8]) -> Option<(u16, Vec<WantedKey>)> {
    let mut reader = Reader::new(body);
    let (requester, count) = (reader.u16()?, reader.u8()?);
    let mut wanted = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        wanted.push((reader.array()?, reader.u64()?));
    }
    reader.end().map(|()| (requester, wanted))
}
