//! Matches received packets to the packets that publishers sent.
//!
//! The first packet of a frame shows it in the clear SFrame header behind the payload descriptor. It also shows the slot's
//! *shift*: the difference between the server's sequence numbers and the publisher's, which identifies all other packets
//! while the source stays in the slot. A packet that fits no known source is held until the next first packet.

use crate::measure::clock::Time;
use crate::measure::send_log::{KeyLog, RoomLog, Sent, StreamLog};
use std::{collections::VecDeque, sync::Arc};

/// A packet that was received in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotPacket {
    /// Sequence number in the slot without wraps; of the original for a retransmission.
    pub(crate) sequence: u64,
    /// RTP timestamp.
    pub(crate) timestamp: u32,
    /// KID and CTR, if a frame begins here.
    pub(crate) frame: Option<(u64, u64)>,
    /// When it arrived.
    pub(crate) arrived_at: Time,
    /// Size of the RTP payload in bytes.
    pub(crate) bytes: usize,
    /// Whether it is a retransmission.
    pub(crate) repair: bool,
}

/// A packet whose publisher is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdentifiedPacket<'a> {
    pub(crate) stream: &'a Arc<StreamLog>,
    /// The publisher's sequence number.
    pub(crate) sequence: u64,
    pub(crate) sent: Sent,
    pub(crate) packet: SlotPacket,
}

/// The source in a slot.
#[derive(Debug)]
struct Source {
    key: Arc<KeyLog>,
    /// Number in the slot minus number of the publisher.
    shift: u64,
    timestamp_shift: u32,
}

/// Identifies the packets of one slot.
#[derive(Debug, Default)]
pub(crate) struct PacketIdentifier {
    source: Option<Source>,
    held: VecDeque<SlotPacket>,
}

impl PacketIdentifier {
    /// Maximum number of packets held for the start of their frame; the oldest are dropped.
    const MAX_HELD: usize = 64;

    /// Identifies a packet; calls `known` for it and for those that were held for it.
    pub(crate) fn packet(&mut self, room: &RoomLog, packet: SlotPacket, mut known: impl FnMut(IdentifiedPacket<'_>)) {
        if let Some((kid, ctr)) = packet.frame {
            self.learn(room, kid, ctr, &packet);
        }
        let Self { source, held } = self;
        let find = |packet| source.as_ref().and_then(|source| source.find(packet));
        match find(packet) {
            Some(found) => known(found),
            // The start of a frame that is in no log need not wait for anything.
            None if packet.frame.is_some() => return,
            None => {
                held.push_back(packet);
                if held.len() > Self::MAX_HELD {
                    held.pop_front();
                }
                return;
            }
        }
        if packet.frame.is_some() {
            for _ in 0..held.len() {
                let Some(packet) = held.pop_front() else { break };
                match find(packet) {
                    Some(found) => known(found),
                    None => held.push_back(packet),
                }
            }
        }
    }

    /// Learns the source in the slot and its shift from the first packet of a frame.
    fn learn(&mut self, room: &RoomLog, kid: u64, ctr: u64, packet: &SlotPacket) {
        // The source's own log first, then the room's: a seat may have a new owner.
        let own = self.source.as_mut().filter(|source| source.key.kid == kid);
        let learned = own.is_some_and(|source| source.shift(ctr, packet).is_some());
        if !learned {
            self.source = room.key(kid).and_then(|key| {
                let mut source = Source { key, shift: 0, timestamp_shift: 0 };
                source.shift(ctr, packet).map(|()| source)
            });
        }
    }
}

impl Source {
    /// Takes the shifts from the first packet of the frame with this counter, if it was sent.
    fn shift(&mut self, ctr: u64, packet: &SlotPacket) -> Option<()> {
        let sequence = self.key.first(ctr)?;
        let sent = self.key.stream.sent(sequence)?;
        self.shift = packet.sequence.wrapping_sub(sequence);
        self.timestamp_shift = packet.timestamp.wrapping_sub(sent.timestamp);
        Some(())
    }

    fn find(&self, packet: SlotPacket) -> Option<IdentifiedPacket<'_>> {
        let sequence = packet.sequence.wrapping_sub(self.shift);
        let sent = self.key.stream.sent(sequence)?;
        let fits = sent.timestamp.wrapping_add(self.timestamp_shift) == packet.timestamp;
        fits.then_some(IdentifiedPacket { stream: &self.key.stream, sequence, sent, packet })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::measure::send_log::Class;

    /// A publisher whose frames have three packets each.
    fn publisher(room: &RoomLog, kid: u64, frames: u64, timestamp: u32) -> Arc<StreamLog> {
        let stream = Arc::new(StreamLog::new(Class::Video, None, 256));
        let key = Arc::new(KeyLog::new(kid, stream.clone(), 64));
        room.add_key(key.clone());
        for ctr in 0..frames {
            key.record(ctr, stream.next());
            for _ in 0..3 {
                let timestamp = timestamp + 3_000 * ctr as u32;
                stream.record(Sent { at: Time::from_nanos(1_000_000 * ctr), timestamp }, 100, false);
            }
        }
        stream
    }

    fn packet(sequence: u64, timestamp: u32, frame: Option<(u64, u64)>) -> SlotPacket {
        SlotPacket { sequence, timestamp, frame, arrived_at: Time::default(), bytes: 100, repair: false }
    }

    fn found(identity: &mut PacketIdentifier, room: &RoomLog, packet: SlotPacket) -> Vec<u64> {
        let mut found = Vec::new();
        identity.packet(room, packet, |known| found.push(known.sequence - StreamLog::FIRST));
        found
    }

    #[test]
    fn first_packet_identifies_the_frame() {
        let (room, mut identity) = (RoomLog::default(), PacketIdentifier::default());
        publisher(&room, 7, 10, 500);
        // The server counts from 90,000, and its time is 40 more.
        assert_eq!(found(&mut identity, &room, packet(90_000, 540, Some((7, 0)))), [0]);
        assert_eq!(found(&mut identity, &room, packet(90_001, 540, None)), [1]);
        assert_eq!(found(&mut identity, &room, packet(90_003, 3_540, Some((7, 1)))), [3]);
        assert_eq!(found(&mut identity, &room, packet(90_002, 540, None)), [2], "late");
    }

    #[test]
    fn early_packet_is_held() {
        let (room, mut identity) = (RoomLog::default(), PacketIdentifier::default());
        publisher(&room, 7, 10, 500);
        assert!(found(&mut identity, &room, packet(90_002, 500, None)).is_empty());
        assert_eq!(found(&mut identity, &room, packet(90_000, 500, Some((7, 0)))), [0, 2]);
    }

    #[test]
    fn new_source_is_distinguished() {
        let (room, mut identity) = (RoomLog::default(), PacketIdentifier::default());
        publisher(&room, 7, 4, 500);
        let second = publisher(&room, 8, 10, 77);
        assert_eq!(found(&mut identity, &room, packet(90_000, 500, Some((7, 0)))), [0]);
        // Packets of the second source, which continues the slot's numbers: by shift they would be the first one's.
        assert!(found(&mut identity, &room, packet(90_004, 9_000, None)).is_empty(), "its time does not fit");
        let mut of = Vec::new();
        identity.packet(&room, packet(90_003, 9_000, Some((8, 0))), |known| {
            of.push((known.stream.clone(), known.sequence))
        });
        assert_eq!(of.len(), 2);
        assert!(of.iter().all(|(stream, _)| Arc::ptr_eq(stream, &second)));
    }

    #[test]
    fn frames_not_sent_are_unknown() {
        let (room, mut identity) = (RoomLog::default(), PacketIdentifier::default());
        publisher(&room, 7, 2, 500);
        assert!(found(&mut identity, &room, packet(1, 1, Some((9, 0)))).is_empty());
        assert!(found(&mut identity, &room, packet(1, 1, Some((7, 2)))).is_empty());
        for sequence in 0..1_000 {
            identity.packet(&room, packet(sequence, 1, None), |_| panic!("unknown"));
        }
        assert!(identity.held.len() <= PacketIdentifier::MAX_HELD);
    }
}
