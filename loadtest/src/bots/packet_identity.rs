//! Matches received packets to the packets that publishers sent.
//!
//! The first packet of a frame shows it in the clear SFrame header behind the payload descriptor. It also shows the slot's
//! *shift*: the difference between the server's sequence numbers and the publisher's. The shift identifies all other packets
//! of the frame, and those of later frames until the server drops a layer or changes the source: that begins a new *run*.
//! A packet that fits no run is held until the next first packet.

use crate::measure::clock::Time;
use crate::measure::send_log::{KeyLog, RoomLog, Sent, StreamLog, TrackLog};
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
    pub(crate) track: &'a Arc<TrackLog>,
    /// Index of the encoding.
    pub(crate) encoding: u8,
    pub(crate) sent: Sent,
    pub(crate) packet: SlotPacket,
}

/// Packets of one encoding, none of which the server has dropped.
#[derive(Clone, Debug)]
struct Run {
    /// Number in the slot from which on it holds.
    start: u64,
    key: Arc<KeyLog>,
    encoding: u8,
    /// Number in the slot minus number of the publisher.
    shift: u64,
    timestamp_shift: u32,
}

/// Identifies the packets of one slot.
#[derive(Debug, Default)]
pub(crate) struct PacketIdentifier {
    /// The newest runs, in the order of the slot's numbers.
    runs: VecDeque<Run>,
    held: VecDeque<SlotPacket>,
}

impl PacketIdentifier {
    /// Maximum number of packets held for the start of their frame; the oldest are dropped.
    const MAX_HELD: usize = 64;
    /// Maximum number of runs: a second of frames, each behind one that was dropped. Retransmissions arrive sooner.
    const MAX_RUNS: usize = 32;

    /// Identifies a packet; calls `known` for it and for those that were held for it.
    pub(crate) fn packet(&mut self, room: &RoomLog, packet: SlotPacket, mut known: impl FnMut(IdentifiedPacket<'_>)) {
        if let Some((kid, ctr)) = packet.frame {
            self.learn(room, kid, ctr, &packet);
        }
        let Self { runs, held } = self;
        match find(runs, packet) {
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
                match find(runs, packet) {
                    Some(found) => known(found),
                    None => held.push_back(packet),
                }
            }
        }
    }

    /// Learns the source in the slot and its shift from the first packet of a frame.
    fn learn(&mut self, room: &RoomLog, kid: u64, ctr: u64, packet: &SlotPacket) {
        let behind = self.runs.partition_point(|run| run.start <= packet.sequence);
        let before = behind.checked_sub(1).and_then(|at| self.runs.get(at));
        // The source's own log first, then the room's: a seat may have a new owner.
        let own = before.filter(|run| run.key.kid == kid).map(|run| run.key.clone());
        let run = own.and_then(|key| Run::new(key, ctr, packet));
        let Some(run) = run.or_else(|| Run::new(room.key(kid)?, ctr, packet)) else { return };
        if before.is_some_and(|before| before.continues_in(&run)) {
            return;
        }
        self.runs.insert(behind, run);
        if self.runs.len() > Self::MAX_RUNS {
            self.runs.pop_front();
        }
    }
}

/// Finds a packet in the run that its number belongs to. One before the first run belongs to the source that began there.
fn find(runs: &VecDeque<Run>, packet: SlotPacket) -> Option<IdentifiedPacket<'_>> {
    let behind = runs.partition_point(|run| run.start <= packet.sequence);
    runs.get(behind.saturating_sub(1))?.find(packet)
}

impl Run {
    /// The run that begins with the first packet of the frame with this counter, if the frame was sent.
    fn new(key: Arc<KeyLog>, ctr: u64, packet: &SlotPacket) -> Option<Self> {
        let (encoding, sequence) = key.first(ctr)?;
        let sent = key.encoding(encoding)?.sent(sequence)?;
        Some(Self {
            start: packet.sequence,
            encoding,
            shift: packet.sequence.wrapping_sub(sequence),
            timestamp_shift: packet.timestamp.wrapping_sub(sent.timestamp),
            key,
        })
    }

    /// Whether a run that begins later says nothing new.
    fn continues_in(&self, later: &Self) -> bool {
        Arc::ptr_eq(&self.key, &later.key)
            && (self.encoding, self.shift, self.timestamp_shift) == (later.encoding, later.shift, later.timestamp_shift)
    }

    fn find(&self, packet: SlotPacket) -> Option<IdentifiedPacket<'_>> {
        let stream: &StreamLog = self.key.encoding(self.encoding)?;
        let sent = stream.sent(packet.sequence.wrapping_sub(self.shift))?;
        let fits = sent.timestamp.wrapping_add(self.timestamp_shift) == packet.timestamp;
        fits.then_some(IdentifiedPacket { track: &self.key.track, encoding: self.encoding, sent, packet })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::measure::{layer::Layer, send_log::Class};

    /// A publisher whose frames have three packets each.
    fn publisher(room: &RoomLog, kid: u64, frames: u64, timestamp: u32) -> Arc<TrackLog> {
        let track = Arc::new(TrackLog::new(Class::Video, 256));
        let key = Arc::new(KeyLog::new(kid, track.clone(), 64));
        room.add_key(key.clone());
        for ctr in 0..frames {
            send(&key, ctr, 0, timestamp);
        }
        track
    }

    /// Sends a frame of three packets, whose time is that of its counter.
    fn send(key: &KeyLog, ctr: u64, encoding: u8, timestamp: u32) {
        let stream = key.encoding(encoding).unwrap();
        key.record(ctr, encoding, stream.next());
        for _ in 0..3 {
            stream.record(Time::from_nanos(1_000_000 * ctr), timestamp + 3_000 * ctr as u32, 0, 100, false);
        }
    }

    fn packet(sequence: u64, timestamp: u32, frame: Option<(u64, u64)>) -> SlotPacket {
        SlotPacket { sequence, timestamp, frame, arrived_at: Time::default(), bytes: 100, repair: false }
    }

    /// Encodings and numbers of the packets that one packet identifies.
    fn found(identity: &mut PacketIdentifier, room: &RoomLog, packet: SlotPacket) -> Vec<(u8, u64)> {
        let mut found = Vec::new();
        identity.packet(room, packet, |known| found.push((known.encoding, known.sent.number - StreamLog::FIRST)));
        found
    }

    #[test]
    fn first_packet_identifies_the_frame() {
        let (room, mut identity) = (RoomLog::default(), PacketIdentifier::default());
        publisher(&room, 7, 10, 500);
        // The server counts from 90,000, and its time is 40 more.
        assert_eq!(found(&mut identity, &room, packet(90_000, 540, Some((7, 0)))), [(0, 0)]);
        assert_eq!(found(&mut identity, &room, packet(90_001, 540, None)), [(0, 1)]);
        assert_eq!(found(&mut identity, &room, packet(90_003, 3_540, Some((7, 1)))), [(0, 3)]);
        assert_eq!(found(&mut identity, &room, packet(90_002, 540, None)), [(0, 2)], "late");
        assert_eq!(identity.runs.len(), 1);
    }

    #[test]
    fn early_packet_is_held() {
        let (room, mut identity) = (RoomLog::default(), PacketIdentifier::default());
        publisher(&room, 7, 10, 500);
        assert!(found(&mut identity, &room, packet(90_002, 500, None)).is_empty());
        assert_eq!(found(&mut identity, &room, packet(90_000, 500, Some((7, 0)))), [(0, 0), (0, 2)]);
    }

    #[test]
    fn dropped_frame_begins_a_run() {
        let (room, mut identity) = (RoomLog::default(), PacketIdentifier::default());
        publisher(&room, 7, 10, 500);
        assert_eq!(found(&mut identity, &room, packet(90_000, 500, Some((7, 0)))), [(0, 0)]);
        // Frame 1 was dropped: by the old shift, this would be one of its packets.
        assert!(found(&mut identity, &room, packet(90_004, 6_500, None)).is_empty());
        assert_eq!(found(&mut identity, &room, packet(90_003, 6_500, Some((7, 2)))), [(0, 6), (0, 7)]);
        assert_eq!(found(&mut identity, &room, packet(90_001, 500, None)), [(0, 1)], "of the run before");
    }

    #[test]
    fn counter_names_the_encoding() {
        let (room, mut identity) = (RoomLog::default(), PacketIdentifier::default());
        let encodings = (0..2).map(|_| StreamLog::new(&[Layer::default()], 64)).collect();
        let track = Arc::new(TrackLog { encodings, ..TrackLog::new(Class::Video, 64) });
        let key = Arc::new(KeyLog::new(7, track, 64));
        room.add_key(key.clone());
        for (ctr, encoding) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
            send(&key, ctr, encoding, 0);
        }
        assert_eq!(found(&mut identity, &room, packet(5, 0, Some((7, 0)))), [(0, 0)]);
        assert_eq!(found(&mut identity, &room, packet(8, 9_000, Some((7, 3)))), [(1, 3)]);
        assert_eq!(found(&mut identity, &room, packet(7, 0, None)), [(0, 2)]);
    }

    #[test]
    fn new_source_is_distinguished() {
        let (room, mut identity) = (RoomLog::default(), PacketIdentifier::default());
        publisher(&room, 7, 4, 500);
        let second = publisher(&room, 8, 10, 77);
        assert_eq!(found(&mut identity, &room, packet(90_000, 500, Some((7, 0)))), [(0, 0)]);
        // Packets of the second source, which continues the slot's numbers: by shift they would be the first one's.
        assert!(found(&mut identity, &room, packet(90_004, 9_000, None)).is_empty(), "its time does not fit");
        let mut of = Vec::new();
        identity.packet(&room, packet(90_003, 9_000, Some((8, 0))), |known| of.push(known.track.clone()));
        assert_eq!(of.len(), 2);
        assert!(of.iter().all(|track| Arc::ptr_eq(track, &second)));
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
