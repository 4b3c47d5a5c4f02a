//! Sound that can be recognised: a sine, encoded with Opus, and its pitch measured where it is heard.
//!
//! A call is only proven when what one says is what the other hears. Loss of packets shows as concealment, not as
//! another pitch, so a test may compare frequencies without a reference clock.

use crate::audio::{AudioError, Encoder, EncoderOptions};
use opus::{Channels, Decoder};
use std::f32::consts::TAU;

pub use crate::audio::{FRAME_SAMPLES, SAMPLE_RATE};

/// Samples of the longest Opus frame, 120 ms.
const MAX_DECODED_SAMPLES: usize = 5_760;

/// An encoded sine.
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
    /// A sine of so many hertz, at a third of full scale. In-band error correction is on: it travels inside the sealed
    /// frame.
    ///
    /// # Errors
    /// [`AudioError`] if the encoder cannot be made.
    pub fn new(hertz: f32) -> Result<Self, AudioError> {
        let encoder = Encoder::new(&EncoderOptions { expected_loss_percent: 5, ..Default::default() })?;
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
        self.encoder.encode(&samples)
    }
}

/// Decodes frames and measures the pitch of what they hold.
pub struct Ear {
    decoder: Decoder,
    buffer: Vec<i16>,
    heard: u64,
    crossings: u64,
    last: i16,
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ear").field("heard", &self.heard).finish_non_exhaustive()
    }
}

impl Ear {
    /// Hysteresis around zero, so that noise in silence counts as no sound.
    const THRESHOLD: i16 = 1_000;

    /// An ear that has heard nothing.
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

    /// Pitch of all that was heard, in hertz.
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
    fn a_tone_is_heard_at_its_pitch() {
        let (mut tone, mut ear) = (Tone::new(440.0).unwrap(), Ear::new().unwrap());
        for _ in 0..50 {
            let frame = tone.frame().unwrap();
            ear.frame(&frame).unwrap();
        }
        assert!((ear.hertz() - 440.0).abs() < 5.0, "{}", ear.hertz());
    }

    #[test]
    fn garbage_is_refused_and_silence_is_no_tone() {
        let mut ear = Ear::new().unwrap();
        assert!(ear.frame(&[0xff; 3]).is_err());
        ear.frame(&[]).unwrap();
        assert!(ear.hertz() < 1.0);
    }
}
