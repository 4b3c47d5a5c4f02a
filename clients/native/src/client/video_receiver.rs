//! Received video of one slot: packets to whole sealed frames in decoding order, opened, without gaps.
//!
//! ```text
//!  packets ─► Assembler ─► held (by sequence number) ─► open ─► OpenedFrame
//!                              │ gap: wait for RTX          │ key missing: wait for it
//!                              └──────── timeout: ──────────┴─► drop until the next key frame, request one
//! ```
//! A slot's sequence numbers continue without a gap when another track moves into it: every missing number is a lost
//! packet.

use crate::video::{AssembledFrame, Assembler, kind_of_access_unit};
use bytes::Bytes;
use e2ee_frames::{FrameKind, OpenError, Opened};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tacet_proto::media::Codec;

/// How long to wait for retransmissions: a round trip and two NACKs.
const REPAIR_TIMEOUT: Duration = Duration::from_millis(300);
/// How long to hold a frame whose key is missing.
pub(super) const KEY_TIMEOUT: Duration = Duration::from_millis(300);
/// Maximum number of held frames.
pub(super) const MAX_HELD_FRAMES: usize = 64;
/// Minimum time between two key frame requests.
const KEY_FRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct VideoReceiver {
    codec: Codec,
    assembler: Assembler,
    /// Whole sealed frames by the extended sequence number of their first packet.
    held: BTreeMap<u64, HeldFrame>,
    /// Extended sequence number of the next packet in decoding order; `None` before the first frame.
    next: Option<u64>,
    highest: Option<u64>,
    needs_key_frame: bool,
    /// Whether a frame was dropped since a key frame was last requested.
    dropped_since_request: bool,
    requested_at: Option<Instant>,
    /// The last opened frame, for the authenticated sender of the stream.
    sender: Option<Opened>,
}

#[derive(Debug)]
struct HeldFrame {
    /// Extended sequence number after its last packet.
    end: u64,
    timestamp: u32,
    since: Instant,
    sealed: Vec<u8>,
}

/// A frame that was opened.
#[derive(Debug)]
pub(super) struct OpenedFrame {
    pub(super) opened: Opened,
    pub(super) key: bool,
    pub(super) timestamp: u32,
    pub(super) data: Bytes,
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// The next frame in decoding order.
    Frame(OpenedFrame),
    NotOpened(OpenError),
}

impl VideoReceiver {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            assembler: Assembler::new(codec),
            held: BTreeMap::new(),
            next: None,
            highest: None,
            needs_key_frame: true,
            dropped_since_request: false,
            requested_at: None,
            sender: None,
        }
    }

    pub(super) fn on_packet(&mut self, now: Instant, sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) {
        let Some(AssembledFrame { bytes, first, last }) = self.assembler.push(sequence, marker, payload) else {
            return;
        };
        let start = self.unwrap_sequence(first);
        let end = start + u64::from(last.wrapping_sub(first)) + 1;
        if self.next.is_some_and(|next| start < next) {
            return;
        }
        self.held.insert(start, HeldFrame { end, timestamp, since: now, sealed: bytes });
        if self.held.len() > MAX_HELD_FRAMES
            && let Some((_, oldest)) = self.held.pop_first()
        {
            self.next = Some(oldest.end);
            self.require_key_frame();
        }
    }

    /// The next frame in decoding order, opened by `open`; `None` if there is none yet.
    pub(super) fn next(
        &mut self,
        now: Instant,
        open: &mut impl FnMut(&mut [u8]) -> Result<Opened, OpenError>,
    ) -> Option<Outcome> {
        loop {
            let entry = self.held.first_entry()?;
            let (start, waited) = (*entry.key(), now.saturating_duration_since(entry.get().since));
            if self.next.is_some_and(|next| next != start) {
                if waited < REPAIR_TIMEOUT {
                    return None;
                }
                self.next = Some(start);
                self.require_key_frame();
                continue;
            }
            let mut frame = entry.remove();
            match open(&mut frame.sealed) {
                Err(OpenError::MissingKey) if waited < KEY_TIMEOUT => {
                    self.held.insert(start, frame);
                    return None;
                }
                Err(error) => {
                    self.next = Some(frame.end);
                    self.require_key_frame();
                    return Some(Outcome::NotOpened(error));
                }
                Ok(opened) => {
                    self.next = Some(frame.end);
                    if let Some(frame) = self.on_opened(opened, frame) {
                        return Some(Outcome::Frame(frame));
                    }
                }
            }
        }
    }

    /// Whether to request a key frame now; if so, the request counts as sent.
    pub(super) fn take_key_frame_request(&mut self, now: Instant) -> bool {
        let due = self.needs_key_frame
            && self.dropped_since_request
            && self.requested_at.is_none_or(|at| now.saturating_duration_since(at) >= KEY_FRAME_REQUEST_INTERVAL);
        if due {
            (self.dropped_since_request, self.requested_at) = (false, Some(now));
        }
        due
    }

    /// Drops frames until the next key frame, which is requested.
    pub(super) fn require_key_frame(&mut self) {
        (self.needs_key_frame, self.dropped_since_request) = (true, true);
    }

    /// A key of the sender in this slot was installed: a key frame may be requested without waiting for the interval.
    pub(super) fn key_installed(&mut self) {
        self.requested_at = None;
    }

    fn on_opened(&mut self, opened: Opened, frame: HeldFrame) -> Option<OpenedFrame> {
        let data = Bytes::from(frame.sealed).slice(opened.range.clone());
        // VP9 has no envelope: its frame kind can only be read from the opened frame.
        let key = opened.kind == FrameKind::Key
            || (self.codec == Codec::Vp9 && kind_of_access_unit(self.codec, &data) == FrameKind::Key);
        let same_sender = self
            .sender
            .as_ref()
            .is_some_and(|sender| (sender.participant, sender.stream) == (opened.participant, opened.stream));
        if !key && (self.needs_key_frame || !same_sender) {
            self.require_key_frame();
            return None;
        }
        self.needs_key_frame = false;
        self.sender = Some(opened.clone());
        Some(OpenedFrame { opened, key, timestamp: frame.timestamp, data })
    }

    /// Extends a sequence number by the highest one seen, across the wrap.
    fn unwrap_sequence(&mut self, sequence: u16) -> u64 {
        // Starts far above zero, so that there is room for numbers before the first.
        let highest = *self.highest.get_or_insert(0x1_0000 + u64::from(sequence));
        let ahead = sequence.wrapping_sub(highest as u16) as i16;
        let extended = highest.saturating_add_signed(i64::from(ahead));
        self.highest = Some(highest.max(extended));
        extended
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::video::Packetizer;
    use e2ee_frames::{ParticipantId, Seat, StreamId};

    /// VP8 key frame envelope. Test frames are "sealed" in an envelope; the byte after it is the frame's number.
    const KEY: [u8; 10] = [0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0];

    /// Packets of `frames` frames, two packets each; the first and those in `keys` are key frames.
    fn packets(frames: u8, keys: &[u8], first: u16) -> Vec<(u16, u32, bool, Bytes)> {
        let (mut packetizer, mut sequence) = (Packetizer::new(e2ee_frames::Codec::Vp8, 0), first);
        let mut packets = Vec::new();
        for n in 0..frames {
            let kind = if n == 0 || keys.contains(&n) { FrameKind::Key } else { FrameKind::Delta };
            let envelope: &[u8] = if kind == FrameKind::Key { &KEY } else { &[0x11] };
            let sealed = [envelope, &[n], &[7; 1_500]].concat();
            for payload in packetizer.packetize(&sealed, kind).unwrap() {
                packets.push((sequence, u32::from(n) * 3_000, payload.marker, payload.bytes));
                sequence = sequence.wrapping_add(1);
            }
        }
        packets
    }

    fn open_as(participant: u32) -> impl FnMut(&mut [u8]) -> Result<Opened, OpenError> {
        move |frame| {
            let kind = if frame[0] == 0x10 { FrameKind::Key } else { FrameKind::Delta };
            let start = if kind == FrameKind::Key { KEY.len() } else { 1 };
            let (participant, stream) = (ParticipantId(participant), StreamId::CAMERA);
            Ok(Opened { participant, seat: Seat(0), stream, kind, range: start..start + 1 })
        }
    }

    fn shown(
        video: &mut VideoReceiver,
        now: Instant,
        mut open: impl FnMut(&mut [u8]) -> Result<Opened, OpenError>,
    ) -> Vec<u8> {
        let mut shown = Vec::new();
        while let Some(outcome) = video.next(now, &mut open) {
            if let Outcome::Frame(frame) = outcome {
                shown.push(frame.data[0]);
            }
        }
        shown
    }

    fn feed<'a>(
        video: &mut VideoReceiver,
        now: Instant,
        packets: impl IntoIterator<Item = &'a (u16, u32, bool, Bytes)>,
    ) {
        for (sequence, timestamp, marker, payload) in packets {
            video.on_packet(now, *sequence, *timestamp, *marker, payload);
        }
    }

    #[test]
    fn frames_come_in_decoding_order_when_packets_are_reordered() {
        let (mut video, now) = (VideoReceiver::new(Codec::Vp8), Instant::now());
        let packets = packets(3, &[], 65_533);
        feed(&mut video, now, &packets[..2]);
        assert_eq!(shown(&mut video, now, open_as(1)), [0]);
        feed(&mut video, now, packets[2..].iter().rev());
        assert_eq!(shown(&mut video, now, open_as(1)), [1, 2]);
        assert!(!video.take_key_frame_request(now));
    }

    #[test]
    fn gap_repaired_in_time_loses_no_frame() {
        let (mut video, now) = (VideoReceiver::new(Codec::Vp8), Instant::now());
        let packets = packets(3, &[], 5);
        feed(&mut video, now, packets.iter().filter(|(sequence, ..)| *sequence != 7));
        assert_eq!(shown(&mut video, now, open_as(1)), [0]);
        let later = now + REPAIR_TIMEOUT / 2;
        feed(&mut video, later, &packets[2..3]);
        assert_eq!(shown(&mut video, later, open_as(1)), [1, 2]);
    }

    #[test]
    fn unrepaired_gap_drops_until_requested_key_frame() {
        let (mut video, now) = (VideoReceiver::new(Codec::Vp8), Instant::now());
        let packets = packets(5, &[4], 5);
        feed(&mut video, now, packets[..8].iter().filter(|(sequence, ..)| *sequence != 7));
        assert_eq!(shown(&mut video, now, open_as(1)), [0]);
        let later = now + REPAIR_TIMEOUT;
        assert_eq!(shown(&mut video, later, open_as(1)), b"");
        assert!(video.take_key_frame_request(later) && !video.take_key_frame_request(later), "once");
        feed(&mut video, later, &packets[8..]);
        assert_eq!(shown(&mut video, later, open_as(1)), [4]);
        assert!(!video.take_key_frame_request(later + KEY_FRAME_REQUEST_INTERVAL));
    }

    #[test]
    fn frames_are_held_for_a_missing_key_until_timeout() {
        let no_key = |_: &mut [u8]| Err(OpenError::MissingKey);
        let (mut video, now) = (VideoReceiver::new(Codec::Vp8), Instant::now());
        let packets = packets(4, &[2], 5);
        feed(&mut video, now, &packets[..4]);
        assert_eq!(shown(&mut video, now, no_key), b"");
        assert_eq!(shown(&mut video, now + KEY_TIMEOUT / 2, open_as(1)), [0, 1], "the key came in time");
        feed(&mut video, now, &packets[4..]);
        let late = now + KEY_TIMEOUT;
        assert_eq!(shown(&mut video, late, no_key), b"");
        assert!(video.held.is_empty() && video.take_key_frame_request(late), "it came too late");
        video.require_key_frame();
        video.key_installed();
        assert!(video.take_key_frame_request(late), "a key that comes asks at once");
    }

    #[test]
    fn new_sender_in_slot_starts_with_key_frame() {
        let (mut video, now) = (VideoReceiver::new(Codec::Vp8), Instant::now());
        let packets = packets(4, &[2], 5);
        feed(&mut video, now, &packets[..2]);
        assert_eq!(shown(&mut video, now, open_as(1)), [0]);
        feed(&mut video, now, &packets[2..]);
        assert_eq!(shown(&mut video, now, open_as(2)), [2, 3], "frame 1 was of the previous sender");
    }

    #[test]
    fn held_frames_are_bounded() {
        let (mut video, now) = (VideoReceiver::new(Codec::Vp8), Instant::now());
        feed(&mut video, now, &packets(200, &[], 5));
        assert!(video.held.len() <= MAX_HELD_FRAMES);
    }
}
