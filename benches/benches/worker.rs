//! Cost of a forwarded packet in a worker, without sockets: receive, open, route, rewrite, seal, queue. AES-256-GCM,
//! about 1,200 bytes.
//!
//! `meeting/N` has N streams for each subscriber, which all send a packet at once; `webinar` has one publisher and 100
//! subscribers. The time is that of a batch; the throughput counts forwarded packets.

#![allow(missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::{Duration, Instant};
use tacet_benches::meeting::Meeting;

/// Time of `count` batches, excluding the sealing by publishers.
fn batches(meeting: &mut Meeting, of_each: u16, count: u64) -> Duration {
    let mut taken = Duration::ZERO;
    for _ in 0..count {
        let mut packets = meeting.packets(of_each);
        let start = Instant::now();
        for packet in &mut packets {
            meeting.receive(packet);
        }
        meeting.forward();
        taken += start.elapsed();
        meeting.pass(Duration::from_millis(20));
    }
    taken
}

fn worker(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("worker");
    for streams in [1, 5, 25, 50] {
        let mut meeting = Meeting::new(streams + 1, streams + 1);
        for (name, of_each) in [("meeting", 1), ("meeting, frames of 16", 16)] {
            let forwarded = (streams + 1) * usize::from(of_each) * meeting.fan_out();
            group.throughput(Throughput::Elements(forwarded as u64));
            group.bench_function(BenchmarkId::new(name, streams), |bencher| {
                bencher.iter_custom(|count| batches(&mut meeting, of_each, count));
            });
        }
    }
    let mut meeting = Meeting::new(101, 1);
    for (name, of_each) in [("webinar", 1), ("webinar, frames of 16", 16)] {
        group.throughput(Throughput::Elements(u64::from(of_each) * 100));
        group.bench_function(BenchmarkId::new(name, 100), |bencher| {
            bencher.iter_custom(|count| batches(&mut meeting, of_each, count));
        });
    }
    group.finish();
}

criterion_group!(benches, worker);
criterion_main!(benches);
