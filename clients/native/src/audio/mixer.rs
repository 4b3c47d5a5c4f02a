//! Mixes several participants into one stream.
//!
//! The sum of voices exceeds full scale. A peak limiter reduces the gain at once, as far as the peak demands, and
//! raises it again slowly; what still exceeds full scale is soft-clipped.

use super::Channels;
use opus::SoftClip;

/// Samples over which the gain changes: 2.5 ms, shorter than a syllable and longer than a click.
const RAMP: usize = 120;
/// Fraction of the missing gain that is recovered in each block: 80 % after a second.
const RECOVERY: f32 = 0.03;

/// Mixes blocks of equal channels.
#[derive(Debug)]
pub struct Mixer {
    channels: Channels,
    gain: f32,
    clip: SoftClip,
    sum: Vec<f32>,
}

impl Mixer {
    /// A mixer of blocks with these channels.
    #[must_use]
    pub fn new(channels: Channels) -> Self {
        Self { channels, gain: 1.0, clip: SoftClip::new(channels.into()), sum: vec![0.0; channels.block_samples()] }
    }

    /// Mixes one block of each participant. Always returns a whole block of samples between −1 and 1, silence if there
    /// are no participants. Short blocks are padded with silence.
    pub fn mix<'a>(&mut self, blocks: impl IntoIterator<Item = &'a [f32]>) -> &[f32] {
        self.sum.fill(0.0);
        for block in blocks {
            for (sum, sample) in self.sum.iter_mut().zip(block) {
                *sum += if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
            }
        }
        let peak = self.sum.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        let recovered = self.gain + (1.0 - self.gain) * RECOVERY;
        let target = recovered.min(1.0 / peak.max(1.0));
        let step = (target - self.gain) / RAMP as f32;
        for (n, frame) in self.sum.chunks_mut(self.channels.count()).enumerate() {
            let gain = if n < RAMP { self.gain + step * n as f32 } else { target };
            frame.iter_mut().for_each(|sample| *sample *= gain);
        }
        self.gain = target;
        self.clip.apply(&mut self.sum);
        // Soft clipping is exact up to twice full scale; this removes rounding errors.
        self.sum.iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
        &self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sine(level: f32, step: f32) -> Vec<f32> {
        (0..960).map(|n| (n as f32 * step).sin() * level).collect()
    }

    #[test]
    fn single_voice_is_unchanged() {
        let mut mixer = Mixer::new(Channels::Mono);
        let voice = sine(0.8, 0.03);
        assert_eq!(mixer.mix([voice.as_slice()]), voice);
        assert_eq!(mixer.mix([]), [0.0; 960], "no participants");
    }

    #[test]
    fn limiter_reduces_gain_and_recovers() {
        let mut mixer = Mixer::new(Channels::Mono);
        let voices = [sine(0.9, 0.03), sine(0.9, 0.04), sine(0.9, 0.05)];
        for _ in 0..3 {
            mixer.mix(voices.iter().map(Vec::as_slice));
        }
        let held = mixer.mix(voices.iter().map(Vec::as_slice)).to_vec();
        let sum = |n: usize| voices.iter().map(|voice| voice[n]).sum::<f32>();
        let ratio = held[500] / sum(500);
        assert!((480..960).all(|n| (held[n] - sum(n) * ratio).abs() < 0.01), "the waveform is only scaled");
        for _ in 0..300 {
            mixer.mix([]);
        }
        let voice = sine(0.8, 0.03);
        let back = mixer.mix([voice.as_slice()]);
        assert!(back.iter().zip(&voice).all(|(a, b)| (a - b).abs() < 0.01));
    }

    proptest! {
        #[test]
        fn output_stays_in_range(blocks in prop::collection::vec(prop::collection::vec(any::<f32>(), 0..2_000), 0..6)) {
            let mut mixer = Mixer::new(Channels::Stereo);
            let mixed = mixer.mix(blocks.iter().map(Vec::as_slice));
            prop_assert_eq!(mixed.len(), 1_920);
            prop_assert!(mixed.iter().all(|sample| sample.abs() <= 1.0));
        }
    }
}
