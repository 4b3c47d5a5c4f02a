//! A publishing bot behind its transport.
//!
//! Every packet is one sealed frame of its own, so that KID and CTR of its clear header name the packet and its latency
//! can be measured; a burst is `burst` such frames sent at once, which loads a server as one large frame does. Frames
//! are sealed with the keys of a real join, and the first, and each that is asked for, is a key frame.

use crate::{
    frame,
    latencies::Latencies,
    rtcp::{self, Request, SenderReport},
    rtp::RtpHeader,
    schedule::Schedule,
    sendlog::SendLog,
    tally::Window,
};
use e2ee_frames::{Codec, FrameKind, StreamId};
use std::sync::Arc;
use tacet_native::{
    keys::SharedKeys,
    packet::{VP8_DESCRIPTOR_BYTES, vp8_descriptor},
};

const CLOCK_HZ: u64 = 90_000;
const REPORT_NS: u64 = 1_000_000_000;
/// Packets kept for retransmission, a power of two.
const STORED: usize = 4_096;
/// Bytes around a frame's contents at most in steady state: descriptor, delta envelope, SFrame header, tag.
const OVERHEAD_BYTES: usize = VP8_DESCRIPTOR_BYTES + 1 + 7 + 16;

/// The stream of a publishing bot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) ssrc: u32,
    pub(crate) rtx: u32,
    pub(crate) payload_type: u8,
    pub(crate) rtx_payload_type: u8,
    pub(crate) transport_cc: Option<u8>,
}

/// What a publishing bot did.
#[derive(Debug)]
pub(crate) struct SenderStats {
    /// Frames sent in the measured time.
    pub(crate) sent: u64,
    /// Packets that were due and not sent.
    pub(crate) skipped: u64,
    /// Packets that the kernel refused.
    pub(crate) errors: u64,
    /// How late bursts were.
    pub(crate) lag: Latencies,
}

/// A publishing bot.
#[derive(Debug)]
pub(crate) struct Sender {
    keys: SharedKeys,
    stream: Stream,
    pps: u32,
    burst: u32,
    contents: Vec<u8>,
    log: Arc<SendLog>,
    window: Arc<Window>,
    schedule: Option<Schedule>,
    started_ns: u64,
    sequence: u16,
    rtx_sequence: u16,
    transport_sequence: u16,
    picture: u16,
    last_timestamp: Option<u32>,
    key_frame_wanted: bool,
    stored: Vec<Option<Stored>>,
    /// Frames of the burst that is being made.
    frames: Vec<(u64, u64)>,
    packets: u32,
    bytes: u32,
    next_report_ns: u64,
    header: Vec<u8>,
    payload: Vec<u8>,
    pub(crate) stats: SenderStats,
}

#[derive(Clone, Debug)]
struct Stored {
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

impl Sender {
    pub(crate) fn new(
        keys: SharedKeys,
        stream: Stream,
        (pps, burst, size): (u32, u32, usize),
        log: Arc<SendLog>,
        window: Arc<Window>,
    ) -> Self {
        Self {
            keys,
            stream,
            pps,
            burst,
            contents: frame::contents(size.saturating_sub(OVERHEAD_BYTES)),
            log,
            window,
            schedule: None,
            started_ns: 0,
            sequence: 0,
            rtx_sequence: 0,
            transport_sequence: 0,
            picture: 0,
            last_timestamp: None,
            key_frame_wanted: true,
            stored: vec![None; STORED],
            frames: Vec::new(),
            packets: 0,
            bytes: 0,
            next_report_ns: 0,
            header: Vec::new(),
            payload: Vec::new(),
            stats: SenderStats { sent: 0, skipped: 0, errors: 0, lag: Latencies::new() },
        }
    }

    /// Starts to send.
    pub(crate) fn start(&mut self, now_ns: u64) {
        self.started_ns = now_ns;
        self.schedule = Some(Schedule::new(now_ns, self.pps, self.burst));
    }

    /// Stops sending; retransmissions go on.
    pub(crate) fn stop(&mut self) {
        if let Some(schedule) = self.schedule.take() {
            self.stats.skipped += schedule.skipped_packets();
        }
    }

    /// When the next burst is due.
    pub(crate) fn due_at(&self) -> Option<u64> {
        self.schedule.as_ref().map(Schedule::due_at)
    }

    /// Makes the next burst if it is due: clear packets go to `seal`, in order. [`Sender::leaving`] must follow, just
    /// before they are sent.
    pub(crate) fn burst(&mut self, now_ns: u64, mut seal: impl FnMut(&[u8], &[u8])) -> bool {
        let Some(lag) = self.schedule.as_mut().and_then(|schedule| schedule.take(now_ns)) else { return false };
        self.stats.lag.record(lag / 1_000);
        self.frames.clear();
        for n in 0..u64::from(self.burst) {
            self.frame(now_ns, n, &mut seal);
        }
        true
    }

    fn frame(&mut self, now_ns: u64, n: u64, seal: &mut impl FnMut(&[u8], &[u8])) {
        let kind = if self.key_frame_wanted { FrameKind::Key } else { FrameKind::Delta };
        self.payload.clear();
        self.payload.extend_from_slice(&vp8_descriptor(true, self.picture & 0x7fff));
        self.payload.resize(VP8_DESCRIPTOR_BYTES + self.contents.len() + 64, 0);
        let Some(out) = self.payload.get_mut(VP8_DESCRIPTOR_BYTES..) else { return };
        let Ok(length) = self.keys.seal(StreamId::CAMERA, Codec::Vp8, kind, &self.contents, out) else {
            // Without a key nothing leaves: there is no plaintext path, not even here.
            self.stats.skipped += 1;
            return;
        };
        self.payload.truncate(VP8_DESCRIPTOR_BYTES + length);
        let Some(header) = self.payload.get(VP8_DESCRIPTOR_BYTES..).and_then(frame::header) else { return };
        self.frames.push((header.kid, header.ctr));
        self.key_frame_wanted = false;
        self.picture = self.picture.wrapping_add(1);
        let timestamp = self.timestamp(now_ns).wrapping_add((n * CLOCK_HZ / u64::from(self.pps)) as u32);
        // A late burst reaches into the time of the next: a later frame is never older.
        let behind = |last: &u32| timestamp.wrapping_sub(*last).cast_signed() <= 0;
        let timestamp = self.last_timestamp.filter(behind).map_or(timestamp, |last| last.wrapping_add(1));
        self.last_timestamp = Some(timestamp);
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.write_header(self.stream.ssrc, self.stream.payload_type, sequence, timestamp);
        seal(&self.header, &self.payload);
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(self.payload.len() as u32);
        if let Some(place) = self.stored.get_mut(usize::from(sequence) % STORED) {
            let mut payload = place.take().map(|stored| stored.payload).unwrap_or_default();
            payload.clone_from(&self.payload);
            *place = Some(Stored { sequence, timestamp, payload });
        }
    }

    fn write_header(&mut self, ssrc: u32, payload_type: u8, sequence: u16, timestamp: u32) {
        let transport_sequence = self.stream.transport_cc.map(|id| (id, self.transport_sequence));
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let header = RtpHeader { ssrc, sequence, payload_type, timestamp, marker: true, transport_sequence };
        header.write(&mut self.header);
    }

    /// Notes the time at which the burst leaves.
    pub(crate) fn leaving(&mut self, now_ns: u64) {
        for (kid, ctr) in &self.frames {
            self.log.record(*kid, *ctr, now_ns);
        }
        if self.window.contains(now_ns) {
            self.stats.sent += self.frames.len() as u64;
        }
    }

    /// Takes RTCP of the server; retransmissions go to `seal`.
    pub(crate) fn feedback(&mut self, compound: &[u8], mut seal: impl FnMut(&[u8], &[u8])) {
        let mut wanted = Vec::new();
        let own = self.stream.ssrc;
        rtcp::requests(compound, |request| match request {
            Request::KeyFrame { ssrc } if ssrc == own => self.key_frame_wanted = true,
            Request::Retransmit { ssrc, sequence } if ssrc == own => wanted.push(sequence),
            _ => {}
        });
        for sequence in wanted {
            let found = self.stored.get(usize::from(sequence) % STORED).and_then(Option::as_ref);
            let Some(Stored { timestamp, payload, .. }) = found.filter(|s| s.sequence == sequence) else { continue };
            self.payload.clear();
            self.payload.extend_from_slice(&sequence.to_be_bytes());
            self.payload.extend_from_slice(payload);
            let (timestamp, rtx_sequence) = (*timestamp, self.rtx_sequence);
            self.rtx_sequence = rtx_sequence.wrapping_add(1);
            self.write_header(self.stream.rtx, self.stream.rtx_payload_type, rtx_sequence, timestamp);
            seal(&self.header, &self.payload);
        }
    }

    /// Writes the sender report if it is due.
    pub(crate) fn report(&mut self, now_ns: u64) -> Option<Vec<u8>> {
        if self.packets == 0 || now_ns < self.next_report_ns {
            return None;
        }
        self.next_report_ns = now_ns + REPORT_NS;
        let report = SenderReport {
            ssrc: self.stream.ssrc,
            now_ns,
            timestamp: self.timestamp(now_ns),
            packets: self.packets,
            bytes: self.bytes,
        };
        let mut packet = Vec::new();
        report.write(&mut packet);
        Some(packet)
    }

    /// RTP timestamp of a time.
    fn timestamp(&self, now_ns: u64) -> u32 {
        let elapsed = u128::from(now_ns.saturating_sub(self.started_ns));
        (elapsed * u128::from(CLOCK_HZ) / 1_000_000_000) as u32
    }
}
