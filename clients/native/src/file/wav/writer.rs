//! Writes WAV files.

use super::WavError;
use crate::audio::{Channels, SAMPLE_RATE};
use hound::{SampleFormat, WavSpec, WavWriter};
use std::{
    fs::File,
    io::{BufWriter, Seek, Write},
    path::Path,
};

/// Maximum size of the samples, in bytes: the header has sizes of 32 bits.
const MAX_DATA_BYTES: u64 = u32::MAX as u64 - 1_024;

/// Writes 16-bit samples at 48 kHz.
///
/// If dropped without [`Self::finish`], the file is readable too, but errors are lost.
pub struct Writer<W: Write + Seek> {
    inner: WavWriter<W>,
    channels: Channels,
    bytes: u64,
    flushed: u64,
}

impl<W: Write + Seek> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("channels", &self.channels).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Writer<BufWriter<File>> {
    /// Creates a file; replaces an existing one.
    ///
    /// # Errors
    /// [`WavError::Open`] and those of [`Self::new`].
    pub fn create(path: &Path, channels: Channels) -> Result<Self, WavError> {
        let file = File::create(path).map_err(|source| WavError::Open { path: path.to_owned(), source })?;
        Self::new(BufWriter::new(file), channels)
    }
}

impl<W: Write + Seek> Writer<W> {
    const BYTES_PER_SAMPLE: u64 = 2;

    /// Writes to a sink.
    ///
    /// # Errors
    /// [`WavError::Write`].
    pub fn new(sink: W, channels: Channels) -> Result<Self, WavError> {
        let spec = WavSpec {
            channels: channels.count() as u16,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut inner = WavWriter::new(sink, spec).map_err(WavError::Write)?;
        inner.flush().map_err(WavError::Write)?;
        Ok(Self { inner, channels, bytes: 0, flushed: 0 })
    }

    /// Appends whole frames of interleaved samples.
    ///
    /// # Errors
    /// [`WavError::Write`], [`WavError::Full`]; the file is then readable except for about the last second.
    pub fn write(&mut self, samples: &[f32]) -> Result<(), WavError> {
        let whole = samples.len() - samples.len() % self.channels.count();
        let bytes = whole as u64 * Self::BYTES_PER_SAMPLE;
        if self.bytes + bytes > MAX_DATA_BYTES {
            return Err(WavError::Full);
        }
        for sample in samples.iter().take(whole) {
            let sample = (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16;
            self.inner.write_sample(sample).map_err(WavError::Write)?;
        }
        self.bytes += bytes;
        let second = u64::from(SAMPLE_RATE) * self.channels.count() as u64 * Self::BYTES_PER_SAMPLE;
        if self.bytes - self.flushed >= second {
            self.flushed = self.bytes;
            self.inner.flush().map_err(WavError::Write)?;
        }
        Ok(())
    }

    /// Finishes the file.
    ///
    /// # Errors
    /// [`WavError::Write`].
    pub fn finish(self) -> Result<(), WavError> {
        self.inner.finalize().map_err(WavError::Write)
    }
}
