//! Sealing and opening frames. Every failure is an error; no frame passes unsealed or unauthenticated.

use super::Session;
use crate::{
    clock::Clock,
    codec::{self, Codec, FrameKind, Located, close_envelope, open_envelope},
    ids::{ParticipantId, Seat, StreamId},
    keys::receiver::ReceiveFailure,
    sframe::{
        context::{Metadata, OpenFailure, SealContext, SealFailure},
        header::{self, Header},
        kid::Kid,
    },
};
use core::ops::Range;
use e2ee_core::Primitives;

/// Why a frame was not sealed. It must be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no key yet: wait for [`super::Action::StreamReady`].
    #[error("no key yet")]
    NoKey,
    /// The stream was not opened.
    #[error("the stream is not open")]
    StreamNotOpen,
    /// The output is too small: see [`codec::max_sealed_bytes`].
    #[error("output too small")]
    Buffer,
    /// Too many streams, or a frame too large for its codec's envelope.
    #[error("unsupported stream or frame")]
    Unsupported,
    /// The key has sealed its maximum number of frames.
    #[error("key exhausted")]
    Exhausted,
    /// The session has ended: see [`super::Action::Ended`].
    #[error("the session has ended")]
    Ended,
}

impl From<SealFailure> for SealError {
    fn from(failure: SealFailure) -> Self {
        match failure {
            SealFailure::Buffer => Self::Buffer,
            SealFailure::Exhausted => Self::Exhausted,
        }
    }
}

/// Why a frame was not opened. It must be dropped, or held if its key is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key may still arrive: the frame is unchanged and can be retried after [`super::Action::KeyInstalled`].
    #[error("missing key")]
    MissingKey,
    /// Not sealed by the sender that it names, or altered.
    #[error("not authentic")]
    NotAuthentic,
    /// Opened before, or older than the replay window.
    #[error("replayed")]
    Replay,
    /// Not an SFrame ciphertext in the envelope of its codec.
    #[error("malformed")]
    Malformed,
    /// No participant on the roster has the seat that it names.
    #[error("unknown sender")]
    UnknownSender,
    /// The session has ended: see [`super::Action::Ended`].
    #[error("the session has ended")]
    Ended,
}

/// An opened frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The sender, by its key and not by any label of the server.
    pub participant: ParticipantId,
    /// The seat in its KID.
    pub seat: Seat,
    /// The stream in its KID.
    pub stream: StreamId,
    /// Key or delta, as the sender stated.
    pub kind: FrameKind,
    /// Where the frame is in the buffer.
    pub range: Range<usize>,
}

/// The unauthenticated parts of a frame in an envelope.
pub(super) struct Found {
    pub(super) kind: FrameKind,
    /// Header, ciphertext and tag, still escaped.
    pub(super) range: Range<usize>,
    pub(super) header: Header,
    pub(super) header_length: usize,
    pub(super) kid: Kid,
}

/// Parses a frame without changing it.
pub(super) fn find(codec: Codec, frame: &[u8]) -> Result<Found, OpenError> {
    let Located { kind, range } = codec::locate(codec, frame).map_err(|_| OpenError::Malformed)?;
    let (head, length) = codec::peek(codec, frame.get(range.clone()).ok_or(OpenError::Malformed)?);
    let (header, header_length) =
        head.get(..length).and_then(|head| header::parse(head).ok()).ok_or(OpenError::Malformed)?;
    let kid = Kid::unpack(header.kid).ok_or(OpenError::Malformed)?;
    Ok(Found { kind, range, header, header_length, kid })
}

impl<P: Primitives> Session<P> {
    /// Seals a frame into `out` and returns its length. [`codec::max_sealed_bytes`] of output always suffice.
    ///
    /// # Errors
    /// See [`SealError`]. The frame must be dropped, never sent unsealed.
    pub fn seal(
        &mut self,
        clock: Clock,
        stream: StreamId,
        codec: Codec,
        kind: FrameKind,
        frame: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let context = self.seal_context(clock, stream)?;
        let start = open_envelope(codec, kind, context.sealed_len(frame.len()), out).map_err(|_| SealError::Buffer)?;
        let body = out.get_mut(start..).ok_or(SealError::Buffer)?;
        let length = context.seal(Metadata::of(&codec::metadata(codec, kind)), frame, body)?;
        close_envelope(codec, start, start.saturating_add(length), out).map_err(|_| SealError::Buffer)
    }

    /// The context that seals the next frame of a stream.
    pub(super) fn seal_context(
        &mut self,
        clock: Clock,
        stream: StreamId,
    ) -> Result<&mut SealContext<P::Aead>, SealError> {
        if !self.advance(clock) {
            return Err(SealError::Ended);
        }
        self.erase_own_dead();
        self.switch_if_due();
        if !self.own.streams.contains(&stream) {
            return Err(SealError::StreamNotOpen);
        }
        let key = self.own.key.current_mut().ok_or(SealError::NoKey)?;
        key.context(stream, &mut self.own.contexts_made).ok_or(SealError::Unsupported)
    }

    /// Advances time before a frame is opened.
    pub(super) fn advance_to_open(&mut self, clock: Clock) -> Result<(), OpenError> {
        if self.advance(clock) { Ok(()) } else { Err(OpenError::Ended) }
    }

    /// Opens a frame in place.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing of the buffer may be shown then. It is unchanged only after [`OpenError::MissingKey`].
    pub fn open(&mut self, clock: Clock, codec: Codec, frame: &mut [u8]) -> Result<Opened, OpenError> {
        self.advance_to_open(clock)?;
        let Found { kind, range, header, header_length, kid } = find(codec, frame)?;
        let located = frame.get_mut(range.clone()).ok_or(OpenError::Malformed)?;
        self.receiver.expects(kid).map_err(|failure| self.not_opened(kid, failure))?;
        let length = codec::unescape(codec, located).map_err(|_| OpenError::Malformed)?;
        let body = located.get_mut(header_length..length).ok_or(OpenError::Malformed)?;
        let (participant, length) = self
            .receiver
            .open(self.clock.now, &header, kid, Metadata::of(&codec::metadata(codec, kind)), body)
            .map_err(|failure| self.not_opened(kid, failure))?;
        let start = range.start.saturating_add(header_length);
        let range = start..start.saturating_add(length);
        Ok(Opened { participant, seat: kid.seat, stream: kid.stream, kind, range })
    }

    /// Records a missing key and returns the error.
    pub(super) fn not_opened(&mut self, kid: Kid, failure: ReceiveFailure) -> OpenError {
        match failure {
            ReceiveFailure::Frame(OpenFailure::Replay) => OpenError::Replay,
            ReceiveFailure::Frame(OpenFailure::Truncated) => OpenError::Malformed,
            ReceiveFailure::Frame(OpenFailure::Unauthentic) => {
                // It may be of a generation eight later, whose keys were all lost: the KID is the same.
                self.want_key(kid);
                OpenError::NotAuthentic
            }
            ReceiveFailure::NoKey { ask: false } => OpenError::MissingKey,
            ReceiveFailure::NoKey { ask: true } | ReceiveFailure::NoSender => {
                if self.want_key(kid) {
                    OpenError::MissingKey
                } else {
                    OpenError::UnknownSender
                }
            }
        }
    }
}
