//! The packets of one track that may be asked for again, shared by all its subscribers.
//!
//! A ring by index answers "was this one taken already" and "give me that one" in constant time. Payloads are bounded
//! by bytes and by age on top, and their buffers are reused, so that a track at steady state allocates nothing.

use crate::wire::vp8::Vp8Descriptor;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Bounds of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreLimits {
    /// Indices that are told apart, behind the highest one.
    pub(crate) window: usize,
    /// Bytes of payload.
    pub(crate) bytes: usize,
    /// Age.
    pub(crate) age: Duration,
}

/// What the header of a forwarded packet is made of, and where its payload may be rewritten.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PacketMeta {
    pub(crate) marker: bool,
    /// In the publisher's time.
    pub(crate) timestamp: u32,
    pub(crate) audio_level: Option<u8>,
    pub(crate) frame_number: Option<u16>,
    pub(crate) vp8: Option<Vp8Descriptor>,
    pub(crate) starts_key_frame: bool,
}

/// A packet in the store.
#[derive(Debug)]
pub(crate) struct StoredPacket {
    pub(crate) meta: PacketMeta,
    arrived: Instant,
    /// Dependency Descriptor, then payload, then padding.
    bytes: Vec<u8>,
    payload_at: usize,
    payload_len: usize,
}

impl StoredPacket {
    /// The Dependency Descriptor, if it has one.
    pub(crate) fn dependency(&self) -> Option<&[u8]> {
        self.bytes.get(..self.payload_at).filter(|value| !value.is_empty())
    }

    /// The payload. Its VP8 fields are whatever they were last rewritten to.
    pub(crate) fn payload_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.payload_at..).and_then(|bytes| bytes.get_mut(..self.payload_len)).unwrap_or_default()
    }

    /// Length of the payload, without padding.
    pub(crate) fn payload_len(&self) -> usize {
        self.payload_len
    }

    /// The payload, and the padding behind it.
    pub(crate) fn padded(&self) -> &[u8] {
        self.bytes.get(self.payload_at..).unwrap_or_default()
    }

    /// How long ago it arrived.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.arrived)
    }
}

/// Outcome of [`PacketStore::insert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// Taken.
    New,
    /// The index was taken before.
    Duplicate,
    /// The index lies before the window.
    TooLate,
}

#[derive(Debug, Default)]
struct Entry {
    /// 0 is no index.
    index: u64,
    packet: Option<StoredPacket>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PacketStore {
    limits: StoreLimits,
    ring: Box<[Entry]>,
    /// Indices of the stored packets, oldest first; also some that have gone since.
    order: VecDeque<u64>,
    spare: Vec<Vec<u8>>,
    bytes: usize,
    highest: u64,
}

impl PacketStore {
    /// An empty store; a window of 0 is taken as 1.
    pub(crate) fn new(limits: StoreLimits) -> Self {
        let ring = std::iter::repeat_with(Entry::default).take(limits.window.max(1)).collect();
        Self { limits, ring, order: VecDeque::new(), spare: Vec::new(), bytes: 0, highest: 0 }
    }

    /// The highest index taken; 0 before the first.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Takes a packet, if its index is new and within the window.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        index: u64,
        meta: PacketMeta,
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
        let displaced = entry.packet.take();
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
            entry.packet = Some(StoredPacket { meta, arrived: now, bytes, payload_at, payload_len });
        }
        Insertion::New
    }

    /// Whether the index was taken, and is not behind the window.
    pub(crate) fn has_taken(&self, index: u64) -> bool {
        let place = usize::try_from(index % (self.ring.len() as u64)).ok();
        place.and_then(|place| self.ring.get(place)).is_some_and(|entry| entry.index == index)
    }

    /// The packet of an index, if it is still there.
    pub(crate) fn get_mut(&mut self, index: u64) -> Option<&mut StoredPacket> {
        entry(&mut self.ring, index).filter(|entry| entry.index == index)?.packet.as_mut()
    }

    /// Puts so many bytes of RTP padding behind a packet's payload, which count like all others. Without any there is
    /// none behind it any more.
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

    /// Drops what is too old.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.evict(now, 0);
    }

    /// Drops the oldest packets until the bounds hold with `incoming` bytes more.
    fn evict(&mut self, now: Instant, incoming: usize) {
        while let Some(&oldest) = self.order.front() {
            let crowded = self.bytes + incoming > self.limits.bytes;
            let Some(entry) = entry(&mut self.ring, oldest) else { break };
            let expired = match &entry.packet {
                Some(packet) if entry.index == oldest => {
                    now.saturating_duration_since(packet.arrived) >= self.limits.age
                }
                _ => {
                    self.order.pop_front(); // displaced by a newer one
                    continue;
                }
            };
            if !crowded && !expired {
                break;
            }
            let packet = entry.packet.take();
            self.order.pop_front();
            self.recycle(packet);
        }
    }

    fn recycle(&mut self, packet: Option<StoredPacket>) {
        if let Some(StoredPacket { mut bytes, .. }) = packet {
            self.bytes -= bytes.len();
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

fn entry(ring: &mut [Entry], index: u64) -> Option<&mut Entry> {
    let place = index % (ring.len() as u64);
    ring.get_mut(usize::try_from(place).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: StoreLimits = StoreLimits { window: 64, bytes: 2_000, age: Duration::from_millis(500) };

    fn insert(store: &mut PacketStore, now: Instant, index: u64, payload: &[u8]) -> Insertion {
        store.insert(now, index, PacketMeta::default(), &[], payload)
    }

    #[test]
    fn an_index_is_taken_once_even_after_its_packet_is_gone() {
        let (mut store, start) = (PacketStore::new(LIMITS), Instant::now());
        assert_eq!(insert(&mut store, start, 100, b"one"), Insertion::New);
        assert_eq!(insert(&mut store, start, 100, b"two"), Insertion::Duplicate);
        store.expire(start + LIMITS.age);
        assert!(store.get_mut(100).is_none());
        assert_eq!(insert(&mut store, start, 100, b"three"), Insertion::Duplicate);
    }

    #[test]
    fn an_index_before_the_window_is_too_late() {
        let (mut store, start) = (PacketStore::new(LIMITS), Instant::now());
        insert(&mut store, start, 164, b"");
        assert_eq!(insert(&mut store, start, 101, b""), Insertion::New);
        assert_eq!(insert(&mut store, start, 100, b""), Insertion::TooLate);
    }

    #[test]
    fn descriptor_and_payload_come_back_apart() {
        let (mut store, start) = (PacketStore::new(LIMITS), Instant::now());
        store.insert(start, 1, PacketMeta::default(), b"dd", b"payload");
        let packet = store.get_mut(1).unwrap();
        assert_eq!((packet.dependency(), packet.padded()), (Some(&b"dd"[..]), &b"payload"[..]));
        assert_eq!((packet.payload_len(), packet.payload_mut()), (7, &mut b"payload".to_owned()[..]));
    }

    #[test]
    fn padding_lies_behind_the_payload_and_can_be_taken_away() {
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
        assert_eq!(store.bytes, 7, "there is no such packet");
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_buffers_are_reused(steps in prop::collection::vec((1u64..5_000, 0u64..50, 0usize..400), 1..400)) {
            let (mut store, start) = (PacketStore::new(LIMITS), Instant::now());
            let (mut ms, mut taken) = (0, std::collections::BTreeSet::new());
            for (index, wait, length) in steps {
                ms += wait;
                let now = start + Duration::from_millis(ms);
                let inserted = insert(&mut store, now, index, &vec![7; length]);
                prop_assert_eq!(inserted == Insertion::New && !taken.insert(index), false, "index taken twice");
                let packets: Vec<_> = store.ring.iter().filter_map(|entry| entry.packet.as_ref()).collect();
                prop_assert_eq!(packets.iter().map(|packet| packet.bytes.len()).sum::<usize>(), store.bytes);
                prop_assert!(store.bytes <= LIMITS.bytes);
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
