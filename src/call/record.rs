//! Sound and pictures of a call to files. What was written stays whole, however it ends.

use anyhow::Context;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Seek, Write},
    path::{Path, PathBuf},
};
use tacet_native::{
    audio::Channels,
    client::{Mixed, ParticipantId, Source, VideoFrame},
    file::{ivf, wav},
    video::{dimensions, frame_codec},
};

/// Most files of pictures.
const MAX_FILES: usize = 256;

/// Everyone's sound in one WAV file.
pub(super) struct SoundFile<W: Write + Seek = BufWriter<File>> {
    path: PathBuf,
    /// `None` once it could not be written.
    writer: Option<wav::Writer<W>>,
    blocks: u64,
}

impl SoundFile {
    /// Makes it.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let writer =
            wav::Writer::create(path, Channels::Mono).with_context(|| format!("--record {}", path.display()))?;
        Ok(Self { path: path.to_owned(), writer: Some(writer), blocks: 0 })
    }
}

impl<W: Write + Seek> SoundFile<W> {
    /// Appends 20 ms. After an error the file is ended, and nothing more is written.
    pub(super) fn write(&mut self, sound: &Mixed) -> anyhow::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = writer.write(&sound.samples).with_context(|| format!("--record {}", self.path.display()));
        match written {
            Ok(()) => self.blocks += 1,
            Err(_) => drop(self.writer.take()),
        }
        written
    }

    /// Ends it.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let Some(writer) = self.writer else { return Ok(()) };
        writer.finish().with_context(|| format!("--record {}", self.path.display()))
    }

    /// For the status screen.
    pub(super) fn status(&self) -> String {
        let seconds = self.blocks / 50;
        let state = if self.writer.is_some() { "recording" } else { "NO LONGER recording" };
        format!("{state} {} {}:{:02}", self.path.display(), seconds / 60, seconds % 60)
    }
}

/// The pictures of each participant and source in an IVF file.
pub(super) struct PictureFiles {
    folder: PathBuf,
    files: BTreeMap<(ParticipantId, Source), Option<PictureFile>>,
    names: BTreeMap<ParticipantId, String>,
}

struct PictureFile {
    writer: ivf::Writer<BufWriter<File>>,
    /// The newest timestamp, without its wrap, and as it came.
    clock: (u64, u32),
}

impl PictureFiles {
    /// Makes the folder.
    pub(super) fn create(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("--record-video {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), files: BTreeMap::new(), names: BTreeMap::new() })
    }

    /// Notes what somebody is called.
    pub(super) fn name(&mut self, participant: ParticipantId, name: &str) {
        self.names.insert(participant, name.to_owned());
    }

    /// Appends a picture. After an error its file is ended, and nothing more is written to it.
    pub(super) fn write(&mut self, frame: &VideoFrame) -> anyhow::Result<()> {
        let key = (frame.participant, frame.source);
        let name = file_name(self.names.get(&frame.participant).map_or("", String::as_str), frame);
        let path = self.folder.join(name);
        let context = || format!("--record-video {}", path.display());
        if !self.files.contains_key(&key) {
            if self.files.len() >= MAX_FILES {
                return Ok(());
            }
            let made = PictureFile::create(&path, frame).with_context(context);
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

    /// Ends all files.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        for file in self.files.into_values().flatten() {
            file.writer.finish().with_context(|| format!("--record-video {}", self.folder.display()))?;
        }
        Ok(())
    }

    /// For the status screen.
    pub(super) fn status(&self) -> String {
        let open = self.files.values().flatten().count();
        format!("recording pictures to {} ({open} files)", self.folder.display())
    }
}

impl PictureFile {
    fn create(path: &Path, first: &VideoFrame) -> anyhow::Result<Self> {
        let codec = frame_codec(first.codec);
        let (width, height) = dimensions(codec, &first.data).unwrap_or((0, 0));
        let header = ivf::Header { codec, width, height, rate: 90_000, scale: 1 };
        let writer = ivf::Writer::new(BufWriter::new(File::create(path)?), header)?;
        Ok(Self { writer, clock: (0, first.timestamp) })
    }

    fn write(&mut self, frame: &VideoFrame) -> Result<(), ivf::IvfError> {
        let (time, newest) = self.clock;
        let ahead = frame.timestamp.wrapping_sub(newest) as i32;
        self.clock = (time.saturating_add_signed(ahead.into()), frame.timestamp);
        self.writer.write(self.clock.0, &frame.data)
    }
}

/// A name that no participant can steer: letters, digits, a number.
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
    fn a_participant_does_not_choose_where_a_file_goes() {
        assert_eq!(file_name("../../etc/Ada L.", &frame(0)), "etcAdaL-7-camera.ivf");
        assert_eq!(file_name("…", &frame(0)), "7-camera.ivf");
    }

    #[test]
    fn pictures_are_read_back_with_their_times_across_the_wrap_of_the_clock() {
        let folder = std::env::temp_dir().join(format!("tacet-pictures-{}", std::process::id()));
        let mut files = PictureFiles::create(&folder).unwrap();
        files.name(ParticipantId(7), "Ada");
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

    /// A disk with room for so many bytes.
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
    fn a_full_disk_ends_the_recording_and_what_was_recorded_stays() {
        let disk = Disk(Rc::default(), 300_000);
        let writer = wav::Writer::new(disk.clone(), Channels::Mono).unwrap();
        let mut file = SoundFile { path: "call.wav".into(), writer: Some(writer), blocks: 0 };
        let sound = Mixed { samples: vec![0.5; 960], levels: Vec::new() };
        let failures = (0..400).filter(|_| file.write(&sound).is_err()).count();
        assert_eq!(failures, 1, "told once, and the call goes on");
        assert!(file.status().starts_with("NO LONGER recording"));
        file.finish().unwrap();

        let written = Cursor::new(disk.0.borrow().get_ref().clone());
        let mut reader = wav::Reader::new(written, Channels::Mono).unwrap();
        let blocks = std::iter::from_fn(|| reader.block().unwrap()).count();
        assert!((100..=157).contains(&blocks), "all but the last second of three: {blocks} blocks");
    }
}
