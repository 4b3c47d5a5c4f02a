//! A receiving bot behind its transport: counts frames, opens them, and answers with the feedback of a real receiver.
//!
//! Without feedback a server would be spared half of its work: this one reports once a second, asks for what is
//! missing, and tells the arrival of every packet ten times a second.

use crate::{
    frame,
    latencies::Latencies,
    reception::{Arrivals, Reception},
    rtcp,
    rtp::RtpView,
    tally::{Arrival, Tally},
};
use e2ee_frames::{Codec, OpenError};
use std::collections::VecDeque;
use tacet_native::{keys::SharedKeys, packet::split_vp8};

const REPORT_NS: u64 = 1_000_000_000;
const FEEDBACK_NS: u64 = 100_000_000;
/// How long a frame waits for its key, and how many do.
const HOLD_NS: u64 = 300_000_000;
const MAX_HELD: usize = 64;

/// A stream as the server forwards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamSsrc {
    pub(crate) media: u32,
    pub(crate) rtx: Option<u32>,
}

/// A receiving bot.
#[derive(Debug)]
pub(crate) struct Receiver {
    own_ssrc: u32,
    transport_cc: Option<u8>,
    /// Absent in a light run, which opens nothing.
    keys: Option<SharedKeys>,
    streams: Vec<(Reception, Option<u32>)>,
    arrivals: Arrivals,
    pub(crate) tally: Tally,
    held: VecDeque<(u64, Vec<u8>)>,
    scratch: Vec<u8>,
    next_report_ns: u64,
    next_feedback_ns: u64,
}

impl Receiver {
    pub(crate) fn new(own_ssrc: u32, transport_cc: Option<u8>, keys: Option<SharedKeys>, tally: Tally) -> Self {
        Self {
            own_ssrc,
            transport_cc,
            keys,
            streams: Vec::new(),
            arrivals: Arrivals::default(),
            tally,
            held: VecDeque::new(),
            scratch: Vec::new(),
            next_report_ns: 0,
            next_feedback_ns: 0,
        }
    }

    pub(crate) fn add_streams(&mut self, streams: &[StreamSsrc]) {
        self.streams.extend(streams.iter().map(|s| (Reception::new(s.media), s.rtx)));
    }

    /// Takes an authenticated packet that arrived at `arrived_ns`.
    pub(crate) fn packet(&mut self, packet: &[u8], arrived_ns: u64, latencies: &mut Latencies) {
        let Some(view) = RtpView::parse(packet, self.transport_cc) else { return };
        if let Some(sequence) = view.transport_sequence {
            self.arrivals.packet(sequence, arrived_ns);
        }
        let found = self.streams.iter_mut().find(|(r, rtx)| r.ssrc() == view.ssrc || *rtx == Some(view.ssrc));
        let Some((reception, _)) = found else { return };
        let (sequence, payload) = if reception.ssrc() == view.ssrc {
            (view.sequence, view.payload)
        } else {
            let Some((original, payload)) = view.payload.split_first_chunk::<2>() else { return };
            (u16::from_be_bytes(*original), payload)
        };
        reception.packet(sequence, arrived_ns);
        // One frame a packet: see crate::sender.
        let Some((true, frame)) = split_vp8(payload) else { return };
        let Some(header) = frame::header(frame) else { return };
        if self.tally.arrived(header.kid, header.ctr, arrived_ns, latencies) != Arrival::Duplicate {
            self.open(frame, arrived_ns);
        }
    }

    fn open(&mut self, frame: &[u8], arrived_ns: u64) {
        let Some(keys) = &self.keys else { return };
        self.scratch.clear();
        self.scratch.extend_from_slice(frame);
        match keys.open(Codec::Vp8, &mut self.scratch) {
            Ok(opened) if self.scratch.get(opened.range.clone()).is_some_and(frame::is_ours) => {}
            Err(OpenError::MissingKey) if self.held.len() < MAX_HELD => {
                self.held.push_back((arrived_ns + HOLD_NS, frame.to_vec()));
            }
            Err(OpenError::Replay) => {}
            _ => self.not_opened(frame),
        }
    }

    /// Counts a frame that does not open, if it is one of those that are measured.
    fn not_opened(&mut self, frame: &[u8]) {
        if let Some(header) = frame::header(frame)
            && self.tally.is_counted(header.kid, header.ctr)
        {
            self.tally.did_not_open();
        }
    }

    /// Tries frames again that waited for a key.
    fn retry_held(&mut self, now_ns: u64) {
        for _ in 0..self.held.len() {
            let Some((until, frame)) = self.held.pop_front() else { return };
            if until <= now_ns {
                self.not_opened(&frame);
                continue;
            }
            self.scratch.clone_from(&frame);
            match self.keys.as_ref().map(|keys| keys.open(Codec::Vp8, &mut self.scratch)) {
                Some(Err(OpenError::MissingKey)) => self.held.push_back((until, frame)),
                Some(Ok(_)) | None => {}
                Some(Err(_)) => self.not_opened(&frame),
            }
        }
    }

    /// Writes the RTCP that is due; each goes to `send`.
    pub(crate) fn tick(&mut self, now_ns: u64, mut send: impl FnMut(&[u8])) {
        self.retry_held(now_ns);
        let mut packet = Vec::new();
        for (reception, _) in &mut self.streams {
            let missing = reception.take_due(now_ns);
            if !missing.is_empty() {
                rtcp::nack(self.own_ssrc, reception.ssrc(), &missing, &mut packet);
                send(&packet);
                packet.clear();
            }
        }
        if now_ns >= self.next_report_ns {
            self.next_report_ns = now_ns + REPORT_NS;
            let blocks: Vec<_> = self.streams.iter_mut().filter_map(|(reception, _)| reception.report()).collect();
            for blocks in blocks.chunks(31) {
                rtcp::receiver_report(self.own_ssrc, blocks, &mut packet);
                send(&packet);
                packet.clear();
            }
        }
        if now_ns >= self.next_feedback_ns {
            self.next_feedback_ns = now_ns + FEEDBACK_NS;
            let media = self.streams.first().map_or(0, |(reception, _)| reception.ssrc());
            if let Some((count, base, arrivals)) = self.arrivals.take() {
                rtcp::transport_feedback(self.own_ssrc, media, count, base, &arrivals, &mut packet);
                if !packet.is_empty() {
                    send(&packet);
                }
            }
        }
    }
}
