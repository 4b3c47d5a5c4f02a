//! Cost of a forwarded packet in a room, without transports: 1,200-byte VP8 packets of one publisher to N subscribers.
//!
//! `copy` ends in a memory copy, which measures the room alone; `seal` ends in AES-256-GCM, as in a server.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rtc_client::srtp::{Profile, SrtpSealer};
use rtp_wire::{
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    seq::SeqNum,
};
use sfu::{
    Mid, ParticipantId, Room, RoomId, Ssrc, TrackId,
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

const PUBLISHER: ParticipantId = ParticipantId(0);
const PAYLOAD: usize = 1_160;

/// Copies packets into one buffer.
#[derive(Default)]
struct Copy {
    paths: SlotMap<TransportKey, PathState>,
    out: Vec<u8>,
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

/// Seals packets for their receivers into one buffer.
#[derive(Default)]
struct Seal {
    transports: SlotMap<TransportKey, (PathState, SrtpSealer)>,
    out: Vec<u8>,
}

impl Egress for Seal {
    fn path(&mut self, of: TransportKey) -> Option<&mut PathState> {
        self.transports.get_mut(of).map(|(path, _)| path)
    }

    fn rtp(&mut self, to: TransportKey, header: &[u8], payload: &[u8]) {
        self.transports[to].1.seal_rtp(header, payload, &mut self.out).expect("a number is not used twice");
    }

    fn rtcp(&mut self, _: TransportKey, _: &[u8]) {}
}

/// A room with a running call, and the next packet.
struct Stream {
    room: Room,
    packet: Vec<u8>,
    seq: u16,
    now: Instant,
}

impl Stream {
    fn new<E: Egress>(subscribers: u32, egress: &mut E, connect: impl Fn(&mut E) -> TransportKey) -> Self {
        let (now, mid) = (Instant::now(), Mid::new("v").unwrap());
        let mut room = Room::new(RoomId(1));
        room.add_participant(PUBLISHER, connect(egress)).unwrap();
        let publication = Publication::single(Codec::Vp8, mid, Ssrc(1), Some(Ssrc(2)));
        room.publish(now, PUBLISHER, TrackId(1), publication).unwrap();
        let slots: Vec<_> = (1..=subscribers)
            .map(|subscriber| {
                let subscriber = ParticipantId(subscriber);
                room.add_participant(subscriber, connect(egress)).unwrap();
                let (ssrc, _) = room.add_slot(subscriber, mid, Codec::Vp8).unwrap();
                room.activate_slot(now, subscriber, mid, egress).unwrap();
                room.set_slot(now, subscriber, mid, Some(TrackId(1).into()), egress).unwrap();
                (subscriber, ssrc)
            })
            .collect();
        let mut header = HeaderBuffer::default();
        header.build(
            RtpHeader { marker: false, payload_type: 96, seq: SeqNum(0), timestamp: 0, ssrc: Ssrc(1) },
            HeaderExtensions { twcc_seq: Some(0), ..Default::default() },
        );
        let mut payload = vec![0x90, 0xc0, 0x80, 1, 1, 0x10];
        payload.resize(PAYLOAD, 0xa5);
        let mut stream = Self { room, packet: [header.as_bytes(), &payload].concat(), seq: 0, now };
        stream.send(egress);
        for (subscriber, ssrc) in slots {
            stream.room.receive_rtcp(now, subscriber, &receiver_report(ssrc), egress);
        }
        stream
    }

    /// Forwards one packet, and lets the room do what is due. 500 packets per second.
    fn send(&mut self, egress: &mut impl Egress) {
        self.packet[2..4].copy_from_slice(&self.seq.to_be_bytes());
        self.seq = self.seq.wrapping_add(1);
        self.now += Duration::from_millis(2);
        self.room.receive_rtp(self.now, PUBLISHER, &self.packet, egress);
        if self.room.next_deadline().is_some_and(|at| at <= self.now) {
            self.room.tick(self.now, egress);
        }
    }
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    for subscribers in [1, 25, 100] {
        group.throughput(Throughput::Elements(u64::from(subscribers)));
        group.bench_function(BenchmarkId::new("copy", subscribers), |bencher| {
            let mut egress = Copy::default();
            let mut stream = Stream::new(subscribers, &mut egress, |egress| egress.paths.insert(PathState::default()));
            bencher.iter(|| {
                egress.out.clear();
                stream.send(&mut egress);
                black_box(egress.out.len())
            });
            assert_eq!(stream.room.stats().duplicate, 0);
        });
        group.bench_function(BenchmarkId::new("seal", subscribers), |bencher| {
            let sealer = || SrtpSealer::new(Profile::Aes256Gcm, &[7; 32], &[7; 12]).unwrap();
            let mut egress = Seal::default();
            let mut stream = Stream::new(subscribers, &mut egress, |egress| {
                egress.transports.insert((PathState::default(), sealer()))
            });
            bencher.iter(|| {
                egress.out.clear();
                stream.send(&mut egress);
                black_box(egress.out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
