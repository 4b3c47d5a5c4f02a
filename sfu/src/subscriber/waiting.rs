//! Packets of a slot that the pacer holds back.
//!
//! They have their numbers in the slot's stream, and get their transport-wide number when they leave. Payloads stay in the packet
//! store that all subscribers share. Media leaves in the order of its numbers, whatever is more urgent: a receiver would request
//! what is overtaken.

use crate::{
    units::DataSize,
    wire::seq::{SeqNum, low},
};
use std::collections::VecDeque;

/// Maximum number of packets of one kind that wait: as many as a store has.
const MAX: usize = 1_024;
/// Size on the wire of a packet without payload.
const FILLER: DataSize = DataSize::from_bytes(80);

/// A packet that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitingPacket {
    /// Extended sequence number in the slot's stream.
    pub(crate) seq: u64,
    /// Its index in its encoding; 0 if a filler is to take its number.
    pub(crate) index: u64,
    pub(crate) timestamp: u32,
    /// On the wire.
    size: u32,
}

impl WaitingPacket {
    pub(crate) fn new(seq: u64, index: u64, timestamp: u32, size: DataSize) -> Self {
        Self { seq, index, timestamp, size: u32::try_from(size.bytes()).unwrap_or(u32::MAX) }
    }

    /// A filler that takes a number.
    pub(crate) fn filler(seq: u64, timestamp: u32) -> Self {
        Self::new(seq, 0, timestamp, FILLER)
    }

    /// On the wire, about.
    pub(crate) fn size(&self) -> DataSize {
        DataSize::from_bytes(self.size.into())
    }
}

/// How urgent a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    Retransmission,
    KeyFrame,
    Media,
}

/// The packets of one slot that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    retransmissions: VecDeque<WaitingPacket>,
    media: VecDeque<WaitingPacket>,
    /// Timestamps of the newest key frame, of the last packet that has left, and of the newest unit that was discarded.
    key_frame: Option<u32>,
    left: Option<u32>,
    discarded: Option<u32>,
}

impl Waiting {
    /// Whether another packet cannot wait.
    pub(crate) fn is_full(&self) -> bool {
        self.media.len() >= MAX || self.retransmissions.len() >= MAX
    }

    /// A key frame begins.
    pub(crate) fn on_key_frame(&mut self, timestamp: u32) {
        self.key_frame = Some(timestamp);
    }

    /// A packet of media leaves, whether it has waited or not.
    pub(crate) fn on_left(&mut self, timestamp: u32) {
        self.left = Some(timestamp);
    }

    /// Adds a packet of media. Returns the size that it adds.
    pub(crate) fn push(&mut self, mut packet: WaitingPacket) -> DataSize {
        if self.discarded == Some(packet.timestamp) {
            packet = WaitingPacket::filler(packet.seq, packet.timestamp);
        }
        self.media.push_back(packet);
        packet.size()
    }

    /// Adds a retransmission.
    pub(crate) fn push_retransmission(&mut self, packet: WaitingPacket) {
        self.retransmissions.push_back(packet);
    }

    /// The next packet of this urgency.
    pub(crate) fn first(&self, urgency: Urgency) -> Option<WaitingPacket> {
        let is_key = |packet: &WaitingPacket| self.key_frame == Some(packet.timestamp);
        match urgency {
            Urgency::Retransmission => self.retransmissions.front().copied(),
            Urgency::KeyFrame => self.media.front().copied().filter(is_key),
            Urgency::Media => self.media.front().copied(),
        }
    }

    /// Takes the packet that [`Self::first`] returns.
    pub(crate) fn take(&mut self, urgency: Urgency) {
        let taken = match urgency {
            Urgency::Retransmission => self.retransmissions.pop_front(),
            Urgency::KeyFrame | Urgency::Media => self.media.pop_front(),
        };
        if let Some(packet) = taken.filter(|_| urgency != Urgency::Retransmission) {
            self.on_left(packet.timestamp);
        }
    }

    /// Whether a packet, or its retransmission, is on its way out.
    pub(crate) fn contains(&self, seq: SeqNum) -> bool {
        let has_it = |packet: &WaitingPacket| low(packet.seq) == seq.0;
        self.retransmissions.iter().any(has_it) || self.media.iter().any(has_it)
    }

    /// Size of all that waits.
    pub(crate) fn size(&self) -> DataSize {
        let packets = self.retransmissions.iter().chain(&self.media);
        packets.fold(DataSize::ZERO, |size, packet| size + packet.size())
    }

    /// Forgets everything: the receiver cannot be reached.
    pub(crate) fn clear(&mut self) {
        self.retransmissions.clear();
        self.media.clear();
    }

    /// Another source begins with a key frame. Nothing from before it is of use any more, but its numbers are.
    pub(crate) fn supersede(&mut self) {
        for packet in &mut self.media {
            *packet = WaitingPacket::filler(packet.seq, packet.timestamp);
        }
    }

    /// Nothing is sent any more. Numbers stay, unless the receiver has seen none.
    pub(crate) fn withhold(&mut self) {
        match self.left {
            Some(_) => self.supersede(),
            None => self.media.clear(),
        }
    }

    /// Forgets retransmissions. Those that are still needed will be requested again.
    pub(crate) fn forget_retransmissions(&mut self) {
        self.retransmissions.clear();
    }

    /// Puts fillers in the place of all packets of whole temporal units that can be missing. Returns the number of packets.
    pub(crate) fn discard(&mut self, mut can_be_missing: impl FnMut(&WaitingPacket) -> bool) -> u64 {
        let mut discarded = 0;
        for packet in self.media.iter_mut().filter(|packet| packet.index > 0) {
            if self.left != Some(packet.timestamp) && can_be_missing(packet) {
                self.discarded = Some(packet.timestamp);
                *packet = WaitingPacket::filler(packet.seq, packet.timestamp);
                discarded += 1;
            }
        }
        discarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(seq: u64, timestamp: u32) -> WaitingPacket {
        WaitingPacket::new(seq, seq + 100, timestamp, DataSize::from_bytes(1_000))
    }

    fn taken(waiting: &mut Waiting) -> Vec<(u64, bool)> {
        let next = |waiting: &mut Waiting| {
            let packet = waiting.first(Urgency::Media)?;
            waiting.take(Urgency::Media);
            Some((packet.seq, packet.index == 0))
        };
        std::iter::from_fn(|| next(waiting)).collect()
    }

    #[test]
    fn key_frame_does_not_overtake_media_of_its_slot() {
        let mut waiting = Waiting::default();
        waiting.push(packet(1, 10));
        waiting.on_key_frame(20);
        waiting.push(packet(2, 20));
        waiting.push_retransmission(packet(0, 5));
        assert_eq!(waiting.first(Urgency::KeyFrame), None);
        assert_eq!(waiting.first(Urgency::Retransmission).map(|packet| packet.seq), Some(0));
        waiting.take(Urgency::Media);
        assert_eq!(waiting.first(Urgency::KeyFrame).map(|packet| packet.seq), Some(2));
        assert!(waiting.contains(SeqNum(0)) && waiting.contains(SeqNum(2)) && !waiting.contains(SeqNum(1)));
        assert_eq!(waiting.size(), DataSize::from_bytes(2_000));
    }

    #[test]
    fn what_another_source_supersedes_keeps_its_numbers() {
        let mut waiting = Waiting::default();
        waiting.push(packet(1, 10));
        waiting.push(packet(2, 10));
        waiting.supersede();
        waiting.push(packet(3, 20));
        assert_eq!(taken(&mut waiting), [(1, true), (2, true), (3, false)]);
    }

    /// A unit of which a packet has left goes on, and what comes of a discarded one is discarded.
    #[test]
    fn whole_units_are_discarded() {
        let mut waiting = Waiting::default();
        waiting.on_left(10);
        for (seq, timestamp) in [(1, 10), (2, 20), (3, 30), (4, 30)] {
            waiting.push(packet(seq, timestamp));
        }
        assert_eq!(waiting.discard(|packet| packet.timestamp != 20), 2);
        assert_eq!(waiting.discard(|packet| packet.timestamp != 20), 0, "once");
        waiting.push(packet(5, 30));
        waiting.push(packet(6, 40));
        assert_eq!(waiting.size(), DataSize::from_bytes(3_000) + FILLER * 3);
        assert_eq!(taken(&mut waiting), [(1, false), (2, false), (3, true), (4, true), (5, true), (6, false)]);
    }
}
