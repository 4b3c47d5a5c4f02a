//! One receiver's book: which packets of which stream have come, and which should have.
//!
//! A packet counts if it was *sent* in the measured time. Loss is told by the publisher's sequence numbers, for each pair
//! of a receiver and a stream: everything from the first packet that came, which a key frame is, to the last that was
//! sent while the receiver counted. A stream that is in a slot and does not come within [`ReceiverAccounting::GRACE_NS`] is expected
//! from then on, so that what never begins is lost and not forgotten.

use crate::{
    bots::packet_identity::{IdentifiedPacket, PacketIdentifier, SlotPacket},
    measure::received_stream::{Arrival, ReceivedStream},
    measure::send_log::{Class, RoomLog, StreamLog},
    measure::statistics::Statistics,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tacet_proto::TrackId;

/// The measured time: what is sent in it is counted. Set once media flows.
#[derive(Debug)]
pub(crate) struct Window {
    from_ns: AtomicU64,
    until_ns: AtomicU64,
}

impl Window {
    /// A window that holds nothing yet.
    pub(crate) fn closed() -> Self {
        Self { from_ns: AtomicU64::new(u64::MAX), until_ns: AtomicU64::new(u64::MAX) }
    }

    pub(crate) fn set(&self, from_ns: u64, until_ns: u64) {
        self.until_ns.store(until_ns, Ordering::Release);
        self.from_ns.store(from_ns, Ordering::Release);
    }

    pub(crate) fn contains(&self, at_ns: u64) -> bool {
        (self.from_ns.load(Ordering::Acquire)..self.until_ns.load(Ordering::Acquire)).contains(&at_ns)
    }
}

/// One receiver's book.
#[derive(Debug)]
pub(crate) struct ReceiverAccounting {
    room: Arc<RoomLog>,
    window: Arc<Window>,
    pairs: Vec<ReceivedStream>,
    /// Tracks that are in slots, and not known to be whose yet.
    unknown: Vec<(TrackId, u64)>,
    /// Counts nothing more.
    retired: bool,
}

/// A packet's place in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accounted {
    pub(crate) arrival: Arrival,
    /// Whether it counts, and in which class.
    pub(crate) counted: Option<Class>,
    /// Index of its pair.
    pair: usize,
}

impl ReceiverAccounting {
    /// How long a stream may take to begin.
    pub(crate) const GRACE_NS: u64 = 2_000_000_000;
    /// How long a joiner may be without a key that is in use: a sender lets a new generation travel for up to five
    /// seconds in a large room, and who joins meanwhile waits for that one.
    const KEY_GRACE_NS: u64 = 5_000_000_000 + Self::GRACE_NS;

    pub(crate) fn new(room: Arc<RoomLog>, window: Arc<Window>) -> Self {
        Self { room, window, pairs: Vec::new(), unknown: Vec::new(), retired: false }
    }

    /// A track was put into a slot.
    pub(crate) fn assigned(&mut self, track: TrackId, now_ns: u64) {
        self.unknown.push((track, now_ns));
        self.find_tracks();
    }

    /// A track was taken out of its slot.
    pub(crate) fn vacated(&mut self, track: TrackId) {
        self.unknown.retain(|(unknown, _)| *unknown != track);
        if let Some(stream) = self.room.track(track)
            && let Some(pair) = self.pairs.iter_mut().find(|pair| Arc::ptr_eq(&pair.stream, &stream))
        {
            pair.until = Some(stream.next());
        }
    }

    /// Looks up tracks whose publisher had not heard of their numbers yet.
    fn find_tracks(&mut self) {
        let mut unknown = std::mem::take(&mut self.unknown);
        unknown.retain(|(track, since)| match self.room.track(*track) {
            Some(stream) => {
                let pair = pair(&mut self.pairs, &stream, *since, self.retired);
                if let Some(pair) = self.pairs.get_mut(pair).filter(|_| !self.retired) {
                    pair.until = None;
                }
                false
            }
            None => true,
        });
        self.unknown = unknown;
    }

    /// Takes a packet of a slot. What is found out is told to `accounted`, for other packets as well that waited for this
    /// one.
    pub(crate) fn packet(
        &mut self,
        slot: &mut PacketIdentifier,
        packet: SlotPacket,
        statistics: &mut Statistics,
        mut accounted: impl FnMut(&SlotPacket, Accounted),
    ) {
        let Self { room, window, pairs, retired, .. } = self;
        slot.packet(room, packet, |known| {
            let at = pair(pairs, known.stream, packet.arrived_ns, *retired);
            if let Some(pair) = pairs.get_mut(at) {
                let (arrival, counted) = book(pair, &known, window, statistics);
                accounted(&known.packet, Accounted { arrival, counted, pair: at });
            }
        });
    }

    /// A frame opened that had arrived at this time, and whose first packet was accounted so.
    pub(crate) fn opened(&mut self, accounted: Accounted, arrived_ns: u64, statistics: &mut Statistics) {
        if let Some(pair) = self.pairs.get_mut(accounted.pair) {
            pair.opened_ns.get_or_insert(arrived_ns);
        }
        if let Some(class) = accounted.counted {
            statistics.of_mut(class).counts.opened += 1;
        }
    }

    /// A whole frame did not open; `missing_key` if for want of a key.
    ///
    /// Who joins gets a key of then, and not those before: what arrived ahead of the first frame that opens is owed to
    /// nobody, unless that takes too long.
    pub(crate) fn did_not_open(
        &mut self,
        accounted: Accounted,
        missing_key: bool,
        arrived_ns: u64,
        statistics: &mut Statistics,
    ) {
        let Some(class) = accounted.counted else { return };
        let before_key = self.pairs.get(accounted.pair).is_some_and(|pair| {
            pair.opened_ns.is_none_or(|first| arrived_ns <= first)
                && arrived_ns.saturating_sub(pair.assigned_ns) < Self::KEY_GRACE_NS
        });
        let counts = &mut statistics.of_mut(class).counts;
        if missing_key && before_key {
            counts.before_key += 1;
        } else {
            counts.undecryptable += 1;
        }
    }

    /// Whether this is in the measured time.
    pub(crate) fn is_measuring(&self, now_ns: u64) -> bool {
        self.window.contains(now_ns)
    }

    /// Notices streams that have not begun in time.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        if !self.unknown.is_empty() {
            self.find_tracks();
        }
        let overdue = |pair: &&mut ReceivedStream| {
            pair.begun.is_none() && now_ns.saturating_sub(pair.assigned_ns) >= Self::GRACE_NS
        };
        for pair in self.pairs.iter_mut().filter(overdue) {
            pair.begun = Some(pair.stream.next());
        }
    }

    /// Counts nothing that is sent from now on: the receiver will leave.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
        for pair in &mut self.pairs {
            pair.until.get_or_insert(pair.stream.next());
        }
    }

    /// Adds what the book holds to the figures of its thread.
    pub(crate) fn finish(&mut self, statistics: &mut Statistics) {
        for pair in self.pairs.drain(..) {
            let expected = pair.expected();
            let (delivered, repaired) = pair.count(&expected);
            let wanted = expected.end.saturating_sub(expected.start);
            let lost = wanted.saturating_sub(delivered);
            let counts = &mut statistics.of_mut(pair.stream.class).counts;
            counts.expected += wanted;
            counts.delivered += delivered;
            counts.lost += lost;
            counts.lost_before_repair += lost + repaired;
        }
    }
}

/// Index of the pair of a stream, which is made if it is new.
fn pair(pairs: &mut Vec<ReceivedStream>, stream: &Arc<StreamLog>, now_ns: u64, retired: bool) -> usize {
    if let Some(at) = pairs.iter().position(|pair| Arc::ptr_eq(&pair.stream, stream)) {
        return at;
    }
    let mut pair = ReceivedStream::new(stream.clone(), now_ns);
    if retired {
        pair.until = Some(0);
    }
    pairs.push(pair);
    pairs.len() - 1
}

/// Enters a packet; gives what it is, and the class in which it counts.
fn book(
    pair: &mut ReceivedStream,
    known: &IdentifiedPacket<'_>,
    window: &Window,
    statistics: &mut Statistics,
) -> (Arrival, Option<Class>) {
    let IdentifiedPacket { stream, sequence, sent, packet } = *known;
    let arrival = pair.mark(sequence, packet.repair);
    let latency_us = packet.arrived_ns.saturating_sub(sent.at_ns) / 1_000;
    let last_us = if packet.repair { None } else { pair.last_latency_us.replace(latency_us) };
    let late = !packet.repair && sequence < pair.highest;
    if !packet.repair {
        pair.highest = pair.highest.max(sequence);
    }
    let counts = window.contains(sent.at_ns) && pair.until.is_none_or(|until| sequence < until);
    if counts {
        let statistics = statistics.of_mut(stream.class);
        match arrival {
            Arrival::New => {
                statistics.latencies.record(latency_us);
                statistics.counts.delivered_bytes += packet.bytes as u64;
                statistics.counts.reordered += u64::from(late);
                if let Some(last_us) = last_us {
                    statistics.deviation.record(latency_us.abs_diff(last_us));
                }
            }
            Arrival::Duplicate => statistics.counts.duplicates += 1,
        }
    }
    (arrival, counts.then_some(stream.class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        measure::send_log::{KeyLog, Sent},
        report::KindReport,
    };
    use proptest::prelude::*;

    /// A publisher of single-packet frames, one each millisecond, and a receiver.
    struct Fixture {
        stream: Arc<StreamLog>,
        key: Arc<KeyLog>,
        window: Arc<Window>,
        accounting: ReceiverAccounting,
        slot: PacketIdentifier,
        statistics: Statistics,
    }

    const MS: u64 = 1_000_000;

    impl Fixture {
        fn new() -> Self {
            let (room, window) = (Arc::new(RoomLog::default()), Arc::new(Window::closed()));
            let stream = Arc::new(StreamLog::new(Class::Video, None, 4_096));
            let key = Arc::new(KeyLog::new(5, stream.clone(), 4_096));
            room.add_key(key.clone());
            room.add_track(TrackId(1), stream.clone());
            let accounting = ReceiverAccounting::new(room, window.clone());
            Self {
                stream,
                key,
                window,
                accounting,
                slot: PacketIdentifier::default(),
                statistics: Statistics::default(),
            }
        }

        fn send(&self, n: u64) {
            self.key.record(n, self.stream.next());
            let sent = Sent { at_ns: n * MS, timestamp: 90 * n as u32 };
            self.stream.record(sent, 100, self.window.contains(n * MS));
        }

        fn arrive(&mut self, n: u64, repair: bool) -> Option<Accounted> {
            let packet = SlotPacket {
                sequence: 500 + n,
                timestamp: 90 * n as u32,
                frame: Some((5, n)),
                arrived_ns: n * MS + 50_000,
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
    fn what_is_sent_in_the_measured_time_counts_and_each_once() {
        let mut it = Fixture::new();
        it.window.set(10 * MS, 20 * MS);
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
    fn what_comes_late_by_itself_is_reordered_and_not_repaired() {
        let mut it = Fixture::new();
        it.window.set(0, 100 * MS);
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
    fn a_joiner_is_owed_nothing_from_before_its_first_packet() {
        let mut it = Fixture::new();
        it.window.set(0, 100 * MS);
        (0..100).for_each(|n| it.send(n));
        it.accounting.assigned(TrackId(1), 0);
        for n in 40..100 {
            it.arrive(n, false);
        }
        let counts = it.finish();
        assert_eq!((counts.expected, counts.delivered), (60, 60));
    }

    #[test]
    fn a_stream_that_never_begins_is_lost() {
        let mut it = Fixture::new();
        it.window.set(0, 10_000 * MS);
        it.accounting.assigned(TrackId(1), 0);
        for n in 0..3_000 {
            it.send(n);
            it.accounting.tick(n * MS);
        }
        let counts = it.finish();
        assert_eq!((counts.expected, counts.delivered, counts.lost), (999, 0, 999), "from two seconds on");
    }

    #[test]
    fn who_leaves_is_owed_what_was_sent_before() {
        let mut it = Fixture::new();
        it.window.set(0, 1_000 * MS);
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
    fn a_key_may_take_a_moment_for_who_has_just_joined_and_not_later() {
        let mut it = Fixture::new();
        it.window.set(0, 10_000 * MS);
        (0..10).for_each(|n| it.send(n));
        for (n, now_ns) in [(0, 1), (1, 2), (2, ReceiverAccounting::KEY_GRACE_NS + MS)] {
            let Some(accounted) = it.arrive(n, false) else { panic!("accounted") };
            it.accounting.did_not_open(accounted, true, now_ns, &mut it.statistics);
        }
        let Some(accounted) = it.arrive(3, false) else { panic!("accounted") };
        it.accounting.did_not_open(accounted, false, 3, &mut it.statistics);
        it.accounting.opened(accounted, 10, &mut it.statistics);
        it.accounting.did_not_open(accounted, true, 9, &mut it.statistics);
        it.accounting.did_not_open(accounted, true, 11, &mut it.statistics);
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
            it.window.set(from * MS, (from + length) * MS);
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
