//! Packets that a room has stored and not forwarded yet.

use crate::keys::EncodingKey;
use std::time::Instant;

/// A packet in the store of its encoding. If the encoding has been removed since, there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueuedPacket {
    pub(super) encoding: EncodingKey,
    pub(super) index: u64,
}

/// Packets in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct ReceiveQueue {
    packets: Vec<QueuedPacket>,
    /// Arrival of the first packet.
    since: Option<Instant>,
}

impl ReceiveQueue {
    pub(super) fn push(&mut self, now: Instant, packet: QueuedPacket) {
        self.since.get_or_insert(now);
        self.packets.push(packet);
    }

    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    /// When the first of the queued packets arrived.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Moves all packets to `into`, grouped by encoding and sorted by index. The buffer of `into` is reused.
    pub(super) fn take(&mut self, into: &mut Vec<QueuedPacket>) {
        into.clear();
        std::mem::swap(&mut self.packets, into);
        self.since = None;
        into.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    #[test]
    fn packets_are_sorted_by_encoding_and_index() {
        let (mut queue, mut taken, now) = (ReceiveQueue::default(), Vec::new(), Instant::now());
        let mut encodings = SlotMap::<EncodingKey, ()>::with_key();
        let (first, second) = (encodings.insert(()), encodings.insert(()));
        for (encoding, index) in [(second, 7), (first, 9), (second, 6)] {
            queue.push(now, QueuedPacket { encoding, index });
        }
        assert_eq!((queue.len(), queue.since()), (3, Some(now)));
        queue.take(&mut taken);
        assert_eq!(
            taken.iter().map(|packet| (packet.encoding, packet.index)).collect::<Vec<_>>(),
            [(first, 9), (second, 6), (second, 7)]
        );
        assert_eq!((queue.len(), queue.since()), (0, None));
    }
}
