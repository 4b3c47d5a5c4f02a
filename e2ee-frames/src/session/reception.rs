//! Keys of other devices: checks of key batches, batches held until their sender is known, requests for missing keys.

use super::{Action, EventError, Problem, Session, distribution::switch_window};
use crate::{
    clock::MonotonicTime,
    ids::{ParticipantId, StreamId},
    keys::{
        batch::{self, BoundHeader, DYING, Ends, EntryBytes, Header, Recipient, Unsupported},
        identity::JoinId,
        leaves::HARD_LIFE,
        receiver::{Arrival, InstallError, LINGER},
        roster::Record,
        sender::LIFE_AFTER_LEAVE,
    },
    sframe::kid::Kid,
};
use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;
use e2ee_core::{Primitives, Reader};

/// Maximum number of batches held for senders that are not verified yet.
const MAX_HELD: usize = 64;
/// Maximum number of them that name one sender.
const MAX_HELD_OF_SENDER: usize = 4;
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
/// How long frames may come without their key before that is reported.
const REPORT_MISSING: Duration = Duration::from_secs(5);
/// A key that no frame has named for this long is not reported.
const STILL_COMING: Duration = Duration::from_secs(2);

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
    missing: Missing,
}

/// Whether frames lack a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// None do. The key is requested for what its batch says of its sender.
    No,
    /// Is reported at this time.
    Until(MonotonicTime),
    Reported,
}

impl Wanted {
    /// A key that is installed: to be requested now, for what its batch says.
    pub(super) fn known(kid: Kid, now: MonotonicTime) -> Self {
        Self { kid: kid.pack(), ask_at: now, attempts: 0, last_seen: now, missing: Missing::No }
    }

    /// Is requested from this time on at the earliest.
    pub(super) fn not_before(&mut self, at: MonotonicTime) {
        self.ask_at = self.ask_at.max(at);
        if let Missing::Until(until) = &mut self.missing {
            *until = (*until).max(at.saturating_add(REPORT_MISSING));
        }
    }

    /// When it may have to be reported.
    fn report_at(&self) -> Option<MonotonicTime> {
        match self.missing {
            Missing::Until(at) if at < self.last_seen.saturating_add(STILL_COMING) => Some(at),
            _ => None,
        }
    }

    fn forgotten_at(&self) -> MonotonicTime {
        self.last_seen.saturating_add(FORGET_AFTER)
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
        let wanted = || self.wanted.values().filter(|_| self.attached());
        let ask = wanted().map(|wanted| wanted.ask_at).min().map(|at| at.max(self.next_request_at));
        let report = wanted().filter_map(Wanted::report_at).min();
        let reported = self.wanted.values().filter(|wanted| wanted.missing == Missing::Reported);
        let forget = reported.map(Wanted::forgotten_at).min();
        [held, ask, report, forget].into_iter().flatten().min()
    }

    /// Runs the timers of held batches and requests.
    pub(super) fn receive(&mut self) {
        let now = self.clock.now;
        self.held.retain(|held| now < held.until);
        self.request_wanted();
        self.report_missing();
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
        self.retry_chat();
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

    /// The receiver's checks, in this order: the call, the sender and its seat, whether it is new, whether it is for this
    /// device, the box, its context, its commitment.
    fn check_delivery(&mut self, delivery: &Delivery) -> Verdict {
        let Delivery { header, bound, entry } = delivery;
        if header.call != self.call || *self.identity.join_id.prefix() == header.join_id {
            return Verdict::Refused(UNKNOWN, Problem::KeysRefused);
        }
        let Some((member, record)) = self.roster.by_prefix(&header.join_id) else { return Verdict::Hold };
        let (participant, join_id) = (member.participant, member.join_id);
        let refused = Verdict::Refused(participant, Problem::KeysRefused);
        // Frames are looked up by the seat in their KID: a sender that claimed another's would take its place.
        if header.seat != member.seat {
            return refused;
        }
        let Some(sender) = member.announced(header.announce_seq, self.clock.now).cloned() else {
            let ahead = header.announce_seq > member.announced.seq;
            return if ahead { Verdict::Hold } else { Verdict::Stale };
        };
        let Record { last_key, past, .. } = *record;
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
        let dies_at = self.death_of(&join_id, header);
        self.stated_roster(join_id, participant, &header.roster_hash, header.created);
        let arrival = Arrival { now, retire_at, dies_at };
        match self.receiver.install(participant, join_id, header.seat, past, key, arrival) {
            Ok(fresh) => {
                self.roster.record(&join_id).last_key = Some((header.epoch, header.commitment));
                self.no_longer_wanted(&join_id);
                if fresh {
                    self.actions.push_back(Action::KeyInstalled { participant, seat: header.seat });
                }
                Verdict::Installed
            }
            Err(InstallError::Old) => Verdict::Stale,
            Err(InstallError::Seat) => refused,
        }
    }

    /// When the key of a batch dies, by this device's clock and whatever arrives later. A batch is as old as its sender's
    /// clock says, so that one which was held back is worth no more than if it had come at once.
    fn death_of(&mut self, sender: &JoinId, header: &Header) -> MonotonicTime {
        let now = self.clock.now;
        let made = self.roster.record(sender).clock.as_mut().map_or(now, |clock| {
            clock.tighten(header.created, now);
            clock.latest(header.created)
        });
        let dying = (header.reason & DYING != 0).then(|| made.saturating_add(LIFE_AFTER_LEAVE));
        let deaths = [Some(made.saturating_add(HARD_LIFE)), dying, self.leaves.death_of(made)];
        deaths.into_iter().flatten().min().unwrap_or(now)
    }

    /// A key of this sender is here.
    fn no_longer_wanted(&mut self, join_id: &JoinId) {
        let wanted = self.wanted.remove(join_id);
        if wanted.is_some_and(|wanted| wanted.missing == Missing::Reported) {
            self.solved_for(join_id);
        }
    }

    /// Frames no longer lack a key of this sender.
    fn solved_for(&mut self, join_id: &JoinId) {
        let member = self.roster.by_prefix(join_id.prefix());
        if let Some(participant) = member.map(|(member, _)| member.participant) {
            self.solved(participant, Problem::KeyMissing);
        }
    }

    /// Reports senders whose frames lack a key for long.
    fn report_missing(&mut self) {
        let now = self.clock.now;
        if !self.attached() {
            return;
        }
        let mut report = Vec::new();
        for (join_id, wanted) in self.wanted.iter_mut() {
            if wanted.report_at().is_some_and(|at| now >= at) {
                wanted.missing = Missing::Reported;
                report.push(*join_id);
            }
        }
        for join_id in report {
            let member = self.roster.by_prefix(join_id.prefix());
            if let Some(participant) = member.map(|(member, _)| member.participant) {
                self.problem(participant, Problem::KeyMissing);
            }
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
        let report_at = now.saturating_add(REPORT_MISSING);
        let new = || Wanted { kid, ask_at, attempts: 0, last_seen: now, missing: Missing::Until(report_at) };
        let wanted = self.wanted.get_or_insert_with(join_id, new);
        wanted.kid = kid;
        wanted.last_seen = now;
        if wanted.missing == Missing::No {
            wanted.missing = Missing::Until(report_at);
        }
        true
    }

    fn request_wanted(&mut self) {
        let now = self.clock.now;
        let mut over = Vec::new();
        self.wanted.retain(|join_id, wanted| {
            let keep = now < wanted.forgotten_at();
            over.extend((!keep && wanted.missing == Missing::Reported).then_some(*join_id));
            keep
        });
        for join_id in over {
            self.solved_for(&join_id);
        }
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
    let same = |other: &&Held| other.delivery.header.join_id == delivery.delivery.header.join_id;
    if held.len() < MAX_HELD && held.iter().filter(same).count() < MAX_HELD_OF_SENDER {
        held.push_back(delivery);
    }
}
