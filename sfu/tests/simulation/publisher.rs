//! The sending side of a client.

use super::Datagram;
use rtp_wire::{
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtcp::{self, ReportBlock, Rtcp, SenderInfo},
    seq::SeqNum,
};
use sfu::Ssrc;
use std::collections::BTreeMap;
use tacet_impair::Random;

/// Milliseconds between frames.
pub const FRAME: u64 = 33;
const KEY_PACKETS: u8 = 8;

pub fn packet(header: RtpHeader, extensions: HeaderExtensions<'_>, payload: &[u8]) -> Vec<u8> {
    let mut buffer = HeaderBuffer::default();
    buffer.build(header, extensions);
    [buffer.as_bytes(), payload].concat()
}

/// The wall clock of a publisher, in NTP format, at `ms` of virtual time. Each publisher has its own skew.
pub fn ntp(skew: u64, ms: u64) -> u64 {
    let ms = skew + ms;
    ((ms / 1_000) << 32) | (((ms % 1_000) << 32) / 1_000)
}

fn report(ssrc: Ssrc, skew: u64, ms: u64, timestamp: u32) -> Datagram {
    let mut out = Vec::new();
    rtcp::write::sender_report(&mut out, ssrc, &SenderInfo { ntp: ntp(skew, ms), timestamp, packets: 1, octets: 1 });
    Datagram::Rtcp(out)
}

pub struct VideoSource {
    pub ssrc: Ssrc,
    pub rtx_ssrc: Ssrc,
    pub skew: u64,
    pub paused: bool,
    pub key_frames: u64,
    pub plis: u64,
    pub frames: u32,
    /// Packets of a frame, other than key frames, and bytes of each.
    pub delta_packets: u8,
    pub payload: usize,
    /// Sends a packet of padding after every frame.
    pub padding: bool,
    seq: u16,
    rtx_seq: u16,
    transport_seq: u16,
    base: u32,
    picture_id: u16,
    key_requested: bool,
    sent: BTreeMap<u16, (bool, u32, Vec<u8>)>,
}

impl VideoSource {
    pub fn new(random: &mut Random) -> Self {
        Self {
            ssrc: Ssrc(random.next() as u32),
            rtx_ssrc: Ssrc(random.next() as u32),
            skew: random.below(1_000_000_000),
            paused: false,
            key_frames: 0,
            plis: 0,
            frames: 0,
            delta_packets: 3,
            payload: 120,
            padding: false,
            seq: random.next() as u16,
            rtx_seq: random.next() as u16,
            transport_seq: random.next() as u16,
            base: random.next() as u32,
            picture_id: random.next() as u16,
            key_requested: true,
            sent: BTreeMap::new(),
        }
    }

    fn timestamp(&self, ms: u64) -> u32 {
        self.base.wrapping_add((ms * 90) as u32)
    }

    pub fn produce(&mut self, ms: u64, out: &mut Vec<Datagram>) {
        if ms.is_multiple_of(1_000) {
            out.push(report(self.ssrc, self.skew, ms, self.timestamp(ms)));
        }
        if self.paused || !ms.is_multiple_of(FRAME) {
            return;
        }
        let key = std::mem::take(&mut self.key_requested);
        self.key_frames += u64::from(key);
        self.picture_id = self.picture_id.wrapping_add(1);
        let count = if key { KEY_PACKETS } else { self.delta_packets };
        for number in 0..count {
            let [high, low] = self.picture_id.to_be_bytes();
            let start = if number == 0 { 0x10 } else { 0 };
            let mut payload = vec![0x80 | start, 0xc0, 0x80 | high, low, low, if key { 0x10 } else { 0x11 }];
            payload.extend(self.frames.to_be_bytes());
            payload.extend([number, count]);
            payload.extend(ms.to_be_bytes());
            payload.resize(self.payload, 0xee);
            self.send(number + 1 == count, self.timestamp(ms), &payload, out);
        }
        if self.padding {
            let mut bytes = packet(self.header(96, self.seq, false, 0, self.ssrc), self.extensions(), &[0, 0, 0, 4]);
            bytes[0] |= 0x20;
            self.seq = self.seq.wrapping_add(1);
            out.push(Datagram::Rtp(bytes));
        }
        self.frames += 1;
    }

    fn header(&self, payload_type: u8, seq: u16, marker: bool, timestamp: u32, ssrc: Ssrc) -> RtpHeader {
        RtpHeader { marker, payload_type, seq: SeqNum(seq), timestamp, ssrc }
    }

    fn extensions(&mut self) -> HeaderExtensions<'static> {
        self.transport_seq = self.transport_seq.wrapping_add(1);
        HeaderExtensions { twcc_seq: Some(self.transport_seq), ..Default::default() }
    }

    fn send(&mut self, marker: bool, timestamp: u32, payload: &[u8], out: &mut Vec<Datagram>) {
        let header = self.header(96, self.seq, marker, timestamp, self.ssrc);
        out.push(Datagram::Rtp(packet(header, self.extensions(), payload)));
        self.sent.insert(self.seq, (marker, timestamp, payload.to_vec()));
        self.seq = self.seq.wrapping_add(1);
    }

    pub fn on_rtcp(&mut self, part: &Rtcp<'_>, out: &mut Vec<Datagram>) {
        match part {
            Rtcp::Pli { media } if *media == self.ssrc => {
                self.key_requested = true;
                self.plis += 1;
            }
            Rtcp::Nack { media, lost } if *media == self.ssrc => {
                for seq in *lost {
                    let Some((marker, timestamp, payload)) = self.sent.get(&seq.0).cloned() else { continue };
                    let header = self.header(97, self.rtx_seq, marker, timestamp, self.rtx_ssrc);
                    let payload = [&seq.0.to_be_bytes(), &payload[..]].concat();
                    out.push(Datagram::Rtp(packet(header, self.extensions(), &payload)));
                    self.rtx_seq = self.rtx_seq.wrapping_add(1);
                }
            }
            _ => {}
        }
    }
}

pub struct AudioSource {
    pub ssrc: Ssrc,
    pub skew: u64,
    /// In −dBov.
    pub level: u8,
    /// Whether packets carry the level.
    pub levels: bool,
    /// Sends nothing.
    pub paused: bool,
    /// The reports on it.
    pub reports: Vec<ReportBlock>,
    seq: u16,
    base: u32,
}

impl AudioSource {
    pub fn new(random: &mut Random) -> Self {
        Self {
            ssrc: Ssrc(random.next() as u32),
            skew: 0,
            level: 100,
            levels: true,
            paused: false,
            reports: Vec::new(),
            seq: random.next() as u16,
            base: random.next() as u32,
        }
    }

    pub fn on_rtcp(&mut self, part: &Rtcp<'_>) {
        if let Rtcp::ReceiverReport { blocks, .. } = part {
            blocks.for_each(|block| self.reports.extend((block.ssrc == self.ssrc).then_some(block)));
        }
    }

    pub fn produce(&mut self, ms: u64, out: &mut Vec<Datagram>) {
        let timestamp = self.base.wrapping_add((ms * 48) as u32);
        if ms % 1_000 == 300 {
            out.push(report(self.ssrc, self.skew, ms, timestamp));
        }
        if ms.is_multiple_of(20) && !self.paused {
            let header =
                RtpHeader { marker: false, payload_type: 111, seq: SeqNum(self.seq), timestamp, ssrc: self.ssrc };
            let extensions =
                HeaderExtensions { audio_level: Some(self.level).filter(|_| self.levels), ..Default::default() };
            let payload = [&ms.to_be_bytes()[..], &self.ssrc.0.to_be_bytes()].concat();
            out.push(Datagram::Rtp(packet(header, extensions, &payload)));
            self.seq = self.seq.wrapping_add(1);
        }
    }
}
