//! Frames whose cipher runs outside: a page passes large ones to WebCrypto, which is many times faster than wasm.
//!
//! ```text
//!  seal_begin ─► envelope, SFrame header, counter used up ─► cipher outside ─► seal_finish ─► escaped and closed
//!  open_begin ─► found, screened, unescaped               ─► cipher outside ─► open_finish ─► counter noted
//! ```
//! Everything but the cipher stays here: keys, counters, nonces, envelopes, replay windows. The first frame of a key and
//! stream is always opened inside, so that no state depends on a frame that did not authenticate. Keys leave only through
//! [`Session::cipher_key`]; the caller imports one as a key that cannot be exported, and erases the bytes.

use super::{
    OpenError, SealError, Session,
    frames::{Found, find},
};
use crate::{
    clock::Clock,
    codec::{self, Codec, FrameKind, close_envelope, open_envelope},
    ids::{ParticipantId, StreamId},
    keys::receiver::{Established, ReceiveFailure},
    sframe::{
        context::{CipherInput, Metadata, OpenFailure},
        header,
        kdf::FrameKeys,
        kid::Kid,
    },
};
use core::ops::Range;
use e2ee_core::Primitives;
use zeroize::Zeroizing;

/// The inputs of AES-256-GCM with a 16-byte tag, besides the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The key: see [`Session::cipher_key`].
    pub key: KeyNumber,
    /// The nonce, which is used up.
    pub nonce: [u8; 12],
    /// Length of the additional data.
    pub additional_len: usize,
    /// The additional data: SFrame header and metadata.
    pub additional: [u8; MAX_ADDITIONAL_BYTES],
}

/// Maximum length of the additional data: header and metadata.
pub const MAX_ADDITIONAL_BYTES: usize = header::MAX_BYTES + 3;

/// Identifies a frame key of a session while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyNumber {
    /// Whether it opens; otherwise it seals.
    pub opens: bool,
    /// Number among the keys that seal, or those that open.
    pub number: u32,
    /// The KID of its frames.
    pub kid: u64,
}

/// A frame to be sealed outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// For the cipher.
    pub job: Job,
    /// Bytes of the envelope in front of the SFrame header.
    pub envelope: usize,
    /// Bytes written: envelope and header. Ciphertext and tag follow.
    pub written: usize,
}

/// A frame to be opened outside. Nothing of it is authentic yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// For the cipher.
    pub job: Job,
    /// The frame's counter, for [`Session::open_finish`].
    pub ctr: u64,
    /// The sender, if it authenticates.
    pub participant: ParticipantId,
    /// The stream in its KID.
    pub stream: StreamId,
    /// Key or delta.
    pub kind: FrameKind,
    /// Where ciphertext and tag are in the buffer.
    pub range: Range<usize>,
}

impl Job {
    fn new(key: KeyNumber, input: &CipherInput) -> Self {
        let bytes = input.additional.as_bytes();
        let mut additional = [0; MAX_ADDITIONAL_BYTES];
        additional.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
        Self { key, nonce: input.nonce, additional_len: bytes.len(), additional }
    }
}

/// Completes a sealed frame: envelope, SFrame header, ciphertext and tag fill `out` up to `end`. Returns its length.
///
/// # Errors
/// [`SealError::Buffer`] if the codec's escaping does not fit.
pub fn seal_finish(codec: Codec, envelope: usize, end: usize, out: &mut [u8]) -> Result<usize, SealError> {
    close_envelope(codec, envelope, end, out).map_err(|_| SealError::Buffer)
}

impl<P: Primitives> Session<P> {
    /// Starts to seal a frame of `frame` bytes: writes envelope and SFrame header to the front of `out`.
    ///
    /// # Errors
    /// As [`Session::seal`].
    pub fn seal_begin(
        &mut self,
        clock: Clock,
        stream: StreamId,
        codec: Codec,
        kind: FrameKind,
        frame: usize,
        out: &mut [u8],
    ) -> Result<Sealing, SealError> {
        let context = self.seal_context(clock, stream)?;
        let envelope = open_envelope(codec, kind, context.sealed_len(frame), out).map_err(|_| SealError::Buffer)?;
        let header = out.get_mut(envelope..).and_then(|rest| rest.get_mut(..context.header_len()));
        let header = header.ok_or(SealError::Buffer)?;
        let input = context.take_counter(Metadata::of(&codec::metadata(codec, kind)))?;
        header.copy_from_slice(input.header.as_bytes());
        let key = KeyNumber { opens: false, number: context.number, kid: context.kid() };
        Ok(Sealing { job: Job::new(key, &input), envelope, written: envelope.saturating_add(header.len()) })
    }

    /// Starts to open a frame. Returns `None` if [`Session::open`] must open it; the buffer is unchanged then. Otherwise
    /// escaping was removed in place.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_begin(&mut self, clock: Clock, codec: Codec, frame: &mut [u8]) -> Result<Option<Opening>, OpenError> {
        self.advance_to_open(clock)?;
        let Found { kind, range, header, header_length, kid } = find(codec, frame)?;
        let located = frame.get_mut(range.clone()).ok_or(OpenError::Malformed)?;
        let metadata = codec::metadata(codec, kind);
        let Some(established) = self.receiver.established(self.clock.now, kid) else { return Ok(None) };
        let Established { participant, context, .. } = established;
        let screened = context.screen(&header.encode(), header.ctr, Metadata::of(&metadata));
        let number = context.number;
        let input = screened.map_err(|failure| self.not_opened(kid, ReceiveFailure::Frame(failure)))?;
        let length = codec::unescape(codec, located).map_err(|_| OpenError::Malformed)?;
        let start = range.start.saturating_add(header_length);
        let range = start..range.start.saturating_add(length);
        let key = KeyNumber { opens: true, number, kid: header.kid };
        let ctr = header.ctr;
        Ok(Some(Opening { job: Job::new(key, &input), ctr, participant, stream: kid.stream, kind, range }))
    }

    /// Reports that the tag of a frame was valid. The frame may be used only if this succeeds.
    ///
    /// # Errors
    /// [`OpenError::Replay`] if the same frame was opened meanwhile, [`OpenError::MissingKey`] if its key was erased.
    pub fn open_finish(&mut self, clock: Clock, key: KeyNumber, ctr: u64) -> Result<(), OpenError> {
        self.advance_to_open(clock)?;
        let kid = Kid::unpack(key.kid).ok_or(OpenError::Malformed)?;
        let Established { context, .. } = self.opening(kid, key.number).ok_or(OpenError::MissingKey)?;
        context.accept(ctr).map_err(|failure| match failure {
            OpenFailure::Replay => OpenError::Replay,
            OpenFailure::Truncated | OpenFailure::Unauthentic => OpenError::Malformed,
        })
    }

    /// Whether the key of this number still lives.
    pub fn has_cipher_key(&mut self, key: KeyNumber) -> bool {
        if key.opens {
            Kid::unpack(key.kid).is_some_and(|kid| self.opening(kid, key.number).is_some())
        } else {
            self.own.key.current().is_some_and(|own| own.numbered(key.number).is_some())
        }
    }

    /// The AES-256 key of this number; `None` once it is erased.
    pub fn cipher_key(&mut self, key: KeyNumber) -> Option<Zeroizing<[u8; 32]>> {
        let keys = if key.opens {
            let kid = Kid::unpack(key.kid)?;
            FrameKeys::derive::<P>(self.opening(kid, key.number)?.base_key, key.kid)
        } else {
            self.own.key.current()?.frame_keys(key.number)?
        };
        keys.key().try_into().ok().map(Zeroizing::new)
    }

    /// The key of this number that opens frames of this KID.
    fn opening(&mut self, kid: Kid, number: u32) -> Option<Established<'_, P>> {
        self.receiver.established(self.clock.now, kid).filter(|key| key.context.number == number)
    }
}
