//! The keys of other devices, by the seat that frames name: a flat table, without hashing on the frame path.
//!
//! A sender has at most four live keys, sorted by epoch. Every generation has an end on this device's own clock, whatever
//! arrives or does not: [a hard life](super::leaves::HARD_LIFE), and [a short one](super::sender::LIFE_AFTER_LEAVE) once a
//! participant has left. Older keys expire earlier, by time or by number, oldest first. An erased epoch never comes back,
//! because its replay windows are gone. A bad frame changes nothing: derived keys and new contexts
//! are kept only after their first valid tag.

use super::{
    identity::JoinId,
    schedule::{Epoch, SessionKey},
};
use crate::{
    clock::MonotonicTime,
    ids::{ParticipantId, Seat, StreamId},
    sframe::{
        context::{Metadata, OpenContext, OpenFailure},
        header::Header,
        kdf::FrameKeys,
        kid::Kid,
    },
};
use alloc::vec::Vec;
use core::time::Duration;
use e2ee_core::{Primitives, SecretBytes};

/// Maximum number of live keys of a sender.
const MAX_KEYS: usize = 4;
/// Maximum number of streams under one key.
const MAX_STREAMS: usize = 64;
/// Maximum number of senders that claim one seat.
const MAX_CLAIMS: usize = 2;
/// How long an older key opens frames after the first valid frame of a newer one.
pub(crate) const LINGER: Duration = Duration::from_secs(10);

/// Why a frame was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveFailure {
    /// No key of this seat.
    NoSender,
    /// No key of this epoch. `ask`: the sender's current key may be the one.
    NoKey { ask: bool },
    /// The frame itself is invalid.
    Frame(OpenFailure),
}

impl From<OpenFailure> for ReceiveFailure {
    fn from(failure: OpenFailure) -> Self {
        Self::Frame(failure)
    }
}

/// State shared by the keys of all senders.
#[derive(Default)]
struct Common {
    /// Number of contexts created, which numbers them.
    contexts_made: u32,
    /// The earliest time at which a key expires.
    next_death: Option<MonotonicTime>,
}

impl Common {
    fn death_at(&mut self, at: MonotonicTime) {
        self.next_death = Some(self.next_death.map_or(at, |next| next.min(at)));
    }
}

/// A live key of a sender.
struct LiveKey<P: Primitives> {
    key: SessionKey,
    base_key: SecretBytes<64>,
    /// Whether it has opened a frame.
    confirmed: bool,
    dies_at: MonotonicTime,
    contexts: Vec<(StreamId, OpenContext<P::Aead>)>,
}

impl<P: Primitives> LiveKey<P> {
    fn new(key: SessionKey, dies_at: MonotonicTime) -> Self {
        Self { base_key: key.base_key::<P>(), key, confirmed: false, dies_at, contexts: Vec::new() }
    }

    fn dies_by(&mut self, at: MonotonicTime) {
        self.dies_at = self.dies_at.min(at);
    }

    fn lives(&self, now: MonotonicTime) -> bool {
        now < self.dies_at
    }

    fn open(
        &mut self,
        header: &Header,
        kid: Kid,
        metadata: Metadata<'_>,
        body: &mut [u8],
        common: &mut Common,
    ) -> Result<usize, OpenFailure> {
        let encoded = header.encode();
        if let Some((_, context)) = self.contexts.iter_mut().find(|(stream, _)| *stream == kid.stream) {
            return context.open(&encoded, header.ctr, metadata, body);
        }
        if self.contexts.len() >= MAX_STREAMS {
            return Err(OpenFailure::Unauthentic);
        }
        let keys = FrameKeys::derive::<P>(&*self.base_key, kid.pack());
        let mut context =
            OpenContext::new(keys, common.contexts_made.saturating_add(1)).ok_or(OpenFailure::Unauthentic)?;
        let length = context.open(&encoded, header.ctr, metadata, body)?;
        common.contexts_made = context.number;
        self.contexts.push((kid.stream, context));
        Ok(length)
    }
}

/// What remains of the keys of a sender: which must not be installed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// Greatest epoch that was erased. Its replay windows are gone, and those of all before.
    pub(crate) erased: Option<Epoch>,
    /// The newest generation and when it dies: also a later step of it that arrives after that.
    pub(crate) generation: Option<(u32, MonotonicTime)>,
}

impl Past {
    fn erase(&mut self, epoch: Epoch) {
        self.erased = self.erased.max(Some(epoch));
    }

    /// The newest generation dies by this time.
    fn dies_by(&mut self, at: MonotonicTime) {
        if let Some((_, dies_at)) = &mut self.generation {
            *dies_at = (*dies_at).min(at);
        }
    }

    /// When a generation dies that would die at this time if it were new.
    fn death_of(&self, generation: u32, at: MonotonicTime) -> MonotonicTime {
        match self.generation {
            Some((newest, dies_at)) if newest == generation => dies_at.min(at),
            _ => at,
        }
    }
}

/// The keys of one sender.
struct SenderKeys<P: Primitives> {
    participant: ParticipantId,
    join_id: JoinId,
    /// Ascending by epoch.
    keys: Vec<LiveKey<P>>,
    past: Past,
}

/// How to open a frame.
enum Way {
    Exact(usize),
    /// With a key derived from this earlier step.
    Forward(usize),
}

impl<P: Primitives> SenderKeys<P> {
    fn way(&self, kid: Kid) -> Result<Way, ReceiveFailure> {
        let mut generation_known = false;
        let mut way = None;
        for (index, live) in self.keys.iter().enumerate() {
            let epoch = live.key.epoch();
            if epoch.generation % 8 != u32::from(kid.generation) {
                continue;
            }
            generation_known = true;
            if epoch.step == kid.step {
                return Ok(Way::Exact(index));
            }
            if epoch.step < kid.step {
                way = Some(Way::Forward(index));
            }
        }
        way.ok_or(ReceiveFailure::NoKey { ask: !generation_known })
    }

    fn open(
        &mut self,
        now: MonotonicTime,
        header: &Header,
        kid: Kid,
        metadata: Metadata<'_>,
        body: &mut [u8],
        common: &mut Common,
    ) -> Result<usize, ReceiveFailure> {
        self.erase_dead(now);
        let missing = ReceiveFailure::NoKey { ask: false };
        let (index, length) = match self.way(kid)? {
            Way::Exact(index) => {
                let live = self.keys.get_mut(index).ok_or(missing)?;
                (index, live.open(header, kid, metadata, body, common)?)
            }
            Way::Forward(index) => {
                let base = self.keys.get(index).ok_or(missing)?;
                let key = base
                    .key
                    .at_step::<P>(kid.step)
                    .filter(|key| Some(key.epoch()) > self.past.erased)
                    .ok_or(missing)?;
                // It expires with the key it was derived from, so that the oldest keys always expire first.
                let mut live = LiveKey::new(key, base.dies_at);
                let length = live.open(header, kid, metadata, body, common)?;
                (self.insert(live), length)
            }
        };
        if let Some(live) = self.keys.get_mut(index)
            && !live.confirmed
        {
            live.confirmed = true;
            let epoch = live.key.epoch();
            self.keys
                .iter_mut()
                .filter(|older| older.key.epoch() < epoch)
                .for_each(|older| older.dies_by(now.saturating_add(LINGER)));
            common.death_at(now.saturating_add(LINGER));
        }
        Ok(length)
    }

    /// Inserts in order and returns the index. Erases the oldest key beyond [`MAX_KEYS`].
    fn insert(&mut self, live: LiveKey<P>) -> usize {
        let epoch = live.key.epoch();
        let mut index = self.keys.partition_point(|other| other.key.epoch() < epoch);
        self.keys.insert(index, live);
        if self.keys.len() > MAX_KEYS {
            let oldest = self.keys.remove(0);
            self.past.erase(oldest.key.epoch());
            index = index.saturating_sub(1);
        }
        index
    }

    fn erase_dead(&mut self, now: MonotonicTime) {
        if self.keys.iter().all(|live| live.lives(now)) {
            return;
        }
        let past = &mut self.past;
        self.keys.retain(|live| {
            let lives = live.lives(now);
            if !lives {
                past.erase(live.key.epoch());
            }
            lives
        });
    }
}

/// A key that has opened frames of a stream.
#[cfg(feature = "external-cipher")]
pub(crate) struct Established<'a, P: Primitives> {
    pub(crate) participant: ParticipantId,
    pub(crate) context: &'a mut OpenContext<P::Aead>,
    pub(crate) base_key: &'a [u8; 64],
}

/// When a key arrives.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) now: MonotonicTime,
    /// When its sender's older generations expire at the latest.
    pub(crate) retire_at: MonotonicTime,
    /// When it expires itself.
    pub(crate) dies_at: MonotonicTime,
}

/// A key was not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InstallError {
    /// Two other senders claim the seat, or this sender has another seat.
    Seat,
    /// Erased before, or older than the newest key.
    Old,
}

/// The keys of all other devices.
#[derive(Default)]
pub(crate) struct Receiver<P: Primitives> {
    /// By seat: up to [`MAX_CLAIMS`] senders each.
    seats: Vec<Vec<SenderKeys<P>>>,
    common: Common,
}

impl<P: Primitives> Receiver<P> {
    fn claims(&self, seat: Seat) -> &[SenderKeys<P>] {
        self.seats.get(usize::from(seat.0)).map_or(&[], Vec::as_slice)
    }

    /// Whether a frame of this KID could open. Cheap, and changes nothing.
    pub(crate) fn expects(&self, kid: Kid) -> Result<(), ReceiveFailure> {
        let mut failure = ReceiveFailure::NoSender;
        for sender in self.claims(kid.seat) {
            match sender.way(kid) {
                Ok(_) => return Ok(()),
                Err(no_key) => failure = no_key,
            }
        }
        Err(failure)
    }

    /// The senders whose keys claim a seat.
    pub(crate) fn claimants(&self, seat: Seat) -> impl Iterator<Item = JoinId> {
        self.claims(seat).iter().map(|sender| sender.join_id)
    }

    /// Opens a frame in place: `body` is what follows the header. Returns the sender and the length of the plaintext.
    pub(crate) fn open(
        &mut self,
        now: MonotonicTime,
        header: &Header,
        kid: Kid,
        metadata: Metadata<'_>,
        body: &mut [u8],
    ) -> Result<(ParticipantId, usize), ReceiveFailure> {
        let common = &mut self.common;
        let claims = self.seats.get_mut(usize::from(kid.seat.0)).map_or(&mut [][..], Vec::as_mut_slice);
        if let [only] = claims {
            return only.open(now, header, kid, metadata, body, common).map(|length| (only.participant, length));
        }
        // Two devices on one seat cost a copy per frame, but are never confused.
        let mut failure = ReceiveFailure::NoSender;
        for sender in claims {
            let mut copy = body.to_vec();
            match sender.open(now, header, kid, metadata, &mut copy, common) {
                Ok(length) => {
                    body.copy_from_slice(&copy);
                    return Ok((sender.participant, length));
                }
                Err(other) if matches!(failure, ReceiveFailure::NoSender | ReceiveFailure::NoKey { .. }) => {
                    failure = other;
                }
                Err(_) => {}
            }
        }
        Err(failure)
    }

    /// The context that has opened frames of this KID before, if a single sender claims the seat.
    #[cfg(feature = "external-cipher")]
    pub(crate) fn established(&mut self, now: MonotonicTime, kid: Kid) -> Option<Established<'_, P>> {
        let [sender] = self.seats.get_mut(usize::from(kid.seat.0))?.as_mut_slice() else { return None };
        sender.erase_dead(now);
        let Ok(Way::Exact(index)) = sender.way(kid) else { return None };
        let LiveKey { base_key, contexts, .. } = sender.keys.get_mut(index)?;
        let (_, context) = contexts.iter_mut().find(|(stream, _)| *stream == kid.stream)?;
        Some(Established { participant: sender.participant, context, base_key })
    }

    /// Installs an authentic key of a sender. Returns `Ok(false)` for a key that is installed already.
    pub(crate) fn install(
        &mut self,
        participant: ParticipantId,
        join_id: JoinId,
        seat: Seat,
        past: Past,
        key: SessionKey,
        Arrival { now, retire_at, dies_at }: Arrival,
    ) -> Result<bool, InstallError> {
        let seated = self.claims(seat).iter().any(|sender| sender.join_id == join_id);
        if !seated && self.seats.iter().flatten().any(|sender| sender.join_id == join_id) {
            return Err(InstallError::Seat);
        }
        let index = usize::from(seat.0);
        if self.seats.len() <= index {
            self.seats.resize_with(index.saturating_add(1), Vec::new);
        }
        let claims = self.seats.get_mut(index).ok_or(InstallError::Seat)?;
        if !seated {
            if claims.len() >= MAX_CLAIMS {
                return Err(InstallError::Seat);
            }
            claims.push(SenderKeys { participant, join_id, keys: Vec::new(), past });
        }
        let sender = claims.iter_mut().find(|sender| sender.join_id == join_id).ok_or(InstallError::Seat)?;
        let epoch = key.epoch();
        let newest = sender.keys.last().map(|live| live.key.epoch());
        let dies_at = sender.past.death_of(epoch.generation, dies_at);
        if sender.keys.iter().any(|live| live.key.epoch() == epoch) {
            // What is said of a key that is here can only shorten its life.
            if newest.is_some_and(|newest| newest.generation == epoch.generation) {
                sender.past.dies_by(dies_at);
            }
            let of_generation = sender.keys.iter_mut().filter(|live| live.key.epoch().generation == epoch.generation);
            of_generation.for_each(|live| live.dies_by(dies_at));
            self.common.death_at(dies_at);
            return Ok(false);
        }
        if Some(epoch) <= sender.past.erased || Some(epoch) < newest || now >= dies_at {
            return Err(InstallError::Old);
        }
        // KIDs have the generation mod 8: erase older generations that it cannot be distinguished from.
        let clashing = sender.keys.partition_point(|live| live.key.epoch().generation < epoch.generation);
        let clash =
            sender.keys.iter().take(clashing).rposition(|live| live.key.epoch().generation % 8 == epoch.generation % 8);
        if let Some(last) = clash {
            for live in sender.keys.drain(..=last) {
                sender.past.erase(live.key.epoch());
            }
        }
        for live in &mut sender.keys {
            let replaced = live.key.epoch().generation < epoch.generation;
            live.dies_by(if replaced { retire_at } else { dies_at });
            self.common.death_at(live.dies_at);
        }
        sender.past.generation = Some((epoch.generation, dies_at));
        sender.insert(LiveKey::new(key, dies_at));
        self.common.death_at(dies_at);
        Ok(true)
    }

    /// A participant has left: every key that is live now dies by `at`. Generations that arrive later are not affected.
    pub(crate) fn all_die_by(&mut self, at: MonotonicTime) {
        for sender in self.seats.iter_mut().flatten() {
            sender.past.dies_by(at);
            sender.keys.iter_mut().for_each(|live| live.dies_by(at));
            if !sender.keys.is_empty() {
                self.common.death_at(at);
            }
        }
    }

    /// Erases all keys of a sender. Returns what must be remembered of them; `None` if there were never any.
    pub(crate) fn remove(&mut self, join_id: &JoinId) -> Option<Past> {
        for claims in &mut self.seats {
            if let Some(index) = claims.iter().position(|sender| sender.join_id == *join_id) {
                let SenderKeys { keys, mut past, .. } = claims.remove(index);
                keys.iter().for_each(|live| past.erase(live.key.epoch()));
                return Some(past);
            }
        }
        None
    }

    /// The KID of a sender's newest live key, without a stream.
    pub(crate) fn newest_kid(&self, seat: Seat, join_id: &JoinId) -> Option<Kid> {
        let sender = self.claims(seat).iter().find(|sender| sender.join_id == *join_id)?;
        let Epoch { generation, step } = sender.keys.last()?.key.epoch();
        Some(Kid { step, generation: (generation % 8) as u8, seat, stream: StreamId::MICROPHONE })
    }

    /// Whether this sender has any live key.
    pub(crate) fn knows(&self, join_id: &JoinId) -> bool {
        self.seats.iter().flatten().any(|sender| sender.join_id == *join_id && !sender.keys.is_empty())
    }

    /// Erases expired keys.
    pub(crate) fn erase_dead(&mut self, now: MonotonicTime) {
        if self.common.next_death.is_none_or(|at| now < at) {
            return;
        }
        self.common.next_death = None;
        for sender in self.seats.iter_mut().flatten() {
            sender.erase_dead(now);
            sender.keys.iter().for_each(|live| self.common.death_at(live.dies_at));
        }
    }

    /// When [`Self::erase_dead`] is due, no later than the first key expires.
    pub(crate) fn next_death(&self) -> Option<MonotonicTime> {
        self.common.next_death
    }
}
