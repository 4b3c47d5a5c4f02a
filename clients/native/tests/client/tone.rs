//! Test tones, and how much of a tone is in received audio.

use std::{convert::Infallible, f32::consts::TAU};
use tacet_native::{
    audio::{FRAME_SAMPLES, SAMPLE_RATE},
    client::AudioTrack,
};
use tokio::task::JoinHandle;

/// Blocks of a sine at half of full scale, endless.
pub(crate) fn tone(hertz: f32) -> impl Iterator<Item = Vec<f32>> {
    let step = TAU * hertz / SAMPLE_RATE as f32;
    (0u64..).map(move |block| {
        let sample = |n: usize| ((block * FRAME_SAMPLES as u64 + n as u64) as f64 * f64::from(step)).sin() as f32 / 2.0;
        (0..FRAME_SAMPLES).map(sample).collect()
    })
}

/// Plays a tone until the task is aborted.
pub(crate) fn play(track: AudioTrack, hertz: f32) -> JoinHandle<()> {
    tokio::spawn(async move {
        let Ok(()) = track.play(tone(hertz).map(Ok::<_, Infallible>)).await;
    })
}

/// Amplitude of a frequency in samples (Goertzel).
pub(crate) fn strength(samples: &[f32], hertz: f32) -> f32 {
    let step = f64::from(TAU * hertz / SAMPLE_RATE as f32);
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        sine += f64::from(*sample) * (n as f64 * step).sin();
        cosine += f64::from(*sample) * (n as f64 * step).cos();
    }
    (2.0 * sine.hypot(cosine) / samples.len().max(1) as f64) as f32
}

/// Whether the last 200 ms are mostly this tone.
pub(crate) fn is_heard<'a>(blocks: impl DoubleEndedIterator<Item = &'a [f32]>, hertz: f32) -> bool {
    let mut last: Vec<_> = blocks.rev().take(10).collect();
    last.reverse();
    last.len() == 10 && strength(&last.concat(), hertz) > 0.25
}
