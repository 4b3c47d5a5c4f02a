//! Records the audio and video of a call to files, which stay readable however the recording ends.

use anyhow::{Context, bail};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Seek, Write},
    path::{Path, PathBuf},
};
use tacet_native::{
    audio::Channels,
    client::{ClientEvent, MixedAudio, ParticipantId, Source, VideoFrame},
    file::{ivf, wav},
    video::dimensions,
};

/// Maximum number of video files.
const MAX_FILES: usize = 256;

/// All recordings of a call.
pub(super) struct Recording {
    audio: Option<AudioRecorder>,
    video: Option<VideoRecorder>,
    failed: bool,
}

impl Recording {
    /// Creates the WAV file and the directory of the IVF files, where they are asked for.
    pub(super) fn create(audio: Option<&Path>, video: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self {
            audio: audio.map(AudioRecorder::create).transpose()?,
            video: video.map(VideoRecorder::create).transpose()?,
            failed: false,
        })
    }

    /// Records the media of an event. Returns a line for the user if that failed.
    pub(super) fn on_event(&mut self, event: &ClientEvent) -> Option<String> {
        let written = match event {
            ClientEvent::MixedAudio(block) => self.audio.as_mut().map(|audio| audio.write(block)),
            ClientEvent::Video(frame) => self.video.as_mut().map(|video| video.write(frame)),
            ClientEvent::ParticipantJoined(participant) | ClientEvent::ParticipantRenamed(participant) => {
                if let Some(video) = &mut self.video {
                    video.set_name(participant.id, &participant.name);
                }
                None
            }
            _ => None,
        };
        let error = written?.err()?;
        self.failed = true;
        Some(format!("{error:#}; the recording up to here is kept"))
    }

    /// Lines for the status screen.
    pub(super) fn status(&self) -> impl Iterator<Item = String> {
        let audio = self.audio.as_ref().map(AudioRecorder::status);
        audio.into_iter().chain(self.video.as_ref().map(VideoRecorder::status))
    }

    /// Finishes all files.
    ///
    /// # Errors
    /// If anything could not be recorded.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.audio.map_or(Ok(()), AudioRecorder::finish)?;
        self.video.map_or(Ok(()), VideoRecorder::finish)?;
        if self.failed {
            bail!("not everything could be recorded");
        }
        Ok(())
    }
}

/// Writes the mixed audio of all participants to a WAV file.
struct AudioRecorder<W: Write + Seek = BufWriter<File>> {
    path: PathBuf,
    /// `None` after a write error.
    writer: Option<wav::Writer<W>>,
    blocks: u64,
}

impl AudioRecorder {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let writer =
            wav::Writer::create(path, Channels::Mono).with_context(|| format!("--record {}", path.display()))?;
        Ok(Self { path: path.to_owned(), writer: Some(writer), blocks: 0 })
    }
}

impl<W: Write + Seek> AudioRecorder<W> {
    /// Appends 20 ms. After an error the file is closed and nothing more is written.
    fn write(&mut self, block: &MixedAudio) -> anyhow::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = writer.write(&block.samples).with_context(|| format!("--record {}", self.path.display()));
        match written {
            Ok(()) => self.blocks += 1,
            Err(_) => drop(self.writer.take()),
        }
        written
    }

    fn finish(self) -> anyhow::Result<()> {
        let Some(writer) = self.writer else { return Ok(()) };
        writer.finish().with_context(|| format!("--record {}", self.path.display()))
    }

    /// A line for the status screen.
    fn status(&self) -> String {
        let seconds = self.blocks / 50;
        let state = if self.writer.is_some() { "recording" } else { "NO LONGER recording" };
        format!("{state} {} {}:{:02}", self.path.display(), seconds / 60, seconds % 60)
    }
}

/// Writes each video track to an IVF file.
struct VideoRecorder {
    directory: PathBuf,
    files: BTreeMap<(ParticipantId, Source), Option<VideoTrackFile>>,
    names: BTreeMap<ParticipantId, String>,
}

struct VideoTrackFile {
    writer: ivf::Writer<BufWriter<File>>,
    /// The highest timestamp, unwrapped and as received.
    clock: (u64, u32),
}

impl VideoRecorder {
    fn create(directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("--record-video {}", directory.display()))?;
        Ok(Self { directory: directory.to_owned(), files: BTreeMap::new(), names: BTreeMap::new() })
    }

    /// Remembers a participant's name for the names of its files.
    fn set_name(&mut self, participant: ParticipantId, name: &str) {
        self.names.insert(participant, name.to_owned());
    }

    /// Appends a frame. After an error its file is closed and nothing more is written to it.
    fn write(&mut self, frame: &VideoFrame) -> anyhow::Result<()> {
        let key = (frame.participant, frame.source);
        let name = file_name(self.names.get(&frame.participant).map_or("", String::as_str), frame);
        let path = self.directory.join(name);
        let context = || format!("--record-video {}", path.display());
        if !self.files.contains_key(&key) {
            if self.files.len() >= MAX_FILES {
                return Ok(());
            }
            let made = VideoTrackFile::create(&path, frame).with_context(context);
            let (file, result) = match made {
                Ok(file) => (Some(file), Ok(())),
                Err(error) => (None, Err(error)),
            };
            self.files.insert(key, file);
            result?;
        }
        let Some(Some(file)) = self.files.get_mut(&key) else { return Ok(()) };
        let written = file.write(frame).with_context(context);
        if written.is_err()
            && let Some(Some(file)) = self.files.insert(key, None)
        {
            let _ = file.writer.finish();
        }
        written
    }

    /// Finishes all files.
    fn finish(self) -> anyhow::Result<()> {
        for file in self.files.into_values().flatten() {
            file.writer.finish().with_context(|| format!("--record-video {}", self.directory.display()))?;
        }
        Ok(())
    }

    /// A line for the status screen.
    fn status(&self) -> String {
        let open = self.files.values().flatten().count();
        format!("recording video to {} ({open} files)", self.directory.display())
    }
}

impl VideoTrackFile {
    fn create(path: &Path, first: &VideoFrame) -> anyhow::Result<Self> {
        let codec = first.codec;
        let (width, height) = dimensions(codec, &first.data).unwrap_or((0, 0));
        let header = ivf::Header { codec, width, height, rate: 90_000, scale: 1 };
        let writer = ivf::Writer::new(BufWriter::new(File::create(path)?), header)?;
        Ok(Self { writer, clock: (0, first.timestamp) })
    }

    fn write(&mut self, frame: &VideoFrame) -> Result<(), ivf::IvfError> {
        let (time, highest) = self.clock;
        let ahead = frame.timestamp.wrapping_sub(highest) as i32;
        self.clock = (time.saturating_add_signed(ahead.into()), frame.timestamp);
        self.writer.write(self.clock.0, &frame.data)
    }
}

/// A file name that the participant cannot use to choose a path: letters and digits of its name, then its id.
fn file_name(name: &str, frame: &VideoFrame) -> String {
    let safe: String = name.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    let source = super::event_text::source(frame.source);
    let dash = if safe.is_empty() { "" } else { "-" };
    format!("{safe}{dash}{}-{source}.ivf", frame.participant.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{
        cell::RefCell,
        io::{self, Cursor, SeekFrom},
        rc::Rc,
    };
    use tacet_native::client::Codec;

    fn frame(timestamp: u32) -> VideoFrame {
        let data = [0x10, 2, 0, 0x9d, 1, 0x2a, 64, 0, 48, 0, 1].to_vec().into();
        let (participant, source) = (ParticipantId(7), Source::Camera);
        VideoFrame { participant, source, codec: Codec::Vp8, key: true, timestamp, data }
    }

    #[test]
    fn file_name_cannot_leave_the_directory() {
        assert_eq!(file_name("../../etc/Ada L.", &frame(0)), "etcAdaL-7-camera.ivf");
        assert_eq!(file_name("…", &frame(0)), "7-camera.ivf");
    }

    #[test]
    fn video_timestamps_are_unwrapped() {
        let folder = std::env::temp_dir().join(format!("tacet-video-{}", std::process::id()));
        let mut files = VideoRecorder::create(&folder).unwrap();
        files.set_name(ParticipantId(7), "Ada");
        files.write(&frame(u32::MAX - 2_999)).unwrap();
        files.write(&frame(0)).unwrap();
        files.write(&frame(3_000)).unwrap();
        files.finish().unwrap();
        let mut reader = ivf::Reader::new(File::open(folder.join("Ada-7-camera.ivf")).unwrap()).unwrap();
        assert_eq!((reader.header().width, reader.header().height), (64, 48));
        let times: Vec<_> = std::iter::from_fn(|| reader.frame().unwrap()).map(|frame| frame.timestamp).collect();
        assert_eq!(times, [0, 3_000, 6_000]);
        fs::remove_dir_all(folder).unwrap();
    }

    /// A disk with this many bytes left.
    #[derive(Clone)]
    struct Disk(Rc<RefCell<Cursor<Vec<u8>>>>, u64);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.borrow_mut();
            if disk.position() + bytes.len() as u64 > self.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.borrow_mut().seek(to)
        }
    }

    #[test]
    fn full_disk_stops_recording_and_keeps_the_file() {
        let disk = Disk(Rc::default(), 300_000);
        let writer = wav::Writer::new(disk.clone(), Channels::Mono).unwrap();
        let mut file = AudioRecorder { path: "call.wav".into(), writer: Some(writer), blocks: 0 };
        let block = MixedAudio { samples: vec![0.5; 960], levels: Vec::new() };
        let failures = (0..400).filter(|_| file.write(&block).is_err()).count();
        assert_eq!(failures, 1, "reported once, and the call goes on");
        assert!(file.status().starts_with("NO LONGER recording"));
        file.finish().unwrap();

        let written = Cursor::new(disk.0.borrow().get_ref().clone());
        let mut reader = wav::Reader::new(written, Channels::Mono).unwrap();
        let blocks = std::iter::from_fn(|| reader.block().unwrap()).count();
        assert!((100..=157).contains(&blocks), "all but the last second of three: {blocks} blocks");
    }
}
