//! Reassembles SFrame ciphertexts from packets that are reordered, duplicated or lost.
//!
//! A ciphertext is the shortest row of packets with consecutive sequence numbers that starts with S and ends with E. Only
//! the packet that arrived last can have completed it, so only rows through that one are considered. Packets are kept in a
//! ring of slots by their sequence numbers; used packets leave a mark, so that duplicates are recognised.

use super::SframeDescriptor;
use alloc::vec::Vec;

/// Packets this far behind the newest are dropped. Also the maximum number of packets of a ciphertext.
pub const MAX_PACKETS: usize = 1_024;
/// Maximum number of bytes held. Beyond it, the oldest packets are dropped.
pub const MAX_BYTES: usize = 1 << 20;
/// Maximum length of a payload. No datagram carries more.
pub const MAX_PAYLOAD_BYTES: usize = 65_535;

const _: () = assert!(65_536 % MAX_PACKETS == 0, "a sequence number that wraps around finds its slot");

/// Why a payload was refused, or did not complete a ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// No descriptor, or no bytes after it.
    #[error("nothing in the payload")]
    Empty,
    /// Longer than [`MAX_PAYLOAD_BYTES`].
    #[error("payload too long")]
    Oversized,
    /// It completed a row of packets of both frames and packetized payloads, which were dropped.
    #[error("frames and packetized payloads in one ciphertext")]
    Mixed,
}

/// A complete ciphertext. Nothing of it is authentic yet: see [`crate::Session::open_bare`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    /// T: see [`SframeDescriptor::packetized`].
    pub packetized: bool,
    /// Sequence number of its first packet.
    pub first: u16,
    /// Sequence number of its last packet, which has the marker bit and the timestamp.
    pub last: u16,
    /// SFrame header, ciphertext and tag.
    pub bytes: Vec<u8>,
}

enum Slot {
    Empty,
    Held(SframeDescriptor, Vec<u8>),
    /// The packet is part of a ciphertext that was returned.
    Used,
}

/// Packets of one SSRC and payload type that do not form complete ciphertexts yet.
#[derive(Default)]
pub struct Reassembly {
    /// None before the first packet, then [`MAX_PACKETS`], by sequence number modulo that.
    slots: Vec<Slot>,
    newest: u16,
    held_bytes: usize,
    /// After a packet from too long ago: the number by which the next one shows that the sender has restarted its numbers.
    restart: Option<u16>,
}

impl Reassembly {
    /// Without packets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the payload of a packet and returns the ciphertext that it completes. Copies, and packets from further back
    /// than [`MAX_PACKETS`], change nothing. But if two of these follow each other, the sender has restarted its numbers,
    /// and so does the reassembly with the second.
    ///
    /// # Errors
    /// See [`PayloadError`].
    pub fn push(&mut self, sequence: u16, payload: &[u8]) -> Result<Option<Ciphertext>, PayloadError> {
        let (descriptor, bytes) = payload.split_first().ok_or(PayloadError::Empty)?;
        if bytes.is_empty() {
            return Err(PayloadError::Empty);
        }
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(PayloadError::Oversized);
        }
        if !self.looks_at(sequence) || !matches!(self.slot(sequence), Some(Slot::Empty)) {
            return Ok(None);
        }
        self.make_room(bytes.len());
        self.replace(sequence, Slot::Held(SframeDescriptor::parse(*descriptor), bytes.to_vec()));
        self.row_through(sequence).map(|(first, last)| self.take(first, last)).transpose()
    }

    /// Advances to a packet if it is the newest. Returns whether it is recent enough.
    fn looks_at(&mut self, sequence: u16) -> bool {
        if self.slots.is_empty() {
            self.slots.resize_with(MAX_PACKETS, || Slot::Empty);
            self.newest = sequence;
            return true;
        }
        let ahead = usize::from(sequence.wrapping_sub(self.newest));
        if ahead < 0x8000 {
            self.move_on(sequence, ahead);
            return true;
        }
        if self.age(sequence) < MAX_PACKETS {
            return true;
        }
        if self.restart != Some(sequence) {
            self.restart = Some(sequence.wrapping_add(1));
            return false;
        }
        self.move_on(sequence, MAX_PACKETS);
        true
    }

    /// Makes this packet the newest, `ahead` of the previous one, and clears the slots in between.
    fn move_on(&mut self, sequence: u16, ahead: usize) {
        let mut passed = sequence;
        for _ in 0..ahead.min(MAX_PACKETS) {
            self.replace(passed, Slot::Empty);
            passed = passed.wrapping_sub(1);
        }
        if ahead > 0 {
            self.restart = None;
        }
        self.newest = sequence;
    }

    /// How far a packet is behind the newest.
    fn age(&self, sequence: u16) -> usize {
        usize::from(self.newest.wrapping_sub(sequence))
    }

    fn slot(&self, sequence: u16) -> Option<&Slot> {
        self.slots.get(usize::from(sequence) % MAX_PACKETS)
    }

    fn held(&self, sequence: u16) -> Option<SframeDescriptor> {
        match self.slot(sequence)? {
            Slot::Held(descriptor, _) => Some(*descriptor),
            Slot::Empty | Slot::Used => None,
        }
    }

    /// Replaces the contents of a slot and returns the number of bytes it held.
    fn replace(&mut self, sequence: u16, with: Slot) -> Option<Vec<u8>> {
        let slot = self.slots.get_mut(usize::from(sequence) % MAX_PACKETS)?;
        if let Slot::Held(_, bytes) = &with {
            self.held_bytes = self.held_bytes.saturating_add(bytes.len());
        }
        let Slot::Held(_, bytes) = core::mem::replace(slot, with) else { return None };
        self.held_bytes = self.held_bytes.saturating_sub(bytes.len());
        Some(bytes)
    }

    /// Drops the oldest packets until this many more bytes fit.
    fn make_room(&mut self, bytes: usize) {
        let mut oldest = self.newest.wrapping_add(1);
        for _ in 0..MAX_PACKETS {
            if self.held_bytes.saturating_add(bytes) <= MAX_BYTES {
                return;
            }
            // The one after the newest has the slot of the oldest.
            if self.held(oldest).is_some() {
                self.replace(oldest, Slot::Empty);
            }
            oldest = oldest.wrapping_add(1);
        }
    }

    /// First and last packet of the shortest complete row through this one.
    fn row_through(&self, sequence: u16) -> Option<(u16, u16)> {
        let (mut first, mut last) = (sequence, sequence);
        // Forward first: in order, there is nothing there. Another start or end on the way would have its own row, which
        // would have been taken out before.
        let mut packet = self.held(last)?;
        while !packet.end {
            if last == self.newest {
                return None;
            }
            last = last.wrapping_add(1);
            packet = self.held(last)?;
        }
        let mut packet = self.held(first)?;
        while !packet.start {
            if self.age(first).saturating_add(1) >= MAX_PACKETS {
                return None;
            }
            first = first.wrapping_sub(1);
            packet = self.held(first)?;
        }
        Some((first, last))
    }

    /// Removes a row and concatenates its payloads.
    fn take(&mut self, first: u16, last: u16) -> Result<Ciphertext, PayloadError> {
        let packetized = self.held(first).is_some_and(|packet| packet.packetized);
        let (mut bytes, mut mixed, mut sequence) = (Vec::new(), false, first);
        loop {
            mixed |= self.held(sequence).is_some_and(|packet| packet.packetized != packetized);
            bytes.extend_from_slice(&self.replace(sequence, Slot::Used).unwrap_or_default());
            if sequence == last {
                break;
            }
            sequence = sequence.wrapping_add(1);
        }
        if mixed { Err(PayloadError::Mixed) } else { Ok(Ciphertext { packetized, first, last, bytes }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{collections::BTreeMap, vec};
    use proptest::prelude::*;

    /// Payloads of as many bytes as descriptors, each byte the index of its descriptor.
    fn push_all(reassembly: &mut Reassembly, packets: &[(u16, u8)]) -> Vec<Result<Ciphertext, PayloadError>> {
        let packets = packets.iter().map(|(sequence, descriptor)| (*sequence, [*descriptor, *sequence as u8]));
        packets.filter_map(|(sequence, payload)| reassembly.push(sequence, &payload).transpose()).collect()
    }

    fn rows(packets: &[(u16, u8)]) -> Vec<(u16, u16)> {
        let complete = push_all(&mut Reassembly::new(), packets).into_iter();
        complete.map(|ciphertext| ciphertext.map(|of| (of.first, of.last)).unwrap()).collect()
    }

    const S: u8 = 0x80;
    const E: u8 = 0x40;
    const T: u8 = 0x20;

    #[test]
    fn row_starts_with_s_and_ends_with_e() {
        assert_eq!(rows(&[(7, S | E)]), [(7, 7)]);
        assert_eq!(rows(&[(7, S), (8, 0), (9, E), (10, S | E)]), [(7, 9), (10, 10)]);
        assert_eq!(rows(&[(9, E), (8, 0), (7, S)]), [(7, 9)], "backwards");
        assert_eq!(rows(&[(65_535, S), (1, E), (0, 0)]), [(65_535, 1)], "around the end of the numbers");
        assert_eq!(rows(&[(7, S), (9, E)]), [], "one missing");
        assert_eq!(rows(&[(7, 0), (8, E)]), [], "no start");
        assert_eq!(rows(&[(7, S), (8, 0)]), [], "no end");
        assert_eq!(rows(&[(7, S), (8, S), (9, E)]), [(8, 9)], "a start in the middle discards the earlier part");
        assert_eq!(rows(&[(7, S), (8, E), (9, E)]), [(7, 8)], "an extra end belongs to no frame");
        assert_eq!(rows(&[(7, S), (10, E), (9, E), (8, 0)]), [(7, 9)], "the first end is the end");
        assert_eq!(rows(&[(8, E), (9, S), (7, S), (10, E)]), [(7, 8), (9, 10)]);
        assert_eq!(rows(&[(7, S | 0x1f), (8, E | 0x1f)]), [(7, 8)], "reserved bits are ignored");
    }

    #[test]
    fn duplicate_packet_completes_nothing() {
        let packets = [(7, S), (7, S), (8, E), (7, S), (8, E), (8, S | E)];
        assert_eq!(rows(&packets), [(7, 8)]);
        let mut reassembly = Reassembly::new();
        reassembly.push(7, &[S, 1]).unwrap();
        assert_eq!(reassembly.push(7, &[S | E, 2]), Ok(None), "the first copy counts");
        assert_eq!(reassembly.push(8, &[E, 3]).unwrap().unwrap().bytes, [1, 3]);
        assert_eq!(reassembly.held_bytes, 0);
    }

    #[test]
    fn frames_and_payloads_do_not_mix() {
        let mut reassembly = Reassembly::new();
        let mixed = push_all(&mut reassembly, &[(7, S), (8, T), (9, E), (10, S | T), (11, T | E), (9, E)]);
        let packetized = Ciphertext { packetized: true, first: 10, last: 11, bytes: vec![10, 11] };
        assert_eq!(mixed, [Err(PayloadError::Mixed), Ok(packetized)]);
    }

    #[test]
    fn invalid_payload_is_refused() {
        let mut reassembly = Reassembly::new();
        assert_eq!(reassembly.push(0, &[]), Err(PayloadError::Empty));
        assert_eq!(reassembly.push(0, &[S | E]), Err(PayloadError::Empty));
        assert_eq!(reassembly.push(0, &vec![S; MAX_PAYLOAD_BYTES + 1]), Err(PayloadError::Oversized));
        assert!(reassembly.slots.is_empty());
        let most = reassembly.push(0, &vec![S | E; MAX_PAYLOAD_BYTES]).unwrap().unwrap();
        assert_eq!(most.bytes.len(), MAX_PAYLOAD_BYTES - 1);
    }

    #[test]
    fn row_is_bounded() {
        let row = |start: u16, length: usize| {
            let last = start.wrapping_add(length as u16 - 1);
            let middle = (1..length as u16 - 1).map(move |index| (start.wrapping_add(index), 0));
            [(start, S)].into_iter().chain(middle).chain([(last, E)]).collect::<Vec<_>>()
        };
        assert_eq!(rows(&row(65_000, MAX_PACKETS)).len(), 1);
        assert_eq!(rows(&row(65_000, MAX_PACKETS + 1)), []);
        // A ring full of packets without start or end is not walked around in circles.
        let packets: Vec<_> = (0..3_000).map(|sequence| (sequence, 0)).collect();
        assert_eq!(rows(&packets), []);
    }

    #[test]
    fn old_packets_are_not_taken_for_new() {
        let far = MAX_PACKETS as u16;
        assert_eq!(rows(&[(0, S), (far, S | E), (1, E)]), [(far, far)], "its start is too old");
        assert_eq!(rows(&[(1, S), (far, S | E), (2, E)]), [(far, far), (1, 2)], "just recent enough");
        assert_eq!(rows(&[(0, S), (far + 1, E)]), [], "the next round of the same slot");
        assert_eq!(rows(&[(5_000, S | E), (60, S | E)]), [(5_000, 5_000)], "from long ago");
    }

    #[test]
    fn restarted_sequence_is_followed() {
        let packets = [(40_000, S), (20_000, S | E), (20_001, S | E), (20_002, S), (20_003, E), (40_001, E)];
        assert_eq!(rows(&packets), [(20_001, 20_001), (20_002, 20_003)]);
        let late = [(40_000, S | E), (20_000, S | E), (40_001, S | E), (20_001, S | E), (40_002, S | E)];
        assert_eq!(rows(&late), [(40_000, 40_000), (40_001, 40_001), (40_002, 40_002)], "two stragglers are no sender");
    }

    #[test]
    fn oldest_packets_dropped_beyond_byte_limit() {
        let mut reassembly = Reassembly::new();
        let payload = |descriptor: u8| {
            let mut payload = vec![0; 60_001];
            payload[0] = descriptor;
            payload
        };
        let most = (MAX_BYTES / 60_000) as u16;
        for sequence in 0..=most {
            assert_eq!(reassembly.push(sequence, &payload(if sequence == 0 { S } else { 0 })), Ok(None));
            assert!(reassembly.held_bytes <= MAX_BYTES);
        }
        assert_eq!(reassembly.push(most + 1, &payload(E)), Ok(None), "its start had to go");
        assert_eq!(push_all(&mut reassembly, &[(most + 2, S | E)]).len(), 1, "what follows is whole");
    }

    /// The draft's algorithm, step by step: all packets in a set, searched for the smallest list after each.
    #[derive(Default)]
    struct Draft {
        set: BTreeMap<u16, u8>,
        seen: Vec<u16>,
    }

    impl Draft {
        fn push(&mut self, sequence: u16, descriptor: u8) -> Option<Result<(u16, u16), PayloadError>> {
            if self.seen.contains(&sequence) {
                return None;
            }
            self.seen.push(sequence);
            self.set.insert(sequence, descriptor);
            let starts = self.set.iter().filter(|(_, descriptor)| **descriptor & S != 0);
            let lists = starts.flat_map(|(first, _)| {
                let consecutive = (*first..).take_while(|sequence| self.set.contains_key(sequence));
                consecutive.filter(|last| self.set[last] & E != 0).map(|last| (*first, last))
            });
            let (first, last) = lists.min_by_key(|(first, last)| last - first)?;
            let removed: Vec<u8> = (first..=last).map(|sequence| self.set.remove(&sequence).unwrap() & T).collect();
            let mixed = removed.iter().any(|packetized| *packetized != removed[0]);
            Some(if mixed { Err(PayloadError::Mixed) } else { Ok((first, last)) })
        }
    }

    proptest! {
        #[test]
        fn reassembly_matches_draft(packets in proptest::collection::vec((0u16..30, 0u8..8), 0..200)) {
            let (mut ours, mut draft) = (Reassembly::new(), Draft::default());
            for (sequence, bits) in packets {
                let descriptor = bits << 5;
                let complete = ours.push(sequence.wrapping_sub(15), &[descriptor, 1]).transpose();
                let complete = complete.map(|of| of.map(|of| (of.first.wrapping_add(15), of.last.wrapping_add(15))));
                prop_assert_eq!(complete, draft.push(sequence, descriptor));
            }
        }

        #[test]
        fn reassembly_is_total_and_bounded(
            packets in proptest::collection::vec(
                (
                    prop_oneof![any::<u16>(), 0u16..2_000, 64_000u16..],
                    any::<u8>(),
                    prop_oneof![0usize..50, 60_000usize..70_000],
                ),
                0..150,
            ),
        ) {
            let mut reassembly = Reassembly::new();
            for (sequence, descriptor, length) in packets {
                let _ = reassembly.push(sequence, &vec![descriptor; length]);
                let held = reassembly.slots.iter().map(|slot| if let Slot::Held(_, bytes) = slot { bytes.len() } else { 0 });
                prop_assert_eq!(held.sum::<usize>(), reassembly.held_bytes);
                prop_assert!(reassembly.held_bytes <= MAX_BYTES && reassembly.slots.len() <= MAX_PACKETS);
            }
        }
    }
}
