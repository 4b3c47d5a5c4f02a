//! Sends packets into a slot.
//!
//! ```text
//!   the next of the layer that is forwarded ──► place_next ───────┐
//!   any other ──► place, with fillers and reports that it takes ──┼─► may have to wait ─► transport-wide number, egress
//!   what has waited ──────────────────────────────────────────────│───────────────────────────────┘
//! ```
//! Nearly all packets take the first way, which does nothing that is not needed for each packet and slot. Of the others, none has
//! the header that is built once for all slots.

use super::RoomStats;
use crate::{
    congestion::{PathState, about_on_wire, wire_size},
    egress::Egress,
    keys::{EncodingKey, ParticipantKey, TrackKey},
    media::{CodecEntry, Kind},
    publisher::{
        encoding::Encoding,
        key_frame_requests::{Cause, Outcome},
        packet_store::{PacketStore, StoredPacket},
        sender_clock::SenderClock,
        track::Track,
    },
    subscriber::{
        back_fill,
        packet_writer::{build_filler, build_header, rewrite_payload},
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
use std::time::{Duration, Instant};

/// A packet for the slots of its encoding.
#[derive(Debug, Default)]
pub(super) struct OutgoingPacket {
    /// In the store of the encoding.
    pub(super) index: u64,
    /// With the fields that are equal in all slots that know their m-lines.
    pub(super) header: HeaderBuffer,
}

/// Buffers of slot senders.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The header of a packet that cannot have the one that its slots share.
    header: HeaderBuffer,
    rtcp: Vec<u8>,
    /// Receivers whose pacers hold something back.
    pub(super) held: Vec<ParticipantKey>,
}

/// Sends packets into one slot.
pub(super) struct SlotSender<'a, E: ?Sized> {
    pub(super) now: Instant,
    pub(super) slot: &'a mut Slot,
    pub(super) buffers: &'a mut Buffers,
    pub(super) stats: &'a mut RoomStats,
    pub(super) egress: &'a mut E,
}

/// What the packets of a lane have in common.
#[derive(Clone, Copy)]
struct Source<'a> {
    encoding: EncodingKey,
    structure: Option<&'a Structure>,
    clock: Option<&'a SenderClock>,
    codec: &'static CodecEntry,
    cname: &'a str,
}

impl<E: Egress + ?Sized> SlotSender<'_, E> {
    /// Sends packets of an encoding. Returns whether another layer is forwarded, or awaited, than before.
    pub(super) fn send_all(
        &mut self,
        packets: &mut [OutgoingPacket],
        (key, encoding): (EncodingKey, &mut Encoding),
        tracks: &mut SlotMap<TrackKey, Track>,
    ) -> bool {
        if !self.egress.reaches(self.slot.transport, packets.len()) {
            return self.interrupt(key);
        }
        let (pt, mut changed) = (encoding.codec.entry().pt, false);
        for OutgoingPacket { index, header } in packets {
            let Some(packet) = encoding.store.get_mut(*index) else { continue };
            if let Some(rewritten) = self.slot.rewriter.place_next(self.now, key, *index, &packet.meta) {
                if self.waits(&rewritten, *index, packet) {
                    continue;
                }
                if self.slot.mid_known {
                    self.send(header, packet, &rewritten);
                } else {
                    self.send_with_own_header(pt, packet, &rewritten);
                }
            } else if self.slot.receives(key) {
                changed |= self.send_other(*index, (key, encoding), tracks);
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
        index: u64,
        (key, encoding): (EncodingKey, &mut Encoding),
        tracks: &mut SlotMap<TrackKey, Track>,
    ) -> bool {
        let Encoding { store, layers, clock, codec, position, track, .. } = encoding;
        let Some(Track { cname, key_frames, .. }) = tracks.get_mut(*track) else { return false };
        let (structure, clock, codec, position) = (layers.structure(), clock.as_ref(), codec.entry(), *position);
        let source = Source { encoding: key, structure, clock, codec, cname };
        let before = self.slot.rewriter.current();
        if std::mem::take(&mut self.slot.back_fills) {
            self.send_back_fill(&source, index, store);
        }
        let Some(packet) = store.get_mut(index) else { return false };
        match self.place(&source, index, packet, Duration::ZERO) {
            Placement::AwaitsKeyFrame
                if std::mem::take(&mut self.slot.is_new) || key_frames.seems_lost(self.now, position) =>
            {
                let cause = if before.is_some() { Cause::Switch } else { Cause::Joiner };
                // Over its budget it asks again with a later packet.
                let _: Outcome = key_frames.request(self.now, position, cause, self.slot.participant);
            }
            Placement::Begin(begins, _) => {
                if begins == Begins::Source {
                    key_frames.on_key_frame(position);
                }
                self.send_held_back(&source, index, store);
            }
            _ => {}
        }
        self.slot.rewriter.current() != before
    }

    /// Sends the packets after the first one of a layer that arrived before it, in an earlier batch: they could not be sent
    /// while the slot awaited that layer.
    fn send_held_back(&mut self, source: &Source<'_>, first: u64, store: &mut PacketStore) {
        for index in first + 1..=store.highest() {
            // One that waits, in this batch or perhaps for its structure, is forwarded later.
            if let Some(packet) = store.get_mut(index).filter(|packet| !packet.waits) {
                self.place(source, index, packet, Duration::ZERO);
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
            self.place(source, index, packet, lead);
        }
    }

    /// Places a packet in the slot's stream, and sends what that takes.
    fn place(&mut self, source: &Source<'_>, index: u64, packet: &mut StoredPacket, lead: Duration) -> Placement {
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
        if !self.waits(&rewritten, index, packet) {
            self.send_with_own_header(codec.pt, packet, &rewritten);
        }
        placement
    }

    /// Reports the clock of a new source, so that its audio and video are synchronized from the start.
    fn send_sender_report(&mut self, source: &Source<'_>) {
        let Some(clock) = source.clock.map(|clock| clock.at(self.now, source.codec.clock)) else { return };
        if self.slot.write_sender_report(self.now, source.encoding, clock, source.cname, &mut self.buffers.rtcp) {
            self.egress.rtcp(self.slot.transport, &self.buffers.rtcp);
        }
    }

    fn send_with_own_header(&mut self, pt: u8, packet: &mut StoredPacket, rewritten: &Rewritten) {
        let mut header = std::mem::take(&mut self.buffers.header);
        build_header(&mut header, pt, packet, Some(&self.slot.mid).filter(|_| !self.slot.mid_known));
        self.send(&mut header, packet, rewritten);
        self.buffers.header = header;
    }

    /// Sends a packet with the rewritten fields of the slot's stream.
    fn send(&mut self, header: &mut HeaderBuffer, packet: &mut StoredPacket, rewritten: &Rewritten) {
        let Some(path) = self.egress.path(self.slot.transport) else { return };
        let size = wire_size(header.as_bytes().len() + packet.padded().len());
        header.set_twcc_seq(path.downlink.on_packet(self.now, size));
        header.set_stream(self.slot.ssrc, SeqNum(low(rewritten.seq)), rewritten.timestamp);
        header.set_marker(rewritten.marker);
        header.set_frame_number(rewritten.frame_number);
        rewrite_payload(packet, rewritten);
        self.egress.rtp(self.slot.transport, header.as_bytes(), packet.padded());
        self.slot.sent.count(packet.payload_len());
        self.stats.forwarded += 1;
    }

    /// Whether a packet that has its place in the slot's stream has to wait for a pacer.
    #[inline]
    fn waits(&mut self, rewritten: &Rewritten, index: u64, packet: &StoredPacket) -> bool {
        if self.slot.waiting.is_none() {
            return false;
        }
        let size = about_on_wire(packet.padded().len());
        let waiting = WaitingPacket::new(rewritten.seq, index, rewritten.timestamp, size);
        self.hold_back(waiting, packet.meta.starts_key_frame)
    }

    /// Whether a packet into a slot that has a pacer has to wait. It is kept in the slot then, and the receiver noted.
    #[inline(never)]
    fn hold_back(&mut self, packet: WaitingPacket, starts_key_frame: bool) -> bool {
        let Slot { waiting: Some(waiting), participant, transport, .. } = &mut *self.slot else { return false };
        let Some(PathState { downlink, .. }) = self.egress.path(*transport) else { return false };
        if starts_key_frame {
            waiting.on_key_frame(packet.timestamp);
        }
        if waiting.is_full() || !downlink.must_wait(self.now, packet.size()) {
            waiting.on_left(packet.timestamp);
            return false;
        }
        downlink.add_waiting(waiting.push(packet));
        // Packets to one receiver follow each other.
        if self.buffers.held.last() != Some(participant) {
            self.buffers.held.push(*participant);
        }
        true
    }

    /// Sends an empty packet with a number that is of no packet of the slot's layer, or lets it wait.
    fn send_filler(&mut self, pt: u8, seq: u64) {
        let timestamp = self.slot.rewriter.last_timestamp();
        if !self.hold_back(WaitingPacket::filler(seq, timestamp), false) {
            self.send_filler_at(pt, seq, timestamp);
        }
    }

    fn send_filler_at(&mut self, pt: u8, seq: u64, timestamp: u32) {
        let Some(path) = self.egress.path(self.slot.transport) else { return };
        let header = &mut self.buffers.header;
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
                self.send_with_own_header(pt, packet, &rewritten);
            }
            None => self.stats.outdated += 1,
        }
    }
}
