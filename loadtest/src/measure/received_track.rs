//! One track as one receiver gets it: which packets of which layers have arrived, and which should have.
//!
//! A server chooses the layers that a receiver gets, so that not all that was sent is owed. It forwards a layer whole or not
//! at all, and announces what it chooses. Hence the rule: **a layer that has begun to arrive is owed without gaps until it
//! ends**.
//! ```text
//!   encoding h  T0   ■   ■   ■   ■ ┐                                 ■ arrived, □ lost, · not owed
//!               T1     ■   □   ■   ┘ ends: encoding f begins
//!   encoding f  T0                   ■   ■   ■   ■   ■   ■   ■
//!               T1                     ■   ■   ■ ┘ ·   ·   ■        ends: the server announces T0, and later T1
//! ```
//! * It *begins* with its first packet while its encoding is the one in the slot; or [`GRACE`] after the server has announced
//!   that the slot shows it, so that a layer which never comes is lost and not forgotten.
//! * It *ends* when the slot shows another encoding or track, and when the server announces that the slot shows less: behind
//!   its last packet that arrived. What was sent after that cannot be distinguished from what the server had dropped already.
//!   A packet that arrives later is one that was under way, and was owed with all before it, if it was sent before that word
//!   came. Otherwise the layer has begun again, and the word of that is late.
//! * A track without layers does not end while it is in its slot: all that was sent until it is taken out is owed.

use crate::{
    bots::packet_identity::SlotPacket,
    measure::{
        clock::Time,
        layer::{Layer, Target},
        send_log::{LayerLog, Sent, TrackLog},
    },
};
use std::{ops::Range, sync::Arc, time::Duration};

/// How long a stream may take to start.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Whether a packet is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Has not arrived before.
    New,
    /// Has arrived before.
    Duplicate,
}

/// A track as this receiver gets it.
#[derive(Debug)]
pub(crate) struct ReceivedTrack {
    pub(crate) log: Arc<TrackLog>,
    /// When it was put into a slot, or its first packet arrived.
    pub(crate) known_since: Time,
    /// When the first frame that opened had arrived.
    pub(crate) opened_at: Option<Time>,
    pub(crate) last_latency_us: Option<u64>,
    /// What the server has announced that its slot shows; `None` while it has said nothing.
    target: Option<Target>,
    /// When the server said so, or put the track into its slot, until what should come then is overdue.
    due_since: Option<Time>,
    /// What the receiver has asked for, until it comes.
    wish: Wish,
    /// Whether the track is in a slot, as the server says.
    is_assigned: bool,
    /// Whether what is sent from now on is not counted.
    retired: bool,
    layers: Vec<ReceivedLayer>,
}

/// What a receiver wants to see of a track, and whether it has come.
#[derive(Debug, Default)]
struct Wish {
    /// The index of the step that it should see.
    wanted: Option<usize>,
    /// That of the step that it sees.
    shown: Option<usize>,
    waiting: Option<(Waited, Time)>,
}

/// What a receiver has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// A track that it did not see.
    Start,
    /// Another image size.
    Switch,
}

impl Wish {
    fn change(&mut self, wanted: Option<usize>, now: Time) {
        let before = std::mem::replace(&mut self.wanted, wanted);
        self.waiting = match (before, wanted) {
            (_, None) => {
                self.shown = None;
                None
            }
            (None, Some(_)) => Some((Waited::Start, now)),
            (Some(_), Some(_)) if self.shown == wanted => None,
            (Some(before), Some(wanted)) if before == wanted => self.waiting,
            // A receiver that has seen nothing yet still waits for the start.
            (Some(_), Some(_)) if self.shown.is_none() => self.waiting,
            (Some(_), Some(_)) => Some((Waited::Switch, now)),
        };
    }

    /// Takes a packet of a step; `None` if it could be of several.
    /// Returns what has been waited for, and since when, if this is it.
    fn shown(&mut self, step: Option<usize>) -> Option<(Waited, Time)> {
        self.shown = step.or(self.shown);
        let (waited, since) = self.waiting?;
        if waited == Waited::Switch && self.wanted != step {
            return None;
        }
        self.waiting = None;
        Some((waited, since))
    }
}

/// A layer as this receiver gets it.
#[derive(Debug)]
pub(crate) struct ReceivedLayer {
    encoding: u8,
    layer: u8,
    /// The packets that were owed from a beginning to an end, in ascending order.
    ended: Vec<Range<u64>>,
    /// The packet from which on all are owed.
    begun: Option<u64>,
    /// The number behind the highest that has arrived.
    behind: u64,
    /// When it last ended.
    ended_when: Time,
    arrived: ArrivedPackets,
}

impl ReceivedTrack {
    pub(crate) fn new(log: Arc<TrackLog>, now: Time) -> Self {
        Self {
            log,
            known_since: now,
            opened_at: None,
            last_latency_us: None,
            target: None,
            due_since: None,
            wish: Wish::default(),
            is_assigned: false,
            retired: false,
            layers: Vec::new(),
        }
    }

    /// The track was put into a slot.
    pub(crate) fn assigned(&mut self, now: Time) {
        if !self.is_assigned {
            (self.is_assigned, self.target, self.due_since) = (true, None, Some(now));
        }
    }

    /// The track was taken out of its slot.
    pub(crate) fn vacated(&mut self) {
        let Self { log, layers, .. } = self;
        for layer in layers {
            // Without layers, the server had to forward all.
            let behind = if log.steps.is_empty() { layer.log(log).map(LayerLog::next) } else { None };
            layer.end(behind, Time::from_nanos(u64::MAX));
        }
        self.is_assigned = false;
    }

    /// The server says what the slot shows.
    pub(crate) fn set_target(&mut self, target: Target, now: Time) {
        let Self { log, layers, .. } = self;
        for layer in layers.iter_mut() {
            if layer.log(log).is_some_and(|of| target.excludes(layer.encoding, of.layer)) {
                layer.end(None, now);
            }
        }
        (self.target, self.due_since) = (Some(target), Some(now));
    }

    /// The slot shows something else than this encoding, as its packets say since `now`.
    pub(crate) fn replaced(&mut self, encoding: u8, now: Time) {
        self.layers.iter_mut().filter(|layer| layer.encoding == encoding).for_each(|layer| layer.end(None, now));
        // What the server had announced has come and gone, and its next word is late.
        self.due_since.take_if(|_| matches!(self.target, Some(Target::Step(step, _)) if step.encoding == encoding));
    }

    /// Stops counting what is sent from now on.
    pub(crate) fn retire(&mut self) {
        let Self { log, layers, .. } = self;
        for layer in layers {
            let behind = layer.log(log).map(LayerLog::next);
            layer.end(behind, Time::from_nanos(u64::MAX));
        }
        self.retired = true;
    }

    /// Takes a packet; `is_current` says whether its encoding is the one in the slot. Returns whether the packet is new, and
    /// whether it is owed.
    pub(crate) fn packet(
        &mut self,
        encoding: u8,
        sent: Sent,
        packet: &SlotPacket,
        is_current: bool,
    ) -> (Arrival, bool) {
        let Self { log, target, retired, .. } = self;
        let of = log.encodings.get(usize::from(encoding)).and_then(|of| of.layers().get(usize::from(sent.layer)));
        let excluded = of.is_none_or(|of| target.is_some_and(|target| target.excludes(encoding, of.layer)));
        let begins = is_current && !excluded && !*retired;
        let retired = *retired;
        let layer = self.layer(encoding, sent.layer);
        let arrival = layer.arrived.mark(sent.number, packet.repair);
        if layer.begun.is_none() && begins {
            layer.begin(sent.number);
        }
        layer.take(sent, retired);
        (arrival, layer.owes(sent.number))
    }

    /// Begins the layers that should have begun by now: those that the server has said to be in the slot, or, without a word
    /// of it, the lowest of a track of which nothing has come.
    pub(crate) fn begin_overdue(&mut self, now: Time) {
        let is_due = self.due_since.is_some_and(|since| now.since(since) >= GRACE);
        if !is_due || !self.is_assigned || self.retired {
            return;
        }
        self.due_since = None;
        let log = self.log.clone();
        for (encoding, stream) in (0u8..).zip(&log.encodings) {
            for (layer, of) in (0u8..).zip(stream.layers()) {
                let due = match self.target {
                    Some(target) => target.contains(encoding, of.layer),
                    None => (encoding, layer) == (0, 0) && self.layers.iter().all(|layer| layer.begun.is_none()),
                };
                if due && self.layer(encoding, layer).begun.is_none() {
                    self.layer(encoding, layer).begin(of.next());
                }
            }
        }
    }

    /// The receiver asks for an image of this height, or for none.
    pub(crate) fn wished(&mut self, height: Option<u16>, now: Time) {
        self.wish.change(height.and_then(|height| self.log.step_for(height)), now);
    }

    /// How long the receiver has waited for what this packet of a step is the first of, if anything. It waits for nothing
    /// that is not sent yet.
    pub(crate) fn fulfilled(&mut self, step: Option<usize>, arrived_at: Time) -> Option<(Waited, Duration)> {
        let (waited, since) = self.wish.shown(step)?;
        let begun_at = self.log.begun_at.get().copied().unwrap_or_default();
        Some((waited, arrived_at.since(since.max(begun_at))))
    }

    /// The index of the step that alone has packets of a layer.
    pub(crate) fn step_of(&self, encoding: u8, layer: u8) -> Option<usize> {
        let of = self.log.encodings.get(usize::from(encoding))?.layers().get(usize::from(layer))?;
        self.log.step_of(encoding, of.layer)
    }

    /// A layer, if a server can choose among those of the track.
    pub(crate) fn layer_of(&self, encoding: u8, layer: u8) -> Option<Layer> {
        let of = self.log.encodings.get(usize::from(encoding))?.layers().get(usize::from(layer))?;
        (!self.log.steps.is_empty()).then_some(of.layer)
    }

    /// Each layer of which anything came, or should have come.
    pub(crate) fn layers(&self) -> impl Iterator<Item = (u8, &LayerLog, &ReceivedLayer)> {
        self.layers.iter().filter_map(|layer| Some((layer.encoding, layer.log(&self.log)?, layer)))
    }

    fn layer(&mut self, encoding: u8, layer: u8) -> &mut ReceivedLayer {
        let known = self.layers.iter().position(|of| (of.encoding, of.layer) == (encoding, layer));
        let at = known.unwrap_or_else(|| {
            self.layers.push(ReceivedLayer::new(encoding, layer));
            self.layers.len() - 1
        });
        &mut self.layers[at]
    }
}

impl ReceivedLayer {
    /// Distance from the end of a layer at which a packet is one that was under way.
    const STRAGGLERS: u64 = 16;

    fn new(encoding: u8, layer: u8) -> Self {
        let arrived = ArrivedPackets::default();
        Self { encoding, layer, ended: Vec::new(), begun: None, behind: 0, ended_when: Time::default(), arrived }
    }

    fn log<'a>(&self, track: &'a TrackLog) -> Option<&'a LayerLog> {
        track.encodings.get(usize::from(self.encoding))?.layers().get(usize::from(self.layer))
    }

    /// Number behind the last packet that was owed before the present beginning.
    fn ended_at(&self) -> u64 {
        self.ended.last().map_or(0, |ended| ended.end)
    }

    fn begin(&mut self, number: u64) {
        self.begun = Some(number.max(self.ended_at()));
    }

    /// Ends it behind the last packet that has arrived, or before `behind`.
    fn end(&mut self, behind: Option<u64>, now: Time) {
        if let Some(begun) = self.begun.take() {
            let behind = behind.unwrap_or(self.behind).max(begun);
            self.ended.push(begun..behind);
            self.ended_when = now;
        }
    }

    /// Takes a packet: one before the first, or behind the end, was only late.
    fn take(&mut self, Sent { number, at, .. }: Sent, retired: bool) {
        self.behind = self.behind.max(number + 1);
        let was_under_way = at <= self.ended_when;
        match (&mut self.begun, self.ended.last_mut()) {
            (Some(begun), None) => *begun = number.min(*begun),
            (Some(begun), Some(ended)) if number >= ended.end && number < *begun && was_under_way => {
                let is_straggler = number < ended.end + Self::STRAGGLERS;
                ended.end = if is_straggler { number + 1 } else { ended.end };
            }
            (Some(begun), Some(ended)) if number >= ended.end && number + Self::STRAGGLERS >= *begun => {
                *begun = number.min(*begun);
            }
            (None, Some(ended)) if number < ended.end || retired => {}
            (None, Some(ended)) if number < ended.end + Self::STRAGGLERS && was_under_way => ended.end = number + 1,
            (None, _) if !retired => self.ended.push(number..number + 1),
            _ => {}
        }
    }

    fn owes(&self, number: u64) -> bool {
        self.begun.is_some_and(|begun| number >= begun) || self.ended.iter().any(|ended| ended.contains(&number))
    }

    /// The packets among `measured` that should have arrived: how many, how many of these did, and how many of those by
    /// retransmission.
    pub(crate) fn count(&self, measured: &Range<u64>) -> Counted {
        let mut counted = Counted::default();
        for owed in self.ended.iter().cloned().chain(self.begun.map(|begun| begun..u64::MAX)) {
            let owed = owed.start.max(measured.start)..owed.end.min(measured.end);
            let (delivered, repaired) = self.arrived.count(&owed);
            counted.expected += owed.end.saturating_sub(owed.start);
            counted.delivered += delivered;
            counted.repaired += repaired;
        }
        counted
    }
}

/// Numbers of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// Of these, those that arrived by retransmission alone.
    pub(crate) repaired: u64,
}

/// Which packets have arrived, by number.
#[derive(Debug, Default)]
struct ArrivedPackets {
    /// Number of the first bit below.
    base: u64,
    /// Which packets have arrived, and which of them by retransmission.
    seen: Vec<[u64; 2]>,
}

impl ArrivedPackets {
    /// Packets that may arrive after the first and precede it.
    const BEFORE: u64 = 1_024;

    /// Marks a packet; its number is one that the publisher has used, which bounds the bitmap.
    fn mark(&mut self, number: u64, repair: bool) -> Arrival {
        if self.seen.is_empty() {
            self.base = number.saturating_sub(Self::BEFORE) & !63;
        }
        let Some(at) = number.checked_sub(self.base) else { return Arrival::Duplicate };
        let (word, bit) = ((at / 64) as usize, 1 << (at % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, [0; 2]);
        }
        let Some([seen, repaired]) = self.seen.get_mut(word) else { return Arrival::Duplicate };
        if *seen & bit != 0 {
            if !repair {
                // It was only late: its retransmission arrived first.
                *repaired &= !bit;
            }
            return Arrival::Duplicate;
        }
        *seen |= bit;
        if repair {
            *repaired |= bit;
        }
        Arrival::New
    }

    /// Number of packets of a range that arrived, and how many of those by retransmission.
    fn count(&self, range: &Range<u64>) -> (u64, u64) {
        let mut counted = (0, 0);
        for (n, [seen, repaired]) in self.seen.iter().enumerate() {
            let first = self.base + 64 * n as u64;
            let mask = below(range.end.saturating_sub(first)) & !below(range.start.saturating_sub(first));
            counted.0 += u64::from((seen & mask).count_ones());
            counted.1 += u64::from((repaired & mask).count_ones());
        }
        counted
    }
}

/// The lowest `n` bits.
fn below(n: u64) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::measure::{
        layer::Step,
        send_log::{Class, StreamLog},
    };

    const HALF: u8 = 0;
    const FULL: u8 = 1;

    /// A track of two encodings with two temporal layers each, and a receiver.
    struct Fixture {
        log: Arc<TrackLog>,
        received: ReceivedTrack,
        now: Time,
    }

    impl Fixture {
        fn new() -> Self {
            let layers = [0, 1].map(|temporal| Layer { temporal, ..Layer::default() });
            let encodings = (0..2).map(|_| StreamLog::new(&layers, 1_024)).collect();
            let steps = Box::new([Self::step(HALF), Self::step(FULL)]);
            let log = Arc::new(TrackLog { encodings, steps, ..TrackLog::new(Class::Video, 64) });
            let mut received = ReceivedTrack::new(log.clone(), Time::default());
            received.assigned(Time::default());
            Self { log, received, now: Time::default() }
        }

        fn step(encoding: u8) -> Step {
            Step { height: 360 * (1 + u16::from(encoding)), encoding, spatial: 0 }
        }

        /// Sends a packet and drops it.
        fn drop(&self, encoding: u8, layer: u8) -> Sent {
            let stream = &self.log.encodings[usize::from(encoding)];
            stream.sent(stream.record(self.now, 0, layer, 100, true)).unwrap()
        }

        /// Sends a packet that arrives.
        fn send(&mut self, encoding: u8, layer: u8) {
            let sent = self.drop(encoding, layer);
            self.arrive(encoding, sent, true);
        }

        fn arrive(&mut self, encoding: u8, sent: Sent, is_current: bool) {
            let packet = SlotPacket {
                sequence: 0,
                timestamp: 0,
                frame: None,
                arrived_at: Time::default(),
                bytes: 100,
                repair: false,
            };
            self.received.packet(encoding, sent, &packet, is_current);
        }

        /// Expected and delivered packets of a layer.
        fn counts(&self, encoding: u8, layer: u8) -> (u64, u64) {
            let of = self.received.layers().find(|(of, _, received)| (*of, received.layer) == (encoding, layer));
            of.map_or((0, 0), |(_, log, received)| {
                let counted = received.count(&log.measured());
                (counted.expected, counted.delivered)
            })
        }
    }

    #[test]
    fn begun_layer_is_owed_without_gaps() {
        let mut it = Fixture::new();
        it.drop(HALF, 0);
        it.send(HALF, 0);
        it.drop(HALF, 1);
        it.drop(HALF, 0);
        it.send(HALF, 0);
        assert_eq!(it.counts(HALF, 0), (3, 2), "owed from the first that arrived");
        assert_eq!(it.counts(HALF, 1), (0, 0), "a layer of which nothing came");
        assert_eq!(it.counts(FULL, 0), (0, 0));
    }

    #[test]
    fn other_encoding_ends_the_one_before() {
        let mut it = Fixture::new();
        it.send(HALF, 0);
        let (late, dropped) = (it.drop(HALF, 0), it.drop(HALF, 0));
        it.received.replaced(HALF, Time::default());
        it.send(FULL, 0);
        it.arrive(HALF, late, false);
        assert_eq!(it.counts(HALF, 0), (2, 2), "{dropped:?} was sent after the switch");
        it.received.replaced(FULL, Time::default());
        it.send(HALF, 0);
        it.drop(HALF, 0);
        assert_eq!((it.counts(HALF, 0), it.counts(FULL, 0)), ((4, 3), (1, 1)), "begun again");
    }

    #[test]
    fn server_ends_a_temporal_layer() {
        let mut it = Fixture::new();
        for _ in 0..3 {
            it.send(FULL, 0);
            it.send(FULL, 1);
        }
        it.received.set_target(Target::Step(Fixture::step(FULL), 0), Time::default());
        // The word was faster than a packet.
        it.send(FULL, 1);
        for _ in 0..5 {
            it.send(FULL, 0);
            it.drop(FULL, 1);
        }
        assert_eq!((it.counts(FULL, 0), it.counts(FULL, 1)), ((8, 8), (4, 4)));
        it.received.set_target(Target::Step(Fixture::step(FULL), 1), Time::default());
        it.send(FULL, 1);
        it.drop(FULL, 1);
        assert_eq!(it.counts(FULL, 1), (6, 5));
    }

    #[test]
    fn layer_that_returns_before_the_word_of_it_owes_nothing_of_the_time_between() {
        let ms = |ms: u64| Time::from_nanos(ms * 1_000_000);
        let mut it = Fixture::new();
        it.send(FULL, 1);
        it.received.set_target(Target::Step(Fixture::step(FULL), 0), ms(10));
        it.now = ms(20);
        for _ in 0..5 {
            it.drop(FULL, 1);
        }
        it.send(FULL, 1);
        it.send(FULL, 1);
        assert_eq!(it.counts(FULL, 1), (3, 3));
        it.received.set_target(Target::Step(Fixture::step(FULL), 1), ms(30));
        it.send(FULL, 1);
        it.drop(FULL, 1);
        it.send(FULL, 1);
        assert_eq!(it.counts(FULL, 1), (6, 5), "and then all is owed");
    }

    #[test]
    fn paused_slot_is_owed_nothing() {
        let mut it = Fixture::new();
        it.send(HALF, 0);
        it.received.set_target(Target::Paused, Time::default());
        it.drop(HALF, 0);
        it.received.begin_overdue(Time::default() + 2 * GRACE);
        it.drop(HALF, 0);
        assert_eq!(it.counts(HALF, 0), (1, 1));
    }

    #[test]
    fn layer_that_never_comes_is_lost() {
        let mut it = Fixture::new();
        it.send(HALF, 0);
        it.received.set_target(Target::Step(Fixture::step(FULL), 0), Time::default());
        it.received.begin_overdue(Time::default() + GRACE / 2);
        it.drop(FULL, 0);
        it.received.begin_overdue(Time::default() + GRACE);
        it.drop(FULL, 0);
        it.drop(FULL, 1);
        assert_eq!((it.counts(FULL, 0), it.counts(FULL, 1)), ((1, 0), (0, 0)));
    }

    #[test]
    fn layer_that_has_come_and_gone_is_not_overdue() {
        let mut it = Fixture::new();
        it.send(FULL, 0);
        it.received.set_target(Target::Step(Fixture::step(FULL), 1), Time::default());
        it.send(FULL, 1);
        it.received.replaced(FULL, Time::default() + GRACE / 2);
        it.send(HALF, 0);
        it.received.begin_overdue(Time::default() + GRACE);
        it.drop(FULL, 0);
        it.drop(FULL, 1);
        assert_eq!((it.counts(FULL, 0), it.counts(FULL, 1)), ((1, 1), (1, 1)));
    }

    #[test]
    fn packets_before_the_word_of_the_server_are_no_gap() {
        let mut it = Fixture::new();
        it.send(FULL, 1);
        it.received.set_target(Target::Step(Fixture::step(FULL), 0), Time::default());
        for _ in 0..100 {
            it.drop(FULL, 1);
        }
        // The server has gone up, and its word is late.
        (0..3).for_each(|_| it.send(FULL, 1));
        it.received.set_target(Target::Step(Fixture::step(FULL), 1), Time::default());
        it.send(FULL, 1);
        assert_eq!(it.counts(FULL, 1), (5, 5));
    }

    #[test]
    fn wish_is_timed_until_it_is_shown() {
        let (ms, mut wish) = (|ms: u64| Time::from_nanos(ms * 1_000_000), Wish::default());
        let (half, full) = (Some(0), Some(1));
        assert_eq!(wish.shown(full), None, "not asked for");
        wish.change(None, ms(1));
        wish.change(half, ms(10));
        wish.change(full, ms(20));
        assert_eq!(wish.shown(half), Some((Waited::Start, ms(10))), "anything is a start");
        wish.change(half, ms(60));
        assert_eq!(wish.shown(half), None, "it was there");
        wish.change(full, ms(80));
        assert_eq!(wish.shown(half), None);
        wish.change(full, ms(100));
        assert_eq!(wish.shown(full), Some((Waited::Switch, ms(80))));
        wish.change(half, ms(190));
        assert_eq!(wish.shown(None), None, "a packet that both sizes have");
        wish.change(None, ms(200));
        assert_eq!(wish.shown(full), None);
    }

    #[test]
    fn nothing_is_waited_for_before_it_is_sent() {
        let mut it = Fixture::new();
        let ms = |ms: u64| Time::from_nanos(ms * 1_000_000);
        it.received.wished(Some(360), ms(10));
        it.log.begun_at.set(ms(5_000)).unwrap();
        assert_eq!(it.received.fulfilled(Some(0), ms(5_040)), Some((Waited::Start, Duration::from_millis(40))));
    }

    #[test]
    fn retired_receiver_is_owed_what_was_sent_before() {
        let mut it = Fixture::new();
        it.send(HALF, 0);
        let under_way = it.drop(HALF, 0);
        it.received.retire();
        it.arrive(HALF, under_way, true);
        it.send(HALF, 0);
        it.send(FULL, 0);
        assert_eq!((it.counts(HALF, 0), it.counts(FULL, 0)), ((2, 2), (0, 0)));
    }
}
