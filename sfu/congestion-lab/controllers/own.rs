//! The server's estimator.

use sfu::{
    congestion::{BandwidthEstimator, ClusterId, PacketResult as Reported},
    units::{Bitrate, DataSize},
};
use std::time::{Duration, Instant};
use tacet_congestion_lab::{Controller, PacketResult, ProbeCluster, SentPacket, Start};

/// The server's estimator.
pub(crate) struct Own {
    estimator: BandwidthEstimator,
    now: Instant,
    /// Reused.
    results: Vec<Reported>,
}

fn bitrate(rate: f64) -> Bitrate {
    Bitrate::from_bps(rate as u64)
}

impl Own {
    /// As a receiver's downlink begins.
    pub(crate) fn new(start: &Start) -> Self {
        let mut estimator = BandwidthEstimator::new(bitrate(start.rate));
        estimator.set_wanted(bitrate(start.most), bitrate(start.most));
        Self { estimator, now: start.at, results: Vec::new() }
    }
}

impl Controller for Own {
    fn set_wanted(&mut self, wanted: f64, next: f64) {
        self.estimator.set_wanted(bitrate(wanted), bitrate(next));
    }

    fn on_sent(&mut self, packet: &SentPacket, _in_flight: usize) {
        self.estimator.on_sent(packet.at, DataSize::from_len(packet.bytes));
    }

    fn on_report(&mut self, now: Instant, results: &[PacketResult], _in_flight: usize) {
        self.results.clear();
        self.results.extend(results.iter().map(|PacketResult { packet, received_micros }| Reported {
            sent: packet.at,
            size: DataSize::from_len(packet.bytes),
            received_micros: *received_micros,
            cluster: packet.cluster.and_then(|id| u16::try_from(id).ok()).and_then(ClusterId::from_number),
        }));
        self.estimator.on_report(now, &self.results);
    }

    fn on_tick(&mut self, now: Instant, _queued: usize) {
        self.now = now;
        self.estimator.on_tick(now);
    }

    fn next_probe(&mut self, now: Instant) -> Option<ProbeCluster> {
        self.estimator.next_probe(now).map(|cluster| ProbeCluster {
            id: cluster.id.get().into(),
            rate: cluster.rate.as_f64(),
            duration: cluster.duration,
            min_packets: cluster.min_packets,
        })
    }

    fn estimate(&self) -> f64 {
        self.estimator.estimate().as_f64()
    }

    fn pacing_rate(&self) -> f64 {
        self.estimator.eased(self.now).map_or(2.5 * self.estimate(), Bitrate::as_f64)
    }

    fn cause(&self) -> String {
        self.estimator.cause().as_str().to_owned()
    }

    fn tick_every(&self) -> Duration {
        Duration::from_millis(5)
    }
}
