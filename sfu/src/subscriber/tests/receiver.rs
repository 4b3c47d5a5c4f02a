//! A receiver as strict as the strictest decoder's frame buffer: it decodes a frame when all of its packets and references are
//! there, shows a temporal unit when its last packet has the marker, and goes on over a missing number only with a key frame.

use super::publisher::Publisher;
use std::collections::{BTreeMap, BTreeSet};

/// What was received under one sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// Encoding and index; `None` for padding.
    pub(super) packet: Option<(usize, u64)>,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    /// The packet begins another source: what was before is abandoned.
    pub(super) begins_source: bool,
}

/// What the receiver makes of a stream.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Frames decoded.
    pub(super) frames: usize,
    /// Frames that were sent whole, and are not decodable, though nothing that they need was lost on the way.
    pub(super) undecodable: Vec<usize>,
    /// Temporal units that a receiver waits for, because they have no end.
    pub(super) endless: Vec<u64>,
}

/// Decodes a stream, sorted by sequence number.
pub(super) fn show(stream: &BTreeMap<u64, Received>, publisher: &Publisher) -> Shown {
    let mut shown = Shown::default();
    let (mut decoded, mut excused) = (BTreeSet::new(), BTreeSet::new());
    let (mut expected, mut is_stuck) = (None, false);
    let mut assembled: Option<(usize, bool)> = None;
    for (&seq, received) in stream {
        is_stuck |= expected.is_some_and(|expected| expected != seq);
        expected = Some(seq + 1);
        let Some((encoding, index)) = received.packet else { continue };
        let packet = &publisher.encodings[encoding].packets[&index];
        let frame = &publisher.frames[packet.frame];
        if packet.meta.starts_key_frame {
            is_stuck = false;
        }
        let starts = is_first(publisher, encoding, index);
        let is_whole = match assembled {
            _ if starts => true,
            Some((of, is_whole)) if of == packet.frame => is_whole && !is_stuck,
            _ => false,
        };
        assembled = Some((packet.frame, is_whole));
        if !is_last(publisher, encoding, index) {
            continue;
        }
        let needs = |reference: &usize| !decoded.contains(reference);
        let lost = |reference: &usize| excused.contains(reference) || publisher.frames[*reference].is_damaged;
        if is_stuck || !is_whole {
            excused.insert(packet.frame);
        } else if !frame.refers_to.iter().any(needs) {
            decoded.insert(packet.frame);
            shown.frames += 1;
        } else if frame.refers_to.iter().filter(|reference| needs(reference)).any(lost) {
            excused.insert(packet.frame);
        } else {
            shown.undecodable.push(packet.frame);
        }
    }
    shown.endless = endless(stream, publisher);
    shown
}

/// The units whose last packet came, without a marker.
fn endless(stream: &BTreeMap<u64, Received>, publisher: &Publisher) -> Vec<u64> {
    let packets: Vec<_> = stream.values().filter_map(|received| received.packet.map(|of| (received, of))).collect();
    let mut endless = Vec::new();
    for pair in packets.windows(2) {
        let ((last, (encoding, index)), (next, (of, _))) = (pair[0], pair[1]);
        let frame = |encoding: usize, index| &publisher.frames[publisher.encodings[encoding].packets[index].frame];
        let unit = frame(encoding, &index).unit;
        let ends = last.timestamp != next.timestamp && !next.begins_source && encoding == of;
        // Of a damaged unit, the end may have been lost.
        let is_damaged = publisher.frames.iter().any(|frame| frame.unit == unit && frame.is_damaged);
        if ends && !is_damaged && !last.marker {
            endless.push(unit);
        }
    }
    endless
}

fn is_first(publisher: &Publisher, encoding: usize, index: u64) -> bool {
    let packets = &publisher.encodings[encoding].packets;
    index
        .checked_sub(1)
        .and_then(|before| packets.get(&before))
        .is_none_or(|before| before.frame != packets[&index].frame)
}

fn is_last(publisher: &Publisher, encoding: usize, index: u64) -> bool {
    let packets = &publisher.encodings[encoding].packets;
    packets.get(&(index + 1)).is_none_or(|after| after.frame != packets[&index].frame)
}
