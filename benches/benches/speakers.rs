//! Cost of 20 ms of a room of a thousand in which fifty microphones are open and six people talk at once.
//!
//! `seal` is the floor: the packets of the six sealed for a thousand receivers, without a room. `room` is a server's work:
//! levels, positions, slots, and the same seals.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
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
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tacet_benches::meeting::receiver_report;

const PARTICIPANTS: u32 = 1_000;
const MICROPHONES: u32 = 50;
const TALKERS: u32 = 6;
/// Of an Opus frame at 32 kbit/s, sealed.
const PAYLOAD: usize = 80 + 20;
const PACKET: Duration = Duration::from_millis(20);

/// Seals packets for their receivers into one buffer.
#[derive(Default)]
struct Seal {
    transports: SlotMap<TransportKey, (PathState, SrtpSealer)>,
    out: Vec<u8>,
    packets: u64,
}

impl Seal {
    fn connect(&mut self) -> TransportKey {
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
        self.transports[to].1.seal_rtp(header, payload, &mut self.out).expect("a number is not used twice");
    }

    fn rtcp(&mut self, _: TransportKey, _: &[u8]) {}
}

fn header(ssrc: u32, seq: u16, level: u8) -> HeaderBuffer {
    let mut header = HeaderBuffer::default();
    let payload_type = Codec::Opus.entry().pt;
    let fields = RtpHeader {
        marker: false,
        payload_type,
        seq: SeqNum(seq),
        timestamp: u32::from(seq).wrapping_mul(960),
        ssrc: Ssrc(ssrc),
    };
    header.build(fields, HeaderExtensions { audio_level: Some(level), twcc_seq: Some(seq), ..Default::default() });
    header
}

/// A room with its microphones.
struct Call {
    room: Room,
    now: Instant,
    seq: u16,
}

impl Call {
    fn new(egress: &mut Seal) -> Self {
        let (mut room, now) = (Room::new(RoomId(1)), Instant::now());
        let mut slots = Vec::new();
        for number in 0..PARTICIPANTS {
            let participant = ParticipantId(number);
            room.add_participant(participant, egress.connect()).unwrap();
            if number < MICROPHONES {
                let publication = Publication::single(Codec::Opus, Mid::new("sa").unwrap(), Ssrc(1 + number), None);
                room.publish(now, participant, TrackId(number), publication).unwrap();
            }
            for position in 0..SPEAKERS {
                let mid = Mid::new(&position.to_string()).unwrap();
                let (ssrc, _) = room.add_slot(participant, mid, Codec::Opus).unwrap();
                room.activate_slot(now, participant, mid, egress).unwrap();
                room.set_slot(now, participant, mid, Some(SlotSource::Speaker(position)), egress).unwrap();
                slots.push((participant, ssrc));
            }
        }
        let mut call = Self { room, now, seq: 0 };
        (0..10).for_each(|_| call.step(egress));
        for (participant, ssrc) in slots {
            call.room.receive_rtcp(call.now, participant, &receiver_report(ssrc), egress);
        }
        call
    }

    /// 20 ms: a packet of each microphone.
    fn step(&mut self, egress: &mut Seal) {
        egress.out.clear();
        self.now += PACKET;
        for number in 0..MICROPHONES {
            let level = if number < TALKERS { 25 } else { 80 };
            let packet = [header(1 + number, self.seq, level).as_bytes(), &[0xa5; PAYLOAD]].concat();
            self.room.receive_rtp(self.now, ParticipantId(number), &packet, egress);
        }
        self.seq = self.seq.wrapping_add(1);
        self.room.tick(self.now, egress);
    }
}

fn speakers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("speakers");
    group.sample_size(20).throughput(Throughput::Elements(u64::from(PARTICIPANTS * TALKERS)));
    group.bench_function("seal", |bencher| {
        let mut egress = Seal::default();
        let receivers: Vec<TransportKey> = (0..PARTICIPANTS).map(|_| egress.connect()).collect();
        let mut seq = 0u16;
        bencher.iter(|| {
            egress.out.clear();
            let mut headers: Vec<HeaderBuffer> = (0..TALKERS).map(|talker| header(talker, seq, 25)).collect();
            for receiver in &receivers {
                for (slot, header) in (1..).zip(&mut headers) {
                    header.set_stream(Ssrc(slot), SeqNum(seq), 0);
                    egress.rtp(*receiver, header.as_bytes(), &[0xa5; PAYLOAD]);
                }
            }
            seq = seq.wrapping_add(1);
            black_box(egress.out.len())
        });
    });
    group.bench_function("room", |bencher| {
        let mut egress = Seal::default();
        let mut call = Call::new(&mut egress);
        egress.packets = 0;
        let mut steps = 0;
        bencher.iter(|| {
            steps += 1;
            call.step(&mut egress);
            black_box(egress.out.len())
        });
        // Six speakers to all but themselves. There is no understudy.
        assert_eq!(egress.packets, steps * u64::from(PARTICIPANTS * TALKERS - TALKERS));
    });
    group.finish();
}

criterion_group!(benches, speakers);
criterion_main!(benches);
