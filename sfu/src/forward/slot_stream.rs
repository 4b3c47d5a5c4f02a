//! Rewrites packets of changing sources into one continuous stream.
//!
//! While a source lasts, everything is shifted by constants: its index to the slot's sequence numbers, its timestamps,
//! its VP8 picture ids and its descriptors' frame numbers. A new source gets new constants, so that it continues where
//! the last one ended. Gaps of a source stay gaps, to be filled if the packet comes after all; but packets from before
//! the point where the source came into the slot are dropped, and so no number is ever used twice.

use super::{reception::ticks, store::PacketMeta};
use crate::wire::{
    seq::{SeqNum, near},
    vp8::PictureId,
};
use std::time::{Duration, Instant};

/// A frame's time, by which a new source's first packet lies behind the last one at least.
const FRAME: Duration = Duration::from_millis(20);
/// How far packets of one source may lie apart: within reach of both ends' replay windows, which have 960 numbers. A
/// source that jumps further begins anew where the stream is; else its numbers would run away from those that SRTP has
/// seen, which are guessed from 16 bits, and the slot would be mute for this source and all after it.
const REACH: u64 = 900;

/// What a packet becomes in the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// Extended sequence number.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) picture_id: u16,
    pub(crate) tl0_pic_idx: u8,
    pub(crate) frame_number: u16,
}

/// Shifts of the present source.
#[derive(Clone, Copy, Debug)]
struct Source {
    first_index: u64,
    first_seq: u64,
    timestamp: u32,
    picture_id: u16,
    tl0_pic_idx: u8,
    frame_number: u16,
}

/// The stream of one slot.
#[derive(Debug)]
pub(crate) struct SlotStream {
    clock: u32,
    source: Option<Source>,
    /// The packet of the highest number so far. The next source begins behind it.
    last: Rewritten,
    sent: Option<Instant>,
}

/// Outcome of [`SlotStream::place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// It goes out.
    Send(Rewritten),
    /// It goes out, as the first of its source.
    Begin(Rewritten),
    /// It does not: the source begins with a key frame, and this is none.
    Waiting,
    /// It does not: it lies before the source's beginning, or too far behind.
    TooLate,
}

impl SlotStream {
    /// A stream without a source whose first packet follows these numbers.
    pub(crate) fn new(clock: u32, seq: u16, timestamp: u32) -> Self {
        // One cycle up, so that arithmetic around the first packet stays above zero. SRTP begins its rollover counter
        // at 0 wherever the first packet is, so the cycle is not seen.
        let seq = (1 << 16) | u64::from(seq);
        let last = Rewritten { seq, timestamp, picture_id: 0, tl0_pic_idx: 0, frame_number: 0 };
        Self { clock, source: None, last, sent: None }
    }

    /// Ends the present source.
    pub(crate) fn end_source(&mut self) {
        self.source = None;
    }

    /// Finds a packet's place. Each index of a source may be placed once; a new source begins at a key frame.
    pub(crate) fn place(&mut self, now: Instant, index: u64, meta: &PacketMeta) -> Placement {
        if self.source.is_some_and(|source| source.jumps(index, self.last.seq)) {
            self.end_source();
        }
        let placement = match self.source {
            Some(source) if source.is_late(index, self.last.seq) => return Placement::TooLate,
            Some(source) => Placement::Send(source.rewrite(index, meta)),
            None if !meta.starts_key_frame => return Placement::Waiting,
            None => Placement::Begin(self.begin(now, index, meta)),
        };
        if let Placement::Send(rewritten) | Placement::Begin(rewritten) = placement
            && rewritten.seq > self.last.seq
        {
            self.last = rewritten;
            self.sent = Some(now);
        }
        placement
    }

    /// The index behind a sequence number of the present source that was already passed.
    pub(crate) fn index_of(&self, seq: SeqNum) -> Option<u64> {
        let source = self.source?;
        let seq = near(self.last.seq, seq);
        (source.first_seq..=self.last.seq).contains(&seq).then(|| seq - source.first_seq + source.first_index)
    }

    /// What a packet of the present source became, for sending it again.
    pub(crate) fn rewritten(&self, index: u64, meta: &PacketMeta) -> Option<Rewritten> {
        let source = self.source.filter(|source| index >= source.first_index)?;
        Some(source.rewrite(index, meta))
    }

    /// A timestamp of the present source in the slot's time.
    pub(crate) fn timestamp(&self, of_source: u32) -> Option<u32> {
        Some(of_source.wrapping_add(self.source?.timestamp))
    }

    fn begin(&mut self, now: Instant, index: u64, meta: &PacketMeta) -> Rewritten {
        let pause = self.sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent));
        let timestamp = self.last.timestamp.wrapping_add(ticks(pause.max(FRAME), self.clock));
        let vp8 = meta.vp8.as_ref();
        let source = Source {
            first_index: index,
            first_seq: self.last.seq + 1,
            timestamp: timestamp.wrapping_sub(meta.timestamp),
            picture_id: (self.last.picture_id.wrapping_add(1)).wrapping_sub(picture_id(meta)),
            tl0_pic_idx: (self.last.tl0_pic_idx.wrapping_add(1))
                .wrapping_sub(vp8.and_then(|vp8| vp8.tl0_pic_idx).unwrap_or(0)),
            frame_number: (self.last.frame_number.wrapping_add(1)).wrapping_sub(meta.frame_number.unwrap_or(0)),
        };
        self.source = Some(source);
        source.rewrite(index, meta)
    }
}

impl Source {
    /// Whether the packet lies further ahead of the stream's last number than a source may jump.
    fn jumps(&self, index: u64, last: u64) -> bool {
        index.checked_sub(self.first_index).is_some_and(|ahead| self.first_seq + ahead > last + REACH)
    }

    /// Whether the packet lies before the source's beginning, or too far behind the stream's last number.
    fn is_late(&self, index: u64, last: u64) -> bool {
        index.checked_sub(self.first_index).is_none_or(|ahead| self.first_seq + ahead + REACH < last)
    }

    fn rewrite(&self, index: u64, meta: &PacketMeta) -> Rewritten {
        let tl0_pic_idx = meta.vp8.and_then(|vp8| vp8.tl0_pic_idx).unwrap_or(0);
        Rewritten {
            seq: self.first_seq + (index - self.first_index),
            timestamp: meta.timestamp.wrapping_add(self.timestamp),
            picture_id: picture_id(meta).wrapping_add(self.picture_id) & 0x7fff,
            tl0_pic_idx: tl0_pic_idx.wrapping_add(self.tl0_pic_idx),
            frame_number: meta.frame_number.unwrap_or(0).wrapping_add(self.frame_number),
        }
    }
}

fn picture_id(meta: &PacketMeta) -> u16 {
    match meta.vp8.and_then(|vp8| vp8.picture_id) {
        Some(PictureId { value, .. }) => value,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vp8::Vp8Descriptor;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const CLOCK: u32 = 90_000;

    fn meta(timestamp: u32, picture: u16, key: bool) -> PacketMeta {
        let vp8 = Vp8Descriptor {
            start_of_partition: true,
            partition: 0,
            picture_id: Some(PictureId { value: picture & 0x7fff, long: true }),
            tl0_pic_idx: Some((picture & 0xff) as u8),
            length: 5,
        };
        PacketMeta {
            timestamp,
            frame_number: Some(picture),
            vp8: Some(vp8),
            starts_key_frame: key,
            ..Default::default()
        }
    }

    #[test]
    fn a_source_begins_at_a_key_frame_and_earlier_packets_are_late() {
        let (mut stream, now) = (SlotStream::new(CLOCK, 99, 5_000), Instant::now());
        assert_eq!(stream.place(now, 70, &meta(0, 0, false)), Placement::Waiting);
        let Placement::Begin(first) = stream.place(now, 72, &meta(0, 7, true)) else { panic!() };
        assert_eq!((first.seq & 0xffff, first.timestamp, first.picture_id, first.frame_number), (100, 6_800, 1, 1));
        assert_eq!(stream.place(now, 71, &meta(0, 0, false)), Placement::TooLate);
        let Placement::Send(third) = stream.place(now, 74, &meta(3_000, 9, false)) else { panic!() };
        assert_eq!((third.seq & 0xffff, third.timestamp, third.picture_id), (102, 9_800, 3));
        let Placement::Send(second) = stream.place(now, 73, &meta(0, 7, false)) else { panic!() };
        assert_eq!(second.seq & 0xffff, 101, "the gap is filled");
    }

    #[test]
    fn only_numbers_of_the_present_source_lead_back_to_a_packet() {
        let (mut stream, now) = (SlotStream::new(CLOCK, 0xfffe, 0), Instant::now());
        stream.place(now, 500, &meta(0, 0, true));
        stream.place(now, 501, &meta(0, 0, false));
        assert_eq!(stream.index_of(SeqNum(0xffff)), Some(500));
        assert_eq!(stream.index_of(SeqNum(0)), Some(501), "across the wrap");
        assert_eq!(stream.index_of(SeqNum(1)), None, "not sent yet");
        stream.end_source();
        stream.place(now, 900, &meta(0, 0, true));
        assert_eq!(stream.index_of(SeqNum(1)), Some(900));
        assert_eq!(stream.index_of(SeqNum(0)), None, "of the source before");
    }

    #[test]
    fn a_pause_shows_in_the_timestamps() {
        let (mut stream, now) = (SlotStream::new(CLOCK, 0, 0), Instant::now());
        let Placement::Begin(first) = stream.place(now, 1, &meta(123_456, 0, true)) else { panic!() };
        stream.end_source();
        let later = now + Duration::from_secs(3);
        let Placement::Begin(second) = stream.place(later, 1, &meta(99, 0, true)) else { panic!() };
        assert_eq!(second.timestamp - first.timestamp, 3 * CLOCK);
    }

    #[test]
    fn a_source_that_jumps_begins_anew_where_the_stream_is() {
        let (mut stream, now) = (SlotStream::new(CLOCK, 0, 0), Instant::now());
        let Placement::Begin(first) = stream.place(now, 1, &meta(0, 0, true)) else { panic!() };
        let jumped = 1 + REACH + 1;
        assert_eq!(stream.place(now, jumped, &meta(0, 0, false)), Placement::Waiting, "as any source, by a key frame");
        let Placement::Begin(second) = stream.place(now, jumped + 1, &meta(0, 0, true)) else { panic!() };
        assert_eq!(second.seq, first.seq + 1);
        assert_eq!(stream.place(now, 2, &meta(0, 0, false)), Placement::TooLate, "from before the jump");
    }

    #[test]
    fn a_packet_further_behind_than_a_replay_window_reaches_is_late() {
        let (mut stream, now) = (SlotStream::new(CLOCK, 0, 0), Instant::now());
        stream.place(now, 1, &meta(0, 0, true));
        for index in [1 + REACH, 3 + REACH] {
            assert!(matches!(stream.place(now, index, &meta(0, 0, false)), Placement::Send(_)));
        }
        assert_eq!(stream.place(now, 2, &meta(0, 0, false)), Placement::TooLate);
        assert!(matches!(stream.place(now, 3, &meta(0, 0, false)), Placement::Send(_)));
    }

    proptest! {
        /// Sources come and go, packets are lost and reordered: numbers never repeat, the stream has the gaps of its
        /// sources and no others, and time never runs backwards from one frame to the next.
        #[test]
        fn the_stream_is_continuous(
            start in any::<u16>(), start_time in any::<u32>(),
            sources in prop::collection::vec(
                (any::<u32>(), any::<u16>(), 1u64..1 << 40, prop::collection::vec((0u8..10, 0usize..4), 1..80)), 1..8),
        ) {
            let mut stream = SlotStream::new(CLOCK, start, start_time);
            let (mut seen, mut last, mut now) = (HashSet::new(), None::<Rewritten>, Instant::now());
            for (time, picture, first_index, packets) in sources {
                let mut queue: Vec<(usize, u64, PacketMeta)> = packets.iter().enumerate().map(|(n, &(_, delay))| {
                    let frame = n as u32;
                    let timestamp = time.wrapping_add(frame * 3_000);
                    (n + delay, first_index + n as u64, meta(timestamp, picture.wrapping_add(frame as u16), n % 10 == 3))
                }).collect();
                queue.sort_by_key(|&(at, ..)| at);
                let mut began = None;
                for (_, index, meta) in queue.into_iter().filter(|&(_, index, _)| packets[(index - first_index) as usize].0 != 0) {
                    now += Duration::from_millis(33);
                    let rewritten = match stream.place(now, index, &meta) {
                        Placement::Begin(rewritten) => {
                            prop_assert!(meta.starts_key_frame && began.is_none());
                            began = Some((index, rewritten));
                            if let Some(last) = last {
                                prop_assert_eq!(rewritten.seq, last.seq + 1);
                                prop_assert!(rewritten.timestamp.wrapping_sub(last.timestamp) < 60 * CLOCK);
                                prop_assert_eq!(rewritten.picture_id, (last.picture_id + 1) & 0x7fff);
                                prop_assert_eq!(rewritten.tl0_pic_idx, last.tl0_pic_idx.wrapping_add(1));
                                prop_assert_eq!(rewritten.frame_number, last.frame_number.wrapping_add(1));
                            }
                            rewritten
                        }
                        Placement::Send(rewritten) => rewritten,
                        Placement::Waiting => { prop_assert!(began.is_none()); continue }
                        Placement::TooLate => { prop_assert!(index < began.unwrap().0); continue }
                    };
                    let (first, begin) = began.unwrap();
                    let distance = index - first;
                    prop_assert_eq!(rewritten.seq - begin.seq, distance);
                    prop_assert_eq!(rewritten.timestamp.wrapping_sub(begin.timestamp), distance as u32 * 3_000);
                    prop_assert!(seen.insert(rewritten.seq), "a number is used twice");
                    prop_assert_eq!(stream.index_of(SeqNum((rewritten.seq & 0xffff) as u16)), Some(index));
                    if last.is_none_or(|last| rewritten.seq > last.seq) { last = Some(rewritten); }
                }
                stream.end_source();
            }
        }
    }
}
