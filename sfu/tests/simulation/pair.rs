//! A room with a publisher, and a receiver behind a path that can be impaired.

use super::{Datagram, GOOD, OVERHEAD, Outbox, feedback::TransportFeedback, transport};
use rtp_wire::{
    rtcp::{self, Rtcp},
    rtp::RtpPacket,
};
use sfu::{ParticipantId, Room, RoomId, Ssrc};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use tacet_impair::{Impairment, Link};

/// Who publishes.
pub const ALICE: ParticipantId = ParticipantId(1);
/// Who receives.
pub const BOB: ParticipantId = ParticipantId(2);

/// Bytes of an RTCP packet of Bob, about.
const REPORT: usize = 100;

/// An RTP packet that arrives at Bob.
#[derive(Clone)]
pub struct Arrival {
    /// When it left the room, in ms.
    pub left: u64,
    pub packet: Vec<u8>,
}

/// Alice and Bob in a room that adapts. Alice is beside the room, and Bob gets media over `downlink`.
pub struct Pair {
    pub now: Instant,
    pub room: Room,
    pub outbox: Outbox,
    pub downlink: Link<Arrival>,
    pub feedback: TransportFeedback,
    /// Alice owes a key frame: the stream begins, or the room has sent her a PLI.
    pub key_frame_requested: bool,
    start: Instant,
    back: Link<Datagram>,
    nonces: HashSet<(Ssrc, u16)>,
}

impl Pair {
    /// `seeds` are those of Bob's downlink and of the way back.
    pub fn new(downlink: Impairment, seeds: [u64; 2]) -> Self {
        let now = Instant::now();
        let mut room = Room::new(RoomId(1)).with_adaptation(true);
        for participant in [ALICE, BOB] {
            room.add_participant(participant, transport(participant)).unwrap();
        }
        Self {
            now,
            room,
            outbox: Outbox::default(),
            downlink: Link::new(downlink, seeds[0], now),
            feedback: TransportFeedback::default(),
            key_frame_requested: true,
            start: now,
            back: Link::new(GOOD, seeds[1], now),
            nonces: HashSet::new(),
        }
    }

    /// Milliseconds since the start.
    pub fn ms(&self) -> u64 {
        u64::try_from((self.now - self.start).as_millis()).unwrap()
    }

    /// Begins the next millisecond. Returns its number.
    pub fn advance(&mut self) -> u64 {
        self.now += Duration::from_millis(1);
        self.ms()
    }

    /// Lets Alice send these packets, Bob these and his feedback, and the room what is due. Returns what arrives at Bob.
    pub fn exchange(&mut self, published: Vec<Datagram>, mut answers: Vec<Datagram>) -> Vec<Arrival> {
        let (now, ms) = (self.now, self.ms());
        published.iter().for_each(|datagram| self.receive(ALICE, datagram));
        self.feedback.produce(ms, &mut answers);
        answers.into_iter().for_each(|datagram| _ = self.back.send(now, REPORT, datagram));
        let arrived: Vec<_> = self.back.arrived(now).collect();
        arrived.iter().for_each(|datagram| self.receive(BOB, datagram));
        if self.room.next_deadline().is_some_and(|at| at <= now) {
            self.room.tick(now, &mut self.outbox);
        }
        for (to, datagram) in std::mem::take(&mut self.outbox.packets) {
            match (to, datagram) {
                (BOB, Datagram::Rtp(packet)) => {
                    let view = RtpPacket::parse(&packet).unwrap();
                    assert!(self.nonces.insert((view.ssrc, view.seq.0)), "a nonce is repeated");
                    self.downlink.send(now, OVERHEAD + packet.len(), Arrival { left: ms, packet });
                }
                (ALICE, Datagram::Rtcp(packet)) => {
                    self.key_frame_requested |= rtcp::parse(&packet).any(|part| matches!(part, Rtcp::Pli { .. }));
                }
                (_, Datagram::Rtcp(_)) => {}
                (_, Datagram::Rtp(_)) => panic!("only Bob receives media"),
            }
        }
        let arrived: Vec<_> = self.downlink.arrived(now).collect();
        arrived.iter().for_each(|arrival| self.feedback.on_rtp(ms, &arrival.packet));
        arrived
    }

    fn receive(&mut self, from: ParticipantId, datagram: &Datagram) {
        match datagram {
            Datagram::Rtp(packet) => _ = self.room.receive_rtp(self.now, from, packet, &mut self.outbox),
            Datagram::Rtcp(packet) => self.room.receive_rtcp(self.now, from, packet, &mut self.outbox),
        }
    }
}
