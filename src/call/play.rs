//! Files that are played into a call.

use anyhow::{Context, bail};
use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tacet_native::{
    audio::Channels,
    client::{AudioPublication, Codec, VideoPublication},
    file::{ivf, wav, y4m},
};
use tokio::{sync::mpsc, time::sleep_until};

/// Pictures that are read ahead.
const AHEAD: usize = 8;
/// The RTP clock of pictures.
const CLOCK_HZ: u128 = 90_000;

/// What has been played to its end; it stays published until it is dropped.
#[allow(dead_code, reason = "held, not read")]
pub(super) enum Played {
    /// Sound.
    Sound(AudioPublication),
    /// Pictures.
    Pictures(VideoPublication),
}

/// A WAV file to play.
pub(super) struct Sound {
    reader: wav::Reader<BufReader<File>>,
    repeat: bool,
}

impl Sound {
    /// Opens it.
    pub(super) fn open(path: &Path, repeat: bool) -> anyhow::Result<Self> {
        let reader = wav::Reader::open(path, Channels::Mono).with_context(|| format!("--play {}", path.display()))?;
        Ok(Self { reader, repeat })
    }

    /// Plays it once it is heard; returns at its end.
    pub(super) async fn play(mut self, microphone: AudioPublication) -> anyhow::Result<Played> {
        microphone.live().await?;
        let blocks = std::iter::from_fn(|| self.block().transpose());
        microphone.play(blocks).await.context("--play")?;
        Ok(Played::Sound(microphone))
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

/// An IVF or Y4M file to show.
pub(super) struct Pictures {
    path: PathBuf,
    source: Source,
    repeat: bool,
}

enum Source {
    Ivf(ivf::Reader<BufReader<File>>),
    Y4m(y4m::Encoding),
}

/// A picture, and when it is shown, counted from the first.
struct Timed {
    at: Duration,
    bytes: Vec<u8>,
}

impl Source {
    fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(match path.extension().and_then(|extension| extension.to_str()) {
            Some("y4m") => Self::Y4m(y4m::Encoding::start(path, y4m::EncodingOptions::default())?),
            Some("ivf") => Self::Ivf(ivf::Reader::new(BufReader::new(File::open(path)?))?),
            _ => bail!("a name that ends in .ivf (encoded pictures) or .y4m (raw ones) is wanted"),
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

impl Pictures {
    /// Opens it.
    pub(super) fn open(path: &Path, repeat: bool) -> anyhow::Result<Self> {
        let source = Source::open(path).with_context(|| format!("--video {}", path.display()))?;
        Ok(Self { path: path.to_owned(), source, repeat })
    }

    /// Their codec.
    pub(super) fn codec(&self) -> Codec {
        match self.source.header().codec {
            e2ee_frames::Codec::Opus => Codec::Opus,
            e2ee_frames::Codec::Vp8 => Codec::Vp8,
            e2ee_frames::Codec::Vp9 => Codec::Vp9,
            e2ee_frames::Codec::Av1 => Codec::Av1,
            e2ee_frames::Codec::H264 => Codec::H264,
        }
    }

    /// Shows them once they are seen; returns at the end.
    pub(super) async fn play(self, camera: VideoPublication) -> anyhow::Result<Played> {
        camera.live().await?;
        let context = format!("--video {}", self.path.display());
        // Reading may wait for an encoder.
        let (sender, mut pictures) = mpsc::channel(AHEAD);
        let reading = tokio::task::spawn_blocking(move || self.read(&sender));
        let start = Instant::now();
        while let Some(Timed { at, bytes }) = pictures.recv().await {
            sleep_until((start + at).into()).await;
            // The clock wraps.
            camera.write(((at.as_nanos() * CLOCK_HZ + 500_000_000) / 1_000_000_000) as u32, bytes);
        }
        reading.await?.context(context)?;
        Ok(Played::Pictures(camera))
    }

    /// Reads until the end, or until nobody wants more.
    fn read(mut self, pictures: &mpsc::Sender<Timed>) -> anyhow::Result<()> {
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
                if pictures.blocking_send(Timed { at, bytes: frame.bytes }).is_err() {
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
