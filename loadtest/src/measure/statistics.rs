//! Statistics of received packets by class of stream, for all bots of a thread together: histograms for each bot would cost
//! more than the bot.

use crate::{
    measure::latencies::Latencies,
    measure::layer::Layer,
    measure::send_log::Class,
    report::{KindReport, Notices},
};

/// Statistics of one class of streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClassStatistics {
    pub(crate) latencies: Latencies,
    pub(crate) interarrival: Latencies,
    pub(crate) deviation: Latencies,
    /// Sums over receivers and streams; latency and jitter are filled in at the end.
    pub(crate) counts: KindReport,
}

impl ClassStatistics {
    pub(crate) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.interarrival.add(&other.interarrival);
        self.deviation.add(&other.deviation);
        add_counts(&mut self.counts, &other.counts);
    }
}

/// Adds the counters, not the quantiles.
pub(crate) fn add_counts(to: &mut KindReport, from: &KindReport) {
    to.streams += from.streams;
    to.sent += from.sent;
    to.sent_bytes += from.sent_bytes;
    to.expected += from.expected;
    to.delivered += from.delivered;
    to.delivered_bytes += from.delivered_bytes;
    to.lost += from.lost;
    to.lost_before_repair += from.lost_before_repair;
    to.reordered += from.reordered;
    to.duplicates += from.duplicates;
    to.opened += from.opened;
    to.undecryptable += from.undecryptable;
    to.before_key += from.before_key;
}

/// Packets of one layer, summed over receivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerCounts {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) delivered_bytes: u64,
}

/// What receivers got of tracks with layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerStatistics {
    /// By image size, the smallest first, and temporal layer.
    counts: [[LayerCounts; Self::TEMPORAL]; Self::STEPS],
    /// How often the encoding of a track in a slot changed.
    pub(crate) switches: u64,
    /// What the server has announced of layers.
    pub(crate) notices: Notices,
    /// From asking for a track that was not shown to its first packet, in milliseconds.
    pub(crate) start_ms: Latencies,
    /// From asking for another image size to the first packet of its encoding, in milliseconds.
    pub(crate) switch_ms: Latencies,
}

impl LayerStatistics {
    /// Maximum number of image sizes of a track.
    pub(crate) const STEPS: usize = 3;
    /// Maximum number of temporal layers.
    pub(crate) const TEMPORAL: usize = 3;

    /// Step and temporal layer of a layer: an image size is an encoding, or a spatial layer of the only one.
    pub(crate) fn place(encoding: u8, layer: Layer) -> (usize, usize) {
        let step = usize::from(encoding.max(layer.spatial)).min(Self::STEPS - 1);
        (step, usize::from(layer.temporal).min(Self::TEMPORAL - 1))
    }

    /// The counts of a layer of an encoding.
    pub(crate) fn of_mut(&mut self, encoding: u8, layer: Layer) -> &mut LayerCounts {
        let (step, temporal) = Self::place(encoding, layer);
        &mut self.counts[step][temporal]
    }

    /// The counts by step and temporal layer.
    pub(crate) fn counts(&self) -> &[[LayerCounts; Self::TEMPORAL]; Self::STEPS] {
        &self.counts
    }

    fn add(&mut self, other: &Self) {
        for (to, from) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            to.expected += from.expected;
            to.delivered += from.delivered;
            to.lost += from.lost;
            to.delivered_bytes += from.delivered_bytes;
        }
        self.switches += other.switches;
        self.notices.add(&other.notices);
        self.start_ms.add(&other.start_ms);
        self.switch_ms.add(&other.switch_ms);
    }
}

/// Statistics of the bots of one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    classes: [ClassStatistics; 3],
    pub(crate) layers: LayerStatistics,
    /// From the start of joining to the first media, in milliseconds.
    pub(crate) first_media: Latencies,
}

impl Statistics {
    pub(crate) fn of(&self, class: Class) -> &ClassStatistics {
        &self.classes[class as usize]
    }

    pub(crate) fn of_mut(&mut self, class: Class) -> &mut ClassStatistics {
        &mut self.classes[class as usize]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for class in Class::ALL {
            self.of_mut(class).add(other.of(class));
        }
        self.layers.add(&other.layers);
        self.first_media.add(&other.first_media);
    }
}
