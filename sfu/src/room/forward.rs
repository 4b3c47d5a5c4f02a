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

use super::{
    Room, RoomStats,
    receive_queue::QueuedPacket,
    slot_sender::{Buffers, OutgoingPacket, SlotSender},
    topology::Topology,
};
use crate::{
    egress::Egress,
    keys::{EncodingKey, ParticipantKey, SlotKey},
    media::Kind,
    publisher::{packet_store::PacketStore, subscribers::Subscriber},
    subscriber::{packet_writer::build_header, padding::paddings},
};
use std::{ops::Range, time::Instant};

/// Forwards batches of packets. Its buffers are reused.
#[derive(Debug, Default)]
pub(super) struct Forwarder {
    queued: Vec<QueuedPacket>,
    /// The same packets; more of them are kept for their buffers.
    packets: Vec<OutgoingPacket>,
    /// When the first of the packets arrived.
    received: Option<Instant>,
    /// None, unless packets are being forwarded.
    lanes: Vec<Lane>,
    /// The last participant that got its packets.
    last: Option<ParticipantKey>,
    lengths: Vec<usize>,
    paddings: Vec<u8>,
    /// Slots whose layer has changed.
    changed: Vec<SlotKey>,
    pub(super) buffers: Buffers,
}

/// The packets of one encoding, and the next of its subscribers.
#[derive(Debug)]
struct Lane {
    encoding: EncodingKey,
    packets: Range<usize>,
    /// Number of subscribers that have been served.
    served: usize,
    next: Option<Subscriber>,
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
            } else if let Some(received) = queue.take(kind, &mut forwarder.queued) {
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
            while let Some(encoding) = self.close_lane(kind) {
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
        while let Some(receiver) = self.forwarder(kind).buffers.held.pop() {
            self.pace(now, receiver);
        }
    }

    /// Removes a lane whose packets were sent to all its subscribers. Returns its encoding.
    fn close_lane(&mut self, kind: Kind) -> Option<EncodingKey> {
        let Self { topology, audio, video, .. } = self;
        let Forwarder { packets, lanes, .. } = if kind == Kind::Audio { audio } else { video };
        let Lane { encoding, packets: range, .. } = lanes.pop()?;
        if let Some(encoding) = topology.encodings.get_mut(encoding) {
            let packets = packets.get(range).unwrap_or_default();
            packets.iter().for_each(|packet| encoding.store.end_wait(packet.index));
        }
        Some(encoding)
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
        if self.packets.len() < self.queued.len() {
            self.packets.resize_with(self.queued.len(), OutgoingPacket::default);
        }
        let mut start = 0;
        for queued in self.queued.chunk_by(|a, b| a.encoding == b.encoding) {
            let range = start..start + queued.len();
            start = range.end;
            let Some(QueuedPacket { encoding: key, .. }) = queued.first().copied() else { continue };
            let (Some(encoding), Some(packets)) = (encodings.get_mut(key), self.packets.get_mut(range.clone())) else {
                continue;
            };
            self.lengths.clear();
            for (queued, OutgoingPacket { index, header }) in queued.iter().zip(&mut *packets) {
                *index = queued.index;
                let Some(packet) = encoding.store.get_mut(*index) else { continue };
                build_header(header, encoding.codec.entry().pt, packet, None);
                self.lengths.push(header.as_bytes().len() + packet.payload_len());
            }
            if packets.len() > 1 {
                paddings(&self.lengths, &mut self.paddings);
                pad(&mut encoding.store, packets, &self.paddings);
            }
            let next = encoding.subscribers.get(0);
            self.lanes.push(Lane { encoding: key, packets: range, served: 0, next });
        }
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
        let Self { packets, lanes, last, changed, buffers, .. } = self;
        while let Some(participant) = lanes.iter().filter_map(|lane| lane.next).map(|next| next.participant).min() {
            for lane in &mut *lanes {
                while let Some(subscriber) = lane.next.filter(|next| next.participant == participant) {
                    let Some(encoding) = encodings.get_mut(lane.encoding) else {
                        lane.next = None;
                        break;
                    };
                    if let Some(slot) = slots.get_mut(subscriber.slot)
                        && let Some(packets) = packets.get_mut(lane.packets.clone())
                    {
                        let (buffers, stats, egress) = (&mut *buffers, &mut *stats, &mut *egress);
                        let mut sender = SlotSender { now, slot, buffers, stats, egress };
                        if sender.send_all(packets, (lane.encoding, &mut *encoding), tracks) {
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

/// Pads the packets that are still stored.
fn pad(store: &mut PacketStore, packets: &mut [OutgoingPacket], paddings: &[u8]) {
    let mut paddings = paddings.iter();
    for OutgoingPacket { index, header } in packets {
        if store.get_mut(*index).is_none() {
            continue;
        }
        if let Some(&padding) = paddings.next().filter(|padding| **padding > 0) {
            store.pad(*index, padding);
            header.set_padding(true);
        }
    }
}
