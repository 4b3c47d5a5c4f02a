//! The pictures of one slot: packets to whole sealed frames, in the order of decoding, opened, without gaps.
//!
//! ```text
//!  packets ─► Assembler ─► waiting (by sequence number) ─► open ─► VideoFrame
//!                              │ gap: wait for a repair        │ no key yet: wait for it
//!                              └──────────── too long: ────────┴─► nothing before the next key frame, ask for one
//! ```
//! A slot's sequence numbers go on without a gap when another track moves into it, so what is missing was lost.

use crate::video::{Assembled, Assembler, frame_codec, kind_of_access_unit};
use bytes::Bytes;
use e2ee_frames::{FrameKind, OpenError, Opened};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tacet_proto::media::Codec;

/// How long a gap may be repaired by retransmission: a round trip and two turns of the requests.
const REPAIR: Duration = Duration::from_millis(300);
/// How long a frame is held for its key.
pub(super) const KEY_PATIENCE: Duration = Duration::from_millis(300);
/// Frames that are held.
pub(super) const MAX_HELD: usize = 64;
/// Between two requests for a key frame.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// The receiving end of one slot.
#[derive(Debug)]
pub(super) struct Pictures {
    codec: Codec,
    assembler: Assembler,
    /// Whole sealed frames by the extended number of their first packet.
    waiting: BTreeMap<u64, Waiting>,
    /// Extended number of the packet that comes next; `None` before the first frame.
    next: Option<u64>,
    newest: Option<u64>,
    needs_key_frame: bool,
    /// A frame was thrown away since a key frame was asked for.
    thrown_away: bool,
    asked: Option<Instant>,
    /// Whose pictures these are, by the frames themselves.
    of: Option<Opened>,
}

#[derive(Debug)]
struct Waiting {
    /// Extended number behind its last packet.
    end: u64,
    timestamp: u32,
    since: Instant,
    sealed: Vec<u8>,
}

/// A picture that was opened.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) opened: Opened,
    pub(super) key: bool,
    pub(super) timestamp: u32,
    pub(super) data: Bytes,
}

/// What came of a frame.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A picture, in its turn.
    Picture(Picture),
    /// A frame that did not open.
    NotOpened(OpenError),
}

impl Pictures {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            assembler: Assembler::new(frame_codec(codec)),
            waiting: BTreeMap::new(),
            next: None,
            newest: None,
            needs_key_frame: true,
            thrown_away: false,
            asked: None,
            of: None,
        }
    }

    /// Takes a packet.
    pub(super) fn packet(&mut self, now: Instant, sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) {
        let Some(Assembled { bytes, first, last }) = self.assembler.push(sequence, marker, payload) else { return };
        let start = self.extend(first);
        let end = start + u64::from(last.wrapping_sub(first)) + 1;
        if self.next.is_some_and(|next| start < next) {
            return;
        }
        self.waiting.insert(start, Waiting { end, timestamp, since: now, sealed: bytes });
        if self.waiting.len() > MAX_HELD
            && let Some((_, oldest)) = self.waiting.pop_first()
        {
            self.next = Some(oldest.end);
            self.break_off();
        }
    }

    /// The next frame whose turn it is, opened with `open`; `None` if there is none yet.
    pub(super) fn next(
        &mut self,
        now: Instant,
        open: &mut impl FnMut(&mut [u8]) -> Result<Opened, OpenError>,
    ) -> Option<Outcome> {
        loop {
            let entry = self.waiting.first_entry()?;
            let (start, waited) = (*entry.key(), now.saturating_duration_since(entry.get().since));
            if self.next.is_some_and(|next| next != start) {
                if waited < REPAIR {
                    return None;
                }
                self.next = Some(start);
                self.break_off();
                continue;
            }
            let mut frame = entry.remove();
            match open(&mut frame.sealed) {
                Err(OpenError::MissingKey) if waited < KEY_PATIENCE => {
                    self.waiting.insert(start, frame);
                    return None;
                }
                Err(error) => {
                    self.next = Some(frame.end);
                    self.break_off();
                    return Some(Outcome::NotOpened(error));
                }
                Ok(opened) => {
                    self.next = Some(frame.end);
                    if let Some(picture) = self.opened(opened, frame) {
                        return Some(Outcome::Picture(picture));
                    }
                }
            }
        }
    }

    /// Whether to ask for a key frame now.
    pub(super) fn asks_for_key_frame(&mut self, now: Instant) -> bool {
        let asks = self.needs_key_frame
            && self.thrown_away
            && self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= ASK_EVERY);
        if asks {
            (self.thrown_away, self.asked) = (false, Some(now));
        }
        asks
    }

    /// Nothing is shown before the next key frame, which is asked for.
    pub(super) fn break_off(&mut self) {
        (self.needs_key_frame, self.thrown_away) = (true, true);
    }

    /// The key of whoever is in the slot has come: what was thrown away before is asked for again, without waiting.
    pub(super) fn key_came(&mut self) {
        self.asked = None;
    }

    fn opened(&mut self, opened: Opened, frame: Waiting) -> Option<Picture> {
        let data = Bytes::from(frame.sealed).slice(opened.range.clone());
        // VP9 shows its kind inside the frame only.
        let key = opened.kind == FrameKind::Key
            || (self.codec == Codec::Vp9 && kind_of_access_unit(frame_codec(self.codec), &data) == FrameKind::Key);
        let same =
            self.of.as_ref().is_some_and(|of| (of.participant, of.stream) == (opened.participant, opened.stream));
        if !key && (self.needs_key_frame || !same) {
            self.break_off();
            return None;
        }
        self.needs_key_frame = false;
        self.of = Some(opened.clone());
        Some(Picture { opened, key, timestamp: frame.timestamp, data })
    }

    /// A sequence number beside the newest one, without its wrap.
    fn extend(&mut self, sequence: u16) -> u64 {
        // Starts far from zero, so that numbers before the first have room.
        let newest = *self.newest.get_or_insert(0x1_0000 + u64::from(sequence));
        let ahead = sequence.wrapping_sub(newest as u16) as i16;
        let extended = newest.saturating_add_signed(i64::from(ahead));
        self.newest = Some(newest.max(extended));
        extended
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::video::Packetizer;
    use e2ee_frames::{ParticipantId, Seat, StreamId};

    /// Frames are "sealed" by an envelope of VP8, whose kind it shows; the first byte behind it is their number.
    const KEY: [u8; 10] = [0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0];

    /// Packets of so many frames, each of two packets; the first is a key frame, and each that `keys` names.
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
        pictures: &mut Pictures,
        now: Instant,
        mut open: impl FnMut(&mut [u8]) -> Result<Opened, OpenError>,
    ) -> Vec<u8> {
        let mut shown = Vec::new();
        while let Some(outcome) = pictures.next(now, &mut open) {
            if let Outcome::Picture(picture) = outcome {
                shown.push(picture.data[0]);
            }
        }
        shown
    }

    fn feed<'a>(pictures: &mut Pictures, now: Instant, packets: impl IntoIterator<Item = &'a (u16, u32, bool, Bytes)>) {
        for (sequence, timestamp, marker, payload) in packets {
            pictures.packet(now, *sequence, *timestamp, *marker, payload);
        }
    }

    #[test]
    fn frames_come_in_order_however_their_packets_came() {
        let (mut pictures, now) = (Pictures::new(Codec::Vp8), Instant::now());
        let packets = packets(3, &[], 65_533);
        feed(&mut pictures, now, &packets[..2]);
        assert_eq!(shown(&mut pictures, now, open_as(1)), [0]);
        feed(&mut pictures, now, packets[2..].iter().rev());
        assert_eq!(shown(&mut pictures, now, open_as(1)), [1, 2]);
        assert!(!pictures.asks_for_key_frame(now));
    }

    #[test]
    fn a_repaired_gap_is_waited_for_and_shows_everything() {
        let (mut pictures, now) = (Pictures::new(Codec::Vp8), Instant::now());
        let packets = packets(3, &[], 5);
        feed(&mut pictures, now, packets.iter().filter(|(sequence, ..)| *sequence != 7));
        assert_eq!(shown(&mut pictures, now, open_as(1)), [0]);
        let later = now + REPAIR / 2;
        feed(&mut pictures, later, &packets[2..3]);
        assert_eq!(shown(&mut pictures, later, open_as(1)), [1, 2]);
    }

    #[test]
    fn after_a_loss_nothing_is_shown_before_the_next_key_frame_which_is_asked_for() {
        let (mut pictures, now) = (Pictures::new(Codec::Vp8), Instant::now());
        let packets = packets(5, &[4], 5);
        feed(&mut pictures, now, packets[..8].iter().filter(|(sequence, ..)| *sequence != 7));
        assert_eq!(shown(&mut pictures, now, open_as(1)), [0]);
        let later = now + REPAIR;
        assert_eq!(shown(&mut pictures, later, open_as(1)), b"");
        assert!(pictures.asks_for_key_frame(later) && !pictures.asks_for_key_frame(later), "once");
        feed(&mut pictures, later, &packets[8..]);
        assert_eq!(shown(&mut pictures, later, open_as(1)), [4]);
        assert!(!pictures.asks_for_key_frame(later + ASK_EVERY));
    }

    #[test]
    fn frames_wait_for_their_key_and_not_for_long() {
        let no_key = |_: &mut [u8]| Err(OpenError::MissingKey);
        let (mut pictures, now) = (Pictures::new(Codec::Vp8), Instant::now());
        let packets = packets(4, &[2], 5);
        feed(&mut pictures, now, &packets[..4]);
        assert_eq!(shown(&mut pictures, now, no_key), b"");
        assert_eq!(shown(&mut pictures, now + KEY_PATIENCE / 2, open_as(1)), [0, 1], "the key came in time");
        feed(&mut pictures, now, &packets[4..]);
        let late = now + KEY_PATIENCE;
        assert_eq!(shown(&mut pictures, late, no_key), b"");
        assert!(pictures.waiting.is_empty() && pictures.asks_for_key_frame(late), "it came too late");
        pictures.break_off();
        pictures.key_came();
        assert!(pictures.asks_for_key_frame(late), "a key that comes asks at once");
    }

    #[test]
    fn another_participant_in_the_slot_begins_with_a_key_frame() {
        let (mut pictures, now) = (Pictures::new(Codec::Vp8), Instant::now());
        let packets = packets(4, &[2], 5);
        feed(&mut pictures, now, &packets[..2]);
        assert_eq!(shown(&mut pictures, now, open_as(1)), [0]);
        feed(&mut pictures, now, &packets[2..]);
        assert_eq!(shown(&mut pictures, now, open_as(2)), [2, 3], "frame 1 says nothing to whoever sees 2 first");
    }

    #[test]
    fn memory_is_bounded() {
        let (mut pictures, now) = (Pictures::new(Codec::Vp8), Instant::now());
        feed(&mut pictures, now, &packets(200, &[], 5));
        assert!(pictures.waiting.len() <= MAX_HELD);
    }
}
