//! Packets that a room has stored and not begun to forward.

use crate::{keys::EncodingKey, media::Kind};
use std::time::Instant;

/// Packets that are forwarded together at most. A receiver gets its part of them before something else can be done.
const MAX_BATCH: usize = 256;
/// Packets of a kind that wait at most. Only an overloaded worker has this many, and of most of them nothing is stored any more.
const MAX_WAITING: usize = 16_384;

/// A packet in the store of its encoding. If the encoding has been removed since, there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueuedPacket {
    pub(super) encoding: EncodingKey,
    pub(super) index: u64,
    pub(super) arrived: Instant,
}

/// Packets in the order of their arrival, audio apart: it does not wait for video.
#[derive(Debug, Default)]
pub(super) struct ReceiveQueue {
    audio: Vec<QueuedPacket>,
    video: Vec<QueuedPacket>,
}

impl ReceiveQueue {
    /// Adds a packet. If too many wait, the oldest ones are dropped; returns how many.
    pub(super) fn push(&mut self, kind: Kind, packet: QueuedPacket) -> usize {
        let packets = self.of(kind);
        let dropped = if packets.len() < MAX_WAITING { 0 } else { packets.drain(..MAX_BATCH).len() };
        packets.push(packet);
        dropped
    }

    pub(super) fn len(&self) -> usize {
        self.audio.len() + self.video.len()
    }

    /// When the first of the queued packets arrived.
    pub(super) fn since(&self) -> Option<Instant> {
        [&self.audio, &self.video].into_iter().filter_map(|packets| packets.first()).map(|first| first.arrived).min()
    }

    /// Moves the first packets of a kind to `into`, grouped by encoding and sorted by index. The buffer of `into` is reused.
    /// Returns when the first of them arrived; `None` if there are none.
    pub(super) fn take(&mut self, kind: Kind, into: &mut Vec<QueuedPacket>) -> Option<Instant> {
        let packets = self.of(kind);
        let first = packets.first()?.arrived;
        into.clear();
        if packets.len() <= MAX_BATCH {
            std::mem::swap(packets, into);
        } else {
            into.extend(packets.drain(..MAX_BATCH));
        }
        into.sort_unstable();
        Some(first)
    }

    fn of(&mut self, kind: Kind) -> &mut Vec<QueuedPacket> {
        match kind {
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;
    use std::time::Duration;

    /// Keys of two encodings, in their order.
    fn encodings() -> [EncodingKey; 2] {
        let mut encodings = SlotMap::<EncodingKey, ()>::with_key();
        [(); 2].map(|()| encodings.insert(()))
    }

    #[test]
    fn packets_are_sorted_by_encoding_and_index() {
        let (mut queue, mut taken, arrived) = (ReceiveQueue::default(), Vec::new(), Instant::now());
        let [first, second] = encodings();
        for (encoding, index) in [(second, 7), (first, 9), (second, 6)] {
            queue.push(Kind::Video, QueuedPacket { encoding, index, arrived });
        }
        assert_eq!((queue.len(), queue.since()), (3, Some(arrived)));
        assert_eq!(queue.take(Kind::Audio, &mut taken), None);
        assert_eq!(queue.take(Kind::Video, &mut taken), Some(arrived));
        assert_eq!(
            taken.iter().map(|packet| (packet.encoding, packet.index)).collect::<Vec<_>>(),
            [(first, 9), (second, 6), (second, 7)]
        );
        assert_eq!((queue.len(), queue.since()), (0, None));
    }

    #[test]
    fn oldest_of_too_many_packets_are_dropped() {
        let (mut queue, mut taken, arrived) = (ReceiveQueue::default(), Vec::new(), Instant::now());
        let [encoding, _] = encodings();
        let mut push = |index| queue.push(Kind::Video, QueuedPacket { encoding, index, arrived });
        assert_eq!((0..MAX_WAITING as u64).map(&mut push).sum::<usize>(), 0);
        assert_eq!((0..100).map(|n| push(MAX_WAITING as u64 + n)).sum::<usize>(), MAX_BATCH);
        assert_eq!(queue.len(), MAX_WAITING - MAX_BATCH + 100);
        queue.take(Kind::Video, &mut taken);
        assert_eq!(taken[0].index, MAX_BATCH as u64);
    }

    #[test]
    fn packets_are_taken_in_bounded_batches_the_oldest_first() {
        let (mut queue, mut taken, start) = (ReceiveQueue::default(), Vec::new(), Instant::now());
        let [audio, video] = encodings();
        for n in 0..600 {
            let arrived = start + Duration::from_millis(n);
            queue.push(Kind::Video, QueuedPacket { encoding: video, index: n, arrived });
        }
        queue.push(Kind::Audio, QueuedPacket { encoding: audio, index: 1, arrived: start });
        let mut take = |kind| {
            let arrived = queue.take(kind, &mut taken);
            (arrived.map(|at| at.duration_since(start).as_millis()), taken.len())
        };
        assert_eq!(take(Kind::Audio), (Some(0), 1));
        assert_eq!([take(Kind::Video), take(Kind::Video)], [(Some(0), 256), (Some(256), 256)]);
        assert_eq!(take(Kind::Video), (Some(512), 88));
        assert_eq!(take(Kind::Video).0, None);
    }
}
