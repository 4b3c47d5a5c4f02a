//! The send log: what each publisher sent, and when.
//!
//! A receiver must match each packet to the one that its publisher sent, although the server has rewritten SSRC,
//! sequence number and timestamp, and has dropped layers. The SFrame header at the start of a frame is clear and cannot be
//! rewritten: its KID and CTR identify the frame, and this log has the encoding and the sequence number with which its
//! publisher sent the first packet.
//! ```text
//!   first packet of a frame:  KID, CTR ──► KeyLog ──► encoding, sequence number ──► StreamLog ──► when, layer
//!   the others:               sequence number in the slot − shift of the slot's source ──► StreamLog ──► when, layer
//! ```
//! The shift between both numbers is constant while a source stays in a slot and nothing of it is dropped, and every first
//! packet shows it again; the timestamp's shift must fit, too, or the packet is not taken for known
//! ([`crate::bots::packet_identity`]).
//!
//! A packet has a second number, that in its layer: a server forwards a layer whole or not at all, so what a receiver is
//! owed of a layer has no gaps.
//!
//! There is a lock only for new keys and tracks.

use crate::measure::{
    clock::Time,
    layer::{Layer, Step},
    statistics::LayerStatistics,
};
use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
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
    /// Time, RTP timestamp, layer, and number in the layer of each packet.
    packets: Ring<4>,
    /// Sequence number of the next packet.
    next: AtomicU64,
    layers: Box<[LayerLog]>,
}

/// The packets of one layer of a stream, by their numbers in it.
#[derive(Debug)]
pub(crate) struct LayerLog {
    pub(crate) layer: Layer,
    /// Number of the next packet.
    next: AtomicU64,
    /// First packet of the measured time, and the one behind its last; equal while there is none.
    measured_from: AtomicU64,
    measured_until: AtomicU64,
    measured_bytes: AtomicU64,
}

/// When a packet was sent, its RTP timestamp, and its place in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) at: Time,
    pub(crate) timestamp: u32,
    /// Index of its layer.
    pub(crate) layer: u8,
    /// Its number in the layer.
    pub(crate) number: u64,
}

impl LayerLog {
    fn new(layer: Layer) -> Self {
        Self {
            layer,
            next: AtomicU64::new(StreamLog::FIRST),
            measured_from: AtomicU64::new(0),
            measured_until: AtomicU64::new(0),
            measured_bytes: AtomicU64::new(0),
        }
    }

    /// Number of the packet that will be sent next.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Counts a packet; returns its number.
    fn record(&self, bytes: usize, measured: bool) -> u64 {
        let number = self.next();
        if measured {
            if self.measured_until.load(Ordering::Relaxed) == 0 {
                self.measured_from.store(number, Ordering::Release);
            }
            self.measured_until.store(number + 1, Ordering::Release);
            self.measured_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.next.store(number + 1, Ordering::Release);
        number
    }

    /// Packets of the measured time, by number.
    pub(crate) fn measured(&self) -> Range<u64> {
        self.measured_from.load(Ordering::Acquire)..self.measured_until.load(Ordering::Acquire)
    }

    /// Number of these packets, and their RTP payload bytes.
    pub(crate) fn measured_total(&self) -> (u64, u64) {
        let measured = self.measured();
        (measured.end - measured.start, self.measured_bytes.load(Ordering::Relaxed))
    }
}

impl StreamLog {
    /// Sequence number of a stream's first packet: away from zero, so that what is computed from it stays positive. Its low
    /// 16 bits, which are sent, are below 2^15: if the first packets are lost, a receiver still guesses the rollover counter
    /// of SRTP (RFC 3711 section 3.3.1).
    pub(crate) const FIRST: u64 = 0x1_0000;

    /// A log that remembers at least `packets` packets of a stream with these layers.
    pub(crate) fn new(layers: &[Layer], packets: usize) -> Self {
        Self {
            packets: Ring::new(packets),
            next: AtomicU64::new(Self::FIRST),
            layers: layers.iter().copied().map(LayerLog::new).collect(),
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

    /// Its layers.
    pub(crate) fn layers(&self) -> &[LayerLog] {
        &self.layers
    }

    /// Records that the next packet, of the layer with this index, is sent; returns its sequence number.
    pub(crate) fn record(&self, at: Time, timestamp: u32, layer: u8, bytes: usize, measured: bool) -> u64 {
        let sequence = self.next();
        let number = self.layers.get(usize::from(layer)).map_or(sequence, |layer| layer.record(bytes, measured));
        self.packets.set(sequence, [at.as_nanos(), u64::from(timestamp), u64::from(layer), number]);
        self.next.store(sequence + 1, Ordering::Release);
        sequence
    }

    /// When this packet was sent, if it was, and not too long ago.
    pub(crate) fn sent(&self, sequence: u64) -> Option<Sent> {
        let [at, timestamp, layer, number] = self.packets.get(sequence)?;
        Some(Sent { at: Time::from_nanos(at), timestamp: timestamp as u32, layer: layer as u8, number })
    }
}

/// The encodings of one track.
#[derive(Debug)]
pub(crate) struct TrackLog {
    pub(crate) class: Class,
    /// The lowest quality first.
    pub(crate) encodings: Box<[StreamLog]>,
    /// Its image sizes, the smallest first; none if a server cannot choose among layers.
    pub(crate) steps: Box<[Step]>,
    /// When its publisher began to send.
    pub(crate) begun_at: OnceLock<Time>,
}

impl TrackLog {
    /// A track of one encoding with one layer, which remembers at least `packets` packets.
    pub(crate) fn new(class: Class, packets: usize) -> Self {
        let encodings = Box::new([StreamLog::new(&[Layer::default()], packets)]);
        Self { class, encodings, steps: Box::new([]), begun_at: OnceLock::new() }
    }

    /// The index of the step that alone has packets of this layer of an encoding; `None` if several steps have them.
    pub(crate) fn step_of(&self, encoding: u8, layer: Layer) -> Option<usize> {
        let of = |step: &Step| !layer.shared && (step.encoding, step.spatial) == (encoding, layer.spatial);
        self.steps.iter().position(of)
    }

    /// The step with the largest image that is no higher than this.
    pub(crate) fn step(&self, height: u16) -> Option<Step> {
        self.steps.iter().rev().find(|step| step.height <= height).or(self.steps.first()).copied()
    }

    /// The index of the step that a receiver with a tile of this height should get: the smallest that is no lower.
    pub(crate) fn step_for(&self, height: u16) -> Option<usize> {
        let fits = self.steps.iter().position(|step| step.height >= height);
        fits.or(self.steps.len().checked_sub(1))
    }
}

/// The frames under one KID: where each begins.
#[derive(Debug)]
pub(crate) struct KeyLog {
    pub(crate) kid: u64,
    pub(crate) track: Arc<TrackLog>,
    /// Encoding, and sequence number of the first packet, of each frame, by counter.
    frames: Ring<2>,
}

impl KeyLog {
    /// A log that remembers at least `frames` frames.
    pub(crate) fn new(kid: u64, track: Arc<TrackLog>, frames: usize) -> Self {
        Self { kid, track, frames: Ring::new(frames) }
    }

    /// Records that the frame with this counter begins with this packet of an encoding.
    pub(crate) fn record(&self, ctr: u64, encoding: u8, first: u64) {
        self.frames.set(ctr, [u64::from(encoding), first]);
    }

    /// Encoding, and sequence number of the frame's first packet, if the frame was sent, and not too long ago.
    pub(crate) fn first(&self, ctr: u64) -> Option<(u8, u64)> {
        self.frames.get(ctr).map(|[encoding, first]| (encoding as u8, first))
    }

    /// The log of an encoding.
    pub(crate) fn encoding(&self, encoding: u8) -> Option<&StreamLog> {
        self.track.encodings.get(usize::from(encoding))
    }
}

/// Everything that was sent in one room. KIDs are unique in a room only.
#[derive(Debug, Default)]
pub(crate) struct RoomLog {
    keys: RwLock<HashMap<u64, Arc<KeyLog>>>,
    by_id: RwLock<HashMap<TrackId, Arc<TrackLog>>>,
    tracks: RwLock<Vec<Arc<TrackLog>>>,
    /// Counts of ended tracks, by class.
    ended: RwLock<[SentTotal; 3]>,
    flows: AtomicBool,
}

/// What was sent in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SentTotal {
    pub(crate) streams: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Packets and bytes of tracks with layers, as [`LayerStatistics::place`] orders them.
    pub(crate) layers: [[(u64, u64); LayerStatistics::TEMPORAL]; LayerStatistics::STEPS],
}

impl SentTotal {
    fn add(&mut self, track: &TrackLog) {
        self.streams += track.encodings.len() as u64;
        for (encoding, stream) in (0..).zip(&track.encodings) {
            for of in stream.layers() {
                let (packets, bytes) = of.measured_total();
                self.packets += packets;
                self.bytes += bytes;
                if !track.steps.is_empty() {
                    let (step, temporal) = LayerStatistics::place(encoding, of.layer);
                    let total = &mut self.layers[step][temporal];
                    *total = (total.0 + packets, total.1 + bytes);
                }
            }
        }
    }

    /// Adds what was sent in another room.
    pub(crate) fn add_total(&mut self, other: &Self) {
        self.streams += other.streams;
        self.packets += other.packets;
        self.bytes += other.bytes;
        for (total, other) in self.layers.iter_mut().flatten().zip(other.layers.iter().flatten()) {
            *total = (total.0 + other.0, total.1 + other.1);
        }
    }
}

impl RoomLog {
    /// Adds a track that will be sent.
    pub(crate) fn add_track(&self, track: Arc<TrackLog>) {
        self.tracks.write().unwrap_or_else(PoisonError::into_inner).push(track);
    }

    /// Removes a track that has ended, and keeps its counts.
    pub(crate) fn remove_track(&self, track: &Arc<TrackLog>) {
        self.tracks.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, track));
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).retain(|_, other| !Arc::ptr_eq(other, track));
        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        ended[track.class as usize].add(track);
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
        let tracks = self.tracks.read().unwrap_or_else(PoisonError::into_inner);
        tracks.iter().filter(|track| track.class == class).for_each(|track| total.add(track));
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

    /// Records the id that the server has given a track.
    pub(crate) fn name_track(&self, id: TrackId, track: Arc<TrackLog>) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(id, track);
    }

    /// The track with an id.
    pub(crate) fn track(&self, id: TrackId) -> Option<Arc<TrackLog>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn record(log: &StreamLog, nanos: u64, measured: bool) -> u64 {
        log.record(Time::from_nanos(nanos), 3, 0, 100, measured)
    }

    #[test]
    fn sent_until_overwritten() {
        let log = StreamLog::new(&[Layer::default()], 64);
        let numbers: Vec<u64> = (0..70).map(|n| record(&log, 1_000 + n, false)).collect();
        let at = |n: usize| log.sent(numbers[n]).map(|sent| sent.at.as_nanos());
        assert_eq!((at(69), at(6)), (Some(1_069), Some(1_006)));
        assert_eq!(at(5), None, "overwritten by 69");
        assert_eq!(log.sent(log.next()), None, "not sent yet");
    }

    #[test]
    fn measured_is_a_range() {
        let log = StreamLog::new(&[Layer::default()], 64);
        assert!(log.layers()[0].measured().is_empty());
        for n in 0..10 {
            record(&log, n, (3..7).contains(&n));
        }
        assert_eq!(log.layers()[0].measured(), StreamLog::FIRST + 3..StreamLog::FIRST + 7);
        assert_eq!(log.layers()[0].measured_total(), (4, 400));
    }

    #[test]
    fn layers_have_their_own_numbers() {
        let layers = [0, 1].map(|temporal| Layer { temporal, ..Layer::default() });
        let log = StreamLog::new(&layers, 64);
        let sent: Vec<(u8, u64)> = [0, 1, 1, 0, 1]
            .map(|layer| log.sent(log.record(Time::default(), 0, layer, 10, true)).unwrap())
            .map(|sent| (sent.layer, sent.number - StreamLog::FIRST))
            .to_vec();
        assert_eq!(sent, [(0, 0), (1, 0), (1, 1), (0, 1), (1, 2)]);
        assert_eq!(log.layers()[1].measured_total(), (3, 30));
    }

    #[test]
    fn sent_total_includes_ended_tracks() {
        let room = RoomLog::default();
        let tracks = [0, 1].map(|_| Arc::new(TrackLog::new(Class::Video, 64)));
        for track in &tracks {
            room.add_track(track.clone());
            room.name_track(TrackId(1), track.clone());
        }
        record(&tracks[0].encodings[0], 1, true);
        tracks[1].encodings[0].record(Time::default(), 3, 0, 50, true);
        let both = SentTotal { streams: 2, packets: 2, bytes: 150, ..SentTotal::default() };
        assert_eq!(room.sent(Class::Video), both);
        room.remove_track(&tracks[1]);
        assert!(room.track(TrackId(1)).is_none());
        assert_eq!((room.sent(Class::Video), room.sent(Class::Audio)), (both, SentTotal::default()));
    }

    #[test]
    fn first_packet_by_kid_and_counter() {
        let room = RoomLog::default();
        let key = Arc::new(KeyLog::new(7, Arc::new(TrackLog::new(Class::Video, 64)), 64));
        room.add_key(key.clone());
        key.record(0, 0, 70_000);
        key.record(64, 2, 70_900);
        assert_eq!(room.key(7).unwrap().first(64), Some((2, 70_900)));
        assert_eq!(key.first(0), None, "overwritten by 64");
        assert!(room.key(8).is_none());
    }

    #[test]
    fn newer_owner_of_kid_is_kept() {
        let track = Arc::new(TrackLog::new(Class::Video, 64));
        let room = RoomLog::default();
        let [old, new] = [0, 1].map(|_| Arc::new(KeyLog::new(7, track.clone(), 64)));
        room.add_key(old.clone());
        room.add_key(new.clone());
        room.remove_key(&old);
        assert!(Arc::ptr_eq(&room.key(7).unwrap(), &new));
        room.remove_key(&new);
        assert!(room.key(7).is_none());
    }

    #[test]
    fn step_by_height() {
        let step = |height, encoding| Step { height, encoding, spatial: 0 };
        let steps = Box::new([step(180, 0), step(360, 1), step(720, 2)]);
        let track = TrackLog { steps, ..TrackLog::new(Class::Video, 64) };
        let heights = [90, 180, 500, 2_000].map(|height| track.step(height).map(|step| step.height));
        assert_eq!(heights, [Some(180), Some(180), Some(360), Some(720)]);
        let wanted = [90, 180, 500, 2_000].map(|height| track.step_for(height));
        assert_eq!(wanted, [Some(0), Some(0), Some(2), Some(2)]);
        let none = TrackLog::new(Class::Video, 64);
        assert_eq!((none.step(720), none.step_for(720)), (None, None));
    }

    #[test]
    fn layers_of_key_images_belong_to_several_steps() {
        let step = |spatial| Step { height: 180, encoding: 0, spatial };
        let track = TrackLog { steps: Box::new([step(0), step(1)]), ..TrackLog::new(Class::Video, 64) };
        let layer = |spatial, shared| Layer { spatial, temporal: 0, shared };
        assert_eq!(track.step_of(0, layer(1, false)), Some(1));
        assert_eq!(track.step_of(0, layer(0, true)), None);
        assert_eq!(track.step_of(1, layer(0, false)), None, "another encoding");
    }
}
