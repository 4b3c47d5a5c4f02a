//! A worker's measurements as other threads see them.

use super::{
    Bounds, FIRST_MEDIA, FORWARDING, Histogram,
    counters::{Counter, Counters},
    gauges::{Gauge, Gauges},
};
use histogram::MAX_BOUNDS;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Integers that one thread writes and others read.
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

/// Where a worker's thread leaves its measurements.
#[derive(Debug, Default)]
pub(crate) struct Published {
    counters: Shared<{ Counter::COUNT }>,
    gauges: Shared<{ Gauge::COUNT }>,
    forwarding: SharedHistogram,
    first_media: SharedHistogram,
}

/// Measurements of one worker, since it started.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerMetrics {
    /// What was counted.
    pub counters: Counters,
    /// What is there.
    pub gauges: Gauges,
    /// See [`FORWARDING`]: counted by packets.
    pub forwarding: Histogram,
    /// See [`FIRST_MEDIA`]: counted by participants.
    pub first_media: Histogram,
    /// CPU time of the worker's thread; `None` if the system does not say.
    pub cpu: Option<Duration>,
    /// Bytes that the kernel has granted the socket for datagrams that wait to be received, as it counts them.
    pub receive_buffer: u64,
    /// Bytes that the kernel has granted the socket for datagrams that wait to be sent.
    pub send_buffer: u64,
}

impl Published {
    /// Makes the worker's values visible. Each is exact; together they are no snapshot.
    pub(crate) fn publish(
        &self,
        counters: &Counters,
        gauges: &Gauges,
        forwarding: &Histogram,
        first_media: &Histogram,
    ) {
        self.counters.write(&counters.0);
        self.gauges.write(&gauges.0);
        self.forwarding.write(forwarding);
        self.first_media.write(first_media);
    }

    /// Reads the counters.
    pub(crate) fn counters(&self) -> Counters {
        Counters(self.counters.read())
    }

    /// Reads the gauges.
    pub(crate) fn gauges(&self) -> Gauges {
        Gauges(self.gauges.read())
    }

    /// Reads the histograms: forwarding, first media.
    pub(crate) fn histograms(&self) -> (Histogram, Histogram) {
        (self.forwarding.read(FORWARDING), self.first_media.read(FIRST_MEDIA))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_what_is_read() {
        let published = Published::default();
        let (mut counters, mut gauges) = (Counters::default(), Gauges::default());
        let (mut forwarding, first_media) = (Histogram::new(FORWARDING), Histogram::new(FIRST_MEDIA));
        counters.add(Counter::RtpIn, 3);
        gauges.set(Gauge::Rooms, 2);
        forwarding.record(Duration::from_micros(80), 100);
        published.publish(&counters, &gauges, &forwarding, &first_media);
        assert_eq!((published.counters(), published.gauges()), (counters, gauges));
        assert_eq!(published.histograms(), (forwarding, first_media));
    }
}
