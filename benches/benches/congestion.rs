//! Cost of bandwidth estimation for each packet: as it leaves, and as feedback reports it.
//!
//! A report covers what 100 ms of 2 Mbit/s are: 25 packets. They leave alone (`spread`) or as frames of five (`frames`).

#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sfu::{
    congestion::{BandwidthEstimator, PacketResult},
    units::{Bitrate, DataSize},
};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const PACKETS: u32 = 25;
const REPORT: Duration = Duration::from_millis(100);
const SIZE: DataSize = DataSize::from_bytes(1_000);

/// Packets of one report, sent in groups of `group`; `number` is that of the report.
fn report(start: Instant, number: u32, group: u32) -> Vec<PacketResult> {
    let begin = REPORT * number;
    let packets = (0..PACKETS).map(|packet| {
        let since_start = begin + REPORT / PACKETS * (packet / group * group);
        // Irregular arrivals within 4 ms.
        let jitter = Duration::from_micros(u64::from((number * PACKETS + packet) * 7_919 % 4_000));
        let received = since_start + Duration::from_millis(25) + jitter;
        let received_micros = u64::try_from(received.as_micros()).ok();
        PacketResult { sent: start + since_start, size: SIZE, received_micros, cluster: None }
    });
    packets.collect()
}

fn congestion(criterion: &mut Criterion) {
    let mut criterion = criterion.benchmark_group("congestion");
    criterion.throughput(Throughput::Elements(u64::from(PACKETS)));
    let rate = Bitrate::from_kbps(2_000);
    criterion.bench_function("sent", |bencher| {
        let (mut estimator, mut now) = (BandwidthEstimator::new(rate), Instant::now());
        bencher.iter(|| {
            for _ in 0..PACKETS {
                now += REPORT / PACKETS;
                estimator.on_sent(black_box(now), black_box(SIZE));
            }
        });
        black_box(estimator.estimate());
    });
    for (name, group) in [("spread", 1), ("frames", 5)] {
        criterion.bench_function(format!("report_{name}"), |bencher| {
            let (mut estimator, start, mut number) = (BandwidthEstimator::new(rate), Instant::now(), 0);
            estimator.set_wanted(rate, rate);
            bencher.iter_batched_ref(
                || {
                    number += 1;
                    (start + REPORT * (number + 1), report(start, number, group))
                },
                |(now, results)| estimator.on_report(*now, black_box(results)),
                criterion::BatchSize::SmallInput,
            );
            black_box(estimator.estimate());
        });
    }
    criterion.finish();
}

criterion_group!(benches, congestion);
criterion_main!(benches);
