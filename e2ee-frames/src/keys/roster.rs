//! The roster: devices whose announce was verified. Keys are sealed to these and to nobody else.
//!
//! A member is reported as verified when it enters and as removed when it goes, so the roster is what the user sees.
//! A record per join id outlives its member: an old announce or key that comes back is known as old.

use super::{announce::Verified, schedule::Epoch};
use crate::{
    ids::{ParticipantId, Seat},
    label,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use e2ee_core::{AgreementKey, Primitives, SortedMap};

/// Most members: every seat but the own.
pub(crate) const MAX_MEMBERS: usize = 4_095;
/// Most join ids remembered after their member left.
const MAX_RECORDS: usize = 8_192;
/// How long an announce that was renewed still counts, for key batches in flight, milliseconds.
pub(crate) const PREVIOUS_ANNOUNCE_MS: u64 = 30_000;

/// What of an announce key batches refer to.
#[derive(Clone)]
pub(crate) struct Announced {
    pub(crate) seq: u32,
    pub(crate) hash: [u8; 32],
    pub(crate) ephemeral: [u8; 32],
}

/// A shared nacl.box key, with what it was computed from.
struct SharedKey<B> {
    own_seq: u32,
    their_seq: u32,
    key: B,
}

/// A verified device.
pub(crate) struct Member<P: Primitives> {
    pub(crate) participant: ParticipantId,
    /// As the server named it: only a hint for whom a frame or a request may concern.
    pub(crate) seat: Seat,
    pub(crate) join_id: [u8; 32],
    pub(crate) name: String,
    pub(crate) announced: Announced,
    previous: Option<(Announced, u64)>,
    pub(crate) expires_at: u64,
    /// Whether it holds the own key in use.
    pub(crate) has_current: bool,
    /// Whether it holds the own key to be used next.
    pub(crate) has_pending: bool,
    /// It asked for the own key and was not answered yet.
    pub(crate) asked: bool,
    /// When a key request of it may be answered again.
    pub(crate) answer_after: u64,
    /// In a box of its own, so that members may move without leaving copies behind.
    shared: Option<Box<SharedKey<<P::Agreement as AgreementKey>::Box>>>,
}

impl<P: Primitives> Member<P> {
    /// The announce with this number, if it still counts.
    pub(crate) fn announced(&self, seq: u32, now: u64) -> Option<&Announced> {
        if self.announced.seq == seq {
            return Some(&self.announced);
        }
        self.previous.as_ref().filter(|(previous, until)| previous.seq == seq && now < *until).map(|(old, _)| old)
    }

    /// The box key between an own and one of their ephemeral keys, computed once for the pair in use.
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

/// What must not be forgotten of a join id.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    /// Highest announce seen.
    pub(crate) announce_seq: u32,
    /// When that one runs out, counted from its first sight.
    expires_at: u64,
    /// Highest key epoch accepted, with its commitment.
    pub(crate) last_key: Option<(Epoch, [u8; 32])>,
    /// Keys up to here were erased and never come back: their replay windows are gone.
    pub(crate) erased: Option<Epoch>,
    /// Whose it is, while on the roster.
    member: Option<ParticipantId>,
    order: u64,
}

/// What an announce changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// A device that was not on the roster.
    New,
    /// A later announce of a member; whether it changed the name.
    Renewed {
        /// The name differs from before.
        renamed: bool,
    },
    /// Seen before, or older than what was seen: nothing changed.
    Known,
    /// This device is on the roster under another participant, or the roster is full.
    Refused,
}

/// Verified devices by participant.
#[derive(Default)]
pub(crate) struct Roster<P: Primitives> {
    members: SortedMap<ParticipantId, Member<P>>,
    /// By join id.
    records: SortedMap<[u8; 32], Record>,
    records_made: u64,
    /// No member expires before.
    next_expiry: Option<u64>,
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

    /// The member whose join id starts so, and its record.
    pub(crate) fn by_join_id(&self, prefix: &[u8]) -> Option<(&Member<P>, &Record)> {
        let (_, record) = self.records.find(|id| id.get(..prefix.len()).unwrap_or(id).cmp(prefix))?;
        self.members.get(&record.member?).map(|member| (member, record))
    }

    /// The record of a join id, made if there is none.
    pub(crate) fn record(&mut self, join_id: &[u8; 32]) -> &mut Record {
        if self.records.len() >= MAX_RECORDS && !self.records.contains(join_id) {
            self.forget_oldest();
        }
        let made = &mut self.records_made;
        self.records.get_or_insert_with(*join_id, || {
            *made = made.saturating_add(1);
            Record { announce_seq: 0, expires_at: 0, last_key: None, erased: None, member: None, order: *made }
        })
    }

    /// Makes room for a record. Members are few against the records, so there is one of somebody who is gone.
    fn forget_oldest(&mut self) {
        let gone = self.records.iter().filter(|(_, record)| record.member.is_none());
        let oldest = gone.min_by_key(|(_, record)| record.order);
        if let Some(oldest) = oldest.map(|(id, _)| *id) {
            self.records.remove(&oldest);
        }
    }

    /// Takes a verified announce in. The caller has removed a different device of the same participant before.
    pub(crate) fn admit(&mut self, participant: ParticipantId, seat: Seat, verified: Verified, now: u64) -> Admission {
        let known = self.records.get(&verified.join_id).copied();
        if known.and_then(|record| record.member).is_some_and(|other| other != participant) {
            return Admission::Refused;
        }
        let Verified { join_id, seq, ephemeral, hash, validity_ms, name } = verified;
        let announced = Announced { seq, hash, ephemeral };
        let newest = known.map_or(0, |record| record.announce_seq);
        // Whoever seems to leave and return gets no more time by the same announce: else a server could go on showing
        // somebody who has gone.
        let expires_at = match known {
            Some(record) if record.announce_seq == seq => record.expires_at,
            _ => now.saturating_add(validity_ms),
        };
        let full = self.members.len() >= MAX_MEMBERS;
        match self.members.get_mut(&participant) {
            Some(member) => {
                member.seat = seat;
                if seq <= member.announced.seq {
                    return Admission::Known;
                }
                let old = core::mem::replace(&mut member.announced, announced);
                member.previous = Some((old, now.saturating_add(PREVIOUS_ANNOUNCE_MS)));
                member.expires_at = expires_at;
                let renamed = member.name != name;
                member.name = name;
                let record = self.record(&join_id);
                (record.announce_seq, record.expires_at) = (seq, expires_at);
                Admission::Renewed { renamed }
            }
            None if seq < newest || expires_at <= now => Admission::Known,
            None if full => Admission::Refused,
            None => {
                let record = self.record(&join_id);
                (record.announce_seq, record.expires_at) = (seq, expires_at);
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
                    has_pending: false,
                    asked: false,
                    answer_after: 0,
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

    /// Members whose announce ran out.
    pub(crate) fn expired(&mut self, now: u64) -> Vec<ParticipantId> {
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

    /// When to look for expired members: no later than the first expires.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.next_expiry
    }

    /// Hash of everybody that a key is sealed among, the own device included.
    pub(crate) fn hash(&self, own: &[u8; 32]) -> [u8; 32] {
        let mut parts: Vec<&[u8]> = Vec::with_capacity(self.members.len().saturating_add(1));
        let mut others = self.records.iter().filter(|(_, record)| record.member.is_some()).map(|(id, _)| id).peekable();
        while let Some(id) = others.next_if(|id| *id < own) {
            parts.push(id);
        }
        parts.push(own);
        parts.extend(others.map(|id| &id[..]));
        P::hash(&label::ROSTER, &parts)
    }
}
