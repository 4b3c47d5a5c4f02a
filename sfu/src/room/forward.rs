//! Forwards queued packets into slots, subscriber by subscriber.
//!
//! ```text
//!   queue           camera  7 8 9          lane: camera 7 8 9 ─┐   for each participant, for each lane that has a slot
//!   (any order)     screen  4 5            lane: screen 4 5   ─┤   of it: rewrite, hand to the egress
//! ```
//! A subscriber's packets leave together: its keys are in the processor's cache, the kernel gets them as one run, and
//! the first subscriber of a large room does not wait until a frame has been sealed for the last. A lane has the packets of
//! one encoding. Its subscribers are sorted by participant, so all lanes are walked side by side.
//!
//! Audio is forwarded before video. The egress can interrupt a large fan-out behind any participant; what has changed
//! meanwhile, tables of the room too, holds for the participants behind it.

use super::{Room, RoomStats, receive_queue::QueuedPacket, topology::Topology};
use crate::{
    congestion::{Downlink, wire_size},
    egress::Egress,
    keys::{EncodingKey, ParticipantKey, SlotKey, TrackKey},
    media::{CodecEntry, Kind},
    publisher::{
        encoding::Encoding,
        key_frame_requests::{Cause, KeyFrameRequests, Outcome},
        packet_store::{PacketStore, StoredPacket},
        sender_clock::SenderClock,
        subscribers::Subscriber,
    },
    subscriber::{
        back_fill,
        packet_writer::{build_filler, build_header, rewrite_payload},
        padding::paddings,
        rewriter::{Begins, Packet, Placement, Rewritten},
        slot::Slot,
        waiting::WaitingPacket,
    },
    wire::{
        dependency_descriptor::Structure,
        header::HeaderBuffer,
        seq::{SeqNum, low},
    },
};
use slotmap::SlotMap;
use std::{
    ops::Range,
    time::{Duration, Instant},
};

/// Forwards batches of packets. Its buffers are reused.
#[derive(Debug, Default)]
pub(super) struct Forwarder {
    packets: Vec<QueuedPacket>,
    /// The header of each packet, with the fields that are equal in all slots.
    headers: Vec<HeaderBuffer>,
    /// When the first of the packets arrived.
    received: Option<Instant>,
    /// None, unless packets are being forwarded.
    lanes: Vec<Lane>,
    /// The last participant that got its packets.
    last: Option<ParticipantKey>,
    lengths: Vec<usize>,
    paddings: Vec<u8>,
    scratch: SlotScratch,
    /// Slots whose layer has changed.
    changed: Vec<SlotKey>,
    /// Receivers whose pacers hold something back.
    held: Vec<ParticipantKey>,
}

/// The packets of one encoding, and the next of its subscribers.
#[derive(Debug)]
struct Lane {
    encoding: EncodingKey,
    track: TrackKey,
    packets: Range<usize>,
    /// Number of subscribers that have been served.
    served: usize,
    next: Option<Subscriber>,
}

/// Buffers for one packet.
#[derive(Debug, Default)]
struct SlotScratch {
    /// The header of a packet with a MID.
    header: HeaderBuffer,
    rtcp: Vec<u8>,
}

impl Room {
    /// Forwards what was received since the last call. Returns whether that was all: the egress can interrupt it.
    pub fn forward(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) -> bool {
        self.forward_kind(now, Kind::Audio, egress) && self.forward_kind(now, Kind::Video, egress)
    }

    /// Forwards one kind of what was received. Returns whether that was all.
    pub(crate) fn forward_kind(&mut self, now: Instant, kind: Kind, egress: &mut (impl Egress + ?Sized)) -> bool {
        loop {
            let Self { queue, topology, stats, audio, video, .. } = self;
            let forwarder = if kind == Kind::Audio { audio } else { video };
            if forwarder.is_open() {
                forwarder.resume(topology);
            } else if let Some(received) = queue.take(kind, &mut forwarder.packets) {
                forwarder.open_lanes(received, topology);
            } else {
                return true;
            }
            if let Some(received) = forwarder.received {
                egress.begin_batch(kind, received);
            }
            let is_done = forwarder.forward(now, topology, stats, egress);
            self.take_changes(now, kind);
            if !is_done {
                return false;
            }
            while let Some(Lane { encoding, .. }) = self.forwarder(kind).lanes.pop() {
                self.send_nacks_and_plis(now, encoding, egress);
            }
            self.forwarder(kind).received = None;
        }
    }

    /// When the first packet arrived that was not forwarded to all its receivers.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        [self.audio.received, self.video.received, self.queue.since()].into_iter().flatten().min()
    }

    /// Takes over that slots forward other layers, and that packets wait for receivers.
    fn take_changes(&mut self, now: Instant, kind: Kind) {
        let mut changed = std::mem::take(&mut self.forwarder(kind).changed);
        for slot in changed.drain(..) {
            self.topology.retarget(slot);
            self.report_layer(slot);
        }
        self.forwarder(kind).changed = changed;
        while let Some(receiver) = self.forwarder(kind).held.pop() {
            self.pace(now, receiver);
        }
    }

    fn forwarder(&mut self, kind: Kind) -> &mut Forwarder {
        if kind == Kind::Audio { &mut self.audio } else { &mut self.video }
    }
}

impl Forwarder {
    /// Whether packets are being forwarded.
    fn is_open(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Sorts the packets, of which the first arrived at `received`, into lanes, and prepares what all subscribers of a lane
    /// share.
    fn open_lanes(&mut self, received: Instant, topology: &mut Topology) {
        let Topology { encodings, .. } = topology;
        self.received = Some(received);
        self.last = None;
        self.lanes.clear();
        if self.headers.len() < self.packets.len() {
            self.headers.resize_with(self.packets.len(), HeaderBuffer::default);
        }
        let mut start = 0;
        for packets in self.packets.chunk_by(|a, b| a.encoding == b.encoding) {
            let range = start..start + packets.len();
            start = range.end;
            let Some(QueuedPacket { encoding: key, .. }) = packets.first().copied() else { continue };
            let (Some(encoding), Some(headers)) = (encodings.get_mut(key), self.headers.get_mut(range.clone())) else {
                continue;
            };
            self.lengths.clear();
            for (queued, header) in packets.iter().zip(&mut *headers) {
                let Some(packet) = encoding.store.get_mut(queued.index) else { continue };
                packet.waits = false;
                build_header(header, encoding.codec.entry().pt, packet, None);
                self.lengths.push(header.as_bytes().len() + packet.payload_len());
            }
            if packets.len() > 1 {
                paddings(&self.lengths, &mut self.paddings);
                pad(&mut encoding.store, packets, headers, &self.paddings);
            }
            let next = encoding.subscribers.get(0);
            self.lanes.push(Lane { encoding: key, track: encoding.track, packets: range, served: 0, next });
        }
    }

    /// Sends packets into a slot.
    pub(super) fn sender<'a, E: Egress + ?Sized>(
        &'a mut self,
        now: Instant,
        slot: &'a mut Slot,
        stats: &'a mut RoomStats,
        egress: &'a mut E,
    ) -> SlotSender<'a, E> {
        SlotSender { now, slot, scratch: &mut self.scratch, held: &mut self.held, stats, egress }
    }

    /// Finds the subscribers that are next: since the lanes were interrupted, some may have come and gone.
    fn resume(&mut self, topology: &Topology) {
        for lane in &mut self.lanes {
            let subscribers = topology.encodings.get(lane.encoding).map(|encoding| &encoding.subscribers);
            let position = subscribers.zip(self.last).map(|(subscribers, last)| subscribers.position_behind(last));
            lane.served = position.unwrap_or_default();
            lane.next = subscribers.and_then(|subscribers| subscribers.get(lane.served));
        }
    }

    /// Sends the packets of all lanes to all their subscribers, or until the egress interrupts it. Returns whether all have them.
    fn forward(
        &mut self,
        now: Instant,
        topology: &mut Topology,
        stats: &mut RoomStats,
        egress: &mut (impl Egress + ?Sized),
    ) -> bool {
        let Topology { tracks, encodings, slots, .. } = topology;
        let Self { packets, headers, lanes, last, scratch, changed, held, .. } = self;
        while let Some(participant) = lanes.iter().filter_map(|lane| lane.next).map(|next| next.participant).min() {
            for lane in &mut *lanes {
                while let Some(subscriber) = lane.next.filter(|next| next.participant == participant) {
                    let range = lane.packets.clone();
                    let Some(encoding) = encodings.get_mut(lane.encoding) else {
                        lane.next = None;
                        break;
                    };
                    if let Some(track) = tracks.get_mut(lane.track)
                        && let Some(slot) = slots.get_mut(subscriber.slot)
                        && let (Some(packets), Some(headers)) = (packets.get(range.clone()), headers.get_mut(range))
                    {
                        let (scratch, held, stats) = (&mut *scratch, &mut *held, &mut *stats);
                        let mut sender = SlotSender { now, slot, scratch, held, stats, egress: &mut *egress };
                        let (source, key_frames) = ((lane.encoding, &mut *encoding), &mut track.key_frames);
                        if sender.send_all(packets, headers, source, key_frames, &track.cname) {
                            changed.push(subscriber.slot);
                        }
                    }
                    lane.served += 1;
                    lane.next = encoding.subscribers.get(lane.served);
                }
            }
            *last = Some(participant);
            if egress.is_interrupted() {
                return false;
            }
        }
        true
    }
}

/// Whether a packet of media has to wait for the pacer. It is kept in its slot then, and its receiver noted in `held`.
#[inline(never)]
fn hold_back(
    now: Instant,
    slot: &mut Slot,
    downlink: &mut Downlink,
    held: &mut Vec<ParticipantKey>,
    packet: WaitingPacket,
    starts_key_frame: bool,
) -> bool {
    if !slot.is_video() {
        return false;
    }
    let waiting = slot.waiting.get_or_insert_default();
    if starts_key_frame {
        waiting.on_key_frame(packet.timestamp);
    }
    if waiting.is_full() || !downlink.must_wait(now, packet.size()) {
        waiting.on_left(packet.timestamp);
        return false;
    }
    downlink.add_waiting(waiting.push(packet));
    // Packets to one receiver follow each other.
    if held.last() != Some(&slot.participant) {
        held.push(slot.participant);
    }
    true
}

/// Pads the packets that are still stored.
fn pad(store: &mut PacketStore, packets: &[QueuedPacket], headers: &mut [HeaderBuffer], paddings: &[u8]) {
    let mut paddings = paddings.iter();
    for (queued, header) in packets.iter().zip(headers) {
        if store.get_mut(queued.index).is_none() {
            continue;
        }
        if let Some(&padding) = paddings.next().filter(|padding| **padding > 0) {
            store.pad(queued.index, padding);
            header.set_padding(true);
        }
    }
}

/// Sends packets into one slot.
pub(super) struct SlotSender<'a, E: ?Sized> {
    now: Instant,
    slot: &'a mut Slot,
    scratch: &'a mut SlotScratch,
    held: &'a mut Vec<ParticipantKey>,
    stats: &'a mut RoomStats,
    egress: &'a mut E,
}

/// What the packets of a lane have in common.
#[derive(Clone, Copy)]
struct Source<'a> {
    encoding: EncodingKey,
    /// Of the encoding in its track.
    position: usize,
    structure: Option<&'a Structure>,
    clock: Option<&'a SenderClock>,
    codec: &'static CodecEntry,
    cname: &'a str,
}

impl<E: Egress + ?Sized> SlotSender<'_, E> {
    /// Returns whether another layer is forwarded, or awaited, than before.
    fn send_all(
        &mut self,
        packets: &[QueuedPacket],
        headers: &mut [HeaderBuffer],
        (key, encoding): (EncodingKey, &mut Encoding),
        key_frames: &mut KeyFrameRequests,
        cname: &str,
    ) -> bool {
        if !self.egress.reaches(self.slot.transport, packets.len()) {
            return self.interrupt(key);
        }
        let Encoding { store, layers, clock, codec, position, .. } = encoding;
        let (codec, mut changed) = (codec.entry(), false);
        for (queued, header) in packets.iter().zip(headers) {
            let Some(packet) = store.get_mut(queued.index) else { continue };
            if let Some(rewritten) = self.slot.rewriter.place_next(self.now, key, queued.index, &packet.meta) {
                self.send_as(&rewritten, Some(header), codec.pt, (queued.index, packet));
            } else if self.slot.receives(key) {
                let (structure, clock) = (layers.structure(), clock.as_ref());
                let source = Source { encoding: key, position: *position, structure, clock, codec, cname };
                changed |= self.send_other(&source, queued.index, header, packets, store, key_frames);
            }
        }
        changed
    }

    /// Ends what is forwarded of an encoding to a receiver that cannot be reached: only packets that are sent advance the
    /// sequence numbers. After the outage, the track is a new source. Returns whether anything was forwarded.
    fn interrupt(&mut self, encoding: EncodingKey) -> bool {
        let rewriter = &mut self.slot.rewriter;
        let forwards = rewriter.current().is_some() && rewriter.listens_to(encoding);
        if forwards {
            rewriter.interrupt();
        }
        forwards
    }

    /// Sends a packet with which something may begin, end or be missing. Returns whether another layer is forwarded than before.
    #[inline(never)]
    fn send_other(
        &mut self,
        source: &Source<'_>,
        index: u64,
        header: &mut HeaderBuffer,
        batch: &[QueuedPacket],
        store: &mut PacketStore,
        key_frames: &mut KeyFrameRequests,
    ) -> bool {
        let before = self.slot.rewriter.current();
        if std::mem::take(&mut self.slot.back_fills) {
            self.send_back_fill(source, index, store);
        }
        let Some(packet) = store.get_mut(index) else { return false };
        match self.place(source, index, packet, Some(header), Duration::ZERO) {
            Placement::AwaitsKeyFrame
                if std::mem::take(&mut self.slot.is_new) || key_frames.seems_lost(self.now, source.position) =>
            {
                let cause = if before.is_some() { Cause::Switch } else { Cause::Joiner };
                // Over its budget it asks again with a later packet.
                let _: Outcome = key_frames.request(self.now, source.position, cause, self.slot.participant);
            }
            Placement::Begin(begins, _) => {
                if begins == Begins::Source {
                    key_frames.on_key_frame(source.position);
                }
                self.send_held_back(source, index, batch, store);
            }
            _ => {}
        }
        self.slot.rewriter.current() != before
    }

    /// Sends the packets after the first one of a layer that arrived before it, in an earlier batch: they could not be sent
    /// while the slot awaited that layer.
    fn send_held_back(&mut self, source: &Source<'_>, first: u64, batch: &[QueuedPacket], store: &mut PacketStore) {
        for index in first + 1..=store.highest() {
            let in_batch = batch.binary_search_by(|queued| queued.index.cmp(&index)).is_ok();
            // One that waits, perhaps for its structure, is forwarded later.
            if let Some(packet) = store.get_mut(index).filter(|packet| !in_batch && !packet.waits) {
                self.place(source, index, packet, None, Duration::ZERO);
            }
        }
    }

    /// Sends what was stored just before the first packet of a new speaker, as if it had been sent at its time.
    fn send_back_fill(&mut self, source: &Source<'_>, first: u64, store: &mut PacketStore) {
        let Some(timestamp) = store.get_mut(first).map(|packet| packet.meta.timestamp) else { return };
        for index in back_fill::start(store, self.now, first)..first {
            let Some(packet) = store.get_mut(index).filter(|packet| !packet.waits) else { continue };
            let ticks = timestamp.wrapping_sub(packet.meta.timestamp);
            let lead =
                Duration::from_secs(1).checked_mul(ticks).map_or(Duration::ZERO, |lead| lead / source.codec.clock);
            self.place(source, index, packet, None, lead);
        }
    }

    /// Places a packet in the slot's stream, and sends what that takes. `header` is the one that is shared by the slots.
    fn place(
        &mut self,
        source: &Source<'_>,
        index: u64,
        packet: &mut StoredPacket,
        header: Option<&mut HeaderBuffer>,
        lead: Duration,
    ) -> Placement {
        let &Source { encoding, structure, clock, codec, .. } = source;
        let offered = Packet { encoding, index, meta: &packet.meta, structure, clock, lead };
        let placement = self.slot.rewriter.place(self.now, &offered);
        let rewritten = match placement {
            Placement::Send(rewritten) => rewritten,
            Placement::Begin(begins, mut rewritten) => {
                if begins == Begins::Source {
                    self.slot.waiting.iter_mut().for_each(|waiting| waiting.supersede());
                    self.send_sender_report(source);
                    // A talk spurt begins (RFC 3551 section 4.1).
                    rewritten.marker |= source.codec.kind == Kind::Audio;
                }
                rewritten
            }
            Placement::SendBehindFillers(fillers, rewritten) => {
                (rewritten.seq - fillers..rewritten.seq).for_each(|seq| self.send_filler(codec.pt, seq));
                rewritten
            }
            Placement::Fill(seq) => {
                self.send_filler(codec.pt, seq);
                return placement;
            }
            Placement::OtherLayer | Placement::AwaitsKeyFrame | Placement::TooLate => return placement,
        };
        self.send_as(&rewritten, header, codec.pt, (index, packet));
        placement
    }

    /// Sends a packet that has its place in the slot's stream. `header` is the one that is shared by the slots.
    #[inline]
    fn send_as(
        &mut self,
        rewritten: &Rewritten,
        header: Option<&mut HeaderBuffer>,
        pt: u8,
        (index, packet): (u64, &mut StoredPacket),
    ) {
        match header.filter(|_| self.slot.mid_known) {
            Some(header) => self.send(header, packet, rewritten, Some(index)),
            None => self.send_with_own_header(pt, packet, rewritten, Some(index)),
        }
    }

    /// Reports the clock of a new source, so that its audio and video are synchronized from the start.
    fn send_sender_report(&mut self, source: &Source<'_>) {
        let Some(clock) = source.clock.map(|clock| clock.at(self.now, source.codec.clock)) else { return };
        if self.slot.write_sender_report(self.now, source.encoding, clock, source.cname, &mut self.scratch.rtcp) {
            self.egress.rtcp(self.slot.transport, &self.scratch.rtcp);
        }
    }

    fn send_with_own_header(
        &mut self,
        pt: u8,
        packet: &mut StoredPacket,
        rewritten: &Rewritten,
        may_wait: Option<u64>,
    ) {
        let mut header = std::mem::take(&mut self.scratch.header);
        build_header(&mut header, pt, packet, Some(&self.slot.mid).filter(|_| !self.slot.mid_known));
        self.send(&mut header, packet, rewritten, may_wait);
        self.scratch.header = header;
    }

    /// Sends a packet with the rewritten fields of the slot's stream. With its index it may have to wait.
    fn send(
        &mut self,
        header: &mut HeaderBuffer,
        packet: &mut StoredPacket,
        rewritten: &Rewritten,
        may_wait: Option<u64>,
    ) {
        let Some(path) = self.egress.path(self.slot.transport) else { return };
        let downlink = &mut path.downlink;
        header.set_stream(self.slot.ssrc, SeqNum(low(rewritten.seq)), rewritten.timestamp);
        header.set_marker(rewritten.marker);
        let size = wire_size(header.as_bytes().len() + packet.padded().len());
        if let Some(index) = may_wait.filter(|_| downlink.is_paced()) {
            let waiting = WaitingPacket::new(rewritten.seq, index, rewritten.timestamp, size);
            if hold_back(self.now, self.slot, downlink, self.held, waiting, packet.meta.starts_key_frame) {
                return;
            }
        }
        header.set_twcc_seq(downlink.on_packet(self.now, size));
        header.set_frame_number(rewritten.frame_number);
        rewrite_payload(packet, rewritten);
        self.egress.rtp(self.slot.transport, header.as_bytes(), packet.padded());
        self.slot.sent.count(packet.payload_len());
        self.stats.forwarded += 1;
    }

    /// Sends an empty packet with a number that is of no packet of the slot's layer.
    fn send_filler(&mut self, pt: u8, seq: u64) {
        let Some(path) = self.egress.path(self.slot.transport) else { return };
        if path.downlink.is_paced() {
            let waiting = WaitingPacket::filler(seq, self.slot.rewriter.last_timestamp());
            if hold_back(self.now, self.slot, &mut path.downlink, self.held, waiting, false) {
                return;
            }
        }
        self.send_filler_at(pt, seq, self.slot.rewriter.last_timestamp());
    }

    fn send_filler_at(&mut self, pt: u8, seq: u64, timestamp: u32) {
        let Some(path) = self.egress.path(self.slot.transport) else { return };
        let header = &mut self.scratch.header;
        build_filler(header, pt, Some(&self.slot.mid));
        header.set_stream(self.slot.ssrc, SeqNum(low(seq)), timestamp);
        header.set_twcc_seq(path.downlink.on_packet(self.now, wire_size(header.as_bytes().len())));
        self.egress.rtp(self.slot.transport, header.as_bytes(), &[]);
        self.slot.sent.count(0);
        self.stats.fillers += 1;
    }

    /// Sends a packet that has waited, or a filler if it is of no use any more.
    pub(super) fn send_waited(&mut self, waited: &WaitingPacket, encodings: &mut SlotMap<EncodingKey, Encoding>) {
        let pt = self.slot.codec.entry().pt;
        let segment = self.slot.rewriter.segment(waited.seq).copied();
        let source = segment.and_then(|segment| Some((segment, encodings.get_mut(segment.layer.encoding)?)));
        let source = source.filter(|(_, encoding)| waited.index > 0 && self.slot.track == Some(encoding.track));
        let Some((segment, encoding)) = source else { return self.send_filler_at(pt, waited.seq, waited.timestamp) };
        match encoding.store.get_mut(waited.index) {
            Some(packet) => {
                let rewritten = segment.rewrite(waited.seq, &packet.meta);
                self.send_with_own_header(pt, packet, &rewritten, None);
            }
            None => self.stats.outdated += 1,
        }
    }
}
