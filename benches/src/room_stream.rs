//! A room that forwards the packets of one publisher, without transports: what the room alone costs.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a benchmark that cannot be set up measures nothing"
)]

use crate::meeting::receiver_report;
use rtp_wire::{
    dependency_descriptor::{self, FrameSequence, ScalabilityMode},
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    seq::SeqNum,
};
use sfu::{
    Mid, ParticipantId, Room, RoomId, Ssrc, TrackId,
    command::Publication,
    congestion::PathState,
    egress::{Egress, TransportKey},
    media::Codec,
    units::Bitrate,
};
use slotmap::SlotMap;
use std::time::{Duration, Instant};

const PUBLISHER: ParticipantId = ParticipantId(0);
/// Payload of a packet in bytes.
const PAYLOAD: usize = 1_160;
/// Time between packets: 500 a second.
const INTERVAL: Duration = Duration::from_millis(2);

/// Copies packets into one buffer.
#[derive(Debug, Default)]
pub struct Copy {
    paths: SlotMap<TransportKey, PathState>,
    /// What was sent since it was cleared.
    pub out: Vec<u8>,
}

impl Copy {
    /// Adds a receiver.
    pub fn connect(&mut self) -> TransportKey {
        self.paths.insert(PathState::default())
    }
}

impl Egress for Copy {
    fn path(&mut self, of: TransportKey) -> Option<&mut PathState> {
        self.paths.get_mut(of)
    }

    fn rtp(&mut self, _: TransportKey, header: &[u8], payload: &[u8]) {
        self.out.extend_from_slice(header);
        self.out.extend_from_slice(payload);
    }

    fn rtcp(&mut self, _: TransportKey, _: &[u8]) {}
}

/// A room with a running call, and the next packet.
#[derive(Debug)]
pub struct Stream {
    /// The room.
    pub room: Room,
    /// Packets that are sent in turn.
    packets: Vec<Vec<u8>>,
    next: usize,
    /// Sequence number of the next packet.
    pub seq: u16,
    /// Virtual time.
    pub now: Instant,
}

impl Stream {
    /// A stream of VP8, in packets that each begin a key frame.
    pub fn vp8<E: Egress>(subscribers: u32, egress: &mut E, connect: impl Fn(&mut E) -> TransportKey) -> Self {
        let mut payload = vec![0x90, 0xc0, 0x80, 1, 1, 0x10];
        payload.resize(PAYLOAD, 0xa5);
        let packet = [header(Codec::Vp8, None).as_bytes(), &payload].concat();
        Self::new(Codec::Vp8, vec![packet.clone()], vec![packet], subscribers, egress, connect)
    }

    /// A stream of VP9 in layers, all of which go to all subscribers.
    pub fn layers<E: Egress>(
        mode: ScalabilityMode,
        subscribers: u32,
        egress: &mut E,
        connect: impl Fn(&mut E) -> TransportKey,
    ) -> Self {
        let mut frames = FrameSequence::new(mode, &[]);
        let mut next = |key| -> Vec<_> {
            let unit = frames.next_unit(key);
            let packets = unit.iter().map(|frame| {
                let mut descriptor = Vec::new();
                dependency_descriptor::write(&mut descriptor, frame, frames.structure()).expect("a valid frame");
                [header(Codec::Vp9, Some(&descriptor)).as_bytes(), &[0xa5; PAYLOAD]].concat()
            });
            packets.collect()
        };
        // The packets after a key frame can be repeated without end.
        let (key, others) = (next(true), (0..64).flat_map(|_| next(false)).collect());
        Self::new(Codec::Vp9, key, others, subscribers, egress, connect)
    }

    /// A stream that has begun with some packets, and goes on with others. Its receivers know their m-lines.
    fn new<E: Egress>(
        codec: Codec,
        first: Vec<Vec<u8>>,
        packets: Vec<Vec<u8>>,
        subscribers: u32,
        egress: &mut E,
        connect: impl Fn(&mut E) -> TransportKey,
    ) -> Self {
        let (now, mid) = (Instant::now(), Mid::new("v").expect("a MID"));
        let mut room = Room::new(RoomId(1)).with_video_rate(Bitrate::MAX);
        room.add_participant(PUBLISHER, connect(egress)).expect("the room accepts it");
        let publication = Publication::single(codec, mid, Ssrc(1), Some(Ssrc(2)));
        room.publish(now, PUBLISHER, TrackId(1), publication).expect("the room accepts it");
        let mut slots = Vec::new();
        for subscriber in (1..=subscribers).map(ParticipantId) {
            room.add_participant(subscriber, connect(egress)).expect("the room accepts it");
            let (ssrc, _) = room.add_slot(subscriber, mid, codec).expect("the room accepts it");
            room.activate_slot(now, subscriber, mid, egress).expect("the room accepts it");
            room.set_slot(now, subscriber, mid, Some(TrackId(1).into()), egress).expect("the room accepts it");
            slots.push((subscriber, ssrc));
        }
        let begins = first.len();
        let mut stream = Self { room, packets: first, next: 0, seq: 0, now };
        (0..begins).for_each(|_| stream.send(egress));
        stream.packets = packets;
        for (subscriber, ssrc) in slots {
            stream.room.receive_rtcp(now, subscriber, &receiver_report(ssrc), egress);
        }
        stream
    }

    /// Forwards one packet, and lets the room do what is due.
    pub fn send(&mut self, egress: &mut impl Egress) {
        let position = self.next % self.packets.len();
        let packet = &mut self.packets[position];
        packet[2..4].copy_from_slice(&self.seq.to_be_bytes());
        (self.next, self.seq) = (position + 1, self.seq.wrapping_add(1));
        self.now += INTERVAL;
        self.room.receive_rtp(self.now, PUBLISHER, packet, egress);
        if self.room.next_deadline().is_some_and(|at| at <= self.now) {
            self.room.tick(self.now, egress);
        }
    }

    /// Asserts that every packet went to every subscriber.
    pub fn assert_all_forwarded(&self, subscribers: u32) {
        let stats = self.room.stats();
        assert_eq!(stats.forwarded, stats.received * u64::from(subscribers));
        assert_eq!(stats.duplicate, 0);
    }
}

fn header(codec: Codec, dependency: Option<&[u8]>) -> HeaderBuffer {
    let (payload_type, seq, ssrc) = (codec.entry().pt, SeqNum(0), Ssrc(1));
    let mut header = HeaderBuffer::default();
    header.build(
        RtpHeader { marker: false, payload_type, seq, timestamp: 0, ssrc },
        HeaderExtensions { twcc_seq: Some(0), dependency, ..Default::default() },
    );
    header
}
