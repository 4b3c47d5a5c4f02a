//! Whole sealed frames to RTP payloads and back.
//!
//! A packetizer may look at nothing inside a sealed frame, and need not: Opus frames are one packet each, and VP8
//! frames are cut anywhere (RFC 7741 asks for partition boundaries only of those who want to resume inside a frame).

use std::collections::VecDeque;

/// Most bytes of RTP payload in one packet, so that header, extensions, SRTP tag and UDP fit any path.
pub const MAX_PAYLOAD_BYTES: usize = 1_100;
/// Bytes of the VP8 payload descriptor that [`vp8_payloads`] writes: X, S and a 15-bit picture id.
pub const VP8_DESCRIPTOR_BYTES: usize = 4;

/// Cuts a VP8 frame into payloads of at most `max` bytes, each with its marker bit.
///
/// `max` is at least [`VP8_DESCRIPTOR_BYTES`] + 1; a smaller one counts as that.
pub fn vp8_payloads(frame: &[u8], picture_id: u16, max: usize) -> impl Iterator<Item = (bool, Vec<u8>)> {
    let room = max.saturating_sub(VP8_DESCRIPTOR_BYTES).max(1);
    let last = frame.len().div_ceil(room).saturating_sub(1);
    frame.chunks(room).enumerate().map(move |(n, chunk)| {
        let mut payload = Vec::with_capacity(VP8_DESCRIPTOR_BYTES + chunk.len());
        payload.extend_from_slice(&vp8_descriptor(n == 0, picture_id));
        payload.extend_from_slice(chunk);
        (n == last, payload)
    })
}

/// The VP8 payload descriptor (RFC 7741 section 4.2): X, S on the first packet of a frame, PID 0, picture id.
#[must_use]
pub fn vp8_descriptor(first: bool, picture_id: u16) -> [u8; VP8_DESCRIPTOR_BYTES] {
    let [high, low] = (picture_id | 0x8000).to_be_bytes();
    [0x80 | if first { 0x10 } else { 0 }, 0x80, high, low]
}

/// Splits a VP8 payload into "starts a frame" and what follows the descriptor; `None` when it is cut short.
#[must_use]
pub fn split_vp8(payload: &[u8]) -> Option<(bool, &[u8])> {
    let first = *payload.first()?;
    let starts = first & 0x10 != 0 && first & 0x07 == 0;
    let mut length = 1;
    if first & 0x80 != 0 {
        let extensions = *payload.get(1)?;
        length += 1;
        if extensions & 0x80 != 0 {
            length += if *payload.get(length)? & 0x80 != 0 { 2 } else { 1 };
        }
        if extensions & 0x40 != 0 {
            length += 1;
        }
        if extensions & 0x30 != 0 {
            length += 1;
        }
    }
    Some((starts, payload.get(length..)?))
}

/// Puts the packets of one VP8 stream together.
///
/// Frames come out as soon as they are whole, in whatever order packets arrive: a sealed frame is opened by itself,
/// and order is the decoder's affair. Holds the last [`Assembler::WINDOW`] sequence numbers.
#[derive(Debug, Default)]
pub struct Assembler {
    /// Packets by sequence number, oldest first; `None` for one that has not come, or has left in a frame.
    window: VecDeque<Option<Piece>>,
    /// Sequence number of the first entry.
    first: u16,
}

#[derive(Debug)]
struct Piece {
    starts: bool,
    ends: bool,
    bytes: Vec<u8>,
}

impl Assembler {
    /// Sequence numbers that are held: a key frame of 500 kB.
    pub const WINDOW: usize = 512;

    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a packet, and gives the frame that it completes.
    pub fn push(&mut self, sequence: u16, marker: bool, payload: &[u8]) -> Option<Vec<u8>> {
        let (starts, bytes) = split_vp8(payload)?;
        let at = self.slot(sequence)?;
        let slot = self.window.get_mut(at)?;
        if slot.is_some() {
            return None;
        }
        *slot = Some(Piece { starts, ends: marker, bytes: bytes.to_vec() });
        let begin = (0..=at).rev().map_while(|n| self.piece(n).map(|p| (n, p))).find(|(_, p)| p.starts)?.0;
        let end = (at..self.window.len()).map_while(|n| self.piece(n).map(|p| (n, p))).find(|(_, p)| p.ends)?.0;
        if (begin..at).any(|n| self.piece(n).is_some_and(|p| p.ends)) {
            return None;
        }
        let pieces = self.window.range_mut(begin..=end).filter_map(Option::take);
        Some(pieces.fold(Vec::new(), |mut frame, piece| {
            frame.extend_from_slice(&piece.bytes);
            frame
        }))
    }

    fn piece(&self, at: usize) -> Option<&Piece> {
        self.window.get(at)?.as_ref()
    }

    /// Index of a sequence number in the window, which moves forward for newer ones; `None` for one too old.
    fn slot(&mut self, sequence: u16) -> Option<usize> {
        if self.window.is_empty() {
            self.first = sequence;
        }
        let ahead = sequence.wrapping_sub(self.first);
        if ahead >= 0x8000 {
            return None;
        }
        let mut at = usize::from(ahead);
        if at >= 2 * Self::WINDOW {
            self.window.clear();
            self.first = sequence;
            at = 0;
        }
        while self.window.len() <= at {
            self.window.push_back(None);
        }
        while self.window.len() > Self::WINDOW {
            self.window.pop_front();
            self.first = self.first.wrapping_add(1);
            at = at.checked_sub(1)?;
        }
        Some(at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn descriptors_of_every_shape_are_skipped() {
        assert_eq!(split_vp8(&[0x10, 1, 2]), Some((true, [1, 2].as_slice())));
        assert_eq!(split_vp8(&[0x00, 1, 2]), Some((false, [1, 2].as_slice())));
        assert_eq!(split_vp8(&[0x90, 0x80, 0x05, 1]), Some((true, [1].as_slice())), "7-bit picture id");
        assert_eq!(split_vp8(&[0x90, 0xf0, 0x80, 5, 9, 9, 1]), Some((true, [1].as_slice())), "all extensions");
        assert_eq!(split_vp8(&[0x11, 1]), Some((false, [1].as_slice())), "a later partition starts no frame");
        assert_eq!(split_vp8(&[0x90, 0x80]), None);
        assert_eq!(split_vp8(&[]), None);
    }

    #[test]
    fn a_repeated_packet_completes_nothing_twice() {
        let mut assembler = Assembler::new();
        let payload = [&vp8_descriptor(true, 1)[..], b"frame"].concat();
        assert_eq!(assembler.push(7, true, &payload).unwrap(), b"frame");
        assert_eq!(assembler.push(6, true, &payload), None, "older than all that was seen");
    }

    #[test]
    fn a_lost_packet_spoils_its_own_frame_only() {
        let mut assembler = Assembler::new();
        let frame: Vec<u8> = (0..3_000u32).map(|n| n as u8).collect();
        let mut complete = 0;
        for (n, (marker, payload)) in (0..3).flat_map(|id| vp8_payloads(&frame, id, 1_100)).enumerate() {
            if n != 4 {
                complete += usize::from(assembler.push(65_534u16.wrapping_add(n as u16), marker, &payload).is_some());
            }
        }
        assert_eq!(complete, 2);
    }

    proptest! {
        #[test]
        fn frames_survive_packets_in_any_order_near_by(
            lengths in proptest::collection::vec(1usize..4_000, 1..8),
            start: u16,
            swaps in proptest::collection::vec((0usize..40, 0usize..40), 0..30),
        ) {
            let frames: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(n, len)| (0..*len).map(|b| (b * 7 + n) as u8).collect()).collect();
            let mut packets: Vec<(u16, bool, Vec<u8>)> = frames
                .iter()
                .enumerate()
                .flat_map(|(id, frame)| vp8_payloads(frame, id as u16, 1_100))
                .enumerate()
                .map(|(n, (marker, payload))| (start.wrapping_add(n as u16), marker, payload))
                .collect();
            prop_assert!(packets.iter().all(|(_, _, payload)| payload.len() <= 1_100));
            for (a, b) in swaps {
                // The first packet stays: a receiver counts from the first that it sees.
                let (a, b) = (1 + a % packets.len(), 1 + b % packets.len());
                if a < packets.len() && b < packets.len() {
                    packets.swap(a, b);
                }
            }
            let mut assembler = Assembler::new();
            let mut out: Vec<_> = packets.iter().filter_map(|(seq, m, p)| assembler.push(*seq, *m, p)).collect();
            let mut expected = frames;
            out.sort();
            expected.sort();
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn garbage_does_no_harm(packets in proptest::collection::vec(
            (any::<u16>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..200)) {
            let mut assembler = Assembler::new();
            for (sequence, marker, payload) in packets {
                let _ = assembler.push(sequence, marker, &payload);
                prop_assert!(assembler.window.len() <= Assembler::WINDOW);
            }
        }
    }
}
