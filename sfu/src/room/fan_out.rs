//! From what waits to every slot that wants it, subscriber by subscriber.
//!
//! ```text
//!   waiting         camera  7 8 9          lane: camera 7 8 9 ─┐   for each participant, for each lane that has a slot
//!   (any order)     screen  4 5            lane: screen 4 5   ─┤   of it: place, rewrite, hand to the egress
//! ```
//! A subscriber's packets leave together: its keys are in the processor's cache, the kernel gets them as one run, and
//! the first subscriber of a large room does not wait until a frame has been sealed for the last. A lane's subscribers
//! are sorted by participant, so all lanes are walked side by side.

use super::{
    Participant, Room, RoomStats,
    media::{build_header, rewrite_payload, send_report},
    waiting::WaitingPacket,
};
use crate::{
    egress::Egress,
    forward::{
        padding::paddings,
        published_track::PublishedTrack,
        slot::Slot,
        slot_stream::{Placement, Rewritten},
        store::{PacketStore, StoredPacket},
    },
    wire::{
        header::HeaderBuffer,
        seq::{SeqNum, low},
    },
};
use slab::Slab;
use std::{ops::Range, time::Instant};

/// What is forwarded together. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    packets: Vec<WaitingPacket>,
    /// Of each packet, what its headers have in common in all slots.
    headers: Vec<HeaderBuffer>,
    lanes: Vec<Lane>,
    lengths: Vec<usize>,
    paddings: Vec<u8>,
}

/// The packets of one track, and the subscriber whose turn it is.
#[derive(Debug)]
struct Lane {
    track: usize,
    packets: Range<usize>,
    /// Subscribers that were served.
    served: usize,
    next: Option<Subscriber>,
}

#[derive(Clone, Copy, Debug)]
struct Subscriber {
    participant: usize,
    slot: usize,
}

impl Room {
    /// Forwards everything that was received since the last time.
    pub fn forward(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        if self.waiting.len() == 0 {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.waiting.take(&mut batch.packets);
        batch.open_lanes(&mut self.tracks, &self.slots);
        let Batch { packets, headers, lanes, .. } = &mut batch;
        while let Some(participant) = lanes.iter().filter_map(|lane| lane.next).map(|next| next.participant).min() {
            for lane in &mut *lanes {
                while let Some(subscriber) = lane.next.filter(|next| next.participant == participant) {
                    let range = lane.packets.clone();
                    let (packets, headers) = (packets.get(range.clone()), headers.get_mut(range));
                    if let (Some(packets), Some(headers)) = (packets, headers) {
                        self.serve(now, lane.track, subscriber.slot, packets, headers, egress);
                    }
                    lane.advance(&self.tracks, &self.slots);
                }
            }
        }
        for lane in &batch.lanes {
            self.serve_track(now, lane.track, egress);
        }
        self.batch = batch;
    }

    /// Sends packets of a track into a slot.
    fn serve(
        &mut self,
        now: Instant,
        track: usize,
        slot: usize,
        packets: &[WaitingPacket],
        headers: &mut [HeaderBuffer],
        egress: &mut (impl Egress + ?Sized),
    ) {
        let Self { tracks, slots, participants, scratch, stats, .. } = self;
        let Some(PublishedTrack { store, key_frames, clock, cname, publication, .. }) = tracks.get_mut(track) else {
            return;
        };
        let Some(slot) = slots.get_mut(slot).filter(|slot| slot.active) else { return };
        let Some(receiver) = participants.get_mut(slot.participant_key) else { return };
        if !egress.reaches(slot.participant, packets.len()) {
            // Numbers move on with what leaves alone. What comes after the pause begins like a new source.
            slot.stream.end_source();
            return;
        }
        let codec = publication.codec.entry();
        for (waiting, header) in packets.iter().zip(headers) {
            let Some(packet) = store.get_mut(waiting.index) else { continue };
            let placement = slot.stream.place(now, waiting.index, &packet.meta);
            let (Placement::Send(rewritten) | Placement::Begin(rewritten)) = placement else {
                if placement == Placement::Waiting {
                    key_frames.still_waiting(now);
                }
                continue;
            };
            let begins = matches!(placement, Placement::Begin(_));
            if begins && let Some(clock) = clock {
                let (ntp, timestamp) = clock.at(now, codec.clock);
                send_report(now, slot, ntp, timestamp, cname, &mut scratch.rtcp, egress);
            }
            let header = if slot.mid_known {
                header
            } else {
                build_header(&mut scratch.mid_header, codec.pt, packet, Some(slot.mid.as_bytes()));
                &mut scratch.mid_header
            };
            emit(header, packet, slot, receiver, &rewritten, stats, egress);
            if begins {
                // A key frame whose first packet came late: what overtook it was held back until now.
                for later in waiting.index + 1..=store.highest() {
                    let waits = |at: &WaitingPacket| at.index.cmp(&later);
                    let Some(packet) = store.get_mut(later).filter(|_| packets.binary_search_by(waits).is_err()) else {
                        continue;
                    };
                    let Placement::Send(rewritten) = slot.stream.place(now, later, &packet.meta) else { continue };
                    build_header(&mut scratch.mid_header, codec.pt, packet, Some(slot.mid.as_bytes()));
                    emit(&mut scratch.mid_header, packet, slot, receiver, &rewritten, stats, egress);
                }
            }
        }
    }
}

impl Batch {
    /// Sorts the packets into lanes, and prepares what all subscribers of a lane share.
    fn open_lanes(&mut self, tracks: &mut Slab<PublishedTrack>, slots: &Slab<Slot>) {
        self.lanes.clear();
        if self.headers.len() < self.packets.len() {
            self.headers.resize_with(self.packets.len(), HeaderBuffer::default);
        }
        let mut start = 0;
        for packets in self.packets.chunk_by(|a, b| a.track == b.track) {
            let range = start..start + packets.len();
            start = range.end;
            let Some(WaitingPacket { track, .. }) = packets.first().copied() else { continue };
            let (Some(PublishedTrack { store, publication, .. }), Some(headers)) =
                (tracks.get_mut(track), self.headers.get_mut(range.clone()))
            else {
                continue;
            };
            self.lengths.clear();
            for (waiting, header) in packets.iter().zip(&mut *headers) {
                let Some(packet) = store.get_mut(waiting.index) else { continue };
                build_header(header, publication.codec.entry().pt, packet, None);
                self.lengths.push(header.as_bytes().len() + packet.payload_len());
            }
            if packets.len() > 1 {
                paddings(&self.lengths, &mut self.paddings);
                pad(store, packets, headers, &self.paddings);
            }
            let mut lane = Lane { track, packets: range, served: 0, next: None };
            lane.find_next(tracks, slots);
            self.lanes.push(lane);
        }
    }
}

/// Puts padding behind the packets that are still in the store.
fn pad(store: &mut PacketStore, packets: &[WaitingPacket], headers: &mut [HeaderBuffer], paddings: &[u8]) {
    let mut paddings = paddings.iter();
    for (waiting, header) in packets.iter().zip(headers) {
        if store.get_mut(waiting.index).is_none() {
            continue;
        }
        if let Some(&padding) = paddings.next().filter(|padding| **padding > 0) {
            store.pad(waiting.index, padding);
            header.set_padding(true);
        }
    }
}

impl Lane {
    fn advance(&mut self, tracks: &Slab<PublishedTrack>, slots: &Slab<Slot>) {
        self.served += 1;
        self.find_next(tracks, slots);
    }

    fn find_next(&mut self, tracks: &Slab<PublishedTrack>, slots: &Slab<Slot>) {
        let slot = tracks.get(self.track).and_then(|track| track.subscribers.get(self.served)).copied();
        self.next =
            slot.and_then(|slot| slots.get(slot).map(|found| Subscriber { participant: found.participant_key, slot }));
    }
}

/// Sends a packet under a slot's header.
fn emit(
    header: &mut HeaderBuffer,
    packet: &mut StoredPacket,
    slot: &mut Slot,
    receiver: &mut Participant,
    rewritten: &Rewritten,
    stats: &mut RoomStats,
    egress: &mut (impl Egress + ?Sized),
) {
    header.set_stream(slot.ssrc, SeqNum(low(rewritten.seq)), rewritten.timestamp);
    header.set_twcc_seq(receiver.take_transport_seq());
    header.set_frame_number(rewritten.frame_number);
    rewrite_payload(packet, rewritten);
    egress.rtp(slot.participant, header.as_bytes(), packet.padded());
    slot.count(packet.payload_len());
    stats.forwarded += 1;
}
