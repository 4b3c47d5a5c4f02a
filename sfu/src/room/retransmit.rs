//! Retransmissions to subscribers (RFC 4588).

use super::{Room, topology::Topology};
use crate::{
    egress::Egress,
    keys::SlotKey,
    subscriber::packet_writer::{build_header, rewrite_payload},
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
        let index = slot.rewriter.index_of(seq)?;
        let rtt = downlink.rtt.estimate();
        let packet = encodings.get_mut(slot.source?.encoding)?.repairable(now + rtt / 2, index)?;
        let rewritten = slot.rewriter.rewritten(index, &packet.meta)?;
        let rtx = slot.rtx.as_mut()?;
        if !rtx.admit(now, seq, rtt) || !downlink.admits_repair(now, packet.payload_len()) {
            return None;
        }
        let header = &mut scratch.header;
        build_header(header, rtx.payload_type, packet, Some(&slot.mid));
        header.set_padding(false);
        header.set_stream(rtx.ssrc, rtx.take_seq(), rewritten.timestamp);
        header.set_frame_number(rewritten.frame_number);
        header.set_twcc_seq(downlink.take_transport_seq());
        scratch.payload.clear();
        scratch.payload.extend(low(rewritten.seq).to_be_bytes());
        scratch.payload.extend_from_slice(rewrite_payload(packet, &rewritten));
        egress.rtp(slot.transport, scratch.header.as_bytes(), &scratch.payload);
        Some(())
    }
}
