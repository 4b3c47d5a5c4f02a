//! Reads WAV files.

use super::WavError;
use crate::audio::{
    Channels, SAMPLE_RATE,
    resample::{Resampler, remix},
};
use hound::{SampleFormat, WavReader, WavSpec};
use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::Path,
};

/// Number of frames read at once.
const READ_FRAMES: u64 = 1_024;
/// Maximum number of channels of a file.
const MAX_CHANNELS: u16 = 64;

/// Reads blocks of 20 ms at 48 kHz.
pub struct Reader<R> {
    source: WavReader<R>,
    spec: WavSpec,
    channels: Channels,
    resampler: Resampler,
    /// Converted samples that were not returned yet.
    ready: Vec<f32>,
    read_frames: u64,
    ended: bool,
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("spec", &self.spec)
            .field("read_frames", &self.read_frames)
            .finish_non_exhaustive()
    }
}

impl Reader<BufReader<File>> {
    /// Opens a file. Blocks have these channels, whatever the file's are.
    ///
    /// # Errors
    /// [`WavError::Open`] and those of [`Self::new`].
    pub fn open(path: &Path, channels: Channels) -> Result<Self, WavError> {
        let file = File::open(path).map_err(|source| WavError::Open { path: path.to_owned(), source })?;
        Self::new(BufReader::new(file), channels)
    }
}

impl<R: Read> Reader<R> {
    /// Reads from a source. Blocks have these channels, whatever the file's are.
    ///
    /// # Errors
    /// [`WavError::Format`], [`WavError::Rate`].
    pub fn new(source: R, channels: Channels) -> Result<Self, WavError> {
        let source = WavReader::new(source).map_err(WavError::Format)?;
        let spec = source.spec();
        if !(1..=MAX_CHANNELS).contains(&spec.channels) || !(1..=32).contains(&spec.bits_per_sample) {
            return Err(WavError::Format(hound::Error::Unsupported));
        }
        let resampler = Resampler::new(spec.sample_rate, SAMPLE_RATE, channels.count())?;
        Ok(Self { source, spec, channels, resampler, ready: Vec::new(), read_frames: 0, ended: false })
    }

    /// The next block, the last one padded with silence; `None` at the end.
    ///
    /// # Errors
    /// [`WavError::CutShort`], [`WavError::Read`].
    pub fn block(&mut self) -> Result<Option<Vec<f32>>, WavError> {
        let wanted = self.channels.block_samples();
        while self.ready.len() < wanted && !self.ended {
            self.fill()?;
        }
        if self.ready.is_empty() {
            return Ok(None);
        }
        let mut block: Vec<f32> = self.ready.drain(..wanted.min(self.ready.len())).collect();
        block.resize(wanted, 0.0);
        Ok(Some(block))
    }

    /// Reads, remixes and resamples some more frames.
    fn fill(&mut self) -> Result<(), WavError> {
        let announced = u64::from(self.source.duration());
        let frames = READ_FRAMES.min(announced.saturating_sub(self.read_frames));
        if frames == 0 {
            self.ended = true;
            return Ok(self.resampler.finish(&mut self.ready)?);
        }
        let from = usize::from(self.spec.channels);
        let samples = usize::try_from(frames).unwrap_or(0) * from;
        let raw: Result<Vec<f32>, hound::Error> = match self.spec.sample_format {
            SampleFormat::Float => self.source.samples::<f32>().take(samples).collect(),
            SampleFormat::Int => {
                let scale = 2f32.powi(1 - i32::from(self.spec.bits_per_sample));
                self.source.samples::<i32>().take(samples).map(|sample| Ok(sample? as f32 * scale)).collect()
            }
        };
        let raw = raw.map_err(|source| match source {
            // The end of the file is not an error of the system.
            hound::Error::IoError(error) if error.raw_os_error().is_none() => {
                WavError::CutShort { frames: self.read_frames, announced }
            }
            source => WavError::Read { frame: self.read_frames, source },
        });
        let raw = match raw {
            Ok(raw) => raw,
            Err(error) => {
                self.ended = true;
                return Err(error);
            }
        };
        self.read_frames += frames;
        let mut mixed = Vec::with_capacity(raw.len());
        remix(&raw, from, self.channels.count(), &mut mixed);
        for sample in &mut mixed {
            *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        }
        Ok(self.resampler.push(&mixed, &mut self.ready)?)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Starts again at the beginning.
    ///
    /// # Errors
    /// [`WavError::Read`] if the source cannot seek.
    pub fn rewind(&mut self) -> Result<(), WavError> {
        self.source.seek(0).map_err(|error| WavError::Read { frame: 0, source: hound::Error::IoError(error) })?;
        self.resampler = Resampler::new(self.spec.sample_rate, SAMPLE_RATE, self.channels.count())?;
        self.ready.clear();
        self.read_frames = 0;
        self.ended = false;
        Ok(())
    }
}
