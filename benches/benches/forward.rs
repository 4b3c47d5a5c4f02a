//! Cost of a forwarded packet in a room, without transports: 1,200-byte VP8 packets of one publisher to N subscribers.
//!
//! `copy` ends in a memory copy, which measures the room alone; `seal` ends in AES-256-GCM, as in a server. `layers` sends
//! packets with Dependency Descriptors of 1, 3 and 9 decode targets to slots that get all of them: what a forwarded packet
//! costs must not depend on the number of targets. `feedback` has receivers that send transport-wide feedback: what a
//! forwarded packet costs then, and what a reported one costs.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use rtc_client::srtp::{Profile, SrtpSealer};
use rtp_wire::{
    dependency_descriptor::{self, FrameSequence, ScalabilityMode},
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtcp::twcc::{self, Arrival},
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
    /// A stream of VP8.
    fn new<E: Egress>(subscribers: u32, egress: &mut E, connect: impl Fn(&mut E) -> TransportKey) -> Self {
        let mut header = HeaderBuffer::default();
        header.build(
            RtpHeader { marker: false, payload_type: 96, seq: SeqNum(0), timestamp: 0, ssrc: Ssrc(1) },
            HeaderExtensions { twcc_seq: Some(0), ..Default::default() },
        );
        let mut payload = vec![0x90, 0xc0, 0x80, 1, 1, 0x10];
        payload.resize(PAYLOAD, 0xa5);
        Self::beginning(Codec::Vp8, vec![[header.as_bytes(), &payload].concat()], subscribers, egress, connect)
    }

    /// A stream that has begun with these packets. Its receivers know their m-lines.
    fn beginning<E: Egress>(
        codec: Codec,
        packets: Vec<Vec<u8>>,
        subscribers: u32,
        egress: &mut E,
        connect: impl Fn(&mut E) -> TransportKey,
    ) -> Self {
        let (now, mid) = (Instant::now(), Mid::new("v").unwrap());
        let mut room = Room::new(RoomId(1)).with_video_rate(Bitrate::MAX);
        room.add_participant(PUBLISHER, connect(egress)).unwrap();
        let publication = Publication::single(codec, mid, Ssrc(1), Some(Ssrc(2)));
        room.publish(now, PUBLISHER, TrackId(1), publication).unwrap();
        let slots: Vec<_> = (1..=subscribers)
            .map(|subscriber| {
                let subscriber = ParticipantId(subscriber);
                room.add_participant(subscriber, connect(egress)).unwrap();
                let (ssrc, _) = room.add_slot(subscriber, mid, codec).unwrap();
                room.activate_slot(now, subscriber, mid, egress).unwrap();
                room.set_slot(now, subscriber, mid, Some(TrackId(1).into()), egress).unwrap();
                (subscriber, ssrc)
            })
            .collect();
        let mut stream = Self { room, packet: Vec::new(), seq: 0, now };
        for packet in packets {
            stream.packet = packet;
            stream.send(egress);
        }
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

/// Feedback on the packets from number `first` to before `next`, which arrive 2 ms after each other.
fn feedback(first: u64, next: u64) -> Vec<u8> {
    let arrivals: Vec<_> = (first..next).map(|seq| Arrival { seq, micros: seq * 2_000 }).collect();
    let mut packet = Vec::new();
    twcc::write(&mut packet, Ssrc(1), Ssrc(2), 0, first, &arrivals).unwrap();
    packet
}

fn feedback_cost(criterion: &mut Criterion) {
    const SUBSCRIBERS: u32 = 25;
    /// Packets of 100 ms.
    const REPORTED: u64 = 50;
    let mut egress = Copy::default();
    let mut stream = Stream::new(SUBSCRIBERS, &mut egress, |egress| egress.paths.insert(PathState::default()));
    let mut next = u64::from(stream.seq);
    let report = |stream: &mut Stream, egress: &mut Copy, first, next| {
        let packet = feedback(first, next);
        let begun = Instant::now();
        for subscriber in 1..=SUBSCRIBERS {
            stream.room.receive_rtcp(stream.now, ParticipantId(subscriber), &packet, egress);
        }
        begun.elapsed()
    };
    report(&mut stream, &mut egress, 0, next);
    let mut group = criterion.benchmark_group("feedback");
    let mut measure = |group: &mut BenchmarkGroup<'_, WallTime>, name: &str, of_reports: bool| {
        let reported = u64::from(SUBSCRIBERS) * REPORTED;
        group.throughput(Throughput::Elements(reported));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let begun = Instant::now();
                    for _ in 0..REPORTED {
                        egress.out.clear();
                        stream.send(&mut egress);
                    }
                    let sending = begun.elapsed();
                    next += REPORTED;
                    let reporting = report(&mut stream, &mut egress, next - REPORTED, next);
                    total += if of_reports { reporting } else { sending };
                }
                total
            });
        });
    };
    measure(&mut group, "forwarded", false);
    measure(&mut group, "reported", true);
    group.finish();
    assert_eq!(stream.room.stats().downlink.unknown, 0);
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

/// Packets of a VP9 encoding with layers: those of a key unit, and others that can be repeated without end.
fn layered_packets(mode: ScalabilityMode) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut frames = FrameSequence::new(mode, &[]);
    let mut next = |key| -> Vec<_> {
        let unit = frames.next_unit(key);
        let packets = unit.iter().map(|frame| {
            let mut descriptor = Vec::new();
            dependency_descriptor::write(&mut descriptor, frame, frames.structure()).unwrap();
            let mut header = HeaderBuffer::default();
            header.build(
                RtpHeader { marker: false, payload_type: 98, seq: SeqNum(0), timestamp: 0, ssrc: Ssrc(1) },
                HeaderExtensions { twcc_seq: Some(0), dependency: Some(&descriptor), ..Default::default() },
            );
            [header.as_bytes(), &[0xa5; PAYLOAD]].concat()
        });
        packets.collect()
    };
    (next(true), (0..64).flat_map(|_| next(false)).collect())
}

fn layers(criterion: &mut Criterion) {
    const SUBSCRIBERS: u32 = 100;
    let mut group = criterion.benchmark_group("layers");
    group.throughput(Throughput::Elements(u64::from(SUBSCRIBERS)));
    for (targets, mode) in [(1, ScalabilityMode::L1T1), (3, ScalabilityMode::L1T3), (9, ScalabilityMode::L3T3)] {
        group.bench_function(BenchmarkId::new("copy", targets), |bencher| {
            let mut egress = Copy::default();
            let connect = |egress: &mut Copy| egress.paths.insert(PathState::default());
            let (key, others) = layered_packets(mode);
            let mut stream = Stream::beginning(Codec::Vp9, key, SUBSCRIBERS, &mut egress, connect);
            let mut next = others.iter().cycle();
            bencher.iter(|| {
                egress.out.clear();
                stream.packet.clone_from(next.next().unwrap());
                stream.send(&mut egress);
                black_box(egress.out.len())
            });
            let stats = stream.room.stats();
            assert_eq!(stats.forwarded, stats.received * u64::from(SUBSCRIBERS));
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out, feedback_cost, layers);
criterion_main!(benches);
