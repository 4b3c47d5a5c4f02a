//! How a server divided what it can send.

use super::{KindReport, LayersReport, percent};
use crate::measure::server_load::ServerLoad;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Formatter};

/// What became of audio and video while the server was measured, overloaded or not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OverloadReport {
    /// Share of the audio packets that did not arrive.
    pub audio_lost: f64,
    /// Time that audio packets waited inside the server, 99th percentile, in microseconds.
    pub audio_p99_us: u64,
    /// The same, without the time for which the server had no core; `null` if it does not say.
    pub audio_p99_on_core_us: Option<u64>,
    /// What arrived of video, by height.
    pub video_layers: Vec<VideoLayer>,
    /// Bitrate of video to which the server limited each receiver in the end; `null` if it did not.
    pub video_limit_kbps: Option<u64>,
}

/// Video of one height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VideoLayer {
    /// Lines of its images.
    pub height: u16,
    /// Packets that arrived.
    pub delivered: u64,
    /// Share of these in all packets of video.
    pub share: f64,
}

impl OverloadReport {
    /// The report of the time between two looks at the server's metrics.
    pub(crate) fn of(
        [start, end]: [&ServerLoad; 2],
        audio: &KindReport,
        layers: Option<&LayersReport>,
    ) -> Option<Self> {
        let mut video_layers: Vec<VideoLayer> = Vec::new();
        for layer in layers.iter().flat_map(|layers| &layers.layers) {
            match video_layers.iter_mut().find(|known| known.height == layer.height) {
                Some(known) => known.delivered += layer.delivered,
                None => {
                    video_layers.push(VideoLayer { height: layer.height, delivered: layer.delivered, share: 0.0 });
                }
            }
        }
        let micros = |seconds: f64| (seconds * 1e6).round() as u64;
        let all: u64 = video_layers.iter().map(|layer| layer.delivered).sum();
        for layer in &mut video_layers {
            layer.share = percent(layer.delivered, all) / 100.0;
        }
        Some(Self {
            audio_lost: percent(audio.lost, audio.expected) / 100.0,
            audio_p99_us: micros(end.audio.quantile(&start.audio, 0.99)?),
            audio_p99_on_core_us: end.audio_on_core.quantile(&start.audio_on_core, 0.99).map(micros),
            video_layers,
            video_limit_kbps: (end.video_limit > 0.0).then_some((end.video_limit / 1_000.0).round() as u64),
        })
    }

    pub(crate) fn lines(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { audio_lost, audio_p99_us, audio_p99_on_core_us, video_layers, video_limit_kbps } = self;
        write!(f, "in server   audio p99 {audio_p99_us} µs")?;
        if let Some(micros) = audio_p99_on_core_us {
            write!(f, " ({micros} µs without the time for which it had no core)")?;
        }
        write!(f, ", {:.3} % lost", audio_lost * 100.0)?;
        for layer in video_layers {
            write!(f, " · {:.0} % of video has {} lines", layer.share * 100.0, layer.height)?;
        }
        match video_limit_kbps {
            Some(kbps) => writeln!(f, " · overloaded: video limited to {kbps} kbit/s"),
            None => writeln!(f),
        }
    }
}
