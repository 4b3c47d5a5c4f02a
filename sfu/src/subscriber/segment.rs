//! Segments of a slot's stream: stretches in which every sequence number follows from the packets of one layer.
//!
//! ```text
//!   index in the encoding      500  501  502  503  504  505
//!   in the layer                 ×         ×    ×         ×
//!   ordinal in the layer        70   71   71   72   73   73
//!   sequence number in slot   1000      1001 1002      1003     = first_seq + ordinal − first_ordinal
//! ```
//! The packet store counts the packets of each decode target once, for all subscribers ([`Numbering`]). So a slot drops what
//! its layer does not contain, stays continuous, and keeps nothing per packet. A change of the layer opens a segment behind the
//! last number. The newest segments stay: packets that come late still belong to theirs, and a NACK leads from a number back
//! to the packet.

use super::rewriter::Rewritten;
use crate::{
    keys::EncodingKey,
    publisher::{numbering::Numbering, packet_store::PacketMeta},
    wire::{
        seq::{SeqNum, low, near},
        vp8::PictureId,
    },
};
use std::cmp::Ordering;

/// Number of segments that a slot remembers.
const REMEMBERED: usize = 4;
/// Distance in indices from a segment's newest packet within which its ordinals, of 16 bits, are unambiguous.
pub(crate) const REACH: u64 = 1 << 14;
/// Indices of an encoding in which the packets of a segment are looked for: its store has no more.
const STORED: u64 = 1_024;

/// A decode target of an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) encoding: EncodingKey,
    pub(crate) target: u8,
}

/// The mask of one decode target.
pub(crate) fn bit(target: u8) -> u16 {
    1_u16.checked_shl(target.into()).unwrap_or(0)
}

/// What the fields of a source are shifted by: constant while the source lasts, whichever layer of it is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shifts {
    pub(crate) timestamp: u32,
    pub(crate) picture_id: u16,
    pub(crate) tl0_pic_idx: u8,
    pub(crate) frame_number: u16,
}

/// One segment of a slot's stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) layer: Layer,
    /// The mask of the layer's target.
    mask: u16,
    /// Index from which on packets belong to it.
    first_index: u64,
    first_ordinal: u16,
    pub(crate) first_seq: u64,
    pub(crate) shifts: Shifts,
    /// Highest index placed in it, and the highest number; one below the first ones before there is any.
    newest_index: u64,
    newest_seq: u64,
    /// Missing packets below this index are of other layers: their numbers are filled.
    settled: u64,
}

impl Segment {
    /// A segment that begins at a packet, with the number `first_seq`.
    pub(crate) fn new(layer: Layer, index: u64, numbering: &Numbering, first_seq: u64, shifts: Shifts) -> Self {
        let (newest_index, newest_seq) = (index.saturating_sub(1), first_seq.saturating_sub(1));
        let (mask, first_ordinal) = (bit(layer.target), ordinal(numbering, layer.target));
        Self {
            layer,
            mask,
            first_index: index,
            first_ordinal,
            first_seq,
            shifts,
            newest_index,
            newest_seq,
            settled: index,
        }
    }

    /// Highest index placed so far.
    pub(crate) fn newest_index(&self) -> u64 {
        self.newest_index
    }

    /// Whether a packet of an encoding is not from before the segment.
    pub(crate) fn holds(&self, encoding: EncodingKey, index: u64) -> bool {
        self.layer.encoding == encoding && index >= self.first_index
    }

    /// The number of a packet that is of the layer, newer than all that were placed, and the next one: no number between them
    /// is another packet's.
    #[inline]
    pub(crate) fn next_seq(&self, encoding: EncodingKey, index: u64, meta: &PacketMeta) -> Option<u64> {
        let PacketMeta { numbering, targets, .. } = meta;
        let seq = self.newest_seq + 1;
        let ahead = ordinal(numbering, self.layer.target).wrapping_sub(self.first_ordinal);
        let goes_on = self.layer.encoding == encoding
            && numbering.counted & targets & self.mask != 0
            && index > self.newest_index
            && !self.is_beyond_reach(index)
            && low(seq) == low(self.first_seq).wrapping_add(ahead);
        goes_on.then_some(seq)
    }

    /// Whether a packet has a number.
    pub(crate) fn counts(&self, numbering: &Numbering) -> bool {
        numbering.counted & self.mask != 0
    }

    /// Whether a packet is of the layer. One that is not, and has a number all the same, was missing when it was counted.
    pub(crate) fn contains(&self, meta: &PacketMeta) -> bool {
        meta.targets & self.mask != 0
    }

    /// Whether the number of a packet was filled before the packet came.
    pub(crate) fn is_settled(&self, index: u64) -> bool {
        index < self.settled
    }

    /// Notes that the numbers of all packets missing before one are filled.
    pub(crate) fn settle_before(&mut self, index: u64) {
        self.settled = self.settled.max(index);
    }

    /// The number of a packet, whether it is of the layer or not: if not, the one that the layer's next packet has.
    /// Meaningless beyond [`REACH`].
    pub(crate) fn seq(&self, numbering: &Numbering) -> u64 {
        let ahead = ordinal(numbering, self.layer.target).wrapping_sub(self.first_ordinal);
        near(self.newest_seq, SeqNum(low(self.first_seq).wrapping_add(ahead)))
    }

    /// Whether the packet is so far ahead that its number is ambiguous.
    pub(crate) fn is_beyond_reach(&self, index: u64) -> bool {
        index > self.newest_index + REACH
    }

    /// Notes that a packet has its place in the segment.
    pub(crate) fn advance(&mut self, index: u64, seq: u64) {
        self.newest_index = self.newest_index.max(index);
        self.newest_seq = self.newest_seq.max(seq);
    }

    /// Ends the segment before a packet, up to which it keeps its numbers: what is missing there may still come.
    pub(crate) fn end_before(&mut self, index: u64, seq: u64) {
        self.advance(index.saturating_sub(1), seq.saturating_sub(1));
    }

    /// Rewrites a packet that has the number `seq`.
    #[inline]
    pub(crate) fn rewrite(&self, seq: u64, meta: &PacketMeta) -> Rewritten {
        let Shifts { timestamp, picture_id, tl0_pic_idx, frame_number } = self.shifts;
        let fields = Shifts::fields(meta);
        Rewritten {
            seq,
            timestamp: fields.timestamp.wrapping_add(timestamp),
            picture_id: fields.picture_id.wrapping_add(picture_id) & 0x7fff,
            tl0_pic_idx: fields.tl0_pic_idx.wrapping_add(tl0_pic_idx),
            frame_number: fields.frame_number.wrapping_add(frame_number),
            // Of the highest layer that is forwarded, the last packet ends the temporal unit.
            marker: meta.marker || meta.last_of & self.mask != 0,
        }
    }

    /// The index of the packet that has the number `seq`, by binary search in what its store has counted.
    pub(crate) fn index_of(&self, seq: u64, numbering: impl Fn(u64) -> Option<Numbering>) -> Option<u64> {
        let wanted = self.first_ordinal.wrapping_add(low(seq).wrapping_sub(low(self.first_seq)));
        let compare = |index: u64| {
            let counted = numbering(index)?;
            let ahead = SeqNum(ordinal(&counted, self.layer.target)).distance_from(SeqNum(wanted));
            Some((ahead.cmp(&0), counted.counted & self.mask != 0))
        };
        // The last index whose ordinal is not above: those after the packet are, and those before it are not.
        let mut low = self.first_index.max(self.newest_index.saturating_sub(STORED));
        let mut high = self.newest_index + 1;
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(middle) {
                Some((Ordering::Greater, _)) => high = middle,
                // Below the window of the store.
                None | Some(_) => low = middle + 1,
            }
        }
        let index = low.checked_sub(1).filter(|index| *index >= self.first_index)?;
        (compare(index)? == (Ordering::Equal, true)).then_some(index)
    }
}

impl Shifts {
    /// The fields of a packet that are shifted.
    pub(crate) fn fields(meta: &PacketMeta) -> Self {
        let picture_id = match meta.vp8.and_then(|vp8| vp8.picture_id) {
            Some(PictureId { value, .. }) => value,
            None => 0,
        };
        Self {
            timestamp: meta.timestamp,
            picture_id,
            tl0_pic_idx: meta.vp8.and_then(|vp8| vp8.tl0_pic_idx).unwrap_or(0),
            frame_number: meta.frame_number.unwrap_or(0),
        }
    }
}

fn ordinal(numbering: &Numbering, target: u8) -> u16 {
    numbering.ordinals.get(usize::from(target)).copied().unwrap_or(0)
}

/// The newest segments of a slot.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    newest_first: [Option<Segment>; REMEMBERED],
}

impl Segments {
    pub(crate) fn newest(&self) -> Option<&Segment> {
        self.newest_first.first().and_then(Option::as_ref)
    }

    pub(crate) fn newest_mut(&mut self) -> Option<&mut Segment> {
        self.newest_first.first_mut().and_then(Option::as_mut)
    }

    /// Adds a segment; the oldest one is forgotten.
    pub(crate) fn push(&mut self, segment: Segment) {
        self.newest_first.rotate_right(1);
        if let Some(newest) = self.newest_first.first_mut() {
            *newest = Some(segment);
        }
    }

    /// Takes back all numbers above `last`, which were kept for packets that were missing.
    pub(crate) fn take_back(&mut self, last: u64) {
        for segment in self.newest_first.iter_mut().flatten() {
            segment.newest_seq = segment.newest_seq.min(last);
        }
    }

    /// The segment behind the newest one that a late packet belongs to, with the packet's number in it.
    pub(crate) fn late(&self, encoding: EncodingKey, index: u64, numbering: &Numbering) -> Option<(&Segment, u64)> {
        let belongs = |segment: &&Segment| segment.holds(encoding, index);
        let segment = self.newest_first.iter().skip(1).flatten().find(belongs)?;
        // Above its newest packet nothing is its own. Far below it, ordinals are ambiguous.
        if index > segment.newest_index || index + REACH < segment.newest_index {
            return None;
        }
        let seq = segment.seq(numbering);
        (segment.first_seq..=segment.newest_seq).contains(&seq).then_some((segment, seq))
    }

    /// The segment that a number was given in.
    pub(crate) fn by_seq(&self, seq: u64) -> Option<&Segment> {
        let segment = self.newest_first.iter().flatten().find(|segment| segment.first_seq <= seq)?;
        (seq <= segment.newest_seq).then_some(segment)
    }
}
