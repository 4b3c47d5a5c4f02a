//! What receivers got of tracks with layers.

use super::percent;
use crate::measure::{
    latencies::Latencies,
    send_log::SentTotal,
    statistics::{LayerCounts, LayerStatistics},
};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Formatter};
use tacet_proto::layers::LayerReason;

/// Layers of all tracks together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayersReport {
    /// Changes of the encoding in a slot, by its packets.
    pub switches: u64,
    /// What the server announced of the layers in slots.
    pub notices: Notices,
    /// From asking for a track that was not shown to its first packet; `null` when none was asked for while measured.
    pub start_ms: Option<WaitMs>,
    /// From asking for another image size to the first packet of its encoding; `null` likewise.
    pub switch_ms: Option<WaitMs>,
    /// Each layer, the smallest image first.
    pub layers: Vec<LayerReport>,
}

/// Announced changes of layers, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notices {
    /// It is what the receiver asked for.
    pub wish: u64,
    /// Its budget holds no more.
    pub bandwidth: u64,
    /// The path to it carries no more.
    pub network: u64,
    /// The server is overloaded, and can send no more.
    pub server: u64,
    /// The publisher sends no better one.
    pub sender: u64,
    /// The receiver wants none.
    pub pause: u64,
}

/// Waiting times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitMs {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Longest.
    pub max: u64,
}

/// Packets of one layer, over all tracks and receivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerReport {
    /// Lines of its images.
    pub height: u16,
    /// Temporal layer, from 0.
    pub temporal: u8,
    /// Packets that publishers sent.
    pub sent: u64,
    /// RTP payload bytes of these.
    pub sent_bytes: u64,
    /// Packets of these that were owed to receivers.
    pub expected: u64,
    /// Packets of these that arrived.
    pub delivered: u64,
    /// RTP payload bytes of these.
    pub delivered_bytes: u64,
    /// Packets of these that did not arrive.
    pub lost: u64,
}

impl Notices {
    pub(crate) fn count(&mut self, reason: LayerReason) {
        *match reason {
            LayerReason::Wish => &mut self.wish,
            LayerReason::Bandwidth => &mut self.bandwidth,
            LayerReason::Network => &mut self.network,
            LayerReason::Server => &mut self.server,
            LayerReason::Sender => &mut self.sender,
            LayerReason::Pause => &mut self.pause,
        } += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.wish += other.wish;
        self.bandwidth += other.bandwidth;
        self.network += other.network;
        self.server += other.server;
        self.sender += other.sender;
        self.pause += other.pause;
    }
}

impl WaitMs {
    fn of(times: &Latencies) -> Option<Self> {
        let quantile = |q| times.quantile(q);
        (times.count() > 0).then(|| Self {
            count: times.count(),
            p50: quantile(0.50),
            p99: quantile(0.99),
            max: times.max(),
        })
    }
}

impl LayersReport {
    /// The report of what was sent with images of these heights, and received.
    pub(crate) fn of(heights: &[u16], sent: &SentTotal, received: &LayerStatistics) -> Self {
        let mut layers = Vec::new();
        for ((height, sent), received) in heights.iter().zip(&sent.layers).zip(received.counts()) {
            for ((temporal, sent), received) in (0..).zip(sent).zip(received) {
                let LayerCounts { expected, delivered, lost, delivered_bytes } = *received;
                let (sent, sent_bytes) = *sent;
                let height = *height;
                layers.push(LayerReport {
                    height,
                    temporal,
                    sent,
                    sent_bytes,
                    expected,
                    delivered,
                    delivered_bytes,
                    lost,
                });
            }
        }
        Self {
            switches: received.switches,
            notices: received.notices,
            start_ms: WaitMs::of(&received.start_ms),
            switch_ms: WaitMs::of(&received.switch_ms),
            layers,
        }
    }

    pub(super) fn lines(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { switches, notices, start_ms, switch_ms, layers } = self;
        let Notices { wish, bandwidth, network, server, sender, pause } = notices;
        writeln!(
            f,
            "layers      {switches} switches · announced {wish} by wish, {bandwidth} by bandwidth, {network} by network, \
             {server} by server, {sender} by sender, {pause} paused"
        )?;
        for (what, wait) in [("shown", start_ms), ("switched", switch_ms)] {
            if let Some(WaitMs { count, p50, p99, max }) = wait {
                writeln!(f, "  {what:<10}{count} times · p50 {p50} · p99 {p99} · max {max} ms")?;
            }
        }
        for LayerReport { height, temporal, sent_bytes, expected, delivered, delivered_bytes, lost, .. } in layers {
            writeln!(
                f,
                "  {height:>4}p T{temporal}  {} kB sent, {} kB received · delivered {delivered} of {expected} · lost {:.3} %",
                sent_bytes / 1_000,
                delivered_bytes / 1_000,
                percent(*lost, *expected)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::measure::layer::Layer;

    #[test]
    fn layers_are_listed_by_height() {
        let mut received = LayerStatistics::default();
        received.switches = 3;
        received.notices.count(LayerReason::Bandwidth);
        received.switch_ms.record(120);
        let top = Layer { temporal: 2, ..Layer::default() };
        received.of_mut(1, top).expected = 10;
        let mut sent = SentTotal::default();
        sent.layers[1][2] = (7, 700);
        let report = LayersReport::of(&[180, 360], &sent, &received);
        let expected =
            LayerReport { height: 360, temporal: 2, sent: 7, sent_bytes: 700, expected: 10, ..LayerReport::default() };
        assert_eq!((report.layers.len(), report.layers[5]), (6, expected));
        assert_eq!((report.switches, report.notices.bandwidth, report.start_ms), (3, 1, None));
        assert_eq!(report.switch_ms.unwrap().count, 1);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["layers"][5]["height"], &json["notices"]["bandwidth"]), (&360.into(), &1.into()));
    }
}
