//! Sealing and opening frames: a single AEAD call with both backends, and a whole session with envelope and lookups.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use e2ee_frames::{
    Codec, FrameKind, StreamId, codec,
    hazmat::{Aead, AwsLc, RustCrypto},
};
use std::hint::black_box;
use tacet_benches::calls::{CLOCK, pair};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const NONCE: [u8; 12] = [1; 12];
const AAD: [u8; 8] = [2; 8];

fn aead<A: Aead>(c: &mut Criterion, name: &str) {
    let Some(key) = A::new(&[3; 32]) else { return };
    let mut group = c.benchmark_group(name);
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut data = vec![0; size];
        group.bench_function(BenchmarkId::new("seal", size), |b| {
            b.iter(|| black_box(key.seal(&NONCE, &AAD, black_box(&mut data))));
        });
        let mut sealed = vec![0; size];
        let tag = key.seal(&NONCE, &AAD, &mut sealed).unwrap_or_default();
        group.bench_function(BenchmarkId::new("open", size), |b| {
            b.iter_batched_ref(
                || sealed.clone(),
                |sealed| black_box(key.open(&NONCE, &AAD, sealed, &tag)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn session(c: &mut Criterion) {
    let Some((mut sender, mut receiver)) = pair() else { return };
    let mut group = c.benchmark_group("session");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let frame = vec![0; size];
        let mut out = vec![0; codec::max_sealed_bytes(Codec::Vp8, size)];
        let mut seal = |out: &mut [u8]| sender.seal(CLOCK, StreamId::CAMERA, Codec::Vp8, FrameKind::Delta, &frame, out);
        group.bench_function(BenchmarkId::new("seal", size), |b| b.iter(|| black_box(seal(&mut out))));
        group.bench_function(BenchmarkId::new("open", size), |b| {
            // A frame opens only once, so the setup, which is not timed, seals each.
            b.iter_batched(
                || {
                    let length = seal(&mut out).unwrap_or_default();
                    out.get(..length).unwrap_or_default().to_vec()
                },
                |mut frame| black_box(receiver.open(CLOCK, Codec::Vp8, &mut frame)).is_ok(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn backends(c: &mut Criterion) {
    aead::<AwsLc>(c, "aws-lc");
    aead::<RustCrypto>(c, "rust-crypto");
}

criterion_group!(frames, backends, session);
criterion_main!(frames);
