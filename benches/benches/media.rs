//! Work of a native client per frame: video is sealed and packetized, audio is encoded, buffered and decoded.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use e2ee_frames::{Codec, FrameKind, StreamId, codec};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tacet_benches::calls::{CLOCK, pair};
use tacet_native::{
    audio::{Channels, DelayBounds, Encoder, EncoderOptions, FRAME_SAMPLES, Playout},
    video::{Assembler, Packetizer},
};

const BLOCK: Duration = Duration::from_millis(20);

/// Video frames of several sizes: sealed and packetized; reassembled.
fn video(c: &mut Criterion) {
    let Some((mut sender, _)) = pair() else { return };
    let mut group = c.benchmark_group("video");
    for size in [1_000, 10_000, 100_000] {
        group.throughput(Throughput::Bytes(size as u64));
        let frame = vec![0x5a; size];
        for codec in [Codec::Vp8, Codec::Av1] {
            let mut sealed = vec![0; codec::max_sealed_bytes(codec, size)];
            let mut packetizer = Packetizer::new(codec, 0);
            let mut cut = || {
                let length = sender.seal(CLOCK, StreamId::CAMERA, codec, FrameKind::Delta, &frame, &mut sealed);
                let sealed = sealed.get(..length.unwrap_or_default()).unwrap_or_default();
                packetizer.packetize(sealed, FrameKind::Delta).unwrap_or_default()
            };
            let id = |what: &str| BenchmarkId::new(format!("{what} {codec:?}"), size);
            group.bench_function(id("seal and packetize"), |b| b.iter(|| black_box(cut())));
            let payloads = cut();
            let mut assembler = Assembler::new(codec);
            let mut sequence = 0u16;
            group.bench_function(id("assemble"), |b| {
                b.iter(|| {
                    for payload in &payloads {
                        sequence = sequence.wrapping_add(1);
                        black_box(assembler.push(sequence, payload.marker, &payload.bytes));
                    }
                });
            });
        }
    }
    group.finish();
}

/// 20 ms of audio: encoded; through jitter buffer and decoder.
fn audio(c: &mut Criterion) {
    let Ok(mut encoder) = Encoder::new(&EncoderOptions::default()) else { return };
    let Ok(mut playout) = Playout::new(Channels::Mono, DelayBounds::default()) else { return };
    let block: Vec<f32> = (0..FRAME_SAMPLES).map(|n| (n as f32 * 0.05).sin() * 0.5).collect();
    let mut group = c.benchmark_group("audio");
    group.bench_function("encode", |b| b.iter(|| black_box(encoder.encode(&block))));
    let (start, mut n) = (Instant::now(), 0u32);
    group.bench_function("push and pull", |b| {
        b.iter_batched(
            || encoder.encode(&block).ok().flatten().unwrap_or_default(),
            |frame| {
                n = n.wrapping_add(1);
                let now = start + BLOCK * n;
                playout.push(now, n as u16, n.wrapping_mul(FRAME_SAMPLES as u32), &frame);
                black_box(playout.pull(now).kind)
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = video, audio
}
criterion_main!(benches);
