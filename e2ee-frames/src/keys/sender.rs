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
use e2ee_core::{Primitives, SecretBytes, SortedMap};

/// Maximum number of streams under one key.
const MAX_STREAMS: usize = 64;

/// A session key of this device, with the contexts of its streams.
pub(crate) struct SendKey<P: Primitives> {
    key: SessionKey,
    base_key: SecretBytes<64>,
    seat: Seat,
    /// When its generation was made, by any step of it.
    made_at: MonotonicTime,
    contexts: SortedMap<StreamId, SealContext<P::Aead>>,
}

impl<P: Primitives> SendKey<P> {
    pub(crate) fn new(key: SessionKey, seat: Seat, made_at: MonotonicTime) -> Self {
        Self { base_key: key.base_key::<P>(), key, seat, made_at, contexts: SortedMap::default() }
    }

    /// The same generation one ratchet step further, with new counters under new keys; `None` behind the last step.
    pub(crate) fn ratcheted(&self) -> Option<Self> {
        Some(Self::new(self.key.next_step::<P>()?, self.seat, self.made_at))
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
///                 first                    leave, age, frame limit
///  None ──────────────────────► Current ──────────────────────────► Rotating ─┐
///                                │   ▲                                        │ the switch time has come
///                        ratchet └───┴────────────────────────────────────────┘
/// ```
#[derive(Default)]
pub(crate) enum OwnKey<P: Primitives> {
    /// No key was made: this device has not joined, or has nothing to send in a large call.
    #[default]
    None,
    /// This key seals frames.
    Current(SendKey<P>),
    /// The current key seals frames while the next one is distributed.
    Rotating { current: SendKey<P>, next: NextKey<P> },
}

/// A key that members of the roster already hold and that does not seal frames yet.
pub(crate) struct NextKey<P: Primitives> {
    pub(crate) key: SendKey<P>,
    pub(crate) use_at: MonotonicTime,
    /// A holder has left since: rotate again after the switch.
    pub(crate) again: bool,
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
            Self::None => None,
            Self::Current(current) | Self::Rotating { current, .. } => Some(current),
        }
    }

    pub(crate) fn current_mut(&mut self) -> Option<&mut SendKey<P>> {
        match self {
            Self::None => None,
            Self::Current(current) | Self::Rotating { current, .. } => Some(current),
        }
    }

    pub(crate) fn next(&self) -> Option<&NextKey<P>> {
        match self {
            Self::Rotating { next, .. } => Some(next),
            Self::None | Self::Current(_) => None,
        }
    }

    /// Steps the current key's ratchet; `None` without a key or behind its last step.
    pub(crate) fn ratchet(&mut self) -> Option<Epoch> {
        let current = self.current_mut()?;
        *current = current.ratcheted()?;
        Some(current.epoch())
    }

    /// Starts a rotation to `next`, or replaces the one under way. Without a current key, `next` is the current one.
    pub(crate) fn rotate(&mut self, next: NextKey<P>) {
        *self = match core::mem::take(self) {
            Self::None => Self::Current(next.key),
            Self::Current(current) | Self::Rotating { current, .. } => Self::Rotating { current, next },
        };
    }

    /// Ends a rotation: the next key becomes the current one, which is erased. `None` if none is under way.
    pub(crate) fn switch(&mut self) -> Option<Switched> {
        match core::mem::take(self) {
            Self::Rotating { next: NextKey { key, use_at, again }, .. } => {
                *self = Self::Current(key);
                Some(Switched { use_at, again })
            }
            unchanged => {
                *self = unchanged;
                None
            }
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
