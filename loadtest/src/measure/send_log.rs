//! What each publisher sent and when: the other half of every measurement.
//!
//! A receiver must know which packet of which publisher it holds, though the server has rewritten its SSRC, sequence
//! number and timestamp. The SFrame header at the start of a frame is clear and cannot be rewritten: its KID and CTR
//! name the frame, and this log tells the sequence number under which its publisher sent the frame's first packet.
//! ```text
//!   first packet of a frame:  KID, CTR ──► KeyLog ──► sequence number of the publisher ──► StreamLog ──► when
//!   the others:               sequence number in the slot − shift of the slot's source ──► StreamLog ──► when
//! ```
//! The shift between both numbers is constant while a source stays in a slot, and every first packet shows it anew; the
//! timestamp's shift must fit, too, or the packet is not taken for known ([`crate::bots::packet_identity`]).
//!
//! One writer, many readers, no lock but when a key or track is new: an entry's values are stored before its number, so
//! a reader who finds the number finds the values that belong to it.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};
use tacet_proto::TrackId;

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Sound of light bots.
    Audio,
    /// Pictures of light bots, and single packets.
    Video,
    /// Whatever bots on the `webrtc` crate send.
    OfCanaries,
}

impl Class {
    pub(crate) const ALL: [Self; 3] = [Self::Audio, Self::Video, Self::OfCanaries];
}

/// The packets of one stream, by its publisher's sequence number without wraps.
#[derive(Debug)]
pub(crate) struct StreamLog {
    pub(crate) class: Class,
    /// Which of a simulcast publisher's encodings this is, the largest first.
    pub(crate) encoding: Option<usize>,
    ring: Box<[Packet]>,
    /// Sequence number of the next packet.
    next: AtomicU64,
    /// First packet of the measured time, and the one behind its last; equal while there is none.
    measured_from: AtomicU64,
    measured_until: AtomicU64,
    measured_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Packet {
    /// Sequence number plus one; zero is empty.
    number: AtomicU64,
    sent_ns: AtomicU64,
    timestamp: AtomicU32,
}

/// When a packet left, and its RTP timestamp then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) at_ns: u64,
    pub(crate) timestamp: u32,
}

impl StreamLog {
    /// Sequence number of a stream's first packet: away from zero, so that what is computed from it stays positive.
    pub(crate) const FIRST: u64 = 0x1_0000;

    /// A log that remembers at least so many packets.
    pub(crate) fn new(class: Class, encoding: Option<usize>, packets: usize) -> Self {
        let entries = packets.clamp(64, 1 << 22).next_power_of_two();
        Self {
            class,
            encoding,
            ring: (0..entries).map(|_| Packet::default()).collect(),
            next: AtomicU64::new(Self::FIRST),
            measured_from: AtomicU64::new(0),
            measured_until: AtomicU64::new(0),
            measured_bytes: AtomicU64::new(0),
        }
    }

    fn entry(&self, sequence: u64) -> Option<&Packet> {
        // The ring's length is a power of two.
        self.ring.get(usize::try_from(sequence).ok()? & (self.ring.len() - 1))
    }

    /// How many packets it remembers.
    pub(crate) fn remembers(&self) -> usize {
        self.ring.len()
    }

    /// Sequence number of the packet that will be sent next.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Notes that the next packet leaves; gives its sequence number.
    pub(crate) fn record(&self, sent: Sent, bytes: usize, measured: bool) -> u64 {
        let sequence = self.next();
        if let Some(entry) = self.entry(sequence) {
            entry.number.store(0, Ordering::Release);
            entry.sent_ns.store(sent.at_ns, Ordering::Release);
            entry.timestamp.store(sent.timestamp, Ordering::Release);
            entry.number.store(sequence.wrapping_add(1), Ordering::Release);
        }
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

    /// When this packet left, if it did, and not too long ago.
    pub(crate) fn sent(&self, sequence: u64) -> Option<Sent> {
        let entry = self.entry(sequence)?;
        let wanted = sequence.wrapping_add(1);
        let found = entry.number.load(Ordering::Acquire) == wanted;
        let sent =
            Sent { at_ns: entry.sent_ns.load(Ordering::Acquire), timestamp: entry.timestamp.load(Ordering::Acquire) };
        (found && entry.number.load(Ordering::Acquire) == wanted).then_some(sent)
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
    ring: Box<[Frame]>,
}

#[derive(Debug, Default)]
struct Frame {
    /// Counter plus one; zero is empty.
    ctr: AtomicU64,
    first: AtomicU64,
}

impl KeyLog {
    /// A log that remembers at least so many frames.
    pub(crate) fn new(kid: u64, stream: Arc<StreamLog>, frames: usize) -> Self {
        let entries = frames.clamp(64, 1 << 22).next_power_of_two();
        Self { kid, stream, ring: (0..entries).map(|_| Frame::default()).collect() }
    }

    fn entry(&self, ctr: u64) -> Option<&Frame> {
        self.ring.get(usize::try_from(ctr).ok()? & (self.ring.len() - 1))
    }

    /// Notes that the frame with this counter begins with this packet.
    pub(crate) fn record(&self, ctr: u64, first: u64) {
        if let Some(entry) = self.entry(ctr) {
            entry.ctr.store(0, Ordering::Release);
            entry.first.store(first, Ordering::Release);
            entry.ctr.store(ctr.wrapping_add(1), Ordering::Release);
        }
    }

    /// Sequence number of the frame's first packet, if the frame was sent, and not too long ago.
    pub(crate) fn first(&self, ctr: u64) -> Option<u64> {
        let entry = self.entry(ctr)?;
        let wanted = ctr.wrapping_add(1);
        let found = entry.ctr.load(Ordering::Acquire) == wanted;
        let first = entry.first.load(Ordering::Acquire);
        (found && entry.ctr.load(Ordering::Acquire) == wanted).then_some(first)
    }
}

/// All that was sent in one room. KIDs name seats, which other rooms have as well.
#[derive(Debug, Default)]
pub(crate) struct RoomLog {
    keys: RwLock<HashMap<u64, Arc<KeyLog>>>,
    tracks: RwLock<HashMap<TrackId, Arc<StreamLog>>>,
    streams: RwLock<Vec<Arc<StreamLog>>>,
    /// What streams have sent that are sent no longer, by class.
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

    /// Forgets a stream that is sent no longer, but for what it has sent.
    pub(crate) fn remove_stream(&self, stream: &Arc<StreamLog>) {
        self.streams.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, stream));
        self.tracks.write().unwrap_or_else(PoisonError::into_inner).retain(|_, other| !Arc::ptr_eq(other, stream));
        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        let ended = ended.iter_mut().zip(Class::ALL).find(|(_, class)| *class == stream.class);
        ended.into_iter().for_each(|(total, _)| total.add(stream));
    }

    /// Somebody begins to send.
    pub(crate) fn begin(&self) {
        self.flows.store(true, Ordering::Release);
    }

    /// Whether anybody has begun to send.
    pub(crate) fn flows(&self) -> bool {
        self.flows.load(Ordering::Acquire)
    }

    /// What was sent in the measured time.
    pub(crate) fn sent(&self, class: Class) -> SentTotal {
        let ended = self.ended.read().unwrap_or_else(PoisonError::into_inner);
        let mut total = ended.iter().zip(Class::ALL).find(|(_, c)| *c == class).map(|(t, _)| *t).unwrap_or_default();
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.iter().filter(|stream| stream.class == class).for_each(|stream| total.add(stream));
        total
    }

    /// Makes a KID known. The server gives a seat again after a while, and the newer user of a KID is the one meant.
    pub(crate) fn add_key(&self, key: Arc<KeyLog>) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(key.kid, key);
    }

    /// Forgets a KID, unless somebody else uses it by now.
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

    /// The server's number of a stream.
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

    fn sent(at_ns: u64) -> Sent {
        Sent { at_ns, timestamp: 3 }
    }

    #[test]
    fn a_packet_is_found_by_its_number_until_it_is_overwritten() {
        let log = StreamLog::new(Class::Video, None, 64);
        let numbers: Vec<u64> = (0..70).map(|n| log.record(sent(1_000 + n), 100, false)).collect();
        assert_eq!(log.sent(numbers[69]), Some(sent(1_069)));
        assert_eq!(log.sent(numbers[6]), Some(sent(1_006)));
        assert_eq!(log.sent(numbers[5]), None, "overwritten by 69");
        assert_eq!(log.sent(log.next()), None, "not sent yet");
    }

    #[test]
    fn the_measured_time_is_a_range_of_numbers() {
        let log = StreamLog::new(Class::Audio, None, 64);
        assert!(log.measured().is_empty());
        for n in 0..10 {
            log.record(sent(n), 100, (3..7).contains(&n));
        }
        assert_eq!(log.measured(), StreamLog::FIRST + 3..StreamLog::FIRST + 7);
        assert_eq!(log.measured_bytes(), 400);
    }

    #[test]
    fn what_was_sent_is_known_when_the_stream_has_ended() {
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
    fn a_frame_is_found_by_its_key_and_counter() {
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
    fn the_newer_user_of_a_key_id_is_kept() {
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
