//! Plays files into a call.

use anyhow::{Context, bail};
use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tacet_native::{
    audio::Channels,
    client::{AudioTrack, Codec, VideoTrack},
    file::{ivf, wav, y4m},
};
use tokio::{sync::mpsc, time::sleep_until};

/// Frames that are read ahead.
const READ_AHEAD: usize = 8;
/// RTP clock rate of video.
const VIDEO_CLOCK_HZ: u128 = 90_000;

/// A track whose file has ended. It stays published until it is dropped.
#[allow(dead_code, reason = "held, not read")]
pub(super) enum Played {
    Audio(AudioTrack),
    Video(VideoTrack),
}

/// A WAV file to play.
pub(super) struct AudioFile {
    reader: wav::Reader<BufReader<File>>,
    repeat: bool,
}

impl AudioFile {
    pub(super) fn open(path: &Path, repeat: bool) -> anyhow::Result<Self> {
        let reader = wav::Reader::open(path, Channels::Mono).with_context(|| format!("--play {}", path.display()))?;
        Ok(Self { reader, repeat })
    }

    /// Plays the file in real time once the track is live; returns at its end.
    pub(super) async fn play(mut self, microphone: AudioTrack) -> anyhow::Result<Played> {
        microphone.live().await?;
        let blocks = std::iter::from_fn(|| self.block().transpose());
        microphone.play(blocks).await.context("--play")?;
        Ok(Played::Audio(microphone))
    }

    fn block(&mut self) -> Result<Option<Vec<f32>>, wav::WavError> {
        let block = self.reader.block()?;
        if block.is_some() || !self.repeat {
            return Ok(block);
        }
        self.reader.rewind()?;
        self.reader.block()
    }
}

/// An IVF or Y4M file to play.
pub(super) struct VideoFile {
    path: PathBuf,
    source: Source,
    repeat: bool,
}

enum Source {
    Ivf(ivf::Reader<BufReader<File>>),
    Y4m(y4m::Encoding),
}

/// A frame and its presentation time, counted from the first frame.
struct TimedFrame {
    at: Duration,
    bytes: Vec<u8>,
}

impl Source {
    fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(match path.extension().and_then(|extension| extension.to_str()) {
            Some("y4m") => Self::Y4m(y4m::Encoding::start(path, y4m::EncodingOptions::default())?),
            Some("ivf") => Self::Ivf(ivf::Reader::new(BufReader::new(File::open(path)?))?),
            _ => bail!("unknown file type: expected a name that ends in .ivf (encoded) or .y4m (raw)"),
        })
    }

    fn header(&self) -> ivf::Header {
        match self {
            Self::Ivf(reader) => reader.header(),
            Self::Y4m(encoding) => encoding.header(),
        }
    }

    fn frame(&mut self) -> anyhow::Result<Option<ivf::Frame>> {
        Ok(match self {
            Self::Ivf(reader) => reader.frame()?,
            Self::Y4m(encoding) => encoding.frame()?,
        })
    }
}

impl VideoFile {
    pub(super) fn open(path: &Path, repeat: bool) -> anyhow::Result<Self> {
        let source = Source::open(path).with_context(|| format!("--video {}", path.display()))?;
        Ok(Self { path: path.to_owned(), source, repeat })
    }

    /// Codec of the frames.
    pub(super) fn codec(&self) -> Codec {
        match self.source.header().codec {
            e2ee_frames::Codec::Opus => Codec::Opus,
            e2ee_frames::Codec::Vp8 => Codec::Vp8,
            e2ee_frames::Codec::Vp9 => Codec::Vp9,
            e2ee_frames::Codec::Av1 => Codec::Av1,
            e2ee_frames::Codec::H264 => Codec::H264,
        }
    }

    /// Plays the file in real time once the track is live; returns at its end.
    pub(super) async fn play(self, camera: VideoTrack) -> anyhow::Result<Played> {
        camera.live().await?;
        let context = format!("--video {}", self.path.display());
        // Reading may block on an encoder.
        let (sender, mut frames) = mpsc::channel(READ_AHEAD);
        let reading = tokio::task::spawn_blocking(move || self.read(&sender));
        let start = Instant::now();
        while let Some(TimedFrame { at, bytes }) = frames.recv().await {
            sleep_until((start + at).into()).await;
            // RTP timestamps wrap.
            camera.write(((at.as_nanos() * VIDEO_CLOCK_HZ + 500_000_000) / 1_000_000_000) as u32, bytes);
        }
        reading.await?.context(context)?;
        Ok(Played::Video(camera))
    }

    /// Reads frames until the end of the file, or until the receiver is dropped.
    fn read(mut self, frames: &mpsc::Sender<TimedFrame>) -> anyhow::Result<()> {
        let mut begin = Duration::ZERO;
        loop {
            let header = self.source.header();
            let (mut end, mut frame_time) = (begin, Duration::from_millis(33));
            while let Some(frame) = self.source.frame()? {
                let at = begin + header.time(frame.timestamp);
                if at > end {
                    frame_time = at - end;
                }
                end = at;
                if frames.blocking_send(TimedFrame { at, bytes: frame.bytes }).is_err() {
                    return Ok(());
                }
            }
            if !self.repeat {
                return Ok(());
            }
            begin = end + frame_time;
            self.source = Source::open(&self.path)?;
        }
    }
}
