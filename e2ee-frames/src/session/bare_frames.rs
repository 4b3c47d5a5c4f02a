//! Frames of profile N: SFrame ciphertexts without an envelope and without metadata, for [`crate::rtp`].

use super::{OpenError, Opened, SealError, Session};
use crate::{
    codec::FrameKind,
    ids::StreamId,
    sframe::{header, kid::Kid},
};
use e2ee_core::Primitives;

impl<P: Primitives> Session<P> {
    /// Seals a frame, or a payload of its codec's RTP format, into `out` without an envelope; returns its length.
    /// [`crate::rtp::max_sealed_bytes`] of output always suffice.
    ///
    /// # Errors
    /// See [`SealError`]; the frame must then be dropped, never sent as it is.
    pub fn seal_bare(&mut self, now: u64, stream: StreamId, frame: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        Ok(self.seal_context(now, stream)?.seal(&[], frame, out)?)
    }

    /// Opens what [`Self::seal_bare`] sealed, in place; frames in an envelope do not open. Nothing shows the kind of
    /// frame here: [`Opened::kind`] is delta.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing of the buffer may then be shown. Only after [`OpenError::MissingKey`] is it unchanged.
    pub fn open_bare(&mut self, now: u64, frame: &mut [u8]) -> Result<Opened, OpenError> {
        self.wake_to_open(now)?;
        let (header, start) = header::parse(frame).map_err(|_| OpenError::Malformed)?;
        let kid = Kid::unpack(header.kid).ok_or(OpenError::Malformed)?;
        let body = frame.get_mut(start..).ok_or(OpenError::Malformed)?;
        let (participant, length) =
            self.receiver.open(self.now, &header, kid, &[], body).map_err(|failure| self.not_opened(kid, failure))?;
        let range = start..start.saturating_add(length);
        Ok(Opened { participant, seat: kid.seat, stream: kid.stream, kind: FrameKind::Delta, range })
    }
}
