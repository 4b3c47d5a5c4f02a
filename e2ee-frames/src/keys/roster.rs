//! The roster: devices whose announce was verified. Keys are sealed to these and to no others.
//!
//! A member is reported when it is verified and when it is removed, so the roster is what the user sees. A record per
//! join id outlives the member, so that an old announce or key that comes back is recognised as old.

use super::{
    announce::Verified,
    identity::{JoinId, compare},
    receiver::Past,
    schedule::Epoch,
    sender_clock::SenderClock,
};
use crate::{
    clock::{Clock, MonotonicTime, WallTime},
    ids::{ParticipantId, Seat},
    label,
    names::{Name, harmless},
    sframe::window::ReplayWindow,
};
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;
use e2ee_core::{AgreementKey, Primitives, SortedMap};

/// Maximum number of members: every seat but this device's.
pub(crate) const MAX_MEMBERS: usize = 4_095;
/// Maximum number of join ids remembered, members included.
const MAX_RECORDS: usize = 8_192;
/// How long an announce stays valid after its renewal, for key batches in flight.
pub(crate) const PREVIOUS_ANNOUNCE_LIFE: Duration = Duration::from_secs(30);

/// The fields of an announce that key batches refer to.
#[derive(Clone)]
pub(crate) struct Announced {
    pub(crate) seq: u32,
    pub(crate) hash: [u8; 32],
    pub(crate) ephemeral: [u8; 32],
}

/// A nacl.box key, with the announces it was computed from.
struct SharedKey<B> {
    own_seq: u32,
    their_seq: u32,
    key: B,
}

/// A verified device.
pub(crate) struct Member<P: Primitives> {
    pub(crate) participant: ParticipantId,
    /// As the server says: a hint for routing frames and requests.
    pub(crate) seat: Seat,
    pub(crate) join_id: JoinId,
    pub(crate) name: Name,
    pub(crate) announced: Announced,
    previous: Option<(Announced, MonotonicTime)>,
    pub(crate) expires_at: MonotonicTime,
    /// Whether it holds this device's current key.
    pub(crate) has_current: bool,
    /// Whether it holds this device's next key, during a rotation.
    pub(crate) has_next: bool,
    /// Whether it requested this device's key and was not answered yet.
    pub(crate) asked: bool,
    /// When its next key request may be answered.
    pub(crate) answer_after: MonotonicTime,
    /// Numbers of its chat messages that were opened.
    pub(crate) said: Option<Box<ReplayWindow>>,
    /// Boxed, so that a member that moves leaves no copy behind.
    shared: Option<Box<SharedKey<<P::Agreement as AgreementKey>::Box>>>,
}

impl<P: Primitives> Member<P> {
    /// The announce with this number, if it is still valid.
    pub(crate) fn announced(&self, seq: u32, now: MonotonicTime) -> Option<&Announced> {
        if self.announced.seq == seq {
            return Some(&self.announced);
        }
        self.previous.as_ref().filter(|(previous, until)| previous.seq == seq && now < *until).map(|(old, _)| old)
    }

    /// The box key between an ephemeral key of this device and one of the member, computed once per pair.
    pub(crate) fn shared_key(
        &mut self,
        own_seq: u32,
        own: &P::Agreement,
        their_seq: u32,
        theirs: &[u8; 32],
    ) -> &<P::Agreement as AgreementKey>::Box {
        let reusable = self.shared.take().filter(|key| key.own_seq == own_seq && key.their_seq == their_seq);
        let key = reusable.unwrap_or_else(|| Box::new(SharedKey { own_seq, their_seq, key: own.agree(theirs) }));
        &self.shared.insert(key).key
    }
}

/// The history of a join id, which outlives its member.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    /// Highest announce seen.
    pub(crate) announce_seq: u32,
    /// The clock of the device, tied to the own one by its first announce.
    pub(crate) clock: Option<SenderClock>,
    /// When the newest key batch was made of those that stated a roster.
    pub(crate) stated: WallTime,
    /// Highest key epoch accepted, with its commitment.
    pub(crate) last_key: Option<(Epoch, [u8; 32])>,
    /// Of the keys that were erased when it was removed.
    pub(crate) past: Past,
    /// The participant, while on the roster.
    member: Option<ParticipantId>,
    order: u64,
}

/// The effect of an announce.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// A device that was not on the roster.
    New,
    /// A later announce of a member; whether it changed the name.
    Renewed {
        /// The name differs from before.
        renamed: bool,
    },
    /// Seen before, or older than the newest one: nothing changed.
    Known,
    /// The device is on the roster as another participant, or the roster is full.
    Refused,
}

/// Verified devices by participant.
#[derive(Default)]
pub(crate) struct Roster<P: Primitives> {
    members: SortedMap<ParticipantId, Member<P>>,
    /// By join id.
    records: SortedMap<JoinId, Record>,
    records_made: u64,
    /// The earliest time at which a member expires.
    next_expiry: Option<MonotonicTime>,
}

impl<P: Primitives> Roster<P> {
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn get(&self, participant: ParticipantId) -> Option<&Member<P>> {
        self.members.get(&participant)
    }

    pub(crate) fn get_mut(&mut self, participant: ParticipantId) -> Option<&mut Member<P>> {
        self.members.get_mut(&participant)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member<P>> {
        self.members.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member<P>> {
        self.members.values_mut()
    }

    /// The member whose join id has this prefix, and its record.
    pub(crate) fn by_prefix(&self, prefix: &[u8; 16]) -> Option<(&Member<P>, &Record)> {
        let (_, record) = self.records.find(|id| compare(id.prefix(), prefix))?;
        self.members.get(&record.member?).map(|member| (member, record))
    }

    /// The record of a join id, created if there is none.
    pub(crate) fn record(&mut self, join_id: &JoinId) -> &mut Record {
        if self.records.len() >= MAX_RECORDS && !self.records.contains(join_id) {
            self.forget_oldest();
        }
        let made = &mut self.records_made;
        self.records.get_or_insert_with(*join_id, || {
            *made = made.saturating_add(1);
            Record {
                announce_seq: 0,
                clock: None,
                stated: WallTime::default(),
                last_key: None,
                past: Past::default(),
                member: None,
                order: *made,
            }
        })
    }

    /// Drops the oldest record without a member. There is one: fewer members than records are allowed.
    fn forget_oldest(&mut self) {
        let gone = self.records.iter().filter(|(_, record)| record.member.is_none());
        let oldest = gone.min_by_key(|(_, record)| record.order);
        if let Some(oldest) = oldest.map(|(id, _)| *id) {
            self.records.remove(&oldest);
        }
    }

    /// Admits a verified announce. The caller has removed a different device of the same participant before. `own` is the
    /// name of this device.
    pub(crate) fn admit(
        &mut self,
        participant: ParticipantId,
        seat: Seat,
        verified: Verified,
        own: &Name,
        clock: Clock,
    ) -> Admission {
        let now = clock.now;
        let known = self.records.get(&verified.join_id).copied();
        if known.and_then(|record| record.member).is_some_and(|other| other != participant) {
            return Admission::Refused;
        }
        let Verified { join_id, seq, ephemeral, hash, not_before, not_after, name } = verified;
        let announced = Announced { seq, hash, ephemeral };
        let newest = known.map_or(0, |record| record.announce_seq);
        // Renewals that are held back, and members that leave and return, get no more time. Otherwise a server could keep
        // showing a member that has left.
        let mut clock_of_device =
            known.and_then(|record| record.clock).unwrap_or_else(|| SenderClock::anchored(not_before, clock));
        clock_of_device.tighten(not_before, now);
        let expires_at = clock_of_device.latest(not_after);
        let name = harmless(&name);
        let full = self.members.len() >= MAX_MEMBERS;
        match self.members.get_mut(&participant) {
            Some(member) => {
                member.seat = seat;
                if seq <= member.announced.seq {
                    return Admission::Known;
                }
                let old = core::mem::replace(&mut member.announced, announced);
                member.previous = Some((old, now.saturating_add(PREVIOUS_ANNOUNCE_LIFE)));
                member.expires_at = expires_at;
                self.next_expiry = Some(self.next_expiry.map_or(expires_at, |at| at.min(expires_at)));
                let renamed = member.name.chosen() != name;
                let record = self.record(&join_id);
                (record.announce_seq, record.clock) = (seq, Some(clock_of_device));
                if renamed {
                    let others = self.members.values().filter(|member| member.participant != participant);
                    let others: Vec<&Name> = others.map(|member| &member.name).chain([own]).collect();
                    let name = Name::among(name, &others);
                    if let Some(member) = self.members.get_mut(&participant) {
                        member.name = name;
                    }
                }
                Admission::Renewed { renamed }
            }
            None if seq < newest || expires_at <= now => Admission::Known,
            None if full => Admission::Refused,
            None => {
                let others: Vec<&Name> = self.members.values().map(|member| &member.name).chain([own]).collect();
                let name = Name::among(name, &others);
                let record = self.record(&join_id);
                record.announce_seq = seq;
                record.clock = Some(clock_of_device);
                record.member = Some(participant);
                self.next_expiry = Some(self.next_expiry.map_or(expires_at, |at| at.min(expires_at)));
                let member = Member {
                    participant,
                    seat,
                    join_id,
                    name,
                    announced,
                    previous: None,
                    expires_at,
                    has_current: false,
                    has_next: false,
                    asked: false,
                    answer_after: now,
                    said: None,
                    shared: None,
                };
                self.members.insert_new(participant, member);
                Admission::New
            }
        }
    }

    pub(crate) fn remove(&mut self, participant: ParticipantId) -> Option<Member<P>> {
        let member = self.members.remove(&participant)?;
        self.record(&member.join_id).member = None;
        Some(member)
    }

    /// Members whose announce has expired.
    pub(crate) fn expired(&mut self, now: MonotonicTime) -> Vec<ParticipantId> {
        let mut expired = Vec::new();
        if self.next_expiry.is_some_and(|at| at <= now) {
            self.next_expiry = None;
            for member in self.members.values() {
                if member.expires_at <= now {
                    expired.push(member.participant);
                } else {
                    self.next_expiry = Some(self.next_expiry.map_or(member.expires_at, |at| at.min(member.expires_at)));
                }
            }
        }
        expired
    }

    /// When [`Self::expired`] is due, no later than the first member expires.
    pub(crate) fn next_expiry(&self) -> Option<MonotonicTime> {
        self.next_expiry
    }

    /// Hash of the join ids of all members and of this device, in ascending order.
    pub(crate) fn hash(&self, own: &JoinId) -> [u8; 32] {
        let mut parts: Vec<&[u8]> = Vec::with_capacity(self.members.len().saturating_add(1));
        let mut others = self.records.iter().filter(|(_, record)| record.member.is_some()).map(|(id, _)| id).peekable();
        while let Some(id) = others.next_if(|id| *id < own) {
            parts.push(&id.0);
        }
        parts.push(&own.0);
        parts.extend(others.map(|id| &id.0[..]));
        P::hash(&label::ROSTER, &parts)
    }
}
