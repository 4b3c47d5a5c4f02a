//! Retransmissions to subscribers (RFC 4588).

use super::{Room, topology::Topology};
use crate::{
    congestion::{about_on_wire, wire_size},
    egress::Egress,
    keys::SlotKey,
    subscriber::{
        packet_writer::{build_filler, build_header, rewrite_payload},
        waiting::WaitingPacket,
    },
    units::DataSize,
    wire::seq::{SeqNum, low},
};
use std::time::Instant;

/// Why a packet is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It was requested, and is sent if the limits permit.
    Requested,
    /// It was requested, and has waited for the pacer.
    Waited,
}

impl Room {
    /// Answers a NACK for one packet of a slot, on the slot's RTX stream, if the packet is still useful and within the
    /// limits.
    pub(super) fn retransmit(&mut self, now: Instant, slot: SlotKey, seq: SeqNum, egress: &mut (impl Egress + ?Sized)) {
        if self.try_retransmit(now, slot, seq, Reason::Requested, egress).is_some() {
            self.stats.retransmitted += 1;
        } else {
            self.stats.retransmissions_refused += 1;
        }
    }

    /// Sends a retransmission that the pacer has held back, if it is still useful.
    pub(super) fn retransmit_waited(
        &mut self,
        now: Instant,
        slot: SlotKey,
        seq: u64,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let _: Option<DataSize> = self.try_retransmit(now, slot, SeqNum(low(seq)), Reason::Waited, egress);
    }

    /// Returns the size on the wire of what is sent, or will be.
    fn try_retransmit(
        &mut self,
        now: Instant,
        slot: SlotKey,
        seq: SeqNum,
        reason: Reason,
        egress: &mut (impl Egress + ?Sized),
    ) -> Option<DataSize> {
        let Self { topology: Topology { encodings, slots, .. }, scratch, .. } = self;
        let slot = slots.get_mut(slot).filter(|slot| slot.active)?;
        if reason != Reason::Waited && slot.waiting.as_ref().is_some_and(|waiting| waiting.contains(seq)) {
            return None;
        }
        let downlink = &mut egress.path(slot.transport)?.downlink;
        let (segment, seq) = slot.rewriter.origin(seq)?;
        // On a path that is full, what another encoding has replaced would hold up the key frame of that.
        let is_replaced = slot.rewriter.current().is_some_and(|layer| layer.encoding != segment.layer.encoding);
        if is_replaced && slot.waiting.is_some() {
            return None;
        }
        let encoding = encodings.get_mut(segment.layer.encoding);
        // What came of a track that is no longer in the slot is not waited for.
        let encoding = encoding.filter(|encoding| slot.track == Some(encoding.track))?;
        let index = segment.index_of(seq, |index| encoding.numbers.of(index))?;
        let rtt = downlink.rtt.estimate();
        let was_filled = segment.is_settled(index) && !encoding.store.was_stored(index);
        let packet = encoding.repairable(now + rtt / 2, index, slot.waiting.is_some());
        if packet.is_none() && !was_filled {
            return None;
        }
        let packet = packet.filter(|packet| segment.contains(&packet.meta));
        let rtx = slot.rtx.as_mut()?;
        let payload = packet.as_ref().map_or(0, |packet| packet.payload_len());
        let size = about_on_wire(payload);
        if reason != Reason::Waited && !rtx.admit(now, SeqNum(low(seq)), rtt) {
            return None;
        }
        if reason == Reason::Requested {
            if !downlink.admits_repair(now, size) {
                return None;
            }
            if let Some(waiting) = slot.waiting.as_mut().filter(|waiting| !waiting.is_full())
                && downlink.must_wait(now, size)
            {
                waiting.push_retransmission(WaitingPacket::new(seq, index, 0, size));
                downlink.add_waiting(size);
                let receiver = slot.participant;
                self.pace(now, receiver);
                return Some(size);
            }
        }
        let header = &mut scratch.header;
        scratch.payload.clear();
        scratch.payload.extend(low(seq).to_be_bytes());
        let timestamp = if let Some(packet) = packet {
            let rewritten = segment.rewrite(seq, &packet.meta);
            build_header(header, rtx.payload_type, packet, Some(&slot.mid));
            header.set_padding(false);
            header.set_marker(rewritten.marker);
            header.set_frame_number(rewritten.frame_number);
            scratch.payload.extend_from_slice(rewrite_payload(packet, &rewritten));
            rewritten.timestamp
        } else {
            build_filler(header, rtx.payload_type, Some(&slot.mid));
            slot.rewriter.last_timestamp()
        };
        header.set_stream(rtx.ssrc, rtx.take_seq(), timestamp);
        let size = wire_size(header.as_bytes().len() + scratch.payload.len());
        header.set_twcc_seq(downlink.on_packet(now, size));
        egress.rtp(slot.transport, scratch.header.as_bytes(), &scratch.payload);
        Some(size)
    }
}
