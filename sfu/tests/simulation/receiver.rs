//! The receiving side of a slot.

use super::Datagram;
use rtp_wire::{
    rtcp::{self, ReportBlock, Rtcp, SenderInfo},
    rtp::RtpPacket,
    seq::{SeqNum, Unwrapper, low},
    vp8::Vp8Descriptor,
};
use sfu::Ssrc;
use std::collections::BTreeMap;

const RETRY: u64 = 60;

/// A packet received in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub marker: bool,
    pub timestamp: u32,
    pub payload: Vec<u8>,
    pub at: u64,
}

/// A VP8 frame, with the values that its publisher wrote into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub number: u32,
    pub key: bool,
    pub picture_id: u16,
    /// On the slot's timeline.
    pub timestamp: u32,
    /// When it was sent, in ms.
    pub made: u64,
}

pub struct SlotReceiver {
    pub ssrc: Ssrc,
    pub rtx: Option<Ssrc>,
    pub packets: BTreeMap<u64, Received>,
    pub repaired: u64,
    pub duplicates: u64,
    pub report: Option<SenderInfo>,
    pub cname: Option<Vec<u8>>,
    pub mids: u64,
    pub nack: bool,
    /// What it reports, in units of 1/256.
    pub fraction_lost: u8,
    requested: BTreeMap<u64, u64>,
    last_sr: (u32, u64),
    sequence: Unwrapper,
}

impl SlotReceiver {
    pub fn new(ssrc: Ssrc, rtx: Option<Ssrc>) -> Self {
        Self {
            ssrc,
            rtx,
            packets: BTreeMap::new(),
            repaired: 0,
            duplicates: 0,
            report: None,
            cname: None,
            mids: 0,
            nack: rtx.is_some(),
            fraction_lost: 0,
            requested: BTreeMap::new(),
            last_sr: (0, 0),
            sequence: Unwrapper::default(),
        }
    }

    /// When a decoder got each frame that it could show, in ms: after a key frame, and without a gap. Behind five bytes a payload has
    /// the number of the packet in its frame, and how many there are.
    pub fn shown(&self) -> Vec<u64> {
        let (mut shown, mut at, mut last, mut broken, mut parts) = (Vec::new(), 0, None, true, 0);
        for (&seq, packet) in &self.packets {
            broken |= last.is_some_and(|last| last + 1 != seq);
            last = Some(seq);
            if packet.payload.is_empty() {
                continue;
            }
            let vp8 = Vp8Descriptor::parse(&packet.payload).unwrap();
            let body = &packet.payload[vp8.length..];
            let (is_key, part, count) = (body[0] & 1 == 0, body[5], body[6]);
            if part == 0 {
                broken &= !is_key;
                parts = 0;
            }
            broken |= part != parts;
            parts = part + 1;
            at = packet.at.max(at);
            if parts == count && !broken {
                shown.push(at);
            }
        }
        shown
    }

    pub fn on_rtp(&mut self, ms: u64, packet: &[u8]) {
        let view = RtpPacket::parse(packet).unwrap();
        let (seq, payload) = if view.ssrc == self.ssrc {
            self.mids += u64::from(view.extensions.get(1).is_some());
            (view.seq, view.payload)
        } else if Some(view.ssrc) == self.rtx {
            assert!(view.extensions.get(1).is_some(), "a retransmission has the MID");
            // A probe may have none.
            let Some((original, payload)) = view.payload.split_first_chunk() else { return };
            (SeqNum(u16::from_be_bytes(*original)), payload)
        } else {
            return;
        };
        let extended = self.sequence.peek(seq);
        self.sequence.accept(extended);
        let received = Received { marker: view.marker, timestamp: view.timestamp, payload: payload.to_vec(), at: ms };
        match self.packets.get(&extended) {
            None => {
                self.repaired += u64::from(view.ssrc != self.ssrc);
                self.packets.insert(extended, received);
            }
            // A filler took its number, since another encoding had replaced it.
            Some(before) if before.payload.is_empty() => self.duplicates += 1,
            Some(before) => {
                assert_eq!(
                    (before.timestamp, before.marker, &before.payload),
                    (received.timestamp, received.marker, &received.payload)
                );
                self.duplicates += 1;
            }
        }
    }

    pub fn on_rtcp(&mut self, ms: u64, part: &Rtcp<'_>) {
        match part {
            Rtcp::SenderReport { ssrc, info, .. } if *ssrc == self.ssrc => {
                self.report = Some(*info);
                self.last_sr = (info.compact_ntp(), ms);
            }
            Rtcp::SourceDescription(chunks) => {
                for (_, cname) in chunks.filter(|(ssrc, _)| *ssrc == self.ssrc) {
                    self.cname = Some(cname.to_vec());
                }
            }
            _ => {}
        }
    }

    pub fn produce(&mut self, ms: u64, out: &mut Vec<Datagram>) {
        let Some(highest) = self.sequence.highest() else { return };
        if self.nack && ms.is_multiple_of(10) {
            let requested = &mut self.requested;
            let oldest = highest.saturating_sub(200).max(*self.packets.first_key_value().unwrap().0);
            let missing: Vec<u64> = (oldest..highest)
                .filter(|seq| !self.packets.contains_key(seq))
                .filter(|seq| requested.get(seq).is_none_or(|at| ms - at >= RETRY))
                .collect();
            requested.extend(missing.iter().map(|&seq| (seq, ms)));
            let mut packet = Vec::new();
            rtcp::write::nack(&mut packet, Ssrc(1), self.ssrc, &missing);
            if !packet.is_empty() {
                out.push(Datagram::Rtcp(packet));
            }
        }
        if self.rtx.is_some() && ms.is_multiple_of(200) && !self.packets.is_empty() && self.frames().is_empty() {
            let mut packet = Vec::new();
            rtcp::write::pli(&mut packet, Ssrc(1), self.ssrc);
            out.push(Datagram::Rtcp(packet));
        }
        if ms % 1_000 == 500 {
            let block = ReportBlock {
                ssrc: self.ssrc,
                fraction_lost: self.fraction_lost,
                cumulative_lost: 0,
                highest_seq: u32::from(low(highest)),
                jitter: 0,
                last_sr: self.last_sr.0,
                delay_since_last_sr: ((ms - self.last_sr.1) * 65_536 / 1_000) as u32,
            };
            let mut packet = Vec::new();
            rtcp::write::receiver_report(&mut packet, Ssrc(1), &[block]);
            out.push(Datagram::Rtcp(packet));
        }
    }

    /// Sequence sequence between the first and the last that never came.
    pub fn missing(&self) -> Vec<u64> {
        let (Some(first), Some(last)) = (self.packets.keys().next(), self.packets.keys().last()) else { return vec![] };
        (*first..*last).filter(|seq| !self.packets.contains_key(seq)).collect()
    }

    /// All complete frames from the first key frame on, in order.
    pub fn frames(&self) -> Vec<Frame> {
        self.complete_frames().into_iter().skip_while(|frame| !frame.key).collect()
    }

    fn complete_frames(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut open: Option<(u64, u8, Frame)> = None;
        for (&seq, packet) in &self.packets {
            let Some(vp8) = Vp8Descriptor::parse(&packet.payload) else {
                assert!(packet.payload.is_empty(), "only fillers have no descriptor");
                continue;
            };
            let body = &packet.payload[vp8.length..];
            let number = u32::from_be_bytes(*body[1..].first_chunk().unwrap());
            let (part, count) = (body[5], body[6]);
            let frame = Frame {
                number,
                key: body[0] & 1 == 0,
                picture_id: vp8.picture_id.unwrap().value,
                timestamp: packet.timestamp,
                made: u64::from_be_bytes(*body[7..].first_chunk().unwrap()),
            };
            open = match open {
                _ if part == 0 => Some((seq, 1, frame)),
                Some((last, parts, first)) if seq == last + 1 && part == parts && frame == first => {
                    Some((seq, parts + 1, frame))
                }
                _ => None,
            };
            if let Some((_, parts, frame)) = open
                && parts == count
            {
                assert!(packet.marker);
                frames.push(frame);
            }
        }
        frames
    }
}
