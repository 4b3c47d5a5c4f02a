//! Metrics of the media plane, by worker.

use super::family::{counter, gauge, histogram, scaled_histogram};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use sfu::{
    Sfu,
    metrics::{Counter, Gauge, WorkerMetrics},
};
use std::{fmt, sync::Arc};

/// Prometheus recommends bytes for all amounts of data, and rates of them per second.
const BYTES_PER_MEGABIT: f64 = 1e6 / 8.0;

#[derive(Debug)]
pub(super) struct Media(pub(super) Arc<Sfu>);

impl Collector for Media {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let workers: Vec<(String, WorkerMetrics)> =
            (0..self.0.workers()).filter_map(|worker| Some((worker.to_string(), self.0.metrics(worker)?))).collect();
        let encoder = &mut encoder;
        for kind in Counter::ALL.iter().filter(|kind| kind.drop_reason().is_none()) {
            counter(encoder, kind.name(), kind.help(), each(&workers, |metrics| Some(metrics.counters.get(*kind))))?;
        }
        let mut drops = Vec::new();
        for (worker, metrics) in &workers {
            let reasons = Counter::ALL.iter().filter_map(|kind| Some((*kind, kind.drop_reason()?)));
            drops.extend(
                reasons.map(|(kind, reason)| {
                    ([("worker", worker.as_str()), ("reason", reason)], metrics.counters.get(kind))
                }),
            );
        }
        counter(encoder, "dropped_packets", "Packets and datagrams that were dropped, by reason.", drops)?;
        for kind in Gauge::ALL {
            gauge(encoder, kind.name(), kind.help(), each(&workers, |metrics| Some(metrics.gauges.get(*kind))))?;
        }
        histogram(
            encoder,
            "forwarding_seconds",
            "Time from receiving a batch of datagrams until its forwarded packets were passed to the kernel, by packet.",
            workers.iter().map(|(worker, metrics)| ([("worker", worker)], &metrics.forwarding)),
        )?;
        histogram(
            encoder,
            "audio_forwarding_seconds",
            "The same for audio alone, which is forwarded before video.",
            workers.iter().map(|(worker, metrics)| ([("worker", worker)], &metrics.audio_forwarding)),
        )?;
        histogram(
            encoder,
            "audio_forwarding_on_core_seconds",
            "The same, without the time for which the worker's thread had no core.",
            workers.iter().map(|(worker, metrics)| ([("worker", worker)], &metrics.audio_forwarding_on_core)),
        )?;
        histogram(
            encoder,
            "first_media_seconds",
            "Time from a participant's arrival until the first media was sent to it.",
            workers.iter().map(|(worker, metrics)| ([("worker", worker)], &metrics.first_media)),
        )?;
        scaled_histogram(
            encoder,
            "downlink_estimate_bytes_per_second",
            "Rate that a downlink is estimated to carry, counted once a second for each that sends feedback.",
            BYTES_PER_MEGABIT,
            workers.iter().map(|(worker, metrics)| ([("worker", worker)], &metrics.downlink_estimate)),
        )?;
        histogram(
            encoder,
            "downlink_queue_seconds",
            "Time that packets wait in the queues of a downlink, counted once a second for each that sends feedback.",
            workers.iter().map(|(worker, metrics)| ([("worker", worker)], &metrics.downlink_queue)),
        )?;
        counter(
            encoder,
            "worker_cpu_seconds",
            "CPU time of the worker's thread. A worker whose rate approaches 1 is overloaded.",
            each(&workers, |metrics| Some(metrics.cpu?.as_secs_f64())),
        )?;
        gauge(
            encoder,
            "socket_receive_buffer_bytes",
            "Size of the socket's receive buffer.",
            each(&workers, |metrics| Some(metrics.receive_buffer)),
        )?;
        gauge(
            encoder,
            "socket_send_buffer_bytes",
            "Size of the socket's send buffer.",
            each(&workers, |metrics| Some(metrics.send_buffer)),
        )
    }
}

/// A value of each worker that has one, with the worker's number in a label.
fn each<V>(
    workers: &[(String, WorkerMetrics)],
    value: impl Fn(&WorkerMetrics) -> Option<V>,
) -> impl Iterator<Item = ([(&str, &str); 1], V)> {
    workers.iter().filter_map(move |(worker, metrics)| Some(([("worker", worker.as_str())], value(metrics)?)))
}
