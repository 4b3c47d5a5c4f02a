//! The send log: what each publisher sent, and when.
//!
//! A receiver must match each packet to the one that its publisher sent, although the server has rewritten SSRC,
//! sequence number and timestamp. The SFrame header at the start of a frame is clear and cannot be rewritten: its KID
//! and CTR identify the frame, and this log has the sequence number with which its publisher sent the first packet.
//! ```text
//!   first packet of a frame:  KID, CTR ──► KeyLog ──► sequence number of the publisher ──► StreamLog ──► when
//!   the others:               sequence number in the slot − shift of the slot's source ──► StreamLog ──► when
//! ```
//! The shift between both numbers is constant while a source stays in a slot, and every first packet shows it again; the
//! timestamp's shift must fit, too, or the packet is not taken for known ([`crate::bots::packet_identity`]).
//!
//! There is a lock only for new keys and tracks.

use crate::measure::clock::Time;
use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tacet_proto::TrackId;

/// Streams that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Audio of light bots.
    Audio,
    /// Video of light bots, and single packets.
    Video,
    /// Streams of bots on the `webrtc` crate.
    OfCanaries,
}

impl Class {
    pub(crate) const ALL: [Self; 3] = [Self::Audio, Self::Video, Self::OfCanaries];
}

/// The newest entries of a log by their numbers. One thread writes and others read, without locks: values are stored before
/// the number, so a reader that finds the number finds the values that belong to it.
#[derive(Debug)]
struct Ring<const VALUES: usize>(Box<[Entry<VALUES>]>);

#[derive(Debug)]
struct Entry<const VALUES: usize> {
    /// Number plus one; zero is empty.
    number: AtomicU64,
    values: [AtomicU64; VALUES],
}

impl<const VALUES: usize> Ring<VALUES> {
    /// A ring of at least this many entries; their number is a power of two.
    fn new(entries: usize) -> Self {
        let empty = || Entry { number: AtomicU64::new(0), values: [const { AtomicU64::new(0) }; VALUES] };
        Self((0..entries.clamp(64, 1 << 22).next_power_of_two()).map(|_| empty()).collect())
    }

    fn entry(&self, number: u64) -> Option<&Entry<VALUES>> {
        self.0.get(usize::try_from(number).ok()? & (self.0.len() - 1))
    }

    fn set(&self, number: u64, values: [u64; VALUES]) {
        let Some(entry) = self.entry(number) else { return };
        entry.number.store(0, Ordering::Release);
        for (place, value) in entry.values.iter().zip(values) {
            place.store(value, Ordering::Release);
        }
        entry.number.store(number.wrapping_add(1), Ordering::Release);
    }

    /// The values of a number, unless they are overwritten.
    fn get(&self, number: u64) -> Option<[u64; VALUES]> {
        let entry = self.entry(number)?;
        let is_there = || entry.number.load(Ordering::Acquire) == number.wrapping_add(1);
        let found = is_there();
        let values = entry.values.each_ref().map(|value| value.load(Ordering::Acquire));
        (found && is_there()).then_some(values)
    }
}

/// The packets of one stream, by its publisher's sequence number without wraps.
#[derive(Debug)]
pub(crate) struct StreamLog {
    pub(crate) class: Class,
    /// Index among a simulcast publisher's encodings, the largest first.
    pub(crate) encoding: Option<usize>,
    /// Time and RTP timestamp of each packet.
    packets: Ring<2>,
    /// Sequence number of the next packet.
    next: AtomicU64,
    /// First packet of the measured time, and the one behind its last; equal while there is none.
    measured_from: AtomicU64,
    measured_until: AtomicU64,
    measured_bytes: AtomicU64,
}

/// When a packet was sent, and its RTP timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) at: Time,
    pub(crate) timestamp: u32,
}

impl StreamLog {
    /// Sequence number of a stream's first packet: away from zero, so that what is computed from it stays positive. Its low
    /// 16 bits, which are sent, are below 2^15: if the first packets are lost, a receiver still guesses the rollover counter
    /// of SRTP (RFC 3711 section 3.3.1).
    pub(crate) const FIRST: u64 = 0x1_0000;

    /// A log that remembers at least `packets` packets.
    pub(crate) fn new(class: Class, encoding: Option<usize>, packets: usize) -> Self {
        Self {
            class,
            encoding,
            packets: Ring::new(packets),
            next: AtomicU64::new(Self::FIRST),
            measured_from: AtomicU64::new(0),
            measured_until: AtomicU64::new(0),
            measured_bytes: AtomicU64::new(0),
        }
    }

    /// Number of packets that it remembers.
    pub(crate) fn remembers(&self) -> usize {
        self.packets.0.len()
    }

    /// Sequence number of the packet that will be sent next.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Records that the next packet is sent; returns its sequence number.
    pub(crate) fn record(&self, sent: Sent, bytes: usize, measured: bool) -> u64 {
        let sequence = self.next();
        self.packets.set(sequence, [sent.at.as_nanos(), u64::from(sent.timestamp)]);
        if measured {
            if self.measured_until.load(Ordering::Relaxed) == 0 {
                self.measured_from.store(sequence, Ordering::Release);
            }
            self.measured_until.store(sequence + 1, Ordering::Release);
            self.measured_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.next.store(sequence + 1, Ordering::Release);
        sequence
    }

    /// When this packet was sent, if it was, and not too long ago.
    pub(crate) fn sent(&self, sequence: u64) -> Option<Sent> {
        let [at, timestamp] = self.packets.get(sequence)?;
        Some(Sent { at: Time::from_nanos(at), timestamp: timestamp as u32 })
    }

    /// Packets of the measured time, by sequence number.
    pub(crate) fn measured(&self) -> std::ops::Range<u64> {
        self.measured_from.load(Ordering::Acquire)..self.measured_until.load(Ordering::Acquire)
    }

    /// RTP payload bytes of these packets.
    pub(crate) fn measured_bytes(&self) -> u64 {
        self.measured_bytes.load(Ordering::Relaxed)
    }
}

/// The frames under one KID: where each begins.
#[derive(Debug)]
pub(crate) struct KeyLog {
    pub(crate) kid: u64,
    pub(crate) stream: Arc<StreamLog>,
    /// Sequence number of the first packet of each frame, by counter.
    frames: Ring<1>,
}

impl KeyLog {
    /// A log that remembers at least `frames` frames.
    pub(crate) fn new(kid: u64, stream: Arc<StreamLog>, frames: usize) -> Self {
        Self { kid, stream, frames: Ring::new(frames) }
    }

    /// Records that the frame with this counter begins with this packet.
    pub(crate) fn record(&self, ctr: u64, first: u64) {
        self.frames.set(ctr, [first]);
    }

    /// Sequence number of the frame's first packet, if the frame was sent, and not too long ago.
    pub(crate) fn first(&self, ctr: u64) -> Option<u64> {
        self.frames.get(ctr).map(|[first]| first)
    }
}

/// Everything that was sent in one room. KIDs are unique in a room only.
#[derive(Debug, Default)]
pub(crate) struct RoomLog {
    keys: RwLock<HashMap<u64, Arc<KeyLog>>>,
    tracks: RwLock<HashMap<TrackId, Arc<StreamLog>>>,
    streams: RwLock<Vec<Arc<StreamLog>>>,
    /// Counts of ended streams, by class.
    ended: RwLock<[SentTotal; 3]>,
    flows: AtomicBool,
}

/// What was sent in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SentTotal {
    pub(crate) streams: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl SentTotal {
    fn add(&mut self, stream: &StreamLog) {
        let measured = stream.measured();
        self.streams += 1;
        self.packets += measured.end - measured.start;
        self.bytes += stream.measured_bytes();
    }
}

impl RoomLog {
    /// Adds a stream that will be sent.
    pub(crate) fn add_stream(&self, stream: Arc<StreamLog>) {
        self.streams.write().unwrap_or_else(PoisonError::into_inner).push(stream);
    }

    /// Removes a stream that has ended, and keeps its counts.
    pub(crate) fn remove_stream(&self, stream: &Arc<StreamLog>) {
        self.streams.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, stream));
        self.tracks.write().unwrap_or_else(PoisonError::into_inner).retain(|_, other| !Arc::ptr_eq(other, stream));
        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        ended[stream.class as usize].add(stream);
    }

    /// Records that a bot has begun to send.
    pub(crate) fn begin(&self) {
        self.flows.store(true, Ordering::Release);
    }

    /// Whether a bot has begun to send.
    pub(crate) fn flows(&self) -> bool {
        self.flows.load(Ordering::Acquire)
    }

    /// What was sent in the measured time.
    pub(crate) fn sent(&self, class: Class) -> SentTotal {
        let ended = self.ended.read().unwrap_or_else(PoisonError::into_inner);
        let mut total = ended[class as usize];
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.iter().filter(|stream| stream.class == class).for_each(|stream| total.add(stream));
        total
    }

    /// Adds a KID. The server reuses a seat after a while: the newer owner of a KID is the one meant.
    pub(crate) fn add_key(&self, key: Arc<KeyLog>) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(key.kid, key);
    }

    /// Removes a KID, unless it has a new owner.
    pub(crate) fn remove_key(&self, key: &Arc<KeyLog>) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.get(&key.kid).is_some_and(|known| Arc::ptr_eq(known, key)) {
            keys.remove(&key.kid);
        }
    }

    /// The frames under a KID.
    pub(crate) fn key(&self, kid: u64) -> Option<Arc<KeyLog>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&kid).cloned()
    }

    /// Adds the track id of a stream.
    pub(crate) fn add_track(&self, track: TrackId, stream: Arc<StreamLog>) {
        self.tracks.write().unwrap_or_else(PoisonError::into_inner).insert(track, stream);
    }

    /// The stream behind a track.
    pub(crate) fn track(&self, track: TrackId) -> Option<Arc<StreamLog>> {
        self.tracks.read().unwrap_or_else(PoisonError::into_inner).get(&track).cloned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sent(nanos: u64) -> Sent {
        Sent { at: Time::from_nanos(nanos), timestamp: 3 }
    }

    #[test]
    fn sent_until_overwritten() {
        let log = StreamLog::new(Class::Video, None, 64);
        let numbers: Vec<u64> = (0..70).map(|n| log.record(sent(1_000 + n), 100, false)).collect();
        assert_eq!(log.sent(numbers[69]), Some(sent(1_069)));
        assert_eq!(log.sent(numbers[6]), Some(sent(1_006)));
        assert_eq!(log.sent(numbers[5]), None, "overwritten by 69");
        assert_eq!(log.sent(log.next()), None, "not sent yet");
    }

    #[test]
    fn measured_is_a_range() {
        let log = StreamLog::new(Class::Audio, None, 64);
        assert!(log.measured().is_empty());
        for n in 0..10 {
            log.record(sent(n), 100, (3..7).contains(&n));
        }
        assert_eq!(log.measured(), StreamLog::FIRST + 3..StreamLog::FIRST + 7);
        assert_eq!(log.measured_bytes(), 400);
    }

    #[test]
    fn sent_total_includes_ended_streams() {
        let room = RoomLog::default();
        let streams = [0, 1].map(|_| Arc::new(StreamLog::new(Class::Video, None, 64)));
        for stream in &streams {
            room.add_stream(stream.clone());
            room.add_track(TrackId(1), stream.clone());
        }
        streams[0].record(sent(1), 100, true);
        streams[1].record(sent(1), 50, true);
        let both = SentTotal { streams: 2, packets: 2, bytes: 150 };
        assert_eq!(room.sent(Class::Video), both);
        room.remove_stream(&streams[1]);
        assert!(room.track(TrackId(1)).is_none());
        assert_eq!((room.sent(Class::Video), room.sent(Class::Audio)), (both, SentTotal::default()));
    }

    #[test]
    fn first_packet_by_kid_and_counter() {
        let stream = Arc::new(StreamLog::new(Class::Video, None, 64));
        let room = RoomLog::default();
        let key = Arc::new(KeyLog::new(7, stream, 64));
        room.add_key(key.clone());
        key.record(0, 70_000);
        key.record(64, 70_900);
        assert_eq!(room.key(7).unwrap().first(64), Some(70_900));
        assert_eq!(key.first(0), None, "overwritten by 64");
        assert!(room.key(8).is_none());
    }

    #[test]
    fn newer_owner_of_kid_is_kept() {
        let stream = Arc::new(StreamLog::new(Class::Video, None, 64));
        let room = RoomLog::default();
        let [old, new] = [0, 1].map(|_| Arc::new(KeyLog::new(7, stream.clone(), 64)));
        room.add_key(old.clone());
        room.add_key(new.clone());
        room.remove_key(&old);
        assert!(Arc::ptr_eq(&room.key(7).unwrap(), &new));
        room.remove_key(&new);
        assert!(room.key(7).is_none());
    }
}
