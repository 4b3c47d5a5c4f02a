//! Cost of a forwarded packet in a room, without transports: 1,200-byte VP8 packets of one publisher to N subscribers.
//!
//! `copy` ends in a memory copy, which measures the room alone; `seal` ends in AES-256-GCM, as in a server. `layers` sends
//! packets with Dependency Descriptors of 1, 3 and 9 decode targets to slots that get all of them: what a forwarded packet
//! costs must not depend on the number of targets. `feedback` has receivers that send transport-wide feedback: what a
//! forwarded packet costs then, and what a reported one costs.

#![allow(missing_docs, clippy::expect_used)]

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use rtc_client::srtp::{Profile, SrtpSealer};
use rtp_wire::{
    dependency_descriptor::ScalabilityMode,
    rtcp::twcc::{self, Arrival},
};
use sfu::{
    ParticipantId, Ssrc,
    congestion::PathState,
    egress::{Egress, TransportKey},
};
use slotmap::SlotMap;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tacet_benches::room_stream::{Copy, Stream};

/// Seals packets for their receivers into one buffer.
#[derive(Default)]
struct Seal {
    transports: SlotMap<TransportKey, (PathState, SrtpSealer)>,
    out: Vec<u8>,
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
        self.transports[to].1.seal_rtp(header, payload, &mut self.out).expect("a number is not used twice");
    }

    fn rtcp(&mut self, _: TransportKey, _: &[u8]) {}
}

/// Feedback on the packets from number `first` to before `next`, which arrive 2 ms after each other.
fn feedback(first: u64, next: u64) -> Vec<u8> {
    let arrivals: Vec<_> = (first..next).map(|seq| Arrival { seq, micros: seq * 2_000 }).collect();
    let mut packet = Vec::new();
    twcc::write(&mut packet, Ssrc(1), Ssrc(2), 0, first, &arrivals).expect("feedback that fits");
    packet
}

fn feedback_cost(criterion: &mut Criterion) {
    const SUBSCRIBERS: u32 = 25;
    /// Packets of 100 ms.
    const REPORTED: u64 = 50;
    let mut egress = Copy::default();
    let mut stream = Stream::vp8(SUBSCRIBERS, &mut egress, Copy::connect);
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
            let mut stream = Stream::vp8(subscribers, &mut egress, Copy::connect);
            bencher.iter(|| {
                egress.out.clear();
                stream.send(&mut egress);
                black_box(egress.out.len())
            });
            stream.assert_all_forwarded(subscribers);
        });
        group.bench_function(BenchmarkId::new("seal", subscribers), |bencher| {
            let mut egress = Seal::default();
            let mut stream = Stream::vp8(subscribers, &mut egress, Seal::connect);
            bencher.iter(|| {
                egress.out.clear();
                stream.send(&mut egress);
                black_box(egress.out.len())
            });
        });
    }
    group.finish();
}

fn layers(criterion: &mut Criterion) {
    const SUBSCRIBERS: u32 = 100;
    let mut group = criterion.benchmark_group("layers");
    group.throughput(Throughput::Elements(u64::from(SUBSCRIBERS)));
    for (targets, mode) in [(1, ScalabilityMode::L1T1), (3, ScalabilityMode::L1T3), (9, ScalabilityMode::L3T3)] {
        group.bench_function(BenchmarkId::new("copy", targets), |bencher| {
            let mut egress = Copy::default();
            let mut stream = Stream::layers(mode, SUBSCRIBERS, &mut egress, Copy::connect);
            bencher.iter(|| {
                egress.out.clear();
                stream.send(&mut egress);
                black_box(egress.out.len())
            });
            stream.assert_all_forwarded(SUBSCRIBERS);
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out, feedback_cost, layers);
criterion_main!(benches);
