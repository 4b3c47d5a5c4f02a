//! Keys of other devices: checks of key batches, batches held until their sender is known, requests for missing keys.

use super::{Action, EventError, Problem, Session, distribution::switch_window};
use crate::{
    clock::MonotonicTime,
    ids::{ParticipantId, StreamId},
    keys::{
        batch::{self, BoundHeader, Ends, EntryBytes, Header, Recipient, Unsupported},
        receiver::{Arrival, InstallError, LINGER},
        roster::Record,
    },
    sframe::kid::Kid,
};
use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;
use e2ee_core::{Primitives, Reader};

/// Maximum number of batches held for senders that are not verified yet.
const MAX_HELD: usize = 64;
/// How long a batch is held.
const HOLD: Duration = Duration::from_secs(5);
/// Maximum number of keys in one request.
const MAX_WANTED: usize = 200;
/// Minimum time between two requests.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// How long a key that a frame names may be in flight before it is requested.
pub(super) const GRACE: Duration = Duration::from_millis(200);
/// The same for a sender without any key yet: it may still be collecting newcomers.
const FIRST_GRACE: Duration = Duration::from_secs(1);
/// A missing key is no longer requested this long after the last frame that named it.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// The header of a key batch and its entry for this device.
struct Delivery {
    header: Header,
    /// The header as it came.
    bound: BoundHeader,
    entry: EntryBytes,
}

/// A delivery that waits for its sender's announce.
pub(super) struct Held {
    delivery: Delivery,
    until: MonotonicTime,
}

/// A key to request.
pub(super) struct Wanted {
    kid: u64,
    ask_at: MonotonicTime,
    attempts: u32,
    last_seen: MonotonicTime,
}

impl Wanted {
    /// Is requested from this time on at the earliest.
    pub(super) fn not_before(&mut self, at: MonotonicTime) {
        self.ask_at = self.ask_at.max(at);
    }
}

/// The outcome of a batch.
enum Verdict {
    /// The key is usable.
    Installed,
    /// The sender, or this announce of it, is not known yet.
    Hold,
    /// Delivered again, overtaken, or for an announce that was renewed long ago: nothing to report.
    Stale,
    Refused(ParticipantId, Problem),
}

/// The participant of a problem whose sender is unknown.
const UNKNOWN: ParticipantId = ParticipantId(u32::MAX);

impl<P: Primitives> Session<P> {
    pub(super) fn next_reception(&self) -> Option<MonotonicTime> {
        let held = self.held.iter().map(|held| held.until).min();
        let wanted = self.wanted.values().filter(|_| self.attached()).map(|wanted| wanted.ask_at).min();
        held.into_iter().chain(wanted.map(|at| at.max(self.next_request_at))).min()
    }

    /// Runs the timers of held batches and requests.
    pub(super) fn receive(&mut self) {
        let now = self.clock.now;
        self.held.retain(|held| now < held.until);
        self.request_wanted();
    }

    pub(super) fn keys(&mut self, body: &[u8]) -> Result<(), EventError> {
        if self.seat.is_none() {
            return Err(EventError::NotJoined);
        }
        let mut reader = Reader::new(body);
        let count = reader.u8().ok_or(EventError::Malformed)?;
        let mut deliveries = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            deliveries.push(reader.array().zip(reader.array()).ok_or(EventError::Malformed)?);
        }
        reader.end().ok_or(EventError::Malformed)?;
        for (header, entry) in deliveries {
            let bound = *batch::bound(&header);
            let until = self.clock.now.saturating_add(HOLD);
            match Header::read(&bound) {
                Ok(header) => self.take_delivery(Held { delivery: Delivery { header, bound, entry }, until }),
                Err(Unsupported) => self.problem(UNKNOWN, Problem::KeysRefused),
            }
        }
        Ok(())
    }

    /// A participant was verified: checks held deliveries again.
    pub(super) fn retry_held(&mut self) {
        for held in core::mem::take(&mut self.held) {
            self.take_delivery(held);
        }
    }

    fn take_delivery(&mut self, held: Held) {
        match self.check_delivery(&held.delivery) {
            Verdict::Installed | Verdict::Stale => {}
            Verdict::Hold => hold(&mut self.held, held),
            Verdict::Refused(participant, problem) => self.problem(participant, problem),
        }
    }

    /// The receiver's checks, in this order: the call, the sender, whether it is new, whether it is for this device, the
    /// box, its context, its commitment.
    fn check_delivery(&mut self, delivery: &Delivery) -> Verdict {
        let Delivery { header, bound, entry } = delivery;
        if header.call != self.call || *self.identity.join_id.prefix() == header.join_id {
            return Verdict::Refused(UNKNOWN, Problem::KeysRefused);
        }
        let Some((member, record)) = self.roster.by_prefix(&header.join_id) else { return Verdict::Hold };
        let (participant, join_id) = (member.participant, member.join_id);
        let refused = Verdict::Refused(participant, Problem::KeysRefused);
        let Some(sender) = member.announced(header.announce_seq, self.clock.now).cloned() else {
            let ahead = header.announce_seq > member.announced.seq;
            return if ahead { Verdict::Hold } else { Verdict::Stale };
        };
        let Record { last_key, erased, .. } = *record;
        let contradicts = match last_key {
            Some((last, _)) if header.epoch < last => return Verdict::Stale,
            Some((last, commitment)) => header.epoch == last && commitment != header.commitment,
            None => false,
        };
        let recipient = Recipient::read(entry);
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
        let key = match batch::open_entry::<P>(header, bound, entry, &ends, shared) {
            // The box is authentic, so the sender itself distributed two keys under one name.
            Ok(_) if contradicts => return Verdict::Refused(participant, Problem::Equivocation),
            Err(batch::OpenError::WrongCommitment) => return Verdict::Refused(participant, Problem::Equivocation),
            Err(batch::OpenError::Unauthentic | batch::OpenError::WrongContext) => return refused,
            Ok(key) => key,
        };
        let now = self.clock.now;
        let retire_at = now.saturating_add(switch_window(self.devices())).saturating_add(LINGER);
        match self.receiver.install(participant, join_id, header.seat, erased, key, Arrival { now, retire_at }) {
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

    /// A frame names a key that is not installed. If a member may have it, schedules a request and returns true.
    pub(super) fn want_key(&mut self, kid: Kid) -> bool {
        let by_key = self.receiver.claimants(kid.seat);
        let by_roster = self.roster.iter().filter(|member| member.seat == kid.seat).map(|member| member.join_id);
        let Some(join_id) = by_key.chain(by_roster).next() else { return false };
        let grace = if self.receiver.knows(&join_id) { GRACE } else { FIRST_GRACE };
        let now = self.clock.now;
        let kid = Kid { stream: StreamId::MICROPHONE, ..kid }.pack();
        let ask_at = now.saturating_add(grace);
        let wanted = self.wanted.get_or_insert_with(join_id, || Wanted { kid, ask_at, attempts: 0, last_seen: now });
        wanted.kid = kid;
        wanted.last_seen = now;
        true
    }

    fn request_wanted(&mut self) {
        let now = self.clock.now;
        self.wanted.retain(|_, wanted| now < wanted.last_seen.saturating_add(FORGET_AFTER));
        if !self.attached() || now < self.next_request_at {
            return;
        }
        let mut request = Vec::new();
        for (join_id, wanted) in self.wanted.iter_mut().filter(|(_, wanted)| now >= wanted.ask_at).take(MAX_WANTED) {
            request.extend_from_slice(join_id.prefix());
            request.extend_from_slice(&wanted.kid.to_be_bytes());
            let back_off = REQUEST_INTERVAL.saturating_mul(1 << wanted.attempts.min(2));
            wanted.ask_at = now.saturating_add(back_off);
            wanted.attempts = wanted.attempts.saturating_add(1);
        }
        if !request.is_empty() {
            self.next_request_at = now.saturating_add(REQUEST_INTERVAL);
            self.actions.push_back(Action::SendKeyRequest(request));
        }
    }
}

fn hold(held: &mut VecDeque<Held>, delivery: Held) {
    if held.len() < MAX_HELD {
        held.push_back(delivery);
    }
}
