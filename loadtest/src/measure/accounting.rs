//! Receiver accounting: which packets of which track have arrived, and which should have.
//!
//! A packet counts if it was *sent* in the measured time. Loss is computed from the publisher's numbers, for each layer of
//! each track of a receiver: what is owed to it is the subject of [`crate::measure::received_track`]. A track that is in a
//! slot and does not come within [`GRACE`](crate::measure::received_track::GRACE) is expected from then on, so that what never begins is lost and not forgotten.

use crate::measure::clock::Time;
use crate::{
    bots::packet_identity::{IdentifiedPacket, PacketIdentifier, SlotPacket},
    measure::layer::Target,
    measure::received_track::{Arrival, ReceivedTrack, Waited},
    measure::send_log::{Class, RoomLog, TrackLog},
    measure::statistics::Statistics,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;
use tacet_proto::{TrackId, layers::LayerReason};

/// The measured time: packets sent in it are counted. Set once media flows.
#[derive(Debug)]
pub(crate) struct Window {
    from_ns: AtomicU64,
    until_ns: AtomicU64,
}

impl Window {
    /// A window that is not set yet.
    pub(crate) fn closed() -> Self {
        Self { from_ns: AtomicU64::new(u64::MAX), until_ns: AtomicU64::new(u64::MAX) }
    }

    pub(crate) fn set(&self, from: Time, until: Time) {
        self.until_ns.store(until.as_nanos(), Ordering::Release);
        self.from_ns.store(from.as_nanos(), Ordering::Release);
    }

    /// Ends the window now, if it has not ended yet.
    pub(crate) fn end(&self) {
        self.until_ns.fetch_min(Time::now().as_nanos(), Ordering::AcqRel);
    }

    pub(crate) fn contains(&self, at: Time) -> bool {
        (self.from_ns.load(Ordering::Acquire)..self.until_ns.load(Ordering::Acquire)).contains(&at.as_nanos())
    }
}

/// Accounting of one receiver.
#[derive(Debug)]
pub(crate) struct ReceiverAccounting {
    room: Arc<RoomLog>,
    window: Arc<Window>,
    tracks: Vec<ReceivedTrack>,
    /// Tracks in slots that are not in the send log yet, with the time of their assignment.
    unknown: Vec<(TrackId, Time)>,
    /// Whether what is sent from now on is not counted.
    retired: bool,
}

/// A change of a slot: the track that was removed, and the one that was assigned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotChange {
    pub(crate) out: Option<TrackId>,
    pub(crate) into: Option<TrackId>,
}

/// What the server says that a slot shows of its track: image height and highest temporal layer; `None` while it is
/// paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerChange {
    pub(crate) track: TrackId,
    pub(crate) shown: Option<(u16, u8)>,
    pub(crate) reason: LayerReason,
}

/// What accounting keeps of one slot.
#[derive(Debug, Default)]
pub(crate) struct SlotAccount {
    identifier: PacketIdentifier,
    /// Index of the track that its newest packet is of, and its encoding.
    source: Option<(usize, u8)>,
    /// Index of the track, and of the step, that its newest packet which is of one step alone is of.
    shown: Option<(usize, usize)>,
    /// The slot's number of that packet.
    newest: u64,
}

/// How a packet was accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accounted {
    pub(crate) arrival: Arrival,
    /// Whether it counts, and in which class.
    pub(crate) counted: Option<Class>,
    /// Index of its track.
    index: usize,
}

impl ReceiverAccounting {
    /// How long a joiner may lack a key that is in use: in a large room a sender distributes a new generation for up to
    /// five seconds before it switches, and a joiner gets only that one.
    const KEY_GRACE: Duration = Duration::from_secs(7);

    pub(crate) fn new(room: Arc<RoomLog>, window: Arc<Window>) -> Self {
        Self { room, window, tracks: Vec::new(), unknown: Vec::new(), retired: false }
    }

    /// Takes changes of slots.
    pub(crate) fn slots_changed(&mut self, changes: &[SlotChange], now: Time) {
        // Removals first: a track may have moved to another slot.
        changes.iter().filter_map(|change| change.out).for_each(|track| self.vacated(track));
        changes.iter().filter_map(|change| change.into).for_each(|track| self.assigned(track, now));
    }

    /// Takes what the server says of the layers in slots.
    pub(crate) fn layers_changed(&mut self, changes: &[LayerChange], now: Time, statistics: &mut Statistics) {
        self.find_tracks();
        for LayerChange { track, shown, reason } in changes {
            if self.is_measuring(now) {
                statistics.layers.notices.count(*reason);
            }
            let Some(received) = self.received(*track) else { continue };
            let target = match shown {
                None => Some(Target::Paused),
                Some((height, temporal)) => received.log.step(*height).map(|step| Target::Step(step, *temporal)),
            };
            target.into_iter().for_each(|target| received.set_target(target, now));
        }
    }

    /// Takes the image heights that the receiver asks for: all that it wants to see.
    pub(crate) fn wished(&mut self, tiles: &[(TrackId, u16)], now: Time) {
        self.find_tracks();
        for (track, _) in tiles {
            if let Some(log) = self.room.track(*track) {
                index_of(&mut self.tracks, &log, now, self.retired);
            }
        }
        let wanted: Vec<_> =
            tiles.iter().filter_map(|(track, height)| Some((self.room.track(*track)?, *height))).collect();
        for received in &mut self.tracks {
            let height = wanted.iter().find(|(log, _)| Arc::ptr_eq(log, &received.log)).map(|(_, height)| *height);
            received.wished(height, now);
        }
    }

    /// A track was assigned to a slot.
    fn assigned(&mut self, track: TrackId, now: Time) {
        self.unknown.push((track, now));
        self.find_tracks();
    }

    /// A track was removed from its slot.
    fn vacated(&mut self, track: TrackId) {
        self.unknown.retain(|(unknown, _)| *unknown != track);
        self.received(track).into_iter().for_each(ReceivedTrack::vacated);
    }

    /// What was received of a track, if it is known.
    fn received(&mut self, track: TrackId) -> Option<&mut ReceivedTrack> {
        let log = self.room.track(track)?;
        self.tracks.iter_mut().find(|received| Arc::ptr_eq(&received.log, &log))
    }

    /// Looks up tracks that were not in the send log yet.
    fn find_tracks(&mut self) {
        let mut unknown = std::mem::take(&mut self.unknown);
        unknown.retain(|(track, since)| match self.room.track(*track) {
            Some(log) => {
                let index = index_of(&mut self.tracks, &log, *since, self.retired);
                self.tracks.get_mut(index).into_iter().for_each(|received| received.assigned(*since));
                false
            }
            None => true,
        });
        self.unknown = unknown;
    }

    /// Takes a packet of a slot. Calls `accounted` once it is identified, and for packets that were held for it.
    pub(crate) fn packet(
        &mut self,
        slot: &mut SlotAccount,
        packet: SlotPacket,
        statistics: &mut Statistics,
        mut accounted: impl FnMut(&SlotPacket, Accounted),
    ) {
        let Self { room, window, tracks, retired, .. } = self;
        let SlotAccount { identifier, source, shown, newest } = slot;
        identifier.packet(room, packet, |known| {
            let index = index_of(tracks, known.track, packet.arrived_at, *retired);
            let is_late = source.is_some() && known.packet.sequence < *newest;
            if !is_late {
                *newest = known.packet.sequence;
                let before =
                    source.replace((index, known.encoding)).filter(|before| *before != (index, known.encoding));
                if let Some((track, encoding)) = before {
                    tracks.get_mut(track).into_iter().for_each(|before| before.replaced(encoding, packet.arrived_at));
                }
                let step = tracks.get(index).and_then(|track| track.step_of(known.encoding, known.sent.layer));
                if let Some(step) = step
                    && let Some((track, _)) = shown.replace((index, step)).filter(|before| *before != (index, step))
                {
                    statistics.layers.switches += u64::from(track == index && window.contains(known.sent.at));
                }
            }
            if let Some(received) = tracks.get_mut(index) {
                let place = Place { is_current: *source == Some((index, known.encoding)), is_late };
                let (arrival, counted) = account(received, &known, place, window, statistics);
                accounted(&known.packet, Accounted { arrival, counted, index });
            }
        });
    }

    /// Counts an opened frame: when it arrived, and how its first packet was accounted for.
    pub(crate) fn opened(&mut self, accounted: Accounted, arrived_at: Time, statistics: &mut Statistics) {
        if let Some(received) = self.tracks.get_mut(accounted.index) {
            received.opened_at.get_or_insert(arrived_at);
        }
        if let Some(class) = accounted.counted {
            statistics.of_mut(class).counts.opened += 1;
        }
    }

    /// Counts a whole frame that did not open; `missing_key` if its key was missing.
    ///
    /// A joiner gets the key that is current then, and none before: frames that arrive ahead of the first one that opens
    /// are not owed to it, unless that takes too long.
    pub(crate) fn did_not_open(
        &mut self,
        accounted: Accounted,
        missing_key: bool,
        arrived_at: Time,
        statistics: &mut Statistics,
    ) {
        let Some(class) = accounted.counted else { return };
        let before_key = self.tracks.get(accounted.index).is_some_and(|received| {
            received.opened_at.is_none_or(|first| arrived_at <= first)
                && arrived_at.since(received.known_since) < Self::KEY_GRACE
        });
        let counts = &mut statistics.of_mut(class).counts;
        if missing_key && before_key {
            counts.before_key += 1;
        } else {
            counts.undecryptable += 1;
        }
    }

    /// Whether a time is in the measured time.
    pub(crate) fn is_measuring(&self, now: Time) -> bool {
        self.window.contains(now)
    }

    /// Finds tracks and layers that have not started in time.
    pub(crate) fn tick(&mut self, now: Time) {
        if !self.unknown.is_empty() {
            self.find_tracks();
        }
        self.tracks.iter_mut().for_each(|received| received.begin_overdue(now));
    }

    /// Stops counting what is sent from now on: the receiver is leaving.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
        self.tracks.iter_mut().for_each(ReceivedTrack::retire);
    }

    /// Adds the counts to the statistics of the thread.
    pub(crate) fn finish(&mut self, statistics: &mut Statistics) {
        for received in self.tracks.drain(..) {
            for (encoding, log, layer) in received.layers() {
                let counted = layer.count(&log.measured());
                let lost = counted.expected.saturating_sub(counted.delivered);
                let counts = &mut statistics.of_mut(received.log.class).counts;
                counts.expected += counted.expected;
                counts.delivered += counted.delivered;
                counts.lost += lost;
                counts.lost_before_repair += lost + counted.repaired;
                if !received.log.steps.is_empty() {
                    let of_layer = statistics.layers.of_mut(encoding, log.layer);
                    of_layer.expected += counted.expected;
                    of_layer.delivered += counted.delivered;
                    of_layer.lost += lost;
                }
            }
        }
    }
}

/// Index of a track, which is added if it is new.
fn index_of(tracks: &mut Vec<ReceivedTrack>, log: &Arc<TrackLog>, now: Time, retired: bool) -> usize {
    if let Some(at) = tracks.iter().position(|received| Arc::ptr_eq(&received.log, log)) {
        return at;
    }
    let mut received = ReceivedTrack::new(log.clone(), now);
    if retired {
        received.retire();
    }
    tracks.push(received);
    tracks.len() - 1
}

/// Where a packet is in its slot.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Whether its encoding is the one that the slot's newest packet is of.
    is_current: bool,
    /// Whether a later packet of the slot has arrived before.
    is_late: bool,
}

/// Accounts for a packet; returns whether it is new, and the class in which it counts.
fn account(
    received: &mut ReceivedTrack,
    known: &IdentifiedPacket<'_>,
    place: Place,
    window: &Window,
    statistics: &mut Statistics,
) -> (Arrival, Option<Class>) {
    let IdentifiedPacket { track, encoding, sent, packet } = *known;
    let (arrival, owed) = received.packet(encoding, sent, &packet, place.is_current);
    if place.is_current
        && let step = received.step_of(encoding, sent.layer)
        && let Some((waited, time)) = received.fulfilled(step, packet.arrived_at)
        && window.contains(packet.arrived_at)
    {
        let ms = time.as_millis() as u64;
        match waited {
            Waited::Start => statistics.layers.start_ms.record(ms),
            Waited::Switch => statistics.layers.switch_ms.record(ms),
        }
    }
    let latency_us = packet.arrived_at.since(sent.at).as_micros() as u64;
    let last_us = if packet.repair { None } else { received.last_latency_us.replace(latency_us) };
    let counts = owed && window.contains(sent.at);
    if counts {
        let of_class = statistics.of_mut(track.class);
        match arrival {
            Arrival::New => {
                of_class.latencies.record(latency_us);
                of_class.counts.delivered_bytes += packet.bytes as u64;
                of_class.counts.reordered += u64::from(place.is_late && !packet.repair);
                if let Some(last_us) = last_us {
                    of_class.deviation.record(latency_us.abs_diff(last_us));
                }
                if let Some(layer) = received.layer_of(encoding, sent.layer) {
                    statistics.layers.of_mut(encoding, layer).delivered_bytes += packet.bytes as u64;
                }
            }
            Arrival::Duplicate => of_class.counts.duplicates += 1,
        }
    }
    (arrival, counts.then_some(track.class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{measure::send_log::KeyLog, report::KindReport};
    use proptest::prelude::*;

    /// A publisher of single-packet frames, one each millisecond, and a receiver.
    struct Fixture {
        track: Arc<TrackLog>,
        key: Arc<KeyLog>,
        window: Arc<Window>,
        accounting: ReceiverAccounting,
        slot: SlotAccount,
        statistics: Statistics,
    }

    /// Milliseconds since the start.
    fn ms(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    impl Fixture {
        fn new() -> Self {
            let (room, window) = (Arc::new(RoomLog::default()), Arc::new(Window::closed()));
            let track = Arc::new(TrackLog::new(Class::Video, 4_096));
            let key = Arc::new(KeyLog::new(5, track.clone(), 4_096));
            room.add_key(key.clone());
            room.name_track(TrackId(1), track.clone());
            let accounting = ReceiverAccounting::new(room, window.clone());
            Self { track, key, window, accounting, slot: SlotAccount::default(), statistics: Statistics::default() }
        }

        fn send(&self, n: u64) {
            let stream = &self.track.encodings[0];
            self.key.record(n, 0, stream.next());
            stream.record(ms(n), 90 * n as u32, 0, 100, self.window.contains(ms(n)));
        }

        fn arrive(&mut self, n: u64, repair: bool) -> Option<Accounted> {
            let packet = SlotPacket {
                sequence: 500 + n,
                timestamp: 90 * n as u32,
                frame: Some((5, n)),
                arrived_at: ms(n) + Duration::from_micros(50),
                bytes: 100,
                repair,
            };
            let mut result = None;
            self.accounting
                .packet(&mut self.slot, packet, &mut self.statistics, |_, accounted| result = Some(accounted));
            result
        }

        fn finish(mut self) -> KindReport {
            self.accounting.finish(&mut self.statistics);
            self.statistics.of(Class::Video).counts
        }
    }

    #[test]
    fn counts_measured_packets_once() {
        let mut it = Fixture::new();
        it.window.set(ms(10), ms(20));
        for n in 0..30 {
            it.send(n);
        }
        for n in (0..30).filter(|n| *n != 12 && *n != 15) {
            it.arrive(n, false);
        }
        it.arrive(11, false);
        it.arrive(12, true);
        assert_eq!(it.statistics.of(Class::Video).latencies.quantile(0.5), 50);
        let counts = it.finish();
        assert_eq!((counts.expected, counts.delivered, counts.lost), (10, 9, 1));
        assert_eq!((counts.lost_before_repair, counts.duplicates, counts.reordered), (2, 1, 0));
    }

    #[test]
    fn late_packet_is_reordered() {
        let mut it = Fixture::new();
        it.window.set(ms(0), ms(100));
        (0..10).for_each(|n| it.send(n));
        for n in [0, 1, 3, 2, 4, 6, 7, 8, 9] {
            it.arrive(n, false);
        }
        it.arrive(5, true);
        it.arrive(5, false);
        let counts = it.finish();
        assert_eq!((counts.reordered, counts.lost, counts.lost_before_repair, counts.duplicates), (1, 0, 0, 1));
    }

    #[test]
    fn joiner_expects_from_first_packet() {
        let mut it = Fixture::new();
        it.window.set(ms(0), ms(100));
        (0..100).for_each(|n| it.send(n));
        it.accounting.assigned(TrackId(1), ms(0));
        for n in 40..100 {
            it.arrive(n, false);
        }
        let counts = it.finish();
        assert_eq!((counts.expected, counts.delivered), (60, 60));
    }

    #[test]
    fn absent_stream_is_lost() {
        let mut it = Fixture::new();
        it.window.set(ms(0), ms(10_000));
        it.accounting.assigned(TrackId(1), ms(0));
        for n in 0..3_000 {
            it.send(n);
            it.accounting.tick(ms(n));
        }
        let counts = it.finish();
        assert_eq!((counts.expected, counts.delivered, counts.lost), (999, 0, 999), "from two seconds on");
    }

    #[test]
    fn retired_receiver_expects_earlier_packets() {
        let mut it = Fixture::new();
        it.window.set(ms(0), ms(1_000));
        (0..50).for_each(|n| it.send(n));
        for n in 0..49 {
            it.arrive(n, false);
        }
        it.accounting.retire();
        (50..60).for_each(|n| it.send(n));
        it.arrive(49, false);
        assert_eq!(it.arrive(50, false).map(|accounted| accounted.counted), Some(None));
        let counts = it.finish();
        assert_eq!((counts.expected, counts.delivered, counts.lost), (50, 50, 0));
    }

    #[test]
    fn missing_key_of_joiner_is_before_key() {
        let mut it = Fixture::new();
        it.window.set(ms(0), ms(10_000));
        (0..10).for_each(|n| it.send(n));
        for (n, now) in [(0, ms(1)), (1, ms(2)), (2, ms(1) + ReceiverAccounting::KEY_GRACE)] {
            let Some(accounted) = it.arrive(n, false) else { panic!("accounted") };
            it.accounting.did_not_open(accounted, true, now, &mut it.statistics);
        }
        let Some(accounted) = it.arrive(3, false) else { panic!("accounted") };
        it.accounting.did_not_open(accounted, false, ms(3), &mut it.statistics);
        it.accounting.opened(accounted, ms(10), &mut it.statistics);
        it.accounting.did_not_open(accounted, true, ms(9), &mut it.statistics);
        it.accounting.did_not_open(accounted, true, ms(11), &mut it.statistics);
        let counts = it.finish();
        assert_eq!((counts.before_key, counts.undecryptable, counts.opened), (3, 3, 1));
    }

    proptest! {
        #[test]
        fn expected_is_delivered_and_lost(
            came in proptest::collection::vec((0u64..300, any::<bool>()), 0..400),
            from in 0u64..300, length in 0u64..300, retire in proptest::option::of(0usize..400),
        ) {
            let mut it = Fixture::new();
            it.window.set(ms(from), ms(from + length));
            (0..300).for_each(|n| it.send(n));
            for (at, (n, repair)) in came.iter().enumerate() {
                if retire == Some(at) {
                    it.accounting.retire();
                }
                it.arrive(*n, *repair);
            }
            let counts = it.finish();
            prop_assert_eq!(counts.expected, counts.delivered + counts.lost);
            prop_assert!(counts.lost <= counts.lost_before_repair && counts.lost_before_repair <= counts.expected);
        }
    }
}
