//! Packets of one stream, kept for retransmission and shared by all subscribers.
//!
//! A ring by index detects duplicates and finds packets in constant time. Payloads are also bounded by size and age.
//! Their buffers are reused, so that a stream in steady state allocates nothing.

use super::{layers::Unread, numbering::Numbering};
use crate::{
    units::DataSize,
    wire::{dependency_descriptor::MAX_TARGETS, vp8::Vp8Descriptor},
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Bounds of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreLimits {
    /// Number of indices, up to the highest one, in which duplicates are detected.
    pub(crate) window: usize,
    /// Maximum size of all payloads.
    pub(crate) size: DataSize,
    /// Maximum age of a packet, if the store holds more than a little.
    pub(crate) age: Duration,
    /// That little, and the maximum age in any case.
    pub(crate) little: (DataSize, Duration),
}

impl StoreLimits {
    /// Bounds with one age, however much is stored.
    pub(crate) const fn new(window: usize, size: DataSize, age: Duration) -> Self {
        Self { window, size, age, little: (DataSize::ZERO, age) }
    }
}

/// The parts of a packet from which forwarded headers are built, and where its payload can be rewritten.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PacketMeta {
    pub(crate) marker: bool,
    /// RTP timestamp of the publisher.
    pub(crate) timestamp: u32,
    pub(crate) audio_level: Option<u8>,
    pub(crate) frame_number: Option<u16>,
    pub(crate) vp8: Option<Vp8Descriptor>,
    pub(crate) starts_key_frame: bool,
    /// Its descriptor refers to a structure that has not come.
    pub(crate) unread: Option<Unread>,
    /// How the decode targets count it. One that came late is counted as was assumed when it was missing.
    pub(crate) numbering: Numbering,
    /// Mask of the decode targets that contain it; the only one, without a descriptor.
    pub(crate) targets: u16,
    /// Mask of the targets for which it is the last packet of a point in time: of the highest frame that they contain.
    pub(crate) last_of: u16,
    /// Mask of the targets that a receiver of a higher one can switch to, or a lower one up to, with its frame.
    pub(crate) switch: u16,
    /// First packet of a frame. Without a descriptor, any may be.
    pub(crate) starts_frame: bool,
    /// Last packet of a frame.
    pub(crate) ends_frame: bool,
    /// For each target, the distance in frame numbers to the previous frame of the chain that protects it; 0 if there is none.
    pub(crate) chain: [u8; MAX_TARGETS],
}

/// A packet of the store.
#[derive(Debug)]
pub(crate) struct StoredPacket {
    pub(crate) meta: PacketMeta,
    /// It is still to be forwarded to all subscribers.
    pub(crate) waits: bool,
    arrived: Instant,
    /// Dependency Descriptor, payload, padding.
    bytes: Vec<u8>,
    payload_at: usize,
    payload_len: usize,
}

impl StoredPacket {
    /// The Dependency Descriptor, if it has one.
    pub(crate) fn dependency(&self) -> Option<&[u8]> {
        self.bytes.get(..self.payload_at).filter(|value| !value.is_empty())
    }

    /// The payload. Its VP8 fields are those of the slot for which they were last rewritten.
    pub(crate) fn payload_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.payload_at..).and_then(|bytes| bytes.get_mut(..self.payload_len)).unwrap_or_default()
    }

    /// Length of the payload, without padding.
    pub(crate) fn payload_len(&self) -> usize {
        self.payload_len
    }

    /// The payload and the padding after it.
    pub(crate) fn padded(&self) -> &[u8] {
        self.bytes.get(self.payload_at..).unwrap_or_default()
    }

    /// Time since the arrival.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.arrived)
    }
}

/// Outcome of [`PacketStore::insert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// The packet is stored.
    New,
    /// A packet of that index was stored before.
    Duplicate,
    /// The index is below the window.
    TooLate,
}

#[derive(Debug, Default)]
struct Entry {
    /// 0 if the entry was never used.
    index: u64,
    packet: Option<StoredPacket>,
}

/// A bounded ring of packets.
#[derive(Debug)]
pub(crate) struct PacketStore {
    limits: StoreLimits,
    ring: Box<[Entry]>,
    /// Indices of the stored packets, oldest arrival first; some may have been removed since.
    order: VecDeque<u64>,
    /// Buffers for reuse.
    spare: Vec<Vec<u8>>,
    /// Size of all stored packets.
    bytes: usize,
    highest: u64,
}

impl PacketStore {
    /// An empty store. The window is rounded up to a power of two.
    pub(crate) fn new(limits: StoreLimits) -> Self {
        let ring = std::iter::repeat_with(Entry::default).take(limits.window.next_power_of_two()).collect();
        Self { limits, ring, order: VecDeque::new(), spare: Vec::new(), bytes: 0, highest: 0 }
    }

    /// The highest index stored so far; 0 before the first.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Stores a packet, if its index is new and within the window.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        index: u64,
        meta: &PacketMeta,
        dependency: &[u8],
        payload: &[u8],
    ) -> Insertion {
        if index == 0 || index.saturating_add(self.ring.len() as u64) <= self.highest {
            return Insertion::TooLate;
        }
        let Some(entry) = entry(&mut self.ring, index) else { return Insertion::TooLate };
        if entry.index == index {
            return Insertion::Duplicate;
        }
        let displaced = entry.packet.take().map(|packet| packet.bytes);
        entry.index = index;
        self.recycle(displaced);
        self.evict(now, dependency.len() + payload.len());
        self.highest = self.highest.max(index);

        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(dependency);
        bytes.extend_from_slice(payload);
        self.bytes += bytes.len();
        self.order.push_back(index);
        if let Some(entry) = self::entry(&mut self.ring, index) {
            let (payload_at, payload_len) = (dependency.len(), payload.len());
            entry.packet =
                Some(StoredPacket { meta: *meta, waits: true, arrived: now, bytes, payload_at, payload_len });
        }
        Insertion::New
    }

    /// Whether a packet of the index was stored, even if it has been removed since; `false` below the window.
    pub(crate) fn was_stored(&self, index: u64) -> bool {
        self.ring.get(position(&self.ring, index)).is_some_and(|entry| entry.index == index)
    }

    /// The packet of an index, if it is still stored.
    pub(crate) fn get_mut(&mut self, index: u64) -> Option<&mut StoredPacket> {
        entry(&mut self.ring, index).filter(|entry| entry.index == index)?.packet.as_mut()
    }

    /// From now on, a packet is forwarded, or there is no subscriber to forward it to.
    pub(crate) fn end_wait(&mut self, index: u64) {
        if let Some(packet) = self.get_mut(index) {
            packet.waits = false;
        }
    }

    /// Replaces a packet's RTP padding by `padding` bytes; 0 removes it. Padding counts towards the size of the store.
    pub(crate) fn pad(&mut self, index: u64, padding: u8) {
        let Some(entry) = entry(&mut self.ring, index).filter(|entry| entry.index == index) else { return };
        let Some(StoredPacket { bytes, payload_at, payload_len, .. }) = &mut entry.packet else { return };
        self.bytes -= bytes.len();
        bytes.truncate(*payload_at + *payload_len);
        bytes.resize(bytes.len() + usize::from(padding), 0);
        if let Some(count) = bytes.last_mut().filter(|_| padding > 0) {
            *count = padding;
        }
        self.bytes += bytes.len();
    }

    /// Removes packets that are too old.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.evict(now, 0);
    }

    /// Removes the oldest packets until `incoming` more bytes fit.
    fn evict(&mut self, now: Instant, incoming: usize) {
        while let Some(&oldest) = self.order.front() {
            let crowded = DataSize::from_len(self.bytes + incoming) > self.limits.size;
            let Some(entry) = entry(&mut self.ring, oldest) else { break };
            let (little, longest) = self.limits.little;
            let age = if DataSize::from_len(self.bytes) > little { self.limits.age } else { longest };
            let expired = match &entry.packet {
                Some(packet) if entry.index == oldest => packet.age(now) >= age,
                _ => {
                    self.order.pop_front(); // displaced by a newer one
                    continue;
                }
            };
            if !crowded && !expired {
                break;
            }
            let buffer = entry.packet.take().map(|packet| packet.bytes);
            self.order.pop_front();
            self.recycle(buffer);
        }
    }

    fn recycle(&mut self, buffer: Option<Vec<u8>>) {
        if let Some(mut bytes) = buffer {
            self.bytes -= bytes.len();
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

fn entry(ring: &mut [Entry], index: u64) -> Option<&mut Entry> {
    ring.get_mut(position(ring, index))
}

/// The place of an index in a ring, whose length is a power of two.
fn position(ring: &[Entry], index: u64) -> usize {
    (index & (ring.len() as u64 - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: StoreLimits = StoreLimits::new(64, DataSize::from_bytes(2_000), Duration::from_millis(500));

    fn insert(store: &mut PacketStore, now: Instant, index: u64, payload: &[u8]) -> Insertion {
        store.insert(now, index, &PacketMeta::default(), &[], payload)
    }

    #[test]
    fn index_is_stored_once_even_after_expiry() {
        let (mut store, start) = (PacketStore::new(LIMITS), Instant::now());
        assert_eq!(insert(&mut store, start, 100, b"one"), Insertion::New);
        assert_eq!(insert(&mut store, start, 100, b"two"), Insertion::Duplicate);
        store.expire(start + LIMITS.age);
        assert!(store.get_mut(100).is_none());
        assert_eq!(insert(&mut store, start, 100, b"three"), Insertion::Duplicate);
    }

    #[test]
    fn little_is_kept_for_longer() {
        let limits = StoreLimits { little: (DataSize::from_bytes(200), LIMITS.age * 4), ..LIMITS };
        let (mut store, start) = (PacketStore::new(limits), Instant::now());
        (1..=3).for_each(|index| _ = insert(&mut store, start, index, &[7; 100]));
        for (later, expected) in [(1, [false, true, true]), (3, [false, true, true]), (4, [false; 3])] {
            store.expire(start + LIMITS.age * later);
            assert_eq!([1, 2, 3].map(|index| store.get_mut(index).is_some()), expected);
        }
    }

    #[test]
    fn index_below_the_window_is_too_late() {
        let (mut store, start) = (PacketStore::new(LIMITS), Instant::now());
        insert(&mut store, start, 164, b"");
        assert_eq!(insert(&mut store, start, 101, b""), Insertion::New);
        assert_eq!(insert(&mut store, start, 100, b""), Insertion::TooLate);
    }

    #[test]
    fn descriptor_and_payload_are_separate() {
        let (mut store, start) = (PacketStore::new(LIMITS), Instant::now());
        store.insert(start, 1, &PacketMeta::default(), b"dd", b"payload");
        let packet = store.get_mut(1).unwrap();
        assert_eq!((packet.dependency(), packet.padded()), (Some(&b"dd"[..]), &b"payload"[..]));
        assert_eq!((packet.payload_len(), packet.payload_mut()), (7, &mut b"payload".to_owned()[..]));
    }

    #[test]
    fn padding_is_replaced_and_removed() {
        let (mut store, start) = (PacketStore::new(LIMITS), Instant::now());
        insert(&mut store, start, 1, b"payload");
        for (padding, expected) in [(3, &b"payload\0\0\x03"[..]), (1, b"payload\x01"), (0, b"payload")] {
            store.pad(1, padding);
            assert_eq!(store.bytes, expected.len());
            let packet = store.get_mut(1).unwrap();
            assert_eq!(packet.padded(), expected);
            assert_eq!(packet.payload_mut(), b"payload");
        }
        store.pad(2, 9);
        assert_eq!(store.bytes, 7, "no such packet");
    }

    proptest! {
        #[test]
        fn store_is_bounded_and_reuses_buffers(steps in prop::collection::vec((1u64..5_000, 0u64..50, 0usize..400), 1..400)) {
            let (mut store, start) = (PacketStore::new(LIMITS), Instant::now());
            let (mut ms, mut stored) = (0, std::collections::BTreeSet::new());
            for (index, wait, length) in steps {
                ms += wait;
                let now = start + Duration::from_millis(ms);
                let inserted = insert(&mut store, now, index, &vec![7; length]);
                prop_assert_eq!(inserted == Insertion::New && !stored.insert(index), false, "index stored twice");
                let packets: Vec<_> = store.ring.iter().filter_map(|entry| entry.packet.as_ref()).collect();
                prop_assert_eq!(packets.iter().map(|packet| packet.bytes.len()).sum::<usize>(), store.bytes);
                prop_assert!(DataSize::from_len(store.bytes) <= LIMITS.size);
                prop_assert!(packets.len() + store.spare.len() <= LIMITS.window + 1);
                prop_assert!(store.order.len() <= LIMITS.window * 2 + 400);
                if inserted == Insertion::New {
                    prop_assert!(packets.iter().all(|packet| now - packet.arrived < LIMITS.age));
                    prop_assert_eq!(store.get_mut(index).map(|packet| packet.payload_len()), Some(length));
                }
            }
        }
    }
}
