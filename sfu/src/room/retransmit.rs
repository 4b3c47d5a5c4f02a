//! Retransmissions to subscribers (RFC 4588).

use super::{Room, topology::Topology};
use crate::{
    congestion::wire_size,
    egress::Egress,
    keys::SlotKey,
    subscriber::packet_writer::{build_filler, build_header, rewrite_payload},
    wire::seq::{SeqNum, low},
};
use std::time::Instant;

impl Room {
    /// Answers a NACK for one packet of a slot, on the slot's RTX stream, if the packet is still useful and within the
    /// limits.
    pub(super) fn retransmit(&mut self, now: Instant, slot: SlotKey, seq: SeqNum, egress: &mut (impl Egress + ?Sized)) {
        if self.try_retransmit(now, slot, seq, egress).is_some() {
            self.stats.retransmitted += 1;
        } else {
            self.stats.retransmissions_refused += 1;
        }
    }

    fn try_retransmit(
        &mut self,
        now: Instant,
        slot: SlotKey,
        seq: SeqNum,
        egress: &mut (impl Egress + ?Sized),
    ) -> Option<()> {
        let Self { topology: Topology { encodings, slots, .. }, scratch, .. } = self;
        let slot = slots.get_mut(slot).filter(|slot| slot.active)?;
        let downlink = &mut egress.path(slot.transport)?.downlink;
        let (segment, seq) = slot.rewriter.origin(seq)?;
        let encoding = encodings.get_mut(segment.layer.encoding);
        // What came of a track that is no longer in the slot is not waited for.
        let encoding = encoding.filter(|encoding| slot.track == Some(encoding.track))?;
        let index = segment.index_of(seq, |index| encoding.numbers.of(index))?;
        let rtt = downlink.rtt.estimate();
        let was_filled = segment.is_settled(index) && !encoding.store.was_stored(index);
        let packet = encoding.repairable(now + rtt / 2, index);
        if packet.is_none() && !was_filled {
            return None;
        }
        let packet = packet.filter(|packet| segment.contains(&packet.meta));
        let rtx = slot.rtx.as_mut()?;
        let payload = packet.as_ref().map_or(0, |packet| packet.payload_len());
        if !rtx.admit(now, SeqNum(low(seq)), rtt) || !downlink.admits_repair(now, payload) {
            return None;
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
        Some(())
    }
}
