//! The stream of a slot: which packets of its sources go into it, and as what.
//!
//! While a source lasts, timestamps, VP8 picture ids and frame numbers are shifted by constants. A new one gets new constants, so
//! that it continues where the last one ended. Sequence numbers follow from the [segment](super::segment) of the layer that is
//! forwarded. Gaps of a source remain gaps, which late packets fill.
//!
//! A packet that is missing counts in every layer that could contain it. If it turns out to be of another layer, a *filler*
//! takes its number: a packet without payload, which a receiver takes for padding. A number that stays empty would be
//! requested again and again, and some receivers would show nothing after it.
//!
//! Invariant: no sequence number is used twice. An index of an encoding is offered once (twice, if it was refused), has one
//! number in one segment, and segments do not overlap.

use super::{
    segment::{Layer, Segment, Segments, Shifts},
    select::{Opportunity, Wanted},
    timeline::Timeline,
};
use crate::{
    keys::EncodingKey,
    publisher::{packet_store::PacketMeta, sender_clock::SenderClock},
    wire::{
        dependency_descriptor::Structure,
        seq::{SeqNum, near},
    },
};
use std::time::{Duration, Instant};

/// Maximum distance between packets of one source, within the replay windows of both ends, which hold 960 numbers. A
/// source that jumps further is restarted where the stream is. Otherwise its sequence numbers could leave the range in
/// which SRTP extends them from 16 bits, and nothing in this slot could be decrypted any more.
const MAX_DISTANCE: u64 = 900;
/// Maximum numbers that are filled because one packet proves that they are of other layers: two large frames. More is left as
/// a loss, so that no publisher can make the server send many packets for one.
const MAX_FILLERS: u64 = 32;

/// A packet of an encoding, as all slots see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) encoding: EncodingKey,
    pub(crate) index: u64,
    pub(crate) meta: &'a PacketMeta,
    /// Of the encoding.
    pub(crate) structure: Option<&'a Structure>,
    /// Of the encoding.
    pub(crate) clock: Option<&'a SenderClock>,
    /// How much older it is than what is sent at this time, if a source begins with it.
    pub(crate) lead: Duration,
}

/// The rewritten fields of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// Extended sequence number.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) picture_id: u16,
    pub(crate) tl0_pic_idx: u8,
    pub(crate) frame_number: u16,
    pub(crate) marker: bool,
}

/// What begins with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    /// Another encoding, or the same one after an interruption.
    Source,
    /// Another layer of the same encoding.
    Layer,
}

/// Outcome of [`Rewriter::place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// The packet is sent.
    Send(Rewritten),
    /// The packet is sent, as the first of something. Newer packets, which were refused until now, may follow it.
    Begin(Begins, Rewritten),
    /// As many fillers are sent, with the numbers right before that of the packet, and then the packet.
    SendBehindFillers(u64, Rewritten),
    /// A filler is sent instead of the packet.
    Fill(u64),
    /// Dropped: not of the layer.
    OtherLayer,
    /// Dropped: an encoding begins with a key frame, and this is none.
    AwaitsKeyFrame,
    /// Dropped: from before the layer's first packet, or too far behind.
    TooLate,
}

/// Rewrites the stream of one slot.
#[derive(Debug)]
pub(crate) struct Rewriter {
    segments: Segments,
    /// The newest segment goes on.
    is_open: bool,
    wanted: Option<Wanted>,
    /// The wanted layer is not that of the open segment.
    is_pending: bool,
    timeline: Timeline,
    /// The packet with the highest sequence number so far; of a filler, only the number. The next source begins after it.
    last: Rewritten,
    last_sent: Option<Instant>,
    /// That packet is the last one of its frame.
    frame_ended: bool,
}

impl Rewriter {
    /// A stream without a source, whose first packet follows this sequence number and timestamp.
    pub(crate) fn new(clock_rate: u32, seq: u16, timestamp: u32) -> Self {
        // Starts at cycle 1, so that no arithmetic around the first packet falls below zero. SRTP starts its rollover
        // counter at 0 with the first packet, so the cycle is invisible.
        let seq = (1 << 16) | u64::from(seq);
        let last = Rewritten { seq, timestamp, picture_id: 0, tl0_pic_idx: 0, frame_number: 0, marker: false };
        Self {
            segments: Segments::default(),
            is_open: false,
            wanted: None,
            is_pending: false,
            timeline: Timeline::new(clock_rate),
            last,
            last_sent: None,
            frame_ended: false,
        }
    }

    /// Wants another layer from now on, instead of what was wanted before; `None` stops the stream at once.
    pub(crate) fn want(&mut self, wanted: Option<Wanted>) {
        self.wanted = wanted;
        if wanted.is_none() {
            self.interrupt();
        }
        self.compare_with_wanted();
    }

    /// Ends the current source. What is wanted begins again with a key frame.
    pub(crate) fn interrupt(&mut self) {
        self.is_open = false;
        self.compare_with_wanted();
    }

    /// Ends the current source. The next one is of another track.
    pub(crate) fn end_track(&mut self) {
        self.want(None);
        self.timeline.end_track();
    }

    /// The layer that is forwarded.
    pub(crate) fn current(&self) -> Option<Layer> {
        self.open_segment().map(|segment| segment.layer)
    }

    /// The layer that is to be forwarded.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        self.wanted
    }

    /// Whether the wanted layer is not forwarded yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Whether packets of an encoding are forwarded, or awaited.
    pub(crate) fn listens_to(&self, encoding: EncodingKey) -> bool {
        let current = self.open_segment().is_some_and(|segment| segment.layer.encoding == encoding);
        current || self.is_pending && self.wanted.is_some_and(|wanted| wanted.layer.encoding == encoding)
    }

    /// Places a packet in the stream. Each index of an encoding is offered once, and again if it was refused.
    pub(crate) fn place(&mut self, now: Instant, packet: &Packet<'_>) -> Placement {
        match self.place_next(now, packet.encoding, packet.index, packet.meta) {
            Some(rewritten) => Placement::Send(rewritten),
            None => self.place_any(now, packet),
        }
    }

    /// Places a packet that is the next one of a layer which is to stay: nearly all are. It takes the next number, and
    /// nothing else can happen. `None`: it is another packet, and nothing has changed.
    #[inline]
    pub(crate) fn place_next(
        &mut self,
        now: Instant,
        encoding: EncodingKey,
        index: u64,
        meta: &PacketMeta,
    ) -> Option<Rewritten> {
        if !self.is_open || self.is_pending {
            return None;
        }
        let segment = self.segments.newest_mut()?;
        let seq = segment.next_seq(encoding, index, meta).filter(|seq| *seq == self.last.seq + 1)?;
        segment.advance(index, seq);
        let rewritten = segment.rewrite(seq, meta);
        (self.last, self.last_sent, self.frame_ended) = (rewritten, Some(now), meta.ends_frame);
        Some(rewritten)
    }

    /// Places any packet.
    pub(super) fn place_any(&mut self, now: Instant, packet: &Packet<'_>) -> Placement {
        let &Packet { encoding, index, meta, .. } = packet;
        if self.jumps(packet) {
            self.interrupt();
        }
        let selected = if self.is_pending || meta.starts_key_frame { self.select(packet) } else { None };
        let begins = selected.map(|layer| self.begin(now, layer, packet));

        let Self { segments, is_open, last, .. } = self;
        let segment = segments.newest_mut().filter(|segment| *is_open && segment.holds(encoding, index));
        let Some(segment) = segment else { return self.place_late(packet) };
        if !segment.counts(&meta.numbering) {
            return Placement::OtherLayer;
        }
        let seq = segment.seq(&meta.numbering);
        if seq + MAX_DISTANCE < last.seq || segment.is_settled(index) {
            return Placement::TooLate;
        }
        if !segment.contains(meta) {
            segment.advance(index, seq);
            last.seq = last.seq.max(seq);
            return Placement::Fill(seq);
        }
        let missing = seq.saturating_sub(last.seq + 1);
        let is_foreign = missing > 0 && self.frame_ended && is_foreign(missing, segment, last, packet);
        if is_foreign {
            segment.settle_before(index);
        }
        segment.advance(index, seq);
        let rewritten = segment.rewrite(seq, meta);
        if seq > last.seq {
            (self.last, self.last_sent, self.frame_ended) = (rewritten, Some(now), meta.ends_frame);
        }
        match begins {
            Some(begins) => Placement::Begin(begins, rewritten),
            None if is_foreign => Placement::SendBehindFillers(missing, rewritten),
            None => Placement::Send(rewritten),
        }
    }

    /// Timestamp of fillers.
    pub(crate) fn last_timestamp(&self) -> u32 {
        self.last.timestamp
    }

    /// The segment of a sent packet, and its extended number.
    pub(crate) fn origin(&self, seq: SeqNum) -> Option<(&Segment, u64)> {
        let seq = near(self.last.seq, seq);
        self.segments.by_seq(seq).map(|segment| (segment, seq))
    }

    /// The segment of a packet that has this extended number.
    pub(crate) fn segment(&self, seq: u64) -> Option<&Segment> {
        self.segments.by_seq(seq)
    }

    /// Converts a timestamp of an encoding to the slot's timeline; `None` if the encoding is not forwarded.
    pub(crate) fn timestamp(&self, encoding: EncodingKey, of_source: u32) -> Option<u32> {
        let segment = self.open_segment().filter(|segment| segment.layer.encoding == encoding)?;
        Some(of_source.wrapping_add(segment.shifts.timestamp))
    }

    /// Takes over the publisher's wall clock at a timestamp of the slot.
    pub(crate) fn on_sender_report(&mut self, wall_clock: u64, timestamp: u32) {
        self.timeline.anchor(wall_clock, timestamp);
    }

    fn open_segment(&self) -> Option<&Segment> {
        self.segments.newest().filter(|_| self.is_open)
    }

    fn compare_with_wanted(&mut self) {
        self.is_pending = self.wanted.is_some_and(|wanted| self.current() != Some(wanted.layer));
    }

    /// Whether the packet is further ahead of the stream than its source may be.
    fn jumps(&self, packet: &Packet<'_>) -> bool {
        let segment = self.open_segment().filter(|segment| segment.holds(packet.encoding, packet.index));
        segment.is_some_and(|segment| {
            segment.is_beyond_reach(packet.index)
                || segment.seq(&packet.meta.numbering) > self.last.seq.max(segment.first_seq) + MAX_DISTANCE
        })
    }

    /// The layer that begins with a packet.
    fn select(&self, packet: &Packet<'_>) -> Option<Layer> {
        let &Packet { encoding, index, meta, structure, .. } = packet;
        let segment = self.open_segment().filter(|segment| segment.layer.encoding == encoding);
        let opportunity = Opportunity {
            encoding,
            meta,
            structure,
            is_newest: segment.is_none_or(|segment| index > segment.newest_index()),
            is_new_unit: segment
                .is_some_and(|segment| meta.timestamp.wrapping_add(segment.shifts.timestamp) != self.last.timestamp),
            is_intact: segment.is_some_and(|segment| segment.seq(&meta.numbering) == self.last.seq + 1),
        };
        opportunity.select(self.current(), self.wanted?)
    }

    /// Opens a segment for a layer that begins with a packet.
    fn begin(&mut self, now: Instant, layer: Layer, packet: &Packet<'_>) -> Begins {
        let numbering = &packet.meta.numbering;
        let next = self.last.seq + 1;
        let is_open = self.is_open;
        let continued =
            self.segments.newest_mut().filter(|segment| is_open && segment.layer.encoding == layer.encoding);
        let (begins, first_seq, shifts) = match continued {
            Some(segment) => {
                // Packets that are missing right before keep their numbers.
                let first_seq = segment.seq(numbering).max(next);
                segment.end_before(packet.index, first_seq);
                (Begins::Layer, first_seq, segment.shifts)
            }
            None => {
                self.segments.take_back(self.last.seq);
                (Begins::Source, next, self.begin_source(now, packet))
            }
        };
        self.segments.push(Segment::new(layer, packet.index, numbering, first_seq, shifts));
        self.is_open = true;
        if let Some(wanted) = &mut self.wanted {
            wanted.resolve(layer);
        }
        self.compare_with_wanted();
        begins
    }

    /// The constants of a source that begins with a packet.
    fn begin_source(&mut self, now: Instant, packet: &Packet<'_>) -> Shifts {
        let pause = self.last_sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent));
        let pause = pause.saturating_sub(packet.lead);
        let first = Shifts::fields(packet.meta);
        let timestamp = self.timeline.begin((self.last.timestamp, pause), first.timestamp, packet.clock);
        Shifts {
            timestamp: timestamp.wrapping_sub(first.timestamp),
            picture_id: self.last.picture_id.wrapping_add(1).wrapping_sub(first.picture_id),
            tl0_pic_idx: self.last.tl0_pic_idx.wrapping_add(1).wrapping_sub(first.tl0_pic_idx),
            frame_number: self.last.frame_number.wrapping_add(1).wrapping_sub(first.frame_number),
        }
    }

    /// Places a packet of an earlier segment.
    fn place_late(&mut self, packet: &Packet<'_>) -> Placement {
        let &Packet { encoding, index, meta, .. } = packet;
        let late = self.segments.late(encoding, index, &meta.numbering).filter(|_| self.is_open);
        let Some((segment, seq)) = late else {
            let begins = self.is_pending && self.wanted.is_some_and(|wanted| wanted.layer.encoding == encoding);
            let is_current = self.open_segment().is_some_and(|segment| segment.layer.encoding == encoding);
            return if begins && !is_current { Placement::AwaitsKeyFrame } else { Placement::TooLate };
        };
        if !segment.counts(&meta.numbering) {
            return Placement::OtherLayer;
        }
        if seq + MAX_DISTANCE < self.last.seq || segment.is_settled(index) {
            return Placement::TooLate;
        }
        let rewritten = segment.rewrite(seq, meta);
        if !segment.contains(meta) {
            self.last.seq = self.last.seq.max(seq);
            return Placement::Fill(seq);
        }
        if seq > self.last.seq {
            (self.last, self.frame_ended) = (rewritten, meta.ends_frame);
        }
        Placement::Send(rewritten)
    }
}

/// Whether the packets missing between the one sent last, which ended its frame, and this one are all of other layers: it
/// begins a frame, and the frame before it in the chain that protects the layer is the one sent last.
fn is_foreign(missing: u64, segment: &Segment, last: &Rewritten, packet: &Packet<'_>) -> bool {
    let (meta, target) = (packet.meta, segment.layer.target);
    let chain = meta.chain.get(usize::from(target)).copied().unwrap_or(0);
    let before = meta.frame_number.map(|number| number.wrapping_sub(chain.into()));
    let has_others =
        packet.structure.is_some_and(|structure| structure.contained_in(target) != structure.all_targets());
    // The numbers between two segments are those of the earlier one.
    let is_within = last.seq >= segment.first_seq;
    let follows = before == Some(last.frame_number.wrapping_sub(segment.shifts.frame_number));
    missing <= MAX_FILLERS && is_within && meta.starts_frame && chain != 0 && follows && has_others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        publisher::numbering::Numbering,
        wire::{
            dependency_descriptor::MAX_TARGETS,
            seq::low,
            vp8::{PictureId, Vp8Descriptor},
        },
    };
    use proptest::prelude::*;
    use std::collections::HashSet;

    const CLOCK_RATE: u32 = 90_000;

    /// The metadata of a packet of an encoding with one layer, which counts every packet.
    fn meta(index: u64, timestamp: u32, frame_id: u16, key: bool) -> PacketMeta {
        let vp8 = Vp8Descriptor {
            start_of_partition: true,
            partition: 0,
            picture_id: Some(PictureId { value: frame_id & 0x7fff, long: true }),
            tl0_pic_idx: Some((frame_id & 0xff) as u8),
            length: 5,
        };
        PacketMeta {
            timestamp,
            frame_number: Some(frame_id),
            vp8: Some(vp8),
            starts_key_frame: key,
            numbering: Numbering { counted: 1, ordinals: [low(index); MAX_TARGETS] },
            targets: 1,
            ..Default::default()
        }
    }

    /// A stream that wants an encoding of one layer.
    fn rewriter(seq: u16, timestamp: u32) -> Rewriter {
        let mut rewriter = Rewriter::new(CLOCK_RATE, seq, timestamp);
        rewriter.want(Some(the_layer()));
        rewriter
    }

    fn the_layer() -> Wanted {
        Wanted { layer: Layer { encoding: EncodingKey::default(), target: 0 }, meanwhile: None }
    }

    fn place(rewriter: &mut Rewriter, now: Instant, index: u64, meta: &PacketMeta) -> Placement {
        let encoding = EncodingKey::default();
        rewriter.place(now, &Packet { encoding, index, meta, structure: None, clock: None, lead: Duration::ZERO })
    }

    fn key(rewriter: &mut Rewriter, now: Instant, index: u64, timestamp: u32, frame_id: u16) -> Rewritten {
        match place(rewriter, now, index, &meta(index, timestamp, frame_id, true)) {
            Placement::Begin(Begins::Source, rewritten) => rewritten,
            other => panic!("{other:?}"),
        }
    }

    fn delta(rewriter: &mut Rewriter, now: Instant, index: u64) -> Placement {
        place(rewriter, now, index, &meta(index, 0, 0, false))
    }

    /// The index that a NACK for a number leads to.
    fn index_of(rewriter: &Rewriter, seq: u16) -> Option<u64> {
        let (segment, seq) = rewriter.origin(SeqNum(seq))?;
        segment.index_of(seq, |index| Some(meta(index, 0, 0, false).numbering))
    }

    #[test]
    fn source_begins_at_a_key_frame() {
        let (mut rewriter, now) = (rewriter(99, 5_000), Instant::now());
        assert_eq!(delta(&mut rewriter, now, 70), Placement::AwaitsKeyFrame);
        let first = key(&mut rewriter, now, 72, 0, 7);
        assert_eq!((first.seq & 0xffff, first.timestamp, first.picture_id, first.frame_number), (100, 6_800, 1, 1));
        assert_eq!(delta(&mut rewriter, now, 71), Placement::TooLate);
        let Placement::Send(third) = place(&mut rewriter, now, 74, &meta(74, 3_000, 9, false)) else { panic!() };
        assert_eq!((third.seq & 0xffff, third.timestamp, third.picture_id), (102, 9_800, 3));
        let Placement::Send(second) = place(&mut rewriter, now, 73, &meta(73, 0, 7, false)) else { panic!() };
        assert_eq!(second.seq & 0xffff, 101, "fills the gap");
    }

    #[test]
    fn nothing_begins_that_is_not_wanted() {
        let (mut rewriter, now) = (Rewriter::new(CLOCK_RATE, 0, 0), Instant::now());
        assert_eq!(place(&mut rewriter, now, 5, &meta(5, 0, 0, true)), Placement::TooLate);
        assert!(!rewriter.listens_to(EncodingKey::default()));
    }

    #[test]
    fn numbers_lead_back_to_packets_of_the_newest_sources() {
        let (mut rewriter, now) = (rewriter(0xfffe, 0), Instant::now());
        key(&mut rewriter, now, 500, 0, 0);
        delta(&mut rewriter, now, 501);
        assert_eq!(index_of(&rewriter, 0xffff), Some(500));
        assert_eq!(index_of(&rewriter, 0), Some(501), "across the wrap");
        assert_eq!(index_of(&rewriter, 1), None, "not sent yet");
        for source in 1..=4 {
            assert_eq!(index_of(&rewriter, 0), Some(501), "behind {source} sources");
            rewriter.interrupt();
            key(&mut rewriter, now, 900 + source, 0, 0);
        }
        assert_eq!(index_of(&rewriter, 1), Some(901));
        assert_eq!(index_of(&rewriter, 0), None, "forgotten");
    }

    #[test]
    fn timestamps_include_the_pause_between_sources() {
        let (mut rewriter, now) = (rewriter(0, 0), Instant::now());
        let first = key(&mut rewriter, now, 1, 123_456, 0);
        rewriter.interrupt();
        let second = key(&mut rewriter, now + Duration::from_secs(3), 1, 99, 0);
        assert_eq!(second.timestamp - first.timestamp, 3 * CLOCK_RATE);
    }

    #[test]
    fn source_that_is_older_than_its_trigger_begins_that_much_earlier() {
        let (mut rewriter, now) = (rewriter(0, 0), Instant::now());
        let first = key(&mut rewriter, now, 1, 0, 0);
        rewriter.interrupt();
        let (encoding, meta) = (EncodingKey::default(), meta(2, 0, 0, true));
        let lead = Duration::from_millis(60);
        let packet = Packet { encoding, index: 2, meta: &meta, structure: None, clock: None, lead };
        let placed = rewriter.place(now + Duration::from_millis(200), &packet);
        let Placement::Begin(Begins::Source, second) = placed else { panic!("{placed:?}") };
        assert_eq!(second.timestamp - first.timestamp, 140 * 90);
    }

    #[test]
    fn source_that_jumps_is_restarted() {
        let (mut rewriter, now) = (rewriter(0, 0), Instant::now());
        let first = key(&mut rewriter, now, 1, 0, 0);
        let jumped = 1 + MAX_DISTANCE + 1;
        assert_eq!(delta(&mut rewriter, now, jumped), Placement::AwaitsKeyFrame, "as any source, by a key frame");
        let second = key(&mut rewriter, now, jumped + 1, 0, 0);
        assert_eq!(second.seq, first.seq + 1);
        assert_eq!(delta(&mut rewriter, now, 2), Placement::TooLate, "from before the jump");
    }

    /// Ordinals have 16 bits. A packet far ahead must not be taken for one whose number is free.
    #[test]
    fn packets_of_another_cycle_of_ordinals_restart_the_source() {
        for ahead in [1 << 15, (1 << 16) - 2, (1 << 16) + 3] {
            let (mut rewriter, now) = (rewriter(0, 0), Instant::now());
            key(&mut rewriter, now, 100, 0, 0);
            delta(&mut rewriter, now, 103);
            assert_eq!(delta(&mut rewriter, now, 100 + ahead), Placement::AwaitsKeyFrame);
            key(&mut rewriter, now, 101 + ahead, 0, 0);
            // 98 + (1 << 16) + 3 has the ordinal of 101, which is missing.
            assert_eq!(delta(&mut rewriter, now, 98 + ahead), Placement::TooLate, "not of the first source");
        }
    }

    #[test]
    fn packet_behind_the_replay_window_is_too_late() {
        let (mut rewriter, now) = (rewriter(0, 0), Instant::now());
        key(&mut rewriter, now, 1, 0, 0);
        for index in [1 + MAX_DISTANCE, 3 + MAX_DISTANCE] {
            assert!(matches!(delta(&mut rewriter, now, index), Placement::Send(_)));
        }
        assert_eq!(delta(&mut rewriter, now, 2), Placement::TooLate);
        assert!(matches!(delta(&mut rewriter, now, 3), Placement::Send(_)));
    }

    proptest! {
        /// Sources come and go, packets are lost and reordered: sequence numbers never repeat, the stream has the gaps
        /// of its sources and no others, and timestamps never decrease from one frame to the next.
        #[test]
        fn stream_is_continuous(
            start in any::<u16>(), start_time in any::<u32>(),
            sources in prop::collection::vec(
                (any::<u32>(), any::<u16>(), 1u64..1 << 40, prop::collection::vec((0u8..10, 0usize..4), 1..80)), 1..8),
        ) {
            let mut rewriter = rewriter(start, start_time);
            let (mut seen, mut last, mut now) = (HashSet::new(), None::<Rewritten>, Instant::now());
            for (time, frame_id, first_index, packets) in sources {
                let mut queue: Vec<(usize, u64, PacketMeta)> = packets.iter().enumerate().map(|(n, &(_, delay))| {
                    let (frame, index) = (n as u32, first_index + n as u64);
                    let timestamp = time.wrapping_add(frame * 3_000);
                    (n + delay, index, meta(index, timestamp, frame_id.wrapping_add(frame as u16), n % 10 == 3))
                }).collect();
                queue.sort_by_key(|&(at, ..)| at);
                let mut began = None;
                for (_, index, meta) in queue.into_iter().filter(|&(_, index, _)| packets[(index - first_index) as usize].0 != 0) {
                    now += Duration::from_millis(33);
                    let rewritten = match place(&mut rewriter, now, index, &meta) {
                        Placement::Begin(begins, rewritten) => {
                            prop_assert_eq!(begins, Begins::Source);
                            prop_assert!(meta.starts_key_frame && began.is_none());
                            began = Some((index, rewritten));
                            if let Some(last) = last {
                                prop_assert_eq!(rewritten.seq, last.seq + 1);
                                prop_assert!(rewritten.timestamp.wrapping_sub(last.timestamp) < 60 * CLOCK_RATE);
                                prop_assert_eq!(rewritten.picture_id, (last.picture_id + 1) & 0x7fff);
                                prop_assert_eq!(rewritten.tl0_pic_idx, last.tl0_pic_idx.wrapping_add(1));
                                prop_assert_eq!(rewritten.frame_number, last.frame_number.wrapping_add(1));
                            }
                            rewritten
                        }
                        Placement::Send(rewritten) => rewritten,
                        Placement::AwaitsKeyFrame => { prop_assert!(began.is_none()); continue }
                        Placement::TooLate => { prop_assert!(index < began.unwrap().0); continue }
                        other => panic!("{other:?}"),
                    };
                    let (first, begin) = began.unwrap();
                    let distance = index - first;
                    prop_assert_eq!(rewritten.seq - begin.seq, distance);
                    prop_assert_eq!(rewritten.timestamp.wrapping_sub(begin.timestamp), distance as u32 * 3_000);
                    prop_assert!(seen.insert(rewritten.seq), "a sequence number is used twice");
                    prop_assert_eq!(index_of(&rewriter, low(rewritten.seq)), Some(index));
                    if last.is_none_or(|last| rewritten.seq > last.seq) { last = Some(rewritten); }
                }
                rewriter.interrupt();
            }
        }
    }
}
