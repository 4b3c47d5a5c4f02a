//! Transport-wide feedback of a client.

use super::Datagram;
use rtp_wire::{
    rtcp::twcc::{self, Arrival},
    rtp::RtpPacket,
    seq::{SeqNum, Unwrapper},
};
use sfu::Ssrc;

const INTERVAL: u64 = 100;
const TRANSPORT_CC: u8 = 3;

#[derive(Default)]
pub struct TransportFeedback {
    sequence: Unwrapper,
    arrivals: Vec<Arrival>,
    base: Option<u64>,
    count: u8,
}

impl TransportFeedback {
    pub fn on_rtp(&mut self, ms: u64, packet: &[u8]) {
        let view = RtpPacket::parse(packet).unwrap();
        let Some(number) = view.extensions.get(TRANSPORT_CC) else { return };
        let seq = self.sequence.peek(SeqNum(u16::from_be_bytes(number.try_into().unwrap())));
        self.sequence.accept(seq);
        self.arrivals.push(Arrival { seq, micros: ms * 1_000 });
    }

    pub fn produce(&mut self, ms: u64, out: &mut Vec<Datagram>) {
        if !ms.is_multiple_of(INTERVAL) {
            return;
        }
        self.arrivals.sort_unstable();
        self.arrivals.dedup_by_key(|arrival| arrival.seq);
        let mut left = self.arrivals.as_slice();
        while let Some(first) = left.first() {
            let base = self.base.map_or(first.seq, |base| base.min(first.seq));
            let mut packet = Vec::new();
            let next = twcc::write(&mut packet, Ssrc(1), Ssrc(2), self.count, base, left).unwrap();
            out.push(Datagram::Rtcp(packet));
            (self.count, self.base) = (self.count.wrapping_add(1), Some(next));
            left = &left[left.partition_point(|arrival| arrival.seq < next)..];
        }
        self.arrivals.clear();
    }
}
