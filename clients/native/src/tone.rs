//! A test signal: a sine encoded with Opus, and a meter of its pitch at the receiver.
//!
//! Packet loss is concealed and does not change the pitch, so tests can compare frequencies without a common clock.

use crate::audio::{AudioError, Encoder, EncoderOptions};
use opus::{Channels, Decoder};
use std::f32::consts::TAU;

pub use crate::audio::{FRAME_SAMPLES, SAMPLE_RATE};

/// Samples of the longest Opus frame, 120 ms.
const MAX_DECODED_SAMPLES: usize = 5_760;

/// A sine, encoded with Opus.
pub struct Tone {
    encoder: Encoder,
    step: f32,
    phase: f32,
}

impl std::fmt::Debug for Tone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tone").field("step", &self.step).finish_non_exhaustive()
    }
}

impl Tone {
    /// A sine of this frequency at a third of full scale, with in-band FEC.
    ///
    /// # Errors
    /// [`AudioError`] if the encoder cannot be made.
    pub fn new(hertz: f32) -> Result<Self, AudioError> {
        let encoder = Encoder::new(&EncoderOptions { expected_loss_percent: 5, ..EncoderOptions::strict() })?;
        Ok(Self { encoder, step: TAU * hertz / SAMPLE_RATE as f32, phase: 0.0 })
    }

    /// The next 20 ms.
    ///
    /// # Errors
    /// [`AudioError`] of the encoder.
    pub fn frame(&mut self) -> Result<Vec<u8>, AudioError> {
        let mut samples = [0.0; FRAME_SAMPLES];
        for sample in &mut samples {
            *sample = self.phase.sin() / 3.0;
            self.phase = (self.phase + self.step) % TAU;
        }
        Ok(self.encoder.encode(&samples)?.unwrap_or_default())
    }
}

/// Decodes Opus frames and measures their pitch.
pub struct PitchMeter {
    decoder: Decoder,
    buffer: Vec<i16>,
    heard: u64,
    crossings: u64,
    last: i16,
}

impl std::fmt::Debug for PitchMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PitchMeter").field("heard", &self.heard).finish_non_exhaustive()
    }
}

impl PitchMeter {
    /// Hysteresis around zero, so that noise in silence is not counted.
    const THRESHOLD: i16 = 1_000;

    /// A meter that has received nothing.
    ///
    /// # Errors
    /// [`AudioError`] if the decoder cannot be made.
    pub fn new() -> Result<Self, AudioError> {
        Ok(Self {
            decoder: Decoder::new(SAMPLE_RATE, Channels::Mono)?,
            buffer: vec![0; MAX_DECODED_SAMPLES],
            heard: 0,
            crossings: 0,
            last: 0,
        })
    }

    /// Takes an opened frame.
    ///
    /// # Errors
    /// [`AudioError`] if it is not Opus.
    pub fn frame(&mut self, frame: &[u8]) -> Result<(), AudioError> {
        let samples = self.decoder.decode(frame, &mut self.buffer, false)?;
        for sample in self.buffer.get(..samples).unwrap_or_default() {
            if sample.unsigned_abs() < Self::THRESHOLD.unsigned_abs() {
                continue;
            }
            if self.last < 0 && *sample > 0 {
                self.crossings += 1;
            }
            self.last = *sample;
        }
        self.heard += samples as u64;
        Ok(())
    }

    /// Mean pitch of all frames, in hertz.
    #[must_use]
    pub fn hertz(&self) -> f32 {
        if self.heard == 0 { 0.0 } else { self.crossings as f32 * SAMPLE_RATE as f32 / self.heard as f32 }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tone_has_its_pitch() {
        let (mut tone, mut meter) = (Tone::new(440.0).unwrap(), PitchMeter::new().unwrap());
        for _ in 0..50 {
            let frame = tone.frame().unwrap();
            meter.frame(&frame).unwrap();
        }
        assert!((meter.hertz() - 440.0).abs() < 5.0, "{}", meter.hertz());
    }

    #[test]
    fn garbage_is_rejected_and_silence_has_no_pitch() {
        let mut meter = PitchMeter::new().unwrap();
        assert!(meter.frame(&[0xff; 3]).is_err());
        meter.frame(&[]).unwrap();
        assert!(meter.hertz() < 1.0);
    }
}
