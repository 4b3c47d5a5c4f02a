//! One measured run, as the fit of costs takes it.

use crate::report::{KindReport, Report};
use serde::{Deserialize, Serialize};

/// One stream on the wire, on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamRate {
    /// Packets a second.
    pub pps: f64,
    /// RTP payload bytes a second.
    pub bytes_per_s: f64,
}

/// Load on a server, and the CPU that it took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Point {
    /// Description of the run.
    pub name: String,
    /// Packets a second received by the server.
    pub received_pps: f64,
    /// Audio packets a second that went out.
    pub audio_pps: f64,
    /// Video packets a second that went out.
    pub video_pps: f64,
    /// Participants, each of which costs a little without any media: checks, reports, feedback.
    pub participants: f64,
    /// Streams received by the server, each with packets that it stores.
    pub streams: f64,
    /// CPU seconds a second, of all the server's threads.
    pub cpu: f64,
    /// Memory of the server for each participant; `null` when not measured.
    pub rss_bytes_per_participant: Option<f64>,
    /// CPU of the server for one participant to join, in milliseconds; `null` when not measured.
    pub join_cpu_ms: Option<f64>,
    /// One audio stream; `null` when there was none.
    pub audio: Option<StreamRate>,
    /// One video stream; `null` when there was none.
    pub video: Option<StreamRate>,
    /// Why its numbers are doubtful; empty when they are not.
    pub limits: Vec<String>,
    /// Whether it is held out: left out of the fit, and predicted.
    pub held_out: bool,
}

impl Point {
    /// The point of a report; `None` when the server's CPU was not measured.
    #[must_use]
    pub fn of(name: &str, report: &Report) -> Option<Self> {
        let rate = |kind: &KindReport| {
            let (streams, seconds) = (kind.streams as f64, report.seconds);
            let per_stream = |total: u64| total as f64 / streams / seconds;
            (streams > 0.0 && seconds > 0.0)
                .then(|| StreamRate { pps: per_stream(kind.sent), bytes_per_s: per_stream(kind.sent_bytes) })
        };
        let delivered = |kind: Option<KindReport>| kind.map_or(0, |kind| kind.delivered) as f64;
        let (audio, video) = (delivered(report.audio), delivered(report.video));
        // Canaries get the same mixture, and are counted in the forwarded packets alone.
        let audio_share = if audio + video > 0.0 { audio / (audio + video) } else { 0.0 };
        let both = report.participants;
        let bots = (report.publishers + report.subscribers).saturating_sub(both) + report.canaries.bots;
        let streams = [report.audio, report.video].into_iter().flatten().map(|kind| kind.streams).sum::<u64>();
        Some(Self {
            name: name.to_owned(),
            received_pps: report.received_pps,
            audio_pps: report.forwarded_pps * audio_share,
            video_pps: report.forwarded_pps * (1.0 - audio_share),
            participants: bots as f64,
            streams: streams as f64,
            cpu: report.server_cpu?,
            rss_bytes_per_participant: report.rss_bytes_per_participant.map(|bytes| bytes as f64),
            join_cpu_ms: report.join_cpu_ms,
            audio: report.audio.as_ref().and_then(rate),
            video: report.video.as_ref().and_then(rate),
            limits: report.generator.limits.clone(),
            held_out: false,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_split_by_kind() {
        let kind = |streams, sent, delivered| {
            Some(KindReport { streams, sent, sent_bytes: sent * 100, delivered, ..KindReport::default() })
        };
        let report = Report {
            seconds: 10.0,
            publishers: 4,
            subscribers: 4,
            participants: 4,
            received_pps: 700.0,
            forwarded_pps: 2_800.0,
            audio: kind(4, 2_000, 6_000),
            video: kind(4, 6_000, 18_000),
            server_cpu: Some(0.125),
            rss_bytes_per_participant: Some(50_000),
            ..Report::default()
        };
        let point = Point::of("four", &report).unwrap();
        assert_eq!((point.audio_pps, point.video_pps, point.participants), (700.0, 2_100.0, 4.0));
        assert_eq!(point.streams, 8.0);
        assert_eq!(point.audio, Some(StreamRate { pps: 50.0, bytes_per_s: 5_000.0 }));
        assert_eq!(point.video, Some(StreamRate { pps: 150.0, bytes_per_s: 15_000.0 }));
        assert_eq!(Point::of("remote", &Report { server_cpu: None, ..report }), None);
    }
}
