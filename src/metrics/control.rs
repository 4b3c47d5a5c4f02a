//! The control plane.

use super::family::{PLAIN, counter, gauge, histogram};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use signaling::{
    Metrics, Rooms,
    metrics::{CountByKind, Kind},
};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

#[derive(Debug)]
pub(super) struct Control {
    pub(super) rooms: Rooms,
    pub(super) signaling: Arc<Metrics>,
}

impl Collector for Control {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { rooms, signaling } = self;
        let encoder = &mut encoder;
        let count = |value: u64| [(PLAIN, value)];
        gauge(
            encoder,
            "signaling_rooms",
            "Rooms that have a link, with or without a call.",
            count(rooms.count() as u64),
        )?;
        gauge(
            encoder,
            "signaling_participants",
            "Participants, including those who have not joined yet.",
            count(rooms.participants() as u64),
        )?;
        gauge(
            encoder,
            "signaling_connections_open",
            "WebSocket connections that are open.",
            count(signaling.open_connections()),
        )?;
        let connections = signaling.connections.load(Ordering::Relaxed);
        counter(encoder, "signaling_connections", "WebSocket connections that were made.", count(connections))?;
        counter(
            encoder,
            "signaling_closes",
            "WebSocket connections by the code with which they ended (RFC 6455; 4400 and above are tacet's).",
            tallied("code", &signaling.closes),
        )?;
        counter(
            encoder,
            "signaling_refusals",
            "Connections that were refused before they became WebSockets, by reason.",
            tallied("reason", &signaling.refusals),
        )?;
        counter(
            encoder,
            "signaling_messages_received",
            "Data messages of clients, accepted or not.",
            tallied("format", &signaling.received),
        )?;
        counter(encoder, "signaling_messages_sent", "Data messages to clients.", tallied("format", &signaling.sent))?;
        counter(encoder, "signaling_errors", "Errors that clients were told.", tallied("code", &signaling.errors))?;
        histogram(
            encoder,
            "signaling_connected_seconds",
            "From a participant's joining to the connection of its media: signaling both ways, checks, handshake.",
            [(PLAIN, &signaling.joins())],
        )?;
        let faults = signaling.room_faults.load(Ordering::Relaxed);
        counter(encoder, "signaling_room_faults", "Rooms that ended by a fault of the server.", count(faults))
    }
}

/// Counts by kind, with the kind in a label.
fn tallied<K: Kind>(
    label: &'static str,
    counts: &CountByKind<K>,
) -> impl Iterator<Item = ([(&'static str, String); 1], u64)> {
    counts.read().map(move |(kind, count)| ([(label, kind.label())], count))
}
