//! Keys of others: the checks of a key batch, batches held until their sender is known, requests for missing keys.

use super::{Action, EventError, Problem, Session, distribution::switch_window};
use crate::{
    ids::{ParticipantId, StreamId},
    keys::{
        batch::{self, ENTRY_BYTES, Ends, HEADER_BYTES, Header},
        receiver::{InstallError, LINGER_MS},
        roster::Record,
    },
    sframe::kid::Kid,
};
use alloc::{collections::VecDeque, vec::Vec};
use e2ee_core::{Primitives, Reader};

/// Most batches held for senders that are not verified yet.
const MAX_HELD: usize = 64;
/// How long a batch is held, milliseconds.
const HOLD_MS: u64 = 5_000;
/// Most keys in one request.
const MAX_WANTED: usize = 200;
/// A request goes out at most this often, milliseconds.
const REQUEST_EVERY_MS: u64 = 1_000;
/// How long a key that a frame named may be on its way before it is asked for, milliseconds.
const GRACE_MS: u64 = 200;
/// The same for a sender of whom no key has come yet: it may still be collecting newcomers.
const FIRST_GRACE_MS: u64 = 1_000;
/// A missing key that no frame names any more is not asked for, milliseconds.
const FORGET_MS: u64 = 10_000;

/// A batch that waits for its sender's announce.
pub(super) struct Held {
    header: [u8; HEADER_BYTES],
    entry: [u8; ENTRY_BYTES],
    until: u64,
}

/// A key to ask for.
pub(super) struct Wanted {
    kid: u64,
    ask_at: u64,
    attempts: u32,
    last_seen: u64,
}

/// What becomes of a batch.
enum Verdict {
    /// Its key is usable.
    Installed,
    /// The sender, or this announce of it, is not known yet.
    Hold,
    /// Redelivered, overtaken or for an announce long renewed: nothing to report.
    Stale,
    Refused(ParticipantId, Problem),
}

/// Of messages whose sender is unknown.
const NOBODY: ParticipantId = ParticipantId(u32::MAX);

impl<P: Primitives> Session<P> {
    pub(super) fn next_reception(&self) -> Option<u64> {
        let held = self.held.iter().map(|held| held.until).min();
        let wanted = self.wanted.values().map(|wanted| wanted.ask_at).min();
        held.into_iter().chain(wanted.map(|at| at.max(self.next_request_at))).min()
    }

    /// Runs the timers of held batches and requests.
    pub(super) fn receive(&mut self) {
        let now = self.now;
        self.held.retain(|held| now < held.until);
        self.request_wanted();
    }

    pub(super) fn keys(&mut self, body: &[u8]) -> Result<(), EventError> {
        if self.seat.is_none() {
            return Err(EventError::NotJoined);
        }
        let mut reader = Reader::new(body);
        let count = reader.u8().ok_or(EventError::Malformed)?;
        let mut batches = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let batch = reader.array::<HEADER_BYTES>().zip(reader.array::<ENTRY_BYTES>());
            batches.push(batch.ok_or(EventError::Malformed)?);
        }
        reader.end().ok_or(EventError::Malformed)?;
        for (header, entry) in batches {
            let until = self.now.saturating_add(HOLD_MS);
            self.take_batch(Held { header, entry, until });
        }
        Ok(())
    }

    /// Somebody was verified: the batches that waited for it are looked at again.
    pub(super) fn retry_held(&mut self) {
        for held in core::mem::take(&mut self.held) {
            self.take_batch(held);
        }
    }

    fn take_batch(&mut self, batch: Held) {
        match self.check_batch(&batch.header, &batch.entry) {
            Verdict::Installed | Verdict::Stale => {}
            Verdict::Hold => hold(&mut self.held, batch),
            Verdict::Refused(participant, problem) => self.problem(participant, problem),
        }
    }

    /// The receiver's checks, in this order: what it claims to be, who sent it, whether it is new, whether it is for
    /// this device, the box, its context, its commitment.
    fn check_batch(&mut self, header_bytes: &[u8], entry: &[u8]) -> Verdict {
        let Ok(header) = Header::read(header_bytes) else {
            return Verdict::Refused(NOBODY, Problem::KeysRefused);
        };
        if header.call != self.call || self.identity.join_id.starts_with(&header.join_id) {
            return Verdict::Refused(NOBODY, Problem::KeysRefused);
        }
        let Some((member, record)) = self.roster.by_join_id(&header.join_id) else { return Verdict::Hold };
        let (participant, join_id) = (member.participant, member.join_id);
        let refused = Verdict::Refused(participant, Problem::KeysRefused);
        let Some(sender) = member.announced(header.announce_seq, self.now).cloned() else {
            let ahead = header.announce_seq > member.announced.seq;
            return if ahead { Verdict::Hold } else { Verdict::Stale };
        };
        let Record { last_key, erased, .. } = *record;
        let contradicts = match last_key {
            Some((last, _)) if header.epoch < last => return Verdict::Stale,
            Some((last, commitment)) => header.epoch == last && commitment != header.commitment,
            None => false,
        };
        let Some(recipient) = batch::recipient(entry) else { return refused };
        if Some(recipient.seat) != self.seat {
            return refused;
        }
        let own = match &self.previous_ephemeral {
            _ if recipient.announce_seq == self.ephemeral.seq => &self.ephemeral,
            Some((previous, _)) if recipient.announce_seq == previous.seq => previous,
            _ => return Verdict::Stale,
        };
        let ends = Ends {
            sender: &join_id,
            sender_announce: &sender.hash,
            recipient: &self.identity.join_id,
            recipient_announce: &own.announce_hash,
        };
        let Some(member) = self.roster.get_mut(participant) else { return refused };
        let shared = member.shared_key(own.seq, &own.secret, sender.seq, &sender.ephemeral);
        let key = match batch::open_entry::<P>(&header, header_bytes, entry, &ends, shared) {
            // The box is authentic, so it is the sender who gave two keys one name.
            Ok(_) if contradicts => return Verdict::Refused(participant, Problem::Equivocation),
            Err(batch::OpenError::WrongCommitment) => return Verdict::Refused(participant, Problem::Equivocation),
            Err(batch::OpenError::Unauthentic | batch::OpenError::WrongContext) => return refused,
            Ok(key) => key,
        };
        let retire_at = self.now.saturating_add(switch_window(self.devices())).saturating_add(LINGER_MS);
        match self.receiver.install(participant, join_id, header.seat, erased, key, retire_at) {
            Ok(fresh) => {
                self.roster.record(&join_id).last_key = Some((header.epoch, header.commitment));
                self.wanted.remove(&join_id);
                if fresh {
                    self.actions.push_back(Action::KeyInstalled { participant, seat: header.seat });
                }
                Verdict::Installed
            }
            Err(InstallError::Old) => Verdict::Stale,
            Err(InstallError::Seat) => refused,
        }
    }

    /// A frame named a key that is not there. Whether somebody on the roster may have it; it is then asked for.
    pub(super) fn want_key(&mut self, kid: Kid) -> bool {
        let by_key = self.receiver.claimants(kid.seat);
        let by_roster = self.roster.iter().filter(|member| member.seat == kid.seat).map(|member| member.join_id);
        let Some(join_id) = by_key.chain(by_roster).next() else { return false };
        let grace = if self.receiver.knows(&join_id) { GRACE_MS } else { FIRST_GRACE_MS };
        let now = self.now;
        let kid = Kid { stream: StreamId::MICROPHONE, ..kid }.pack();
        let ask_at = now.saturating_add(grace);
        let wanted = self.wanted.get_or_insert_with(join_id, || Wanted { kid, ask_at, attempts: 0, last_seen: now });
        wanted.kid = kid;
        wanted.last_seen = now;
        true
    }

    fn request_wanted(&mut self) {
        let now = self.now;
        self.wanted.retain(|_, wanted| now < wanted.last_seen.saturating_add(FORGET_MS));
        if now < self.next_request_at {
            return;
        }
        let mut request = Vec::new();
        for (join_id, wanted) in self.wanted.iter_mut().filter(|(_, wanted)| now >= wanted.ask_at).take(MAX_WANTED) {
            request.extend_from_slice(join_id.first_chunk::<16>().unwrap_or(&[0; 16]));
            request.extend_from_slice(&wanted.kid.to_be_bytes());
            let back_off = REQUEST_EVERY_MS << wanted.attempts.min(2);
            wanted.ask_at = now.saturating_add(back_off);
            wanted.attempts = wanted.attempts.saturating_add(1);
        }
        if !request.is_empty() {
            self.next_request_at = now.saturating_add(REQUEST_EVERY_MS);
            self.actions.push_back(Action::SendKeyRequest(request));
        }
    }
}

fn hold(held: &mut VecDeque<Held>, batch: Held) {
    if held.len() < MAX_HELD {
        held.push_back(batch);
    }
}
