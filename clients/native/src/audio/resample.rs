//! Sample rate conversion between 48 kHz and the rates of files and devices.

use rubato::{Fft, FixedSync, Resampler as _, audioadapter_buffers::direct::InterleavedSlice};
use std::ops::RangeInclusive;

/// Supported sample rates, in hertz.
const RATES: RangeInclusive<u32> = 4_000..=384_000;
/// Approximate number of input frames converted at once.
const CHUNK: usize = 512;

/// Why a rate cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ResampleError {
    /// The rate is not supported.
    #[error("unsupported sample rate of {0} Hz; {low} to {high} Hz are supported", low = RATES.start(), high = RATES.end())]
    Rate(u32),
    /// The converter failed.
    #[error("sample rate conversion: {0}")]
    Converter(String),
}

fn converter(error: impl std::fmt::Display) -> ResampleError {
    ResampleError::Converter(error.to_string())
}

/// Converts interleaved samples from one rate to another, piece by piece. Equal rates pass unchanged.
pub struct Resampler {
    /// `None` if the rates are equal.
    inner: Option<Fft<f32>>,
    from: u64,
    to: u64,
    channels: usize,
    /// Input that does not fill a chunk yet.
    pending: Vec<f32>,
    output: Vec<f32>,
    /// Output samples of the converter's own delay that are still to be skipped.
    skip: usize,
    taken: u64,
    given: u64,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, channels, .. } = self;
        f.debug_struct("Resampler").field("from", from).field("to", to).field("channels", channels).finish()
    }
}

impl Resampler {
    /// A converter from `from` to `to` hertz.
    ///
    /// # Errors
    /// [`ResampleError::Rate`] for an unsupported rate.
    pub fn new(from: u32, to: u32, channels: usize) -> Result<Self, ResampleError> {
        if let Some(strange) = [from, to].into_iter().find(|rate| !RATES.contains(rate)) {
            return Err(ResampleError::Rate(strange));
        }
        let channels = channels.max(1);
        let inner = if from == to {
            None
        } else {
            let (from, to) = (from as usize, to as usize);
            Some(Fft::new(from, to, CHUNK, channels, FixedSync::Input).map_err(converter)?)
        };
        let output = inner.as_ref().map_or(0, |inner| inner.output_frames_max() * channels);
        Ok(Self {
            from: u64::from(from),
            to: u64::from(to),
            channels,
            pending: Vec::new(),
            output: vec![0.0; output],
            skip: inner.as_ref().map_or(0, |inner| inner.output_delay()) * channels,
            taken: 0,
            given: 0,
            inner,
        })
    }

    /// Takes whole frames and appends converted ones, a little later, to `out`.
    ///
    /// # Errors
    /// [`ResampleError::Converter`], which means a bug here.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), ResampleError> {
        self.taken += samples.len() as u64;
        if self.inner.is_none() {
            out.extend_from_slice(samples);
            return Ok(());
        }
        self.pending.extend_from_slice(samples);
        self.convert(out)
    }

    /// Appends the rest of the output.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        if self.inner.is_none() {
            return Ok(());
        }
        let channels = self.channels as u64;
        let wanted = (self.taken / channels * self.to).div_ceil(self.from) * channels;
        let before = out.len();
        let given_before = self.given;
        while self.given < wanted {
            self.pending.resize(self.pending.len() + CHUNK * self.channels, 0.0);
            self.convert(out)?;
        }
        let last = usize::try_from(wanted.saturating_sub(given_before)).unwrap_or(usize::MAX);
        out.truncate(before.saturating_add(last));
        Ok(())
    }

    /// Converts all whole chunks.
    fn convert(&mut self, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        let mut used = 0;
        loop {
            let frames = inner.input_frames_next();
            let rest = self.pending.get(used..).unwrap_or_default();
            if rest.len() < frames * self.channels {
                break;
            }
            let input = InterleavedSlice::new(rest, self.channels, frames).map_err(converter)?;
            let room = self.output.len() / self.channels;
            let mut output = InterleavedSlice::new_mut(&mut self.output, self.channels, room).map_err(converter)?;
            let (taken, given) = inner.process_into_buffer(&input, &mut output, None).map_err(converter)?;
            used += taken * self.channels;
            let fresh = self.output.get(..given * self.channels).unwrap_or_default();
            let skipped = self.skip.min(fresh.len());
            self.skip -= skipped;
            out.extend_from_slice(fresh.get(skipped..).unwrap_or_default());
            self.given += (fresh.len() - skipped) as u64;
            if taken == 0 {
                break;
            }
        }
        self.pending.drain(..used.min(self.pending.len()));
        Ok(())
    }
}

/// Appends interleaved frames of `from` channels to `out` as frames of `to` channels: one channel is copied to all,
/// several are averaged into one, otherwise the first ones are kept.
pub(crate) fn remix(samples: &[f32], from: usize, to: usize, out: &mut Vec<f32>) {
    let from = from.max(1);
    for frame in samples.chunks_exact(from) {
        match (from, to) {
            (1, _) => out.extend(frame.iter().cycle().take(to)),
            (_, 1) => out.push(frame.iter().sum::<f32>() / from as f32),
            _ => out.extend(frame.iter().chain(std::iter::repeat(&0.0)).take(to)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    fn sine(hertz: f32, rate: u32, frames: usize, channels: usize) -> Vec<f32> {
        (0..frames * channels).map(|n| ((n / channels) as f32 * TAU * hertz / rate as f32).sin() * 0.5).collect()
    }

    #[test]
    fn tone_survives_resampling() {
        for (from, to, channels) in [(44_100, 48_000, 1), (8_000, 48_000, 2), (48_000, 44_100, 2), (96_000, 48_000, 1)]
        {
            let mut resampler = Resampler::new(from, to, channels).unwrap();
            let mut converted = Vec::new();
            for piece in sine(500.0, from, from as usize / 2, channels).chunks(314 * channels) {
                resampler.push(piece, &mut converted).unwrap();
            }
            resampler.finish(&mut converted).unwrap();
            let wanted = sine(500.0, to, to as usize / 2, channels);
            assert_eq!(converted.len(), wanted.len(), "{from} to {to}");
            // The filter has no input before the start and after the end.
            let middle = 2_000..wanted.len() - 2_000;
            let worst = middle.map(|n| (converted[n] - wanted[n]).abs()).fold(0.0f32, f32::max);
            assert!(worst < 0.01, "{from} to {to}: {worst}");
        }
    }

    #[test]
    fn equal_rates_are_unchanged() {
        let mut resampler = Resampler::new(48_000, 48_000, 2).unwrap();
        let mut out = Vec::new();
        resampler.push(&[0.1, 0.2], &mut out).unwrap();
        resampler.finish(&mut out).unwrap();
        assert_eq!(out, [0.1, 0.2]);
    }

    #[test]
    fn unsupported_rates_are_rejected() {
        assert!(matches!(Resampler::new(0, 48_000, 1), Err(ResampleError::Rate(0))));
        assert!(matches!(Resampler::new(48_000, 4_000_000_000, 1), Err(ResampleError::Rate(_))));
    }

    #[test]
    fn remix_copies_averages_or_drops_channels() {
        let remixed = |samples: &[f32], from, to| {
            let mut out = Vec::new();
            remix(samples, from, to, &mut out);
            out
        };
        assert_eq!(remixed(&[0.5, 0.25], 1, 2), [0.5, 0.5, 0.25, 0.25]);
        assert_eq!(remixed(&[0.5, 0.0], 2, 1), [0.25]);
        assert_eq!(remixed(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6, 2), [0.1, 0.2]);
        assert_eq!(remixed(&[0.1, 0.2], 2, 4), [0.1, 0.2, 0.0, 0.0]);
    }
}
