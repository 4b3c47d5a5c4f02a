//! WAV files.
//!
//! Read in any rate, depth and number of channels, given out as blocks of 20 ms at 48 kHz. Written with 16 bits at 48 kHz;
//! the header is brought up to date every second, so that a file is whole but for its last second however a program ends.

use crate::audio::{
    Channels, SAMPLE_RATE,
    resample::{ResampleError, Resampler, remix},
};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Frames that are read at once.
const READ_FRAMES: u64 = 1_024;
/// More channels than any layout has.
const MAX_CHANNELS: u16 = 64;
/// Most bytes of samples: sizes in the header have 32 bits.
const MAX_DATA_BYTES: u64 = u32::MAX as u64 - 1_024;

/// Why a WAV file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// There is no such file, or it may not be opened or made.
    #[error("cannot open {path}: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no WAV file, or of a kind that is not read.
    #[error("not a WAV file that can be read: {0}")]
    Format(hound::Error),
    /// It ends before its header says so.
    #[error("the WAV file is cut short after {frames} of {announced} frames")]
    CutShort {
        /// Frames that are there.
        frames: u64,
        /// Frames that the header announces.
        announced: u64,
    },
    /// Its samples cannot be read.
    #[error("WAV file, frame {frame}: {source}")]
    Read {
        /// The frame in which it happened.
        frame: u64,
        /// What is wrong.
        source: hound::Error,
    },
    /// Its sample rate cannot be converted.
    #[error("WAV file: {0}")]
    Rate(#[from] ResampleError),
    /// It could not be written, for example since the disk is full. What was written before is whole.
    #[error("cannot write the WAV file: {0}")]
    Write(hound::Error),
    /// A WAV file holds no more than 4 GiB. What was written before is whole.
    #[error("the WAV file is full: it can hold 4 GiB")]
    Full,
}

/// Reads blocks of 20 ms at 48 kHz.
pub struct Reader<R> {
    source: WavReader<R>,
    spec: WavSpec,
    channels: Channels,
    resampler: Resampler,
    /// Samples that are ready to be given out.
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
    /// Opens a file; blocks have these channels, whatever the file has.
    ///
    /// # Errors
    /// [`WavError::Open`] and those of [`Self::new`].
    pub fn open(path: &Path, channels: Channels) -> Result<Self, WavError> {
        let file = File::open(path).map_err(|source| WavError::Open { path: path.to_owned(), source })?;
        Self::new(BufReader::new(file), channels)
    }
}

impl<R: Read> Reader<R> {
    /// Reads from a source; blocks have these channels, whatever the file has.
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

    /// The next block, the last one filled up with silence; `None` at the end.
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

    /// Reads, remixes and resamples some frames more.
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
            // The end of a file is no error of the system.
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
    /// Starts again from the beginning.
    ///
    /// # Errors
    /// [`WavError::Read`] if the source cannot go back.
    pub fn rewind(&mut self) -> Result<(), WavError> {
        self.source.seek(0).map_err(|error| WavError::Read { frame: 0, source: hound::Error::IoError(error) })?;
        self.resampler = Resampler::new(self.spec.sample_rate, SAMPLE_RATE, self.channels.count())?;
        self.ready.clear();
        self.read_frames = 0;
        self.ended = false;
        Ok(())
    }
}

/// Writes samples of 48 kHz with 16 bits.
///
/// Dropped without [`Self::finish`], the file is whole as well, but nobody learns of errors.
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
    /// Makes a file, in place of one of that name.
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

    /// Appends interleaved samples, whole frames of them.
    ///
    /// # Errors
    /// [`WavError::Write`], [`WavError::Full`]; the file is then whole up to the last second or so.
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

    /// Ends the file.
    ///
    /// # Errors
    /// [`WavError::Write`].
    pub fn finish(self) -> Result<(), WavError> {
        self.inner.finalize().map_err(WavError::Write)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{f32::consts::TAU, io::Cursor};

    /// A file of half a second, as another program would write it.
    fn file(rate: u32, channels: u16, bits: u16, format: SampleFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: format };
        let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
        for n in 0..rate / 2 {
            let sample = (n as f32 * TAU * 400.0 / rate as f32).sin() * 0.5;
            for _ in 0..channels {
                match format {
                    SampleFormat::Float => writer.write_sample(sample).unwrap(),
                    SampleFormat::Int => {
                        writer.write_sample((sample * 2f32.powi(i32::from(bits) - 1)) as i32).unwrap();
                    }
                }
            }
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    fn read(bytes: &[u8], channels: Channels) -> Result<Vec<f32>, WavError> {
        let mut reader = Reader::new(bytes, channels)?;
        let mut samples = Vec::new();
        while let Some(block) = reader.block()? {
            assert_eq!(block.len(), channels.block_samples());
            samples.extend(block);
        }
        Ok(samples)
    }

    #[test]
    fn files_of_every_kind_sound_the_same() {
        let kinds = [
            (48_000, 1, 16, SampleFormat::Int),
            (44_100, 2, 16, SampleFormat::Int),
            (8_000, 1, 8, SampleFormat::Int),
            (96_000, 6, 24, SampleFormat::Int),
            (22_050, 2, 32, SampleFormat::Int),
            (16_000, 1, 32, SampleFormat::Float),
        ];
        for (rate, channels, bits, format) in kinds {
            let samples = read(&file(rate, channels, bits, format), Channels::Mono).unwrap();
            assert_eq!(samples.len(), 25 * 960, "{rate} Hz");
            let worst = (4_000..20_000)
                .map(|n| (samples[n] - (n as f32 * TAU * 400.0 / 48_000.0).sin() * 0.5).abs())
                .fold(0.0f32, f32::max);
            assert!(worst < 0.02, "{rate} Hz, {channels} channels, {bits} bits: {worst}");
        }
    }

    #[test]
    fn mono_is_heard_on_both_sides() {
        let samples = read(&file(48_000, 1, 16, SampleFormat::Int), Channels::Stereo).unwrap();
        assert_eq!(samples.len(), 25 * 1_920);
        assert!(samples.chunks(2).all(|frame| frame[0] == frame[1]));
    }

    #[test]
    fn a_file_can_be_played_again() {
        let mut reader = Reader::new(Cursor::new(file(44_100, 1, 16, SampleFormat::Int)), Channels::Mono).unwrap();
        let mut all = || std::iter::from_fn(|| reader.block().unwrap()).flatten().collect::<Vec<_>>();
        let first = all();
        assert!(all().is_empty(), "the end stays the end");
        reader.rewind().unwrap();
        let again: Vec<f32> = std::iter::from_fn(|| reader.block().unwrap()).flatten().collect();
        assert_eq!(first, again);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = Writer::new(&mut bytes, Channels::Stereo).unwrap();
        let samples: Vec<f32> = (0..1_920).map(|n| (n as f32 / 100.0).sin()).collect();
        writer.write(&samples).unwrap();
        writer.write(&[2.0, -2.0, 0.5]).unwrap();
        writer.finish().unwrap();
        let got = read(bytes.get_ref(), Channels::Stereo).unwrap();
        assert!(samples.iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-4));
        assert!((got[1_920] - 1.0).abs() < 1e-4 && (got[1_921] + 1.0).abs() < 1e-4, "what is too loud is bounded");
        assert!(got[1_922..].iter().all(|sample| *sample == 0.0), "half a frame is left out");
    }

    #[test]
    fn a_recording_that_was_never_finished_is_whole_but_for_its_last_second() {
        let path = std::env::temp_dir().join(format!("tacet-{}-unfinished.wav", std::process::id()));
        let mut writer = Writer::create(&path, Channels::Mono).unwrap();
        for _ in 0..125 {
            writer.write(&[0.25; 960]).unwrap();
        }
        // As if the process had been killed: no destructor runs.
        std::mem::forget(writer);
        let samples = read(&std::fs::read(&path).unwrap(), Channels::Mono).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(samples.len(), 2 * 48_000);
        assert!(samples.iter().all(|sample| (sample - 0.25).abs() < 1e-4));
    }

    /// A disk with so many bytes left.
    struct Disk(Cursor<Vec<u8>>, usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0.position() as usize + bytes.len() > self.1 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.0.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn a_full_disk_is_told_and_spoils_nothing() {
        let mut disk = Disk(Cursor::new(Vec::new()), 150_000);
        let mut writer = Writer::new(&mut disk, Channels::Mono).unwrap();
        let error = (0..100).find_map(|_| writer.write(&[0.25; 960]).err()).unwrap();
        assert!(matches!(error, WavError::Write(_)), "{error}");
        drop(writer);
        assert!(read(disk.0.get_ref(), Channels::Mono).unwrap().len() >= 48_000);
    }

    #[test]
    fn bad_files_say_what_is_wrong() {
        let missing = Reader::open(Path::new("/nonexistent/sound.wav"), Channels::Mono).unwrap_err();
        assert!(missing.to_string().starts_with("cannot open /nonexistent/sound.wav: "), "{missing}");
        let whole = file(48_000, 1, 16, SampleFormat::Int);
        assert!(matches!(read(b"RIFX", Channels::Mono), Err(WavError::Format(_))));
        let short = read(&whole[..whole.len() / 2], Channels::Mono).unwrap_err();
        assert_eq!(short.to_string(), "the WAV file is cut short after 11264 of 24000 frames");
        let mut strange = whole.clone();
        strange[24..28].copy_from_slice(&7u32.to_le_bytes());
        strange[28..32].copy_from_slice(&14u32.to_le_bytes());
        let rate = read(&strange, Channels::Mono).unwrap_err();
        assert_eq!(rate.to_string(), "WAV file: a sample rate of 7 Hz; 4000 to 384000 Hz can be converted");
    }

    proptest! {
        #[test]
        fn changed_bytes_of_a_header_do_no_harm(changes in prop::collection::vec((0usize..60, any::<u8>()), 1..6)) {
            let mut bytes = file(8_000, 1, 8, SampleFormat::Int);
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            let _ = read(&bytes, Channels::Mono);
        }
    }
}
