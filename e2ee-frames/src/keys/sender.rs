//! The own keys: the one in use with its counters, the one to be used next, and the streams that are open.
//!
//! Counters live here, per (epoch, stream), and survive the closing and opening of a stream.

use super::schedule::{Epoch, SessionKey};
use crate::{
    ids::{Seat, StreamId},
    sframe::{
        context::{ROTATE_AT, SealContext},
        kdf::FrameKeys,
        kid::Kid,
    },
};
use e2ee_core::{Primitives, SecretBytes, SortedMap};

/// Most streams that one key seals.
const MAX_STREAMS: usize = 64;

/// An own key with the contexts of its streams.
pub(crate) struct SendKey<P: Primitives> {
    key: SessionKey,
    base_key: SecretBytes<64>,
    seat: Seat,
    /// When its generation was made.
    made_at: u64,
    contexts: SortedMap<StreamId, SealContext<P::Aead>>,
}

impl<P: Primitives> SendKey<P> {
    pub(crate) fn new(key: SessionKey, seat: Seat, made_at: u64) -> Self {
        Self { base_key: key.base_key::<P>(), key, seat, made_at, contexts: SortedMap::default() }
    }

    /// The same generation one step on, with fresh counters under fresh keys; `None` behind the last step.
    pub(crate) fn ratcheted(&self) -> Option<Self> {
        Some(Self::new(self.key.next_step::<P>()?, self.seat, self.made_at))
    }

    pub(crate) fn key(&self) -> &SessionKey {
        &self.key
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.key.epoch()
    }

    pub(crate) fn made_at(&self) -> u64 {
        self.made_at
    }

    /// Whether no frame was sealed under it, so that it shows nobody the past.
    pub(crate) fn unused(&self) -> bool {
        self.contexts.values().all(|context| context.sealed() == 0)
    }

    /// Whether a counter is so high that a new key is due.
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

    /// The context of a stream; `None` if there are too many streams. `made` counts the contexts of the session.
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

/// A key that the others have been given but that is not used yet.
pub(crate) struct Pending<P: Primitives> {
    pub(crate) key: SendKey<P>,
    pub(crate) use_at: u64,
    /// Somebody who holds it has left meanwhile: replace it as soon as it is in use.
    pub(crate) again: bool,
}

/// All own keys.
#[derive(Default)]
pub(crate) struct OwnKeys<P: Primitives> {
    pub(crate) current: Option<SendKey<P>>,
    pub(crate) pending: Option<Pending<P>>,
    pub(crate) next_generation: u32,
    /// Open streams, and whether each was reported as ready.
    pub(crate) streams: SortedMap<StreamId, bool>,
    /// Contexts made so far, by which they are numbered.
    pub(crate) contexts_made: u32,
}

impl<P: Primitives> OwnKeys<P> {
    /// Whether media is or may be sent.
    pub(crate) fn active(&self) -> bool {
        !self.streams.is_empty()
    }
}
