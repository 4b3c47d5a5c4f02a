//! One run: a server is started, its bots join, it is measured, it is ended.

use crate::load::Traffic;
use crate::peer::{Floor, Janus, LiveKit, Peer, PeerError, PeerName, Setup, Str0m, Tacet};
use loadtest::{
    Usage,
    fanout::{Camera, Fanout, FanoutReport},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::sleep;

/// How long the publisher sends alone, so that a server knows its stream when subscribers join.
const ALONE: Duration = Duration::from_millis(500);
/// Number of joins in parallel.
const JOINS: usize = 10;

/// How long a run takes, joins aside.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Media flows and is not measured.
    pub warmup: Duration,
    /// It is.
    pub measure: Duration,
}

/// What a run showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// CPU seconds of all threads of the server for a million forwarded packets.
    pub cpu_s_per_million: f64,
    /// CPU time of wall time of the server.
    pub server_busy: f64,
    /// Wall time that threads of the server could have run and waited for the core, of wall time.
    pub server_waited: f64,
    /// Growth of the server's resident memory from before the first subscriber to the end, by subscriber.
    pub rss_bytes_per_subscriber: u64,
    /// Measured time in seconds.
    #[serde(default)]
    pub seconds: f64,
    /// What the receivers saw.
    #[serde(flatten)]
    pub seen: FanoutReport,
}

/// Runs a load through a peer.
///
/// # Errors
/// [`PeerError`]; loss is a result, unless nothing arrived at all.
pub async fn run(
    peer: PeerName,
    setup: &Setup,
    traffic: Traffic,
    subscribers: usize,
    times: Times,
) -> Result<Run, PeerError> {
    match peer {
        PeerName::Floor => run_on::<Floor<1>>(setup, traffic, subscribers, times).await,
        PeerName::FloorGso4 => run_on::<Floor<4>>(setup, traffic, subscribers, times).await,
        PeerName::FloorGso8 => run_on::<Floor<8>>(setup, traffic, subscribers, times).await,
        PeerName::FloorGso16 => run_on::<Floor<16>>(setup, traffic, subscribers, times).await,
        PeerName::Tacet => run_on::<Tacet>(setup, traffic, subscribers, times).await,
        PeerName::Str0m => run_on::<Str0m>(setup, traffic, subscribers, times).await,
        PeerName::Janus => run_on::<Janus<0>>(setup, traffic, subscribers, times).await,
        PeerName::JanusLoops => run_on::<Janus<2>>(setup, traffic, subscribers, times).await,
        PeerName::Livekit => run_on::<LiveKit>(setup, traffic, subscribers, times).await,
    }
}

async fn run_on<P: Peer>(setup: &Setup, traffic: Traffic, subscribers: usize, times: Times) -> Result<Run, PeerError> {
    let mut peer = P::start(setup).await?;
    let result = drive(&mut peer, traffic, subscribers, times).await;
    peer.stop().await;
    result
}

async fn drive(peer: &mut impl Peer, traffic: Traffic, subscribers: usize, times: Times) -> Result<Run, PeerError> {
    let mut fanout = Fanout::start(traffic.rate)?;
    let publishers = match traffic {
        Traffic { voices: Some(voices), .. } => peer.publish_voices(&mut fanout, voices).await?,
        Traffic { camera: Some(camera), .. } => vec![peer.publish_camera(&mut fanout, camera).await?],
        Traffic { .. } => vec![peer.publish(&fanout).await?],
    };
    for publisher in publishers {
        publisher.connected().await?;
    }
    fanout.start_sending();
    sleep(ALONE).await;
    let before = peer.usage();
    for at in (0..subscribers).step_by(JOINS) {
        let mut connecting = Vec::new();
        for n in at..subscribers.min(at + JOINS) {
            let height = traffic.camera.and_then(|_| Camera::HEIGHTS.iter().cycle().nth(n).copied());
            connecting.push(peer.subscribe(&mut fanout, height).await?);
        }
        for bot in connecting {
            bot.connected().await?;
        }
    }
    let (seen, [start, end]) = fanout.measure(times.warmup, times.measure, || peer.usage()).await?;
    if seen.delivered == 0 {
        return Err(PeerError::NothingDelivered);
    }
    if let Some(height) = subscribers.ge(&Camera::HEIGHTS.len()).then(|| missing_height(&seen)).flatten() {
        return Err(PeerError::NoHeight(height));
    }
    Ok(figures(seen, times.measure, subscribers, [before, start, end]))
}

impl Run {
    /// RTP payload of the encoding with this height that arrived, in kbit/s for each receiver.
    pub(crate) fn kbps_of(&self, height: u16, receivers: usize) -> f64 {
        let layers = self.seen.layers.iter().flat_map(|layers| &layers.layers);
        let bytes: u64 = layers.filter(|layer| layer.height == height).map(|layer| layer.delivered_bytes).sum();
        bytes as f64 * 8.0 / 1e3 / self.seconds.max(f64::MIN_POSITIVE) / receivers.max(1) as f64
    }
}

/// The height of an encoding that was asked for and reached no receiver.
fn missing_height(seen: &FanoutReport) -> Option<u16> {
    let layers = &seen.layers.as_ref()?.layers;
    let reached = |height: &u16| layers.iter().any(|layer| layer.height == *height && layer.delivered > 0);
    Camera::HEIGHTS.into_iter().find(|height| !reached(height))
}

fn figures(seen: FanoutReport, time: Duration, subscribers: usize, [before, start, end]: [Usage; 3]) -> Run {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let cpu = seconds(end.cpu_ns.saturating_sub(start.cpu_ns));
    Run {
        cpu_s_per_million: cpu * 1e6 / seen.delivered as f64,
        server_busy: cpu / time.as_secs_f64(),
        server_waited: seconds(end.waited_ns.saturating_sub(start.waited_ns)) / time.as_secs_f64(),
        rss_bytes_per_subscriber: end.rss_bytes.saturating_sub(before.rss_bytes) / subscribers.max(1) as u64,
        seconds: time.as_secs_f64(),
        seen,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use loadtest::{LayerReport, LayersReport};

    pub(crate) fn seen(expected: u64, delivered: u64) -> FanoutReport {
        FanoutReport {
            expected,
            delivered,
            duplicates: 0,
            p50_us: 100,
            p99_us: 200,
            max_us: 300,
            profile: Some("AEAD_AES_256_GCM".to_owned()),
            unsent: 0,
            lag_p99_us: 10,
            receive_drops: 0,
            generator_busy: 0.3,
            layers: None,
        }
    }

    #[test]
    fn height_that_reached_no_one_is_found() {
        let layer = |height, delivered| LayerReport { height, delivered, ..LayerReport::default() };
        let of = |delivered: [u64; 3]| {
            let layers =
                Camera::HEIGHTS.into_iter().zip(delivered).map(|(height, count)| layer(height, count)).collect();
            missing_height(&FanoutReport {
                layers: Some(LayersReport { layers, ..LayersReport::default() }),
                ..seen(1, 1)
            })
        };
        assert_eq!((of([5, 5, 5]), of([5, 0, 5])), (None, Some(360)));
        assert_eq!(missing_height(&seen(1, 1)), None, "no camera");
    }

    #[test]
    fn cpu_per_packet_and_memory_per_receiver() {
        let before = Usage { cpu_ns: 0, waited_ns: 0, rss_bytes: 1_000_000 };
        let start = Usage { cpu_ns: 5_000_000_000, waited_ns: 0, rss_bytes: 2_000_000 };
        let end = Usage { cpu_ns: 6_000_000_000, waited_ns: 500_000_000, rss_bytes: 3_000_000 };
        let run = figures(seen(500_000, 500_000), Duration::from_secs(2), 10, [before, start, end]);
        assert!((run.cpu_s_per_million - 2.0).abs() < 1e-9, "{run:?}");
        assert!((run.server_busy - 0.5).abs() < 1e-9 && (run.server_waited - 0.25).abs() < 1e-9, "{run:?}");
        assert_eq!(run.rss_bytes_per_subscriber, 200_000);
    }
}
