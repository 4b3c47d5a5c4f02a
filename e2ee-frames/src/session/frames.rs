//! Sealing and opening frames. Nothing passes that is not sealed; nothing comes out that is not authentic.

use super::Session;
use crate::{
    clock::Clock,
    codec::{self, Codec, FrameKind, Located, close_envelope, open_envelope},
    ids::{ParticipantId, Seat, StreamId},
    keys::receiver::ReceiveFailure,
    sframe::{
        context::{OpenFailure, SealContext, SealFailure},
        header::{self, Header},
        kid::Kid,
    },
};
use core::ops::Range;
use e2ee_core::Primitives;

/// A frame was not sealed and must be dropped.
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
    /// Too many streams, or a frame beyond what its codec can hold.
    #[error("unsupported stream or frame")]
    Unsupported,
    /// The key has sealed as many frames as it may.
    #[error("key exhausted")]
    Exhausted,
    /// The session is over: see [`super::Action::Ended`].
    #[error("the session is over")]
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

/// A frame was not opened and must be dropped, or held if its key is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key may come: the frame is unchanged and may be retried after [`super::Action::KeyInstalled`].
    #[error("missing key")]
    MissingKey,
    /// Not sealed by whom it claims, or altered.
    #[error("not authentic")]
    NotAuthentic,
    /// Opened before, or too old to tell.
    #[error("replayed")]
    Replay,
    /// Not an SFrame ciphertext in the envelope of its codec.
    #[error("malformed")]
    Malformed,
    /// Nobody on the roster sits where it claims to be from.
    #[error("unknown sender")]
    UnknownSender,
    /// The session is over: see [`super::Action::Ended`].
    #[error("the session is over")]
    Ended,
}

/// An opened frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who sealed it: by its key, not by any label of the server.
    pub participant: ParticipantId,
    /// The seat in its KID.
    pub seat: Seat,
    /// Which stream of the sender.
    pub stream: StreamId,
    /// Key or delta, as the sender said.
    pub kind: FrameKind,
    /// Where in the buffer the frame lies now.
    pub range: Range<usize>,
}

/// What a frame in an envelope says of itself. Nothing of it is authentic.
pub(super) struct Found {
    pub(super) kind: FrameKind,
    /// Header, ciphertext and tag, as escaped as they came.
    pub(super) range: Range<usize>,
    pub(super) header: Header,
    pub(super) header_length: usize,
    pub(super) kid: Kid,
}

/// Looks at a frame without changing it.
pub(super) fn find(codec: Codec, frame: &[u8]) -> Result<Found, OpenError> {
    let Located { kind, range } = codec::locate(codec, frame).map_err(|_| OpenError::Malformed)?;
    let (head, length) = codec::peek(codec, frame.get(range.clone()).ok_or(OpenError::Malformed)?);
    let (header, header_length) =
        head.get(..length).and_then(|head| header::parse(head).ok()).ok_or(OpenError::Malformed)?;
    let kid = Kid::unpack(header.kid).ok_or(OpenError::Malformed)?;
    Ok(Found { kind, range, header, header_length, kid })
}

impl<P: Primitives> Session<P> {
    /// Seals a frame into `out`; returns its length. [`codec::max_sealed_bytes`] of output always suffice.
    ///
    /// # Errors
    /// See [`SealError`]; the frame must then be dropped, never sent as it is.
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
        let length = context.seal(&codec.metadata(kind), frame, body)?;
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
        self.switch_if_due();
        if !self.own.streams.contains(&stream) {
            return Err(SealError::StreamNotOpen);
        }
        let key = self.own.key.current_mut().ok_or(SealError::NoKey)?;
        key.context(stream, &mut self.own.contexts_made).ok_or(SealError::Unsupported)
    }

    /// Takes the time at which a frame is to be opened, if the session lives.
    pub(super) fn wake_to_open(&mut self, clock: Clock) -> Result<(), OpenError> {
        if self.advance(clock) { Ok(()) } else { Err(OpenError::Ended) }
    }

    /// Opens a frame in place.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing of the buffer may then be shown. Only after [`OpenError::MissingKey`] is it unchanged.
    pub fn open(&mut self, clock: Clock, codec: Codec, frame: &mut [u8]) -> Result<Opened, OpenError> {
        self.wake_to_open(clock)?;
        let Found { kind, range, header, header_length, kid } = find(codec, frame)?;
        let located = frame.get_mut(range.clone()).ok_or(OpenError::Malformed)?;
        self.receiver.expects(kid).map_err(|failure| self.not_opened(kid, failure))?;
        let length = codec::unescape(codec, located).map_err(|_| OpenError::Malformed)?;
        let body = located.get_mut(header_length..length).ok_or(OpenError::Malformed)?;
        let (participant, length) = self
            .receiver
            .open(self.clock.now, &header, kid, &codec.metadata(kind), body)
            .map_err(|failure| self.not_opened(kid, failure))?;
        let start = range.start.saturating_add(header_length);
        let range = start..start.saturating_add(length);
        Ok(Opened { participant, seat: kid.seat, stream: kid.stream, kind, range })
    }

    /// Notes a missing key and names the error.
    pub(super) fn not_opened(&mut self, kid: Kid, failure: ReceiveFailure) -> OpenError {
        match failure {
            ReceiveFailure::Frame(OpenFailure::Replay) => OpenError::Replay,
            ReceiveFailure::Frame(OpenFailure::Truncated) => OpenError::Malformed,
            ReceiveFailure::Frame(OpenFailure::Unauthentic) => {
                // Perhaps not forged, but of a generation eight later, whose keys were all lost: KIDs show no difference.
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
