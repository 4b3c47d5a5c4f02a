//! Sealed frames to RTP payloads.

use super::{MAX_PAYLOAD_BYTES, av1, h264, vp8, vp9};
use bytes::Bytes;
use e2ee_frames::{Codec, FrameKind};

/// A frame that has not the shape of its codec's envelope, so that no receiver could put it together again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sealed {0:?} frame")]
pub struct PacketizerError(Codec);

/// What stands behind one RTP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The marker bit: this ends the frame.
    pub marker: bool,
    /// At most [`MAX_PAYLOAD_BYTES`].
    pub bytes: Bytes,
}

/// Cuts the frames of one stream.
#[derive(Debug)]
pub struct Packetizer {
    codec: Codec,
    picture_id: u16,
}

impl Packetizer {
    /// A packetizer whose frames are numbered from `picture_id` on, where the codec has numbers (15 bits).
    #[must_use]
    pub const fn new(codec: Codec, picture_id: u16) -> Self {
        Self { codec, picture_id }
    }

    /// Cuts a sealed frame into payloads of about equal size, none of them above [`MAX_PAYLOAD_BYTES`]: packets of one
    /// size leave a server in one piece. `kind` is what it was sealed as.
    ///
    /// # Errors
    /// [`PacketizerError`] if it is not in the envelope of this codec, or empty.
    pub fn packetize(&mut self, sealed: &[u8], kind: FrameKind) -> Result<Vec<Payload>, PacketizerError> {
        let max = even_payload_bytes(self.codec, sealed.len());
        let payloads = match self.codec {
            Codec::Opus => (sealed.len() <= MAX_PAYLOAD_BYTES).then(|| vec![sealed.to_vec()]),
            Codec::Vp8 => Some(vp8::payloads(sealed, self.picture_id, max).map(|(_, payload)| payload).collect()),
            Codec::Vp9 => Some(vp9::payloads(sealed, kind, self.picture_id, max)),
            Codec::Av1 => av1::payloads(sealed, max),
            Codec::H264 => Some(h264::payloads(sealed, max)),
        };
        let payloads = payloads.filter(|payloads| !payloads.is_empty() && !sealed.is_empty());
        let payloads = payloads.ok_or(PacketizerError(self.codec))?;
        self.picture_id = self.picture_id.wrapping_add(1) & 0x7fff;
        let last = payloads.len() - 1;
        let marked = payloads.into_iter().enumerate();
        Ok(marked.map(|(n, bytes)| Payload { marker: n == last, bytes: Bytes::from(bytes) }).collect())
    }
}

/// The payload size that divides a frame into as few and as equal packets as possible.
fn even_payload_bytes(codec: Codec, frame: usize) -> usize {
    /// Smaller ones are not worth it.
    const LEAST: usize = 64;
    // What stands in front of each piece: descriptor; aggregation header and length; fragment header.
    let overhead = match codec {
        Codec::Opus => 0,
        Codec::Vp8 => 4,
        Codec::Vp9 | Codec::Av1 => 3,
        Codec::H264 => 2,
    };
    let pieces = frame.div_ceil(MAX_PAYLOAD_BYTES - overhead).max(1);
    (frame.div_ceil(pieces) + overhead).clamp(LEAST, MAX_PAYLOAD_BYTES)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_a_frame_are_of_about_one_size() {
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
    fn what_is_no_frame_is_refused() {
        for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
            assert_eq!(Packetizer::new(codec, 0).packetize(&[], FrameKind::Delta), Err(PacketizerError(codec)));
        }
        let no_start_code = Packetizer::new(Codec::H264, 0).packetize(&[1, 2, 3], FrameKind::Delta);
        assert_eq!(no_start_code, Err(PacketizerError(Codec::H264)));
        let cut_obu = Packetizer::new(Codec::Av1, 0).packetize(&[0x32, 0x05, 1], FrameKind::Delta);
        assert_eq!(cut_obu, Err(PacketizerError(Codec::Av1)));
    }
}
