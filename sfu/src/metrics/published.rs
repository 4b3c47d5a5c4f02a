//! Metrics of a worker, as published to other threads.

use super::{
    AUDIO_FORWARDING, Bounds, DOWNLINK_ESTIMATE, DOWNLINK_QUEUE, FIRST_MEDIA, FORWARDING, Histogram,
    counters::{Counter, Counters},
    gauges::{Gauge, Gauges},
};
use histogram::MAX_BOUNDS;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Integers that one thread writes and other threads read.
#[derive(Debug)]
struct Shared<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Shared<N> {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> Shared<N> {
    fn write(&self, values: &[u64; N]) {
        for (shared, value) in self.0.iter().zip(values) {
            shared.store(*value, Ordering::Relaxed);
        }
    }

    fn read(&self) -> [u64; N] {
        self.0.each_ref().map(|shared| shared.load(Ordering::Relaxed))
    }
}

#[derive(Debug, Default)]
struct SharedHistogram {
    counts: Shared<{ MAX_BOUNDS + 1 }>,
    sum_ns: AtomicU64,
}

impl SharedHistogram {
    fn write(&self, histogram: &Histogram) {
        let (counts, sum_ns) = histogram.parts();
        self.counts.write(counts);
        self.sum_ns.store(sum_ns, Ordering::Relaxed);
    }

    fn read(&self, bounds: Bounds) -> Histogram {
        Histogram::from_parts(bounds, self.counts.read(), self.sum_ns.load(Ordering::Relaxed))
    }
}

/// All histograms of a worker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histograms<H> {
    pub(crate) forwarding: H,
    pub(crate) audio_forwarding: H,
    pub(crate) audio_forwarding_on_core: H,
    pub(crate) first_media: H,
    pub(crate) downlink_estimate: H,
    pub(crate) downlink_queue: H,
}

/// The latest metrics of a worker.
#[derive(Debug, Default)]
pub(crate) struct Published {
    counters: Shared<{ Counter::COUNT }>,
    gauges: Shared<{ Gauge::COUNT }>,
    forwarding: SharedHistogram,
    audio_forwarding: SharedHistogram,
    audio_forwarding_on_core: SharedHistogram,
    first_media: SharedHistogram,
    downlink_estimate: SharedHistogram,
    downlink_queue: SharedHistogram,
}

/// Metrics of one worker since its start.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Counters.
    pub counters: Counters,
    /// Gauges.
    pub gauges: Gauges,
    /// Forwarding delay, counted by packets: see [`FORWARDING`].
    pub forwarding: Histogram,
    /// The same, of audio alone: see [`AUDIO_FORWARDING`].
    pub audio_forwarding: Histogram,
    /// The same, without the time for which the worker's thread had no core.
    pub audio_forwarding_on_core: Histogram,
    /// Time to the first media, counted by participants: see [`FIRST_MEDIA`].
    pub first_media: Histogram,
    /// Bitrates that downlinks are estimated to carry, one of each downlink and second: see [`DOWNLINK_ESTIMATE`].
    pub downlink_estimate: Histogram,
    /// Times that packets wait in the queues of downlinks, one of each downlink and second: see [`DOWNLINK_QUEUE`].
    pub downlink_queue: Histogram,
    /// CPU time of the worker's thread; `None` if the system does not provide it.
    pub cpu: Option<Duration>,
    /// Size of the receive buffer in bytes, as the kernel counts.
    pub receive_buffer: u64,
    /// Size of the send buffer in bytes, as the kernel counts.
    pub send_buffer: u64,
}

impl Published {
    /// Publishes the values. Each is exact, but a reader can see values of different calls.
    pub(crate) fn publish(&self, counters: &Counters, gauges: &Gauges, histograms: &Histograms<&Histogram>) {
        self.counters.write(&counters.0);
        self.gauges.write(&gauges.0);
        self.forwarding.write(histograms.forwarding);
        self.audio_forwarding.write(histograms.audio_forwarding);
        self.audio_forwarding_on_core.write(histograms.audio_forwarding_on_core);
        self.first_media.write(histograms.first_media);
        self.downlink_estimate.write(histograms.downlink_estimate);
        self.downlink_queue.write(histograms.downlink_queue);
    }

    /// Reads the counters.
    pub(crate) fn counters(&self) -> Counters {
        Counters(self.counters.read())
    }

    /// Reads the gauges.
    pub(crate) fn gauges(&self) -> Gauges {
        Gauges(self.gauges.read())
    }

    /// Reads the histograms.
    pub(crate) fn histograms(&self) -> Histograms<Histogram> {
        Histograms {
            forwarding: self.forwarding.read(FORWARDING),
            audio_forwarding: self.audio_forwarding.read(AUDIO_FORWARDING),
            audio_forwarding_on_core: self.audio_forwarding_on_core.read(AUDIO_FORWARDING),
            first_media: self.first_media.read(FIRST_MEDIA),
            downlink_estimate: self.downlink_estimate.read(DOWNLINK_ESTIMATE),
            downlink_queue: self.downlink_queue.read(DOWNLINK_QUEUE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_metrics_round_trip() {
        let published = Published::default();
        let (mut counters, mut gauges) = (Counters::default(), Gauges::default());
        let (mut forwarding, mut downlink_estimate) = (Histogram::new(FORWARDING), Histogram::new(DOWNLINK_ESTIMATE));
        let (first_media, downlink_queue) = (Histogram::new(FIRST_MEDIA), Histogram::new(DOWNLINK_QUEUE));
        let mut audio_forwarding = Histogram::new(AUDIO_FORWARDING);
        audio_forwarding.record(Duration::from_micros(70), 10);
        let mut audio_forwarding_on_core = Histogram::new(AUDIO_FORWARDING);
        audio_forwarding_on_core.record(Duration::from_micros(60), 10);
        counters.add(Counter::RtpIn, 3);
        gauges.set(Gauge::Rooms, 2);
        forwarding.record(Duration::from_micros(80), 100);
        downlink_estimate.record_millionths(700_000, 1);
        let histograms = Histograms {
            forwarding: &forwarding,
            audio_forwarding: &audio_forwarding,
            audio_forwarding_on_core: &audio_forwarding_on_core,
            first_media: &first_media,
            downlink_estimate: &downlink_estimate,
            downlink_queue: &downlink_queue,
        };
        published.publish(&counters, &gauges, &histograms);
        assert_eq!((published.counters(), published.gauges()), (counters, gauges));
        let written = Histograms {
            forwarding,
            audio_forwarding,
            audio_forwarding_on_core,
            first_media,
            downlink_estimate,
            downlink_queue,
        };
        assert_eq!(published.histograms(), written);
    }
}
