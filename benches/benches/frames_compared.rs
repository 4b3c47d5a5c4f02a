//! Compares sealing and opening frames with the `sframe` crate in one run. Batches alternate, so that a busy machine slows
//! both sides equally. Prints a table of medians.
//!
//! `e2ee-frames` runs a whole session on aws-lc: envelope, key lookup, counter, replay window; for sealing, also a bare
//! context on RustCrypto. `sframe` gets derived keys and reuses its buffers.

#![allow(clippy::print_stdout)]

use e2ee_frames::{
    Codec, FrameKind, Session, StreamId, codec,
    hazmat::{FixedKeyContext, RustCrypto},
    sframe::Suite,
};
use sframe::{
    CipherSuite,
    frame::{EncryptedFrameView, MediaFrameView, MonotonicCounter},
    key::{DecryptionKey, EncryptionKey},
};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tacet_benches::calls::{CLOCK, pair};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const ROUNDS: usize = 101;
/// Approximate duration of a batch.
const BATCH: Duration = Duration::from_micros(500);
const BASE_KEY: [u8; 64] = [7; 64];
const METADATA: [u8; 3] = [0xc1, 1, 0];

/// A side of the comparison.
trait Side {
    /// Handles this many frames; returns how long that took.
    fn run(&mut self, frames: usize) -> Duration;
}

impl<F: FnMut(usize) -> Duration> Side for F {
    fn run(&mut self, frames: usize) -> Duration {
        self(frames)
    }
}

/// Returns the median time per frame of each side in ns. The sides alternate.
fn medians(sides: &mut [&mut dyn Side]) -> Vec<f64> {
    let frames: Vec<usize> = sides
        .iter_mut()
        .map(|side| {
            let one = side.run(64).as_secs_f64() / 64.0;
            ((BATCH.as_secs_f64() / one) as usize).clamp(8, 4_096)
        })
        .collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); sides.len()];
    for _ in 0..ROUNDS {
        for ((side, frames), times) in sides.iter_mut().zip(&frames).zip(&mut times) {
            times.push(side.run(*frames).as_nanos() as f64 / *frames as f64);
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times.get(ROUNDS / 2).copied().unwrap_or(f64::NAN)
        })
        .collect()
}

fn seal(session: &mut Session, frame: &[u8], out: &mut [u8]) -> usize {
    session.seal(CLOCK, StreamId::CAMERA, Codec::Vp8, FrameKind::Delta, frame, out).unwrap_or(0)
}

fn seal_ours<'a>(session: &'a mut Session, frame: &'a [u8]) -> impl FnMut(usize) -> Duration + 'a {
    let mut out = vec![0; codec::max_sealed_bytes(Codec::Vp8, frame.len())];
    move |frames| {
        let start = Instant::now();
        for _ in 0..frames {
            black_box(seal(session, black_box(frame), &mut out));
        }
        start.elapsed()
    }
}

fn seal_rust_crypto(frame: &[u8]) -> Option<impl FnMut(usize) -> Duration + '_> {
    let mut context = FixedKeyContext::<RustCrypto>::with_backend(Suite::Aes256GcmSha512, &BASE_KEY, 9).ok()?;
    let mut out = vec![0; frame.len() + 64];
    Some(move |frames| {
        let start = Instant::now();
        for _ in 0..frames {
            let _ = black_box(context.seal_into(&METADATA, black_box(frame), &mut out));
        }
        start.elapsed()
    })
}

fn seal_theirs(frame: &[u8]) -> Option<impl FnMut(usize) -> Duration + '_> {
    let key = EncryptionKey::derive_from(CipherSuite::AesGcm256Sha512, 9u64, BASE_KEY).ok()?;
    let (mut counter, mut out) = (MonotonicCounter::default(), Vec::new());
    Some(move |frames| {
        let start = Instant::now();
        for _ in 0..frames {
            let view = MediaFrameView::try_with_meta_data(&mut counter, black_box(frame), &METADATA);
            let _ = view.map(|view| black_box(view.encrypt_into(&key, &mut out).is_ok()));
        }
        start.elapsed()
    })
}

fn open_ours<'a>(
    sender: &'a mut Session,
    receiver: &'a mut Session,
    frame: &'a [u8],
) -> impl FnMut(usize) -> Duration + 'a {
    let mut sealed: Vec<Vec<u8>> = Vec::new();
    move |frames| {
        // A frame opens only once, so each batch has its own frames, sealed before the measurement.
        sealed.resize_with(frames.max(sealed.len()), || vec![0; codec::max_sealed_bytes(Codec::Vp8, frame.len())]);
        let lengths: Vec<usize> = sealed.iter_mut().take(frames).map(|out| seal(sender, frame, out)).collect();
        let start = Instant::now();
        let mut opened = 0;
        for (frame, length) in sealed.iter_mut().zip(lengths) {
            let frame = frame.get_mut(..length).unwrap_or_default();
            opened += usize::from(black_box(receiver.open(CLOCK, Codec::Vp8, frame)).is_ok());
        }
        let elapsed = start.elapsed();
        assert_eq!(opened, frames, "every frame opens");
        elapsed
    }
}

fn open_theirs(frame: &[u8]) -> Option<impl FnMut(usize) -> Duration + '_> {
    let seal = EncryptionKey::derive_from(CipherSuite::AesGcm256Sha512, 9u64, BASE_KEY).ok()?;
    let open = DecryptionKey::derive_from(CipherSuite::AesGcm256Sha512, 9u64, BASE_KEY).ok()?;
    let (mut counter, mut out, mut opened_into) = (MonotonicCounter::default(), Vec::new(), Vec::new());
    Some(move |frames: usize| {
        let sealed: Vec<Vec<u8>> = (0..frames)
            .filter_map(|_| {
                let view = MediaFrameView::try_with_meta_data(&mut counter, frame, &METADATA).ok()?;
                Some(view.encrypt_into(&seal, &mut out).ok()?.sframe_cipher_text().to_vec())
            })
            .collect();
        let start = Instant::now();
        let mut opened = 0;
        for sealed in &sealed {
            let view = EncryptedFrameView::try_with_meta_data(sealed, &METADATA);
            opened += usize::from(view.is_ok_and(|view| black_box(view.decrypt_into(&open, &mut opened_into).is_ok())));
        }
        let elapsed = start.elapsed();
        assert_eq!(opened, frames, "every frame opens");
        elapsed
    })
}

fn main() {
    println!(
        "nanoseconds a frame, medians of {ROUNDS} batches in turn; in brackets, how many times as fast as sframe 2.1"
    );
    println!("| frame | seal: session | seal: RustCrypto | seal: sframe | open: session | open: sframe |");
    println!("|---|---|---|---|---|---|");
    for size in SIZES {
        let frame = vec![0x5a; size];
        let (Some((mut sender, _)), Some((mut other, mut receiver))) = (pair(), pair()) else { return };
        let (Some(mut rust_crypto), Some(mut seal_theirs), Some(mut open_theirs)) =
            (seal_rust_crypto(&frame), seal_theirs(&frame), open_theirs(&frame))
        else {
            return;
        };
        let mut seal_ours = seal_ours(&mut sender, &frame);
        let mut open_ours = open_ours(&mut other, &mut receiver, &frame);
        let times =
            medians(&mut [&mut seal_ours, &mut rust_crypto, &mut seal_theirs, &mut open_ours, &mut open_theirs]);
        let [ours, rust, theirs, open, open_theirs] = times.as_slice() else { return };
        println!(
            "| {size} B | {ours:.0} ({:.2}) | {rust:.0} ({:.2}) | {theirs:.0} | {open:.0} ({:.2}) | {open_theirs:.0} |",
            theirs / ours,
            theirs / rust,
            open_theirs / open,
        );
    }
}
