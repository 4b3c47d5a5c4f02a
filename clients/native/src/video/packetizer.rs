//! Packetizes sealed frames.

use super::{MAX_PAYLOAD_BYTES, payload_format::PayloadFormat, payload_format_of};
use bytes::Bytes;
use e2ee_frames::{Codec, FrameKind};

/// The frame is not in the envelope of its codec, so no receiver could reassemble it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sealed {0:?} frame")]
pub struct PacketizerError(Codec);

/// Payload of one RTP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Marker bit: this is the last payload of its frame.
    pub marker: bool,
    /// At most [`MAX_PAYLOAD_BYTES`].
    pub bytes: Bytes,
}

/// Packetizes the frames of one stream.
#[derive(Debug)]
pub struct Packetizer {
    codec: Codec,
    picture_id: u16,
}

impl Packetizer {
    /// A packetizer that numbers frames from `picture_id`, for codecs with 15-bit picture ids.
    #[must_use]
    pub const fn new(codec: Codec, picture_id: u16) -> Self {
        Self { codec, picture_id }
    }

    /// Cuts a sealed frame into payloads of almost equal size, at most [`MAX_PAYLOAD_BYTES`] each: a server can send
    /// packets of equal size as one segmented buffer. `kind` is the kind that the frame was sealed as.
    ///
    /// # Errors
    /// [`PacketizerError`] if the frame is empty or not in the envelope of this codec.
    pub fn packetize(&mut self, sealed: &[u8], kind: FrameKind) -> Result<Vec<Payload>, PacketizerError> {
        let format = payload_format_of(self.codec);
        let max = even_payload_bytes(format, sealed.len());
        let payloads = format.packetize(sealed, kind, self.picture_id, max);
        let payloads = payloads.filter(|payloads| !payloads.is_empty() && !sealed.is_empty());
        let payloads = payloads.ok_or(PacketizerError(self.codec))?;
        self.picture_id = self.picture_id.wrapping_add(1) & 0x7fff;
        let last = payloads.len() - 1;
        let marked = payloads.into_iter().enumerate();
        Ok(marked.map(|(n, bytes)| Payload { marker: n == last, bytes: Bytes::from(bytes) }).collect())
    }
}

/// The payload size that divides a frame into as few packets as possible, of equal size.
fn even_payload_bytes(format: &dyn PayloadFormat, frame: usize) -> usize {
    /// Smaller payloads waste more on headers than even sizes save.
    const MIN: usize = 64;
    let overhead = format.overhead();
    let pieces = frame.div_ceil(MAX_PAYLOAD_BYTES - overhead).max(1);
    (frame.div_ceil(pieces) + overhead).clamp(MIN, MAX_PAYLOAD_BYTES)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_a_frame_have_almost_equal_sizes() {
        let mut packetizer = Packetizer::new(Codec::Vp8, 0x7fff);
        for length in [1, 50, 1_096, 1_097, 2_000, 100_000] {
            let payloads = packetizer.packetize(&vec![0x11; length], FrameKind::Delta).unwrap();
            assert_eq!(payloads.len(), length.div_ceil(1_096), "{length}");
            let sizes = || payloads.iter().map(|payload| payload.bytes.len());
            assert!(sizes().max().unwrap() <= MAX_PAYLOAD_BYTES);
            assert!(sizes().max().unwrap() - sizes().min().unwrap() <= payloads.len(), "{length}");
            assert_eq!(payloads.iter().filter(|payload| payload.marker).count(), 1);
            assert!(payloads.last().unwrap().marker);
        }
    }

    #[test]
    fn malformed_frame_is_rejected() {
        for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
            assert_eq!(Packetizer::new(codec, 0).packetize(&[], FrameKind::Delta), Err(PacketizerError(codec)));
        }
        let no_start_code = Packetizer::new(Codec::H264, 0).packetize(&[1, 2, 3], FrameKind::Delta);
        assert_eq!(no_start_code, Err(PacketizerError(Codec::H264)));
        let cut_obu = Packetizer::new(Codec::Av1, 0).packetize(&[0x32, 0x05, 1], FrameKind::Delta);
        assert_eq!(cut_obu, Err(PacketizerError(Codec::Av1)));
    }
}
