//! The own session key as a sender: its states, its frame counters, and the open streams.
//!
//! Counters live here, per (epoch, stream), and continue when a stream closes and opens again.

use super::schedule::{Epoch, SessionKey};
use crate::{
    clock::MonotonicTime,
    ids::{Seat, StreamId},
    sframe::{
        context::{ROTATE_AT, SealContext},
        kdf::FrameKeys,
        kid::Kid,
    },
};
use alloc::vec::Vec;
use core::time::Duration;
use e2ee_core::{Primitives, SecretBytes, SortedMap};

/// Maximum number of streams under one key.
const MAX_STREAMS: usize = 64;
/// How long keys live on after a participant has left, at the sender and at every receiver, by its own clock: 30 s for which a
/// connection may be lost, 5 s for the longest window of a rotation, and 10 s to spare.
pub(crate) const LIFE_AFTER_LEAVE: Duration = Duration::from_secs(45);

/// A session key of this device, with the contexts of its streams.
pub(crate) struct SendKey<P: Primitives> {
    key: SessionKey,
    base_key: SecretBytes<64>,
    seat: Seat,
    /// When its generation was made, by any step of it.
    made_at: MonotonicTime,
    /// When it seals no more, since a device that may hold it has left.
    dies_at: Option<MonotonicTime>,
    contexts: SortedMap<StreamId, SealContext<P::Aead>>,
}

impl<P: Primitives> SendKey<P> {
    pub(crate) fn new(key: SessionKey, seat: Seat, made_at: MonotonicTime) -> Self {
        Self { base_key: key.base_key::<P>(), key, seat, made_at, dies_at: None, contexts: SortedMap::default() }
    }

    /// The same generation one ratchet step further, with new counters under new keys; `None` behind the last step.
    pub(crate) fn ratcheted(&self) -> Option<Self> {
        Some(Self { dies_at: self.dies_at, ..Self::new(self.key.next_step::<P>()?, self.seat, self.made_at) })
    }

    /// The seat in the KIDs of its frames.
    pub(crate) fn seat(&self) -> Seat {
        self.seat
    }

    pub(crate) fn key(&self) -> &SessionKey {
        &self.key
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.key.epoch()
    }

    pub(crate) fn made_at(&self) -> MonotonicTime {
        self.made_at
    }

    /// A device that may hold it has left.
    fn dies_by(&mut self, at: MonotonicTime) {
        self.dies_at = Some(self.dies_at.map_or(at, |dies_at| dies_at.min(at)));
    }

    /// Whether a device that may hold it has left.
    pub(crate) fn dying(&self) -> bool {
        self.dies_at.is_some()
    }

    fn dead(&self, now: MonotonicTime) -> bool {
        self.dies_at.is_some_and(|at| now >= at)
    }

    /// Whether it has sealed no frame, so that a newcomer who receives it learns nothing of the past.
    pub(crate) fn unused(&self) -> bool {
        self.contexts.values().all(|context| context.sealed() == 0)
    }

    /// Whether a counter has reached the limit at which a new key is due.
    pub(crate) fn worn(&self) -> bool {
        self.contexts.values().any(|context| context.sealed() >= ROTATE_AT)
    }

    /// The context with this number.
    #[cfg(feature = "external-cipher")]
    pub(crate) fn numbered(&self, number: u32) -> Option<&SealContext<P::Aead>> {
        self.contexts.values().find(|context| context.number == number)
    }

    /// Key and salt of the context with this number.
    #[cfg(feature = "external-cipher")]
    pub(crate) fn frame_keys(&self, number: u32) -> Option<FrameKeys> {
        Some(FrameKeys::derive::<P>(&*self.base_key, self.numbered(number)?.kid()))
    }

    /// The context of a stream, created if needed; `None` beyond [`MAX_STREAMS`]. `made` counts contexts of the session.
    pub(crate) fn context(&mut self, stream: StreamId, made: &mut u32) -> Option<&mut SealContext<P::Aead>> {
        if !self.contexts.contains(&stream) {
            if self.contexts.len() >= MAX_STREAMS || stream > StreamId::MAX {
                return None;
            }
            let Epoch { generation, step } = self.epoch();
            let kid = Kid { step, generation: (generation % 8) as u8, seat: self.seat, stream };
            *made = made.saturating_add(1);
            let keys = FrameKeys::derive::<P>(&*self.base_key, kid.pack());
            self.contexts.insert_new(stream, SealContext::new(keys, kid.pack(), *made)?);
        }
        self.contexts.get_mut(&stream)
    }
}

/// The own session key, through its life.
///
/// ```text
///        first key, or no stream is open                          the server has accepted all batches
///  None ─────────────────────────────────► Waiting ────────────────────────────────────────────► Current ─┐
///                                            ▲ ▲  no stream is open                              │  ▲  ▲   │ ratchet
///                                            │ └─────────────────────────────────────────────────┤  │  └───┘
///                        current key is dead │                                leave, age, limit  ▼  │ accepted, and
///                                            └────────────────────────────────────────────── Rotating ┘ its time has come
/// ```
#[derive(Default)]
pub(crate) enum OwnKey<P: Primitives> {
    /// No key was made, or the last one is dead.
    #[default]
    None,
    /// No key seals frames while the first one is distributed.
    Waiting(NextKey<P>),
    /// This key seals frames.
    Current(SendKey<P>),
    /// The current key seals frames while the next one is distributed.
    Rotating { current: SendKey<P>, next: NextKey<P> },
}

/// A key that is distributed to the members of the roster and does not seal frames yet.
pub(crate) struct NextKey<P: Primitives> {
    pub(crate) key: SendKey<P>,
    pub(crate) use_at: MonotonicTime,
    /// A device that may hold it has left: rotate again after the switch.
    pub(crate) again: bool,
    /// Numbers of the batches by which it was distributed that the server has not accepted.
    unaccepted: Vec<u32>,
}

impl<P: Primitives> NextKey<P> {
    pub(crate) fn new(key: SendKey<P>, use_at: MonotonicTime) -> Self {
        Self { key, use_at, again: false, unaccepted: Vec::new() }
    }

    /// A batch with this key is on its way to the server.
    pub(crate) fn sent(&mut self, batch: u32) {
        self.unaccepted.push(batch);
    }

    /// The server has accepted a batch. The key is used from then on at the earliest.
    pub(crate) fn accepted(&mut self, batch: u32, now: MonotonicTime) {
        let before = self.unaccepted.len();
        self.unaccepted.retain(|number| *number != batch);
        if self.unaccepted.len() < before {
            self.not_before(now);
        }
    }

    /// The key is used from this time on at the earliest.
    pub(crate) fn not_before(&mut self, at: MonotonicTime) {
        self.use_at = self.use_at.max(at);
    }

    /// The key is used as soon as it is accepted.
    pub(crate) fn use_now(&mut self, now: MonotonicTime) {
        self.use_at = now;
    }

    /// When the key is to be used; `None` while that depends on the server.
    pub(crate) fn use_at(&self) -> Option<MonotonicTime> {
        self.unaccepted.is_empty().then_some(self.use_at)
    }
}

/// What remains to be done after a switch.
pub(crate) struct Switched {
    pub(crate) use_at: MonotonicTime,
    pub(crate) again: bool,
}

impl<P: Primitives> OwnKey<P> {
    /// The key that seals frames.
    pub(crate) fn current(&self) -> Option<&SendKey<P>> {
        match self {
            Self::None | Self::Waiting(_) => None,
            Self::Current(current) | Self::Rotating { current, .. } => Some(current),
        }
    }

    pub(crate) fn current_mut(&mut self) -> Option<&mut SendKey<P>> {
        match self {
            Self::None | Self::Waiting(_) => None,
            Self::Current(current) | Self::Rotating { current, .. } => Some(current),
        }
    }

    pub(crate) fn next(&self) -> Option<&NextKey<P>> {
        match self {
            Self::Waiting(next) | Self::Rotating { next, .. } => Some(next),
            Self::None | Self::Current(_) => None,
        }
    }

    pub(crate) fn next_mut(&mut self) -> Option<&mut NextKey<P>> {
        match self {
            Self::Waiting(next) | Self::Rotating { next, .. } => Some(next),
            Self::None | Self::Current(_) => None,
        }
    }

    /// Steps the current key's ratchet; `None` without a key or behind its last step.
    pub(crate) fn ratchet(&mut self) -> Option<Epoch> {
        let current = self.current_mut()?;
        *current = current.ratcheted()?;
        Some(current.epoch())
    }

    /// Starts a rotation to `next`, or replaces the one under way. The current key, if any, seals frames until the switch.
    pub(crate) fn rotate(&mut self, next: NextKey<P>) {
        *self = match core::mem::take(self) {
            Self::None | Self::Waiting(_) => Self::Waiting(next),
            Self::Current(current) | Self::Rotating { current, .. } => Self::Rotating { current, next },
        };
    }

    /// Erases the current key; the next one, if there is one, seals frames once it is accepted.
    pub(crate) fn erase_current(&mut self) {
        *self = match core::mem::take(self) {
            Self::None | Self::Current(_) => Self::None,
            Self::Waiting(next) | Self::Rotating { next, .. } => Self::Waiting(next),
        };
    }

    /// Ends a rotation: the next key becomes the current one, which is erased. `None` if none is under way.
    pub(crate) fn switch(&mut self) -> Option<Switched> {
        match core::mem::take(self) {
            Self::Waiting(next) | Self::Rotating { next, .. } => {
                let NextKey { key, use_at, again, .. } = next;
                *self = Self::Current(key);
                Some(Switched { use_at, again })
            }
            unchanged => {
                *self = unchanged;
                None
            }
        }
    }

    /// A device that may hold these keys has left: they seal no frame from `at` on.
    pub(crate) fn die_by(&mut self, at: MonotonicTime) {
        if let Some(current) = self.current_mut() {
            current.dies_by(at);
        }
        if let Some(next) = self.next_mut() {
            next.key.dies_by(at);
        }
    }

    /// When the first of the keys dies.
    pub(crate) fn next_death(&self) -> Option<MonotonicTime> {
        let keys = [self.current(), self.next().map(|next| &next.key)];
        keys.into_iter().flatten().filter_map(|key| key.dies_at).min()
    }

    /// Erases dead keys.
    pub(crate) fn erase_dead(&mut self, now: MonotonicTime) {
        if self.next_death().is_none_or(|at| now < at) {
            return;
        }
        if self.next().is_some_and(|next| next.key.dead(now)) {
            *self = match core::mem::take(self) {
                Self::None | Self::Waiting(_) => Self::None,
                Self::Current(current) | Self::Rotating { current, .. } => Self::Current(current),
            };
        }
        if self.current().is_some_and(|current| current.dead(now)) {
            self.erase_current();
        }
    }
}

/// The own key with its streams and timers.
#[derive(Default)]
pub(crate) struct OwnKeys<P: Primitives> {
    pub(crate) key: OwnKey<P>,
    pub(crate) next_generation: u32,
    /// Open streams, and whether each was reported as ready.
    pub(crate) streams: SortedMap<StreamId, bool>,
    /// Number of contexts made, which numbers them.
    pub(crate) contexts_made: u32,
    /// Number of key batches made, which numbers them from 1.
    pub(crate) batches_made: u32,
    /// A participant has left since the last generation was made: make another one.
    pub(crate) leave_owed: bool,
    /// When newcomers receive a key.
    pub(crate) serve_at: Option<MonotonicTime>,
    /// When key requests are answered.
    pub(crate) answer_at: Option<MonotonicTime>,
}

impl<P: Primitives> OwnKeys<P> {
    /// Whether a stream is open, so that media may be sent.
    pub(crate) fn active(&self) -> bool {
        !self.streams.is_empty()
    }
}
