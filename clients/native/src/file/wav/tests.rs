//! WAV files of several formats, written and read.

use super::*;
use crate::audio::Channels;
use hound::{SampleFormat, WavSpec, WavWriter};
use proptest::prelude::*;
use std::{
    f32::consts::TAU,
    io::{Cursor, Seek, Write},
    path::Path,
};

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
fn formats_read_as_the_same_samples() {
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
fn mono_is_copied_to_both_channels() {
    let samples = read(&file(48_000, 1, 16, SampleFormat::Int), Channels::Stereo).unwrap();
    assert_eq!(samples.len(), 25 * 1_920);
    assert!(samples.chunks(2).all(|frame| frame[0] == frame[1]));
}

#[test]
fn rewound_file_is_read_again() {
    let mut reader = Reader::new(Cursor::new(file(44_100, 1, 16, SampleFormat::Int)), Channels::Mono).unwrap();
    let mut all = || std::iter::from_fn(|| reader.block().unwrap()).flatten().collect::<Vec<_>>();
    let first = all();
    assert!(all().is_empty(), "the end stays the end");
    reader.rewind().unwrap();
    let again: Vec<f32> = std::iter::from_fn(|| reader.block().unwrap()).flatten().collect();
    assert_eq!(first, again);
}

#[test]
fn written_samples_are_read_back() {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut bytes, Channels::Stereo).unwrap();
    let samples: Vec<f32> = (0..1_920).map(|n| (n as f32 / 100.0).sin()).collect();
    writer.write(&samples).unwrap();
    writer.write(&[2.0, -2.0, 0.5]).unwrap();
    writer.finish().unwrap();
    let got = read(bytes.get_ref(), Channels::Stereo).unwrap();
    assert!(samples.iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-4));
    assert!((got[1_920] - 1.0).abs() < 1e-4 && (got[1_921] + 1.0).abs() < 1e-4, "samples are clamped");
    assert!(got[1_922..].iter().all(|sample| *sample == 0.0), "half a frame is dropped");
}

#[test]
fn unfinished_file_loses_at_most_the_last_second() {
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

/// A disk with this many bytes left.
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
fn full_disk_is_an_error_and_keeps_the_file() {
    let mut disk = Disk(Cursor::new(Vec::new()), 150_000);
    let mut writer = Writer::new(&mut disk, Channels::Mono).unwrap();
    let error = (0..100).find_map(|_| writer.write(&[0.25; 960]).err()).unwrap();
    assert!(matches!(error, WavError::Write(_)), "{error}");
    drop(writer);
    assert!(read(disk.0.get_ref(), Channels::Mono).unwrap().len() >= 48_000);
}

#[test]
fn errors_name_the_problem() {
    let missing = Reader::open(Path::new("/nonexistent/audio.wav"), Channels::Mono).unwrap_err();
    assert!(missing.to_string().starts_with("cannot open /nonexistent/audio.wav: "), "{missing}");
    let whole = file(48_000, 1, 16, SampleFormat::Int);
    assert!(matches!(read(b"RIFX", Channels::Mono), Err(WavError::Format(_))));
    let short = read(&whole[..whole.len() / 2], Channels::Mono).unwrap_err();
    assert_eq!(short.to_string(), "the WAV file is truncated after 11264 of 24000 frames");
    let mut strange = whole.clone();
    strange[24..28].copy_from_slice(&7u32.to_le_bytes());
    strange[28..32].copy_from_slice(&14u32.to_le_bytes());
    let rate = read(&strange, Channels::Mono).unwrap_err();
    assert_eq!(rate.to_string(), "WAV file: unsupported sample rate of 7 Hz; 4000 to 384000 Hz are supported");
}

proptest! {
    #[test]
    fn corrupt_header_does_not_panic(changes in prop::collection::vec((0usize..60, any::<u8>()), 1..6)) {
        let mut bytes = file(8_000, 1, 8, SampleFormat::Int);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let _ = read(&bytes, Channels::Mono);
    }
}
