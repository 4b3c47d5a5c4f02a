//! Frames of profile N: SFrame ciphertexts without an envelope and without metadata, for [`crate::rtp`].

use super::{OpenError, Opened, SealError, Session};
use crate::{
    clock::Clock,
    codec::FrameKind,
    ids::StreamId,
    sframe::{context::Metadata, header, kid::Kid},
};
use e2ee_core::Primitives;

impl<P: Primitives> Session<P> {
    /// Seals a frame, or a payload of its codec's RTP format, into `out` without an envelope and returns its length.
    /// [`crate::rtp::max_sealed_bytes`] of output always suffice.
    ///
    /// # Errors
    /// See [`SealError`]. The frame must be dropped, never sent unsealed.
    pub fn seal_bare(
        &mut self,
        clock: Clock,
        stream: StreamId,
        frame: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        Ok(self.seal_context(clock, stream)?.seal(Metadata::NONE, frame, out)?)
    }

    /// Opens a frame of [`Self::seal_bare`] in place; frames in an envelope do not open. [`Opened::kind`] is always delta.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing of the buffer may be shown then. It is unchanged only after [`OpenError::MissingKey`].
    pub fn open_bare(&mut self, clock: Clock, frame: &mut [u8]) -> Result<Opened, OpenError> {
        self.advance_to_open(clock)?;
        let (header, start) = header::parse(frame).map_err(|_| OpenError::Malformed)?;
        let kid = Kid::unpack(header.kid).ok_or(OpenError::Malformed)?;
        let body = frame.get_mut(start..).ok_or(OpenError::Malformed)?;
        let (participant, length) = self
            .receiver
            .open(self.clock.now, &header, kid, Metadata::NONE, body)
            .map_err(|failure| self.not_opened(kid, failure))?;
        let range = start..start.saturating_add(length);
        Ok(Opened { participant, seat: kid.seat, stream: kid.stream, kind: FrameKind::Delta, range })
    }
}
