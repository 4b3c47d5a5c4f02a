//! A room of a thousand in which fifty microphones are open and six people talk at once, without transports.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a benchmark that cannot be set up measures nothing"
)]

use crate::meeting::receiver_report;
use rtc_client::srtp::{Profile, SrtpSealer};
use rtp_wire::{
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    seq::SeqNum,
};
use sfu::{
    Mid, ParticipantId, Room, RoomId, SPEAKERS, SlotSource, Ssrc, TrackId,
    command::Publication,
    congestion::PathState,
    egress::{Egress, TransportKey},
    media::Codec,
};
use slotmap::SlotMap;
use std::time::{Duration, Instant};

/// Everyone, listening.
pub const PARTICIPANTS: u32 = 1_000;
/// Open microphones.
pub const MICROPHONES: u32 = 50;
/// Those who talk.
pub const TALKERS: u32 = 6;
/// Payload of a packet in bytes: an Opus frame at 32 kbit/s, sealed.
pub const PAYLOAD: usize = 80 + 20;
const PACKET: Duration = Duration::from_millis(20);

/// Seals packets for their receivers into one buffer.
#[derive(Debug, Default)]
pub struct Seal {
    transports: SlotMap<TransportKey, (PathState, SrtpSealer)>,
    /// What was sealed last.
    pub out: Vec<u8>,
    /// Number of sealed packets.
    pub packets: u64,
}

impl Seal {
    /// Adds a receiver.
    pub fn connect(&mut self) -> TransportKey {
        let sealer = SrtpSealer::new(Profile::Aes256Gcm, &[7; 32], &[7; 12]).expect("a key");
        self.transports.insert((PathState::default(), sealer))
    }
}

impl Egress for Seal {
    fn path(&mut self, of: TransportKey) -> Option<&mut PathState> {
        self.transports.get_mut(of).map(|(path, _)| path)
    }

    fn rtp(&mut self, to: TransportKey, header: &[u8], payload: &[u8]) {
        self.packets += 1;
        if let Some((_, sealer)) = self.transports.get_mut(to) {
            sealer.seal_rtp(header, payload, &mut self.out).expect("a number is not used twice");
        }
    }

    fn rtcp(&mut self, _: TransportKey, _: &[u8]) {}
}

/// Builds the header of a packet with a level in -dBov.
pub fn build_header(header: &mut HeaderBuffer, ssrc: u32, seq: u16, level: u8) {
    let (marker, payload_type, timestamp) = (false, Codec::Opus.entry().pt, u32::from(seq).wrapping_mul(960));
    let fields = RtpHeader { marker, payload_type, seq: SeqNum(seq), timestamp, ssrc: Ssrc(ssrc) };
    header.build(fields, HeaderExtensions { audio_level: Some(level), twcc_seq: Some(seq), ..Default::default() });
}

/// A room with its microphones.
#[derive(Debug)]
pub struct Call {
    room: Room,
    now: Instant,
    seq: u16,
    header: HeaderBuffer,
    packet: Vec<u8>,
}

fn mid(text: &str) -> Mid {
    Mid::new(text).expect("a MID")
}

impl Call {
    /// A call in which the first packets have been forwarded.
    pub fn new(egress: &mut Seal) -> Self {
        let (mut room, now) = (Room::new(RoomId(1)), Instant::now());
        let mut slots = Vec::new();
        for number in 0..PARTICIPANTS {
            let participant = ParticipantId(number);
            room.add_participant(participant, egress.connect()).expect("the room accepts it");
            if number < MICROPHONES {
                let publication = Publication::single(Codec::Opus, mid("sa"), Ssrc(1 + number), None);
                room.publish(now, participant, TrackId(number), publication).expect("the track is new");
            }
            for position in 0..SPEAKERS {
                let mid = mid(&position.to_string());
                let (ssrc, _) = room.add_slot(participant, mid, Codec::Opus).expect("the room accepts it");
                room.activate_slot(now, participant, mid, egress).expect("the room accepts it");
                room.set_slot(now, participant, mid, Some(SlotSource::Speaker(position)), egress)
                    .expect("the room accepts it");
                slots.push((participant, ssrc));
            }
        }
        let mut call = Self { room, now, seq: 0, header: HeaderBuffer::default(), packet: Vec::new() };
        (0..10).for_each(|_| call.step(egress));
        for (participant, ssrc) in slots {
            call.room.receive_rtcp(call.now, participant, &receiver_report(ssrc), egress);
        }
        call
    }

    /// 20 ms: a packet of each microphone.
    pub fn step(&mut self, egress: &mut Seal) {
        egress.out.clear();
        self.now += PACKET;
        for number in 0..MICROPHONES {
            let level = if number < TALKERS { 25 } else { 80 };
            build_header(&mut self.header, 1 + number, self.seq, level);
            self.packet.clear();
            self.packet.extend_from_slice(self.header.as_bytes());
            self.packet.extend_from_slice(&[0xa5; PAYLOAD]);
            self.room.receive_rtp(self.now, ParticipantId(number), &self.packet, egress);
        }
        self.seq = self.seq.wrapping_add(1);
        self.room.tick(self.now, egress);
    }
}
