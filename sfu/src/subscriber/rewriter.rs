//! Rewrites packets of changing sources into one continuous stream.
//!
//! While a source lasts, everything is shifted by constants: index to sequence number, timestamps, VP8 picture ids, and
//! frame numbers of Dependency Descriptors. A new source gets new constants, so that it continues where the last one
//! ended. Gaps of a source remain gaps, which late packets fill; but packets from before the source's first one are
//! dropped, so no sequence number is used twice.

use crate::{
    publisher::packet_store::PacketMeta,
    units::rtp_ticks,
    wire::{
        seq::{SeqNum, near},
        vp8::PictureId,
    },
};
use std::time::{Duration, Instant};

/// Least timestamp distance between the last packet of a source and the first of the next.
const MIN_FRAME_INTERVAL: Duration = Duration::from_millis(20);
/// Maximum distance between packets of one source, within the replay windows of both ends, which hold 960 numbers. A
/// source that jumps further is restarted where the stream is. Otherwise its sequence numbers could leave the range in
/// which SRTP extends them from 16 bits, and nothing in this slot could be decrypted any more.
const MAX_DISTANCE: u64 = 900;

/// The rewritten fields of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// Extended sequence number.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) picture_id: u16,
    pub(crate) tl0_pic_idx: u8,
    pub(crate) frame_number: u16,
}

/// The constants that a source is shifted by.
#[derive(Clone, Copy, Debug)]
struct Source {
    first_index: u64,
    first_seq: u64,
    timestamp: u32,
    picture_id: u16,
    tl0_pic_idx: u8,
    frame_number: u16,
}

/// Rewrites the stream of one slot.
#[derive(Debug)]
pub(crate) struct Rewriter {
    clock_rate: u32,
    source: Option<Source>,
    /// The packet with the highest sequence number so far. The next source begins after it.
    last: Rewritten,
    last_sent: Option<Instant>,
}

/// Outcome of [`Rewriter::place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// The packet is sent.
    Send(Rewritten),
    /// The packet is sent, as the first of its source.
    Begin(Rewritten),
    /// Dropped: a source begins with a key frame, and this is none.
    AwaitsKeyFrame,
    /// Dropped: from before the source's first packet, or too far behind.
    TooLate,
}

impl Rewriter {
    /// A stream without a source, whose first packet follows this sequence number and timestamp.
    pub(crate) fn new(clock_rate: u32, seq: u16, timestamp: u32) -> Self {
        // Starts at cycle 1, so that no arithmetic around the first packet falls below zero. SRTP starts its rollover
        // counter at 0 with the first packet, so the cycle is invisible.
        let seq = (1 << 16) | u64::from(seq);
        let last = Rewritten { seq, timestamp, picture_id: 0, tl0_pic_idx: 0, frame_number: 0 };
        Self { clock_rate, source: None, last, last_sent: None }
    }

    /// Ends the current source.
    pub(crate) fn end_source(&mut self) {
        self.source = None;
    }

    /// Rewrites a packet. Each index of a source may be placed once. A new source begins at a key frame.
    pub(crate) fn place(&mut self, now: Instant, index: u64, meta: &PacketMeta) -> Placement {
        if self.source.is_some_and(|source| source.jumps(index, self.last.seq)) {
            self.end_source();
        }
        let placement = match self.source {
            Some(source) if source.is_late(index, self.last.seq) => return Placement::TooLate,
            Some(source) => Placement::Send(source.rewrite(index, meta)),
            None if !meta.starts_key_frame => return Placement::AwaitsKeyFrame,
            None => Placement::Begin(self.begin(now, index, meta)),
        };
        if let Placement::Send(rewritten) | Placement::Begin(rewritten) = placement
            && rewritten.seq > self.last.seq
        {
            self.last = rewritten;
            self.last_sent = Some(now);
        }
        placement
    }

    /// The index of a packet of the current source, by its sequence number in the slot.
    pub(crate) fn index_of(&self, seq: SeqNum) -> Option<u64> {
        let source = self.source?;
        let seq = near(self.last.seq, seq);
        (source.first_seq..=self.last.seq).contains(&seq).then(|| seq - source.first_seq + source.first_index)
    }

    /// The rewritten fields of a packet of the current source, for a retransmission.
    pub(crate) fn rewritten(&self, index: u64, meta: &PacketMeta) -> Option<Rewritten> {
        let source = self.source.filter(|source| index >= source.first_index)?;
        Some(source.rewrite(index, meta))
    }

    /// Converts a timestamp of the current source to the slot's timeline.
    pub(crate) fn timestamp(&self, of_source: u32) -> Option<u32> {
        Some(of_source.wrapping_add(self.source?.timestamp))
    }

    fn begin(&mut self, now: Instant, index: u64, meta: &PacketMeta) -> Rewritten {
        let pause = self.last_sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent));
        let timestamp = self.last.timestamp.wrapping_add(rtp_ticks(pause.max(MIN_FRAME_INTERVAL), self.clock_rate));
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
    /// Whether the packet is more than [`MAX_DISTANCE`] ahead of the stream's last sequence number.
    fn jumps(&self, index: u64, last: u64) -> bool {
        index.checked_sub(self.first_index).is_some_and(|ahead| self.first_seq + ahead > last + MAX_DISTANCE)
    }

    /// Whether the packet is from before the source's first one, or too far behind the stream's last sequence number.
    fn is_late(&self, index: u64, last: u64) -> bool {
        index.checked_sub(self.first_index).is_none_or(|ahead| self.first_seq + ahead + MAX_DISTANCE < last)
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

    const CLOCK_RATE: u32 = 90_000;

    fn meta(timestamp: u32, frame_id: u16, key: bool) -> PacketMeta {
        let vp8 = Vp8Descriptor {
            start_of_partition: true,
            partition: 0,
            picture_id: Some(PictureId { value: frame_id & 0x7fff, long: true }),
            tl0_pic_idx: Some((frame_id & 0xff) as u8),
            length: 5,
        };
        PacketMeta {
            timestamp,
            frame_number: Some(frame_id),
            vp8: Some(vp8),
            starts_key_frame: key,
            ..Default::default()
        }
    }

    #[test]
    fn source_begins_at_a_key_frame() {
        let (mut rewriter, now) = (Rewriter::new(CLOCK_RATE, 99, 5_000), Instant::now());
        assert_eq!(rewriter.place(now, 70, &meta(0, 0, false)), Placement::AwaitsKeyFrame);
        let Placement::Begin(first) = rewriter.place(now, 72, &meta(0, 7, true)) else { panic!() };
        assert_eq!((first.seq & 0xffff, first.timestamp, first.picture_id, first.frame_number), (100, 6_800, 1, 1));
        assert_eq!(rewriter.place(now, 71, &meta(0, 0, false)), Placement::TooLate);
        let Placement::Send(third) = rewriter.place(now, 74, &meta(3_000, 9, false)) else { panic!() };
        assert_eq!((third.seq & 0xffff, third.timestamp, third.picture_id), (102, 9_800, 3));
        let Placement::Send(second) = rewriter.place(now, 73, &meta(0, 7, false)) else { panic!() };
        assert_eq!(second.seq & 0xffff, 101, "fills the gap");
    }

    #[test]
    fn index_of_covers_the_current_source_only() {
        let (mut rewriter, now) = (Rewriter::new(CLOCK_RATE, 0xfffe, 0), Instant::now());
        rewriter.place(now, 500, &meta(0, 0, true));
        rewriter.place(now, 501, &meta(0, 0, false));
        assert_eq!(rewriter.index_of(SeqNum(0xffff)), Some(500));
        assert_eq!(rewriter.index_of(SeqNum(0)), Some(501), "across the wrap");
        assert_eq!(rewriter.index_of(SeqNum(1)), None, "not sent yet");
        rewriter.end_source();
        rewriter.place(now, 900, &meta(0, 0, true));
        assert_eq!(rewriter.index_of(SeqNum(1)), Some(900));
        assert_eq!(rewriter.index_of(SeqNum(0)), None, "of the previous source");
    }

    #[test]
    fn timestamps_include_the_pause_between_sources() {
        let (mut rewriter, now) = (Rewriter::new(CLOCK_RATE, 0, 0), Instant::now());
        let Placement::Begin(first) = rewriter.place(now, 1, &meta(123_456, 0, true)) else { panic!() };
        rewriter.end_source();
        let later = now + Duration::from_secs(3);
        let Placement::Begin(second) = rewriter.place(later, 1, &meta(99, 0, true)) else { panic!() };
        assert_eq!(second.timestamp - first.timestamp, 3 * CLOCK_RATE);
    }

    #[test]
    fn source_that_jumps_is_restarted() {
        let (mut rewriter, now) = (Rewriter::new(CLOCK_RATE, 0, 0), Instant::now());
        let Placement::Begin(first) = rewriter.place(now, 1, &meta(0, 0, true)) else { panic!() };
        let jumped = 1 + MAX_DISTANCE + 1;
        assert_eq!(
            rewriter.place(now, jumped, &meta(0, 0, false)),
            Placement::AwaitsKeyFrame,
            "as any source, by a key frame"
        );
        let Placement::Begin(second) = rewriter.place(now, jumped + 1, &meta(0, 0, true)) else { panic!() };
        assert_eq!(second.seq, first.seq + 1);
        assert_eq!(rewriter.place(now, 2, &meta(0, 0, false)), Placement::TooLate, "from before the jump");
    }

    #[test]
    fn packet_behind_the_replay_window_is_too_late() {
        let (mut rewriter, now) = (Rewriter::new(CLOCK_RATE, 0, 0), Instant::now());
        rewriter.place(now, 1, &meta(0, 0, true));
        for index in [1 + MAX_DISTANCE, 3 + MAX_DISTANCE] {
            assert!(matches!(rewriter.place(now, index, &meta(0, 0, false)), Placement::Send(_)));
        }
        assert_eq!(rewriter.place(now, 2, &meta(0, 0, false)), Placement::TooLate);
        assert!(matches!(rewriter.place(now, 3, &meta(0, 0, false)), Placement::Send(_)));
    }

    proptest! {
        /// Sources come and go, packets are lost and reordered: sequence numbers never repeat, the stream has the gaps
        /// of its sources and no others, and timestamps never decrease from one frame to the next.
        #[test]
        fn stream_is_continuous(
            start in any::<u16>(), start_time in any::<u32>(),
            sources in prop::collection::vec(
                (any::<u32>(), any::<u16>(), 1u64..1 << 40, prop::collection::vec((0u8..10, 0usize..4), 1..80)), 1..8),
        ) {
            let mut rewriter = Rewriter::new(CLOCK_RATE, start, start_time);
            let (mut seen, mut last, mut now) = (HashSet::new(), None::<Rewritten>, Instant::now());
            for (time, frame_id, first_index, packets) in sources {
                let mut queue: Vec<(usize, u64, PacketMeta)> = packets.iter().enumerate().map(|(n, &(_, delay))| {
                    let frame = n as u32;
                    let timestamp = time.wrapping_add(frame * 3_000);
                    (n + delay, first_index + n as u64, meta(timestamp, frame_id.wrapping_add(frame as u16), n % 10 == 3))
                }).collect();
                queue.sort_by_key(|&(at, ..)| at);
                let mut began = None;
                for (_, index, meta) in queue.into_iter().filter(|&(_, index, _)| packets[(index - first_index) as usize].0 != 0) {
                    now += Duration::from_millis(33);
                    let rewritten = match rewriter.place(now, index, &meta) {
                        Placement::Begin(rewritten) => {
                            prop_assert!(meta.starts_key_frame && began.is_none());
                            began = Some((index, rewritten));
                            if let Some(last) = last {
                                prop_assert_eq!(rewritten.seq, last.seq + 1);
                                prop_assert!(rewritten.timestamp.wrapping_sub(last.timestamp) < 60 * CLOCK_RATE);
                                prop_assert_eq!(rewritten.picture_id, (last.picture_id + 1) & 0x7fff);
                                prop_assert_eq!(rewritten.tl0_pic_idx, last.tl0_pic_idx.wrapping_add(1));
                                prop_assert_eq!(rewritten.frame_number, last.frame_number.wrapping_add(1));
                            }
                            rewritten
                        }
                        Placement::Send(rewritten) => rewritten,
                        Placement::AwaitsKeyFrame => { prop_assert!(began.is_none()); continue }
                        Placement::TooLate => { prop_assert!(index < began.unwrap().0); continue }
                    };
                    let (first, begin) = began.unwrap();
                    let distance = index - first;
                    prop_assert_eq!(rewritten.seq - begin.seq, distance);
                    prop_assert_eq!(rewritten.timestamp.wrapping_sub(begin.timestamp), distance as u32 * 3_000);
                    prop_assert!(seen.insert(rewritten.seq), "a sequence number is used twice");
                    prop_assert_eq!(rewriter.index_of(SeqNum((rewritten.seq & 0xffff) as u16)), Some(index));
                    if last.is_none_or(|last| rewritten.seq > last.seq) { last = Some(rewritten); }
                }
                rewriter.end_source();
            }
        }
    }
}
