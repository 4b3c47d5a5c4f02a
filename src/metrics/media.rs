//! The media plane, worker by worker.

use super::family::{counter, gauge, histogram};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use sfu::{
    Sfu,
    metrics::{Counter, Gauge, WorkerMetrics},
};
use std::{fmt, sync::Arc};

#[derive(Debug)]
pub(super) struct Media(pub(super) Arc<Sfu>);

impl Collector for Media {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let workers: Vec<(String, WorkerMetrics)> =
            (0..self.0.workers()).filter_map(|worker| Some((worker.to_string(), self.0.metrics(worker)?))).collect();
        let encoder = &mut encoder;
        let each = |value: &dyn Fn(&WorkerMetrics) -> Option<f64>| {
            let values = workers.iter().filter_map(|(worker, metrics)| Some(([("worker", worker)], value(metrics)?)));
            values.collect::<Vec<_>>()
        };

        for kind in Counter::ALL.iter().filter(|kind| kind.drop_reason().is_none()) {
            let values = each(&|metrics| Some(metrics.counters.get(*kind) as f64));
            counter(encoder, kind.name(), kind.help(), values)?;
        }
        let mut drops = Vec::new();
        for (worker, metrics) in &workers {
            let reasons = Counter::ALL.iter().filter_map(|kind| Some((*kind, kind.drop_reason()?)));
            drops.extend(reasons.map(|(kind, reason)| {
                ([("worker", worker.as_str()), ("reason", reason)], metrics.counters.get(kind) as f64)
            }));
        }
        counter(encoder, "dropped_packets", "Packets and datagrams that were not passed on, by reason.", drops)?;
        for kind in Gauge::ALL {
            gauge(encoder, kind.name(), kind.help(), each(&|metrics| Some(metrics.gauges.get(*kind) as f64)))?;
        }
        histogram(
            encoder,
            "forwarding_seconds",
            "From the receipt of a batch of datagrams to the return of the call that has sent what was forwarded of it, \
             counted by packets sent.",
            workers.iter().map(|(worker, metrics)| ([("worker", worker)], &metrics.forwarding)),
        )?;
        histogram(
            encoder,
            "first_media_seconds",
            "From a participant's coming to the first media sent to it.",
            workers.iter().map(|(worker, metrics)| ([("worker", worker)], &metrics.first_media)),
        )?;
        counter(
            encoder,
            "worker_cpu_seconds",
            "CPU time of the worker's thread; a worker whose rate comes near to 1 is full.",
            each(&|metrics| Some(metrics.cpu?.as_secs_f64())),
        )?;
        gauge(
            encoder,
            "socket_receive_buffer_bytes",
            "What the kernel grants for datagrams that wait to be received.",
            each(&|metrics| Some(metrics.receive_buffer as f64)),
        )?;
        gauge(
            encoder,
            "socket_send_buffer_bytes",
            "What the kernel grants for datagrams that wait to be sent.",
            each(&|metrics| Some(metrics.send_buffer as f64)),
        )
    }
}
