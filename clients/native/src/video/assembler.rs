//! Assembles sealed frames from RTP payloads.

use super::{
    payload_format::{PayloadFormat, Place, Start},
    payload_format_of,
};
use bytes::Bytes;
use e2ee_frames::Codec;
use std::collections::VecDeque;

/// Maximum size of a payload, in bytes: that of a packet.
const MAX_PIECE_BYTES: usize = 1_500;

/// A complete sealed frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssembledFrame {
    /// The sealed frame, in its envelope.
    pub bytes: Vec<u8>,
    /// Sequence number of its first packet. Packets are missing if this does not follow the last packet of the
    /// previous frame.
    pub first: u16,
    /// Sequence number of its last packet.
    pub last: u16,
}

/// Assembles the packets of one stream.
///
/// Returns a frame when all of its packets have arrived. Holds the packets of the last [`Assembler::WINDOW`] sequence
/// numbers.
#[derive(Debug)]
pub struct Assembler {
    format: &'static dyn PayloadFormat,
    /// Packets by sequence number, oldest first.
    window: VecDeque<Slot>,
    /// Sequence number of the first entry.
    first: u16,
}

#[derive(Debug)]
enum Slot {
    /// Has not arrived.
    Missing,
    /// Has arrived.
    Held(Piece),
    /// Was returned in a frame, or belongs to a malformed one. `ended`: whether it was the last packet of that frame.
    Gone { ended: bool },
}

#[derive(Debug)]
struct Piece {
    place: Place,
    payload: Bytes,
}

impl Assembler {
    /// Number of sequence numbers that are held: enough for a key frame of 500 kB.
    pub const WINDOW: usize = 512;

    /// An empty assembler.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        Self { format: payload_format_of(codec), window: VecDeque::new(), first: 0 }
    }

    /// Takes a packet. Returns the frame that it completes, if any.
    pub fn push(&mut self, sequence: u16, marker: bool, payload: &[u8]) -> Option<AssembledFrame> {
        if payload.len() > MAX_PIECE_BYTES {
            return None;
        }
        let place = self.format.place(payload, marker)?;
        let at = self.slot(sequence)?;
        let slot = self.window.get_mut(at)?;
        if !matches!(slot, Slot::Missing) {
            return None;
        }
        *slot = Slot::Held(Piece { place, payload: Bytes::copy_from_slice(payload) });
        let begin = self.begin(at)?;
        let end = (at..self.window.len()).map_while(|n| Some((n, self.piece(n)?))).find(|(_, p)| p.place.ends)?.0;
        let pieces: Vec<Piece> = self.window.range_mut(begin..=end).filter_map(Slot::take).collect();
        let payloads: Vec<&[u8]> = pieces.iter().map(|piece| piece.payload.as_ref()).collect();
        let bytes = self.format.depacketize(&payloads)?;
        let number = |index: usize| self.first.wrapping_add(index as u16);
        Some(AssembledFrame { bytes, first: number(begin), last: number(end) })
    }

    /// Index of the first packet of the frame to which packet `at` belongs, if all packets in between have arrived.
    fn begin(&self, at: usize) -> Option<usize> {
        for n in (0..=at).rev() {
            let piece = self.piece(n)?;
            if n < at && piece.place.ends {
                return None;
            }
            let first = match piece.place.start {
                Start::Yes => true,
                Start::No => false,
                Start::UnlessContinued => match n.checked_sub(1).and_then(|before| self.window.get(before)) {
                    // A missing packet may be the end of another frame. If it is the start of this one, the frame does
                    // not open; without its start it is useless anyway.
                    None | Some(Slot::Missing) => true,
                    Some(Slot::Gone { ended }) => *ended,
                    Some(Slot::Held(before)) => before.place.ends,
                },
            };
            if first {
                return Some(n);
            }
        }
        None
    }

    fn piece(&self, at: usize) -> Option<&Piece> {
        match self.window.get(at)? {
            Slot::Held(piece) => Some(piece),
            Slot::Missing | Slot::Gone { .. } => None,
        }
    }

    /// Index of a sequence number in the window, which advances for newer numbers; `None` for one that is too old. A
    /// number far from all others starts a new window.
    fn slot(&mut self, sequence: u16) -> Option<usize> {
        let ahead = sequence.wrapping_sub(self.first);
        let behind = self.first.wrapping_sub(sequence);
        let far = 2 * Self::WINDOW;
        if self.window.is_empty() || usize::from(ahead.min(behind)) >= far {
            self.window.clear();
            self.first = sequence;
            self.window.push_back(Slot::Missing);
            return Some(0);
        }
        if ahead > behind {
            return None;
        }
        let mut at = usize::from(ahead);
        while self.window.len() <= at {
            self.window.push_back(Slot::Missing);
        }
        while self.window.len() > Self::WINDOW {
            self.window.pop_front();
            self.first = self.first.wrapping_add(1);
            at = at.checked_sub(1)?;
        }
        Some(at)
    }
}

impl Slot {
    fn take(&mut self) -> Option<Piece> {
        let ended = matches!(self, Self::Held(piece) if piece.place.ends);
        match std::mem::replace(self, Self::Gone { ended }) {
            Self::Held(piece) => Some(piece),
            Self::Missing | Self::Gone { .. } => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::video::{Packetizer, vp8_descriptor};
    use e2ee_frames::FrameKind;
    use proptest::prelude::*;

    const VIDEO: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264];

    /// A frame in its envelope; its ciphertext has no zeros, so that nothing needs to be escaped.
    fn sealed(codec: Codec, kind: FrameKind, length: usize, salt: usize) -> Vec<u8> {
        let contents: Vec<u8> = (0..length).map(|n| (n * 7 + salt) as u8 | 1).collect();
        let mut frame: Vec<u8> = match (codec, kind) {
            (Codec::Opus | Codec::Vp9, _) => Vec::new(),
            (Codec::Vp8, FrameKind::Key) => vec![0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0],
            (Codec::Vp8, FrameKind::Delta) => vec![0x11],
            (Codec::Av1, FrameKind::Key) => {
                vec![0x0a, 0x0b, 0, 0, 0, 0x04, 0x3c, 0xff, 0xbc, 0xfb, 0xf9, 0x80, 0x40, 0x32]
            }
            (Codec::Av1, FrameKind::Delta) => vec![0x32],
            (Codec::H264, FrameKind::Key) => {
                let sps = [0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0xd0, 0x0f, 0x08, 0x84, 0x6a];
                [&[0, 0, 0, 1][..], &sps, &[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84]].concat()
            }
            (Codec::H264, FrameKind::Delta) => vec![0, 0, 0, 1, 0x41, 0x9a, 0x84],
        };
        if codec == Codec::Av1 {
            let mut size = length;
            while size >= 0x80 {
                frame.push(size as u8 | 0x80);
                size >>= 7;
            }
            frame.push(size as u8);
        }
        frame.extend(contents);
        if codec == Codec::H264 {
            frame.push(0x80);
        }
        let located = e2ee_frames::codec::locate(codec, &frame).unwrap();
        assert_eq!((located.kind, located.range.len()), (e2ee_frames::codec::shown(codec, kind), length), "{codec:?}");
        frame
    }

    type Packet = (u16, bool, Bytes);

    /// Frames of these lengths, the first a key frame, and all their packets.
    fn stream(codec: Codec, lengths: &[usize], start: u16) -> (Vec<Vec<u8>>, Vec<Packet>) {
        let kind = |n: usize| if n.is_multiple_of(5) { FrameKind::Key } else { FrameKind::Delta };
        let frames: Vec<_> = lengths.iter().enumerate().map(|(n, length)| sealed(codec, kind(n), *length, n)).collect();
        let mut packetizer = Packetizer::new(codec, 0x7ffe);
        let payloads = frames.iter().enumerate().flat_map(|(n, frame)| packetizer.packetize(frame, kind(n)).unwrap());
        let packets = payloads.zip(0u16..).map(|(payload, n)| (start.wrapping_add(n), payload.marker, payload.bytes));
        let packets = packets.collect();
        (frames, packets)
    }

    #[test]
    fn server_recognises_exactly_the_key_frames() {
        use rtp_wire::key_frame::starts_key_frame;
        use sfu::media::Codec as SfuCodec;
        let known = [SfuCodec::Vp8, SfuCodec::Vp9, SfuCodec::Av1, SfuCodec::H264];
        for (codec, known) in VIDEO.into_iter().zip(known) {
            for length in [17, 900, 5_000] {
                let (_, packets) = stream(codec, &[length; 11], 0);
                let mut first = true;
                let mut kinds = Vec::new();
                for (_, marker, payload) in packets {
                    let key = starts_key_frame(known, None, &payload);
                    assert!(first || !key || codec == Codec::H264, "{codec:?}: only where a frame begins");
                    if first {
                        kinds.push(key);
                    }
                    first = marker;
                }
                let wanted: Vec<bool> = (0..11).map(|n| n % 5 == 0).collect();
                assert_eq!(kinds, wanted, "{codec:?} of {length}");
            }
        }
    }

    #[test]
    fn duplicate_packet_completes_no_frame() {
        let mut assembler = Assembler::new(Codec::Vp8);
        let payload = [&vp8_descriptor(true, 1)[..], b"frame"].concat();
        assert_eq!(assembler.push(7, true, &payload).unwrap().bytes, b"frame");
        assert_eq!(assembler.push(7, true, &payload), None, "again");
        assert_eq!(assembler.push(6, true, &payload), None, "older than all that was seen");
    }

    #[test]
    fn lost_packet_affects_only_its_frame() {
        for codec in VIDEO {
            let (frames, packets) = stream(codec, &[3_000; 7], 65_530);
            for lost in 0..packets.len() {
                let mut assembler = Assembler::new(codec);
                let kept = packets.iter().enumerate().filter(|(n, _)| *n != lost).map(|(_, packet)| packet);
                let out: Vec<_> = kept.filter_map(|(seq, marker, p)| assembler.push(*seq, *marker, p)).collect();
                assert!(out.len() == 6 && out.iter().all(|frame| frames.contains(&frame.bytes)), "{codec:?}, {lost}");
            }
        }
    }

    #[test]
    fn sequence_numbers_show_gaps() {
        let (_, packets) = stream(Codec::Vp8, &[2_500; 3], 10);
        let mut assembler = Assembler::new(Codec::Vp8);
        let out = packets.iter().filter(|(seq, ..)| *seq != 14);
        let out: Vec<_> =
            out.filter_map(|(seq, m, p)| assembler.push(*seq, *m, p)).map(|f| (f.first, f.last)).collect();
        assert_eq!(out, [(10, 12), (16, 18)]);
    }

    #[test]
    fn distant_sequence_number_starts_new_window() {
        let mut assembler = Assembler::new(Codec::Vp8);
        let payload = [&vp8_descriptor(true, 1)[..], b"frame"].concat();
        for sequence in [40_000, 1_000, 60_000, 59_999] {
            let whole = assembler.push(sequence, true, &payload);
            assert_eq!(whole.is_some(), sequence != 59_999, "{sequence}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn reordered_and_duplicate_packets_assemble(
            lengths in prop::collection::vec(1usize..4_000, 1..8),
            start: u16,
            swaps in prop::collection::vec((0usize..40, 0usize..40), 0..30),
            repeats in prop::collection::vec(0usize..40, 0..10),
        ) {
            for codec in VIDEO {
                let (mut expected, mut packets) = stream(codec, &lengths, start);
                prop_assert!(packets.iter().all(|(_, _, payload)| payload.len() <= 1_100));
                for (a, b) in &swaps {
                    // The first packet stays first: the receiver's window starts there.
                    let (a, b) = (1 + a % packets.len(), 1 + b % packets.len());
                    if a < packets.len() && b < packets.len() {
                        packets.swap(a, b);
                    }
                }
                for at in &repeats {
                    let at = at % packets.len();
                    packets.insert(at, packets[at].clone());
                }
                let mut assembler = Assembler::new(codec);
                let out = packets.iter().filter_map(|(seq, m, p)| assembler.push(*seq, *m, p));
                let mut out: Vec<_> = out.map(|frame| frame.bytes).collect();
                out.sort();
                expected.sort();
                prop_assert_eq!(out, expected, "{:?}", codec);
            }
        }

        #[test]
        fn losses_never_yield_partial_frames(
            lengths in prop::collection::vec(1usize..4_000, 1..8),
            lost in prop::collection::vec(any::<bool>(), 40),
        ) {
            for codec in VIDEO {
                let (frames, packets) = stream(codec, &lengths, 0);
                let mut assembler = Assembler::new(codec);
                for ((seq, marker, payload), _) in packets.iter().zip(&lost).filter(|(_, lost)| !**lost) {
                    if let Some(frame) = assembler.push(*seq, *marker, payload) {
                        prop_assert!(frames.contains(&frame.bytes), "{:?}", codec);
                    }
                }
            }
        }

        #[test]
        fn garbage_does_not_panic(packets in prop::collection::vec(
            (any::<u16>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..20)), 0..200)) {
            for codec in VIDEO {
                let mut assembler = Assembler::new(codec);
                for (sequence, marker, payload) in &packets {
                    let _ = assembler.push(*sequence, *marker, payload);
                    prop_assert!(assembler.window.len() <= Assembler::WINDOW);
                }
            }
        }
    }
}
