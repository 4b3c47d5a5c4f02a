//! Metrics of signaling.

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
        gauge(encoder, "signaling_rooms", "Rooms, with or without a call.", count(rooms.count() as u64))?;
        gauge(
            encoder,
            "signaling_participants",
            "Participants, including those that have not joined yet.",
            count(rooms.participants() as u64),
        )?;
        gauge(
            encoder,
            "signaling_connections_open",
            "Open WebSocket connections.",
            count(signaling.open_connections()),
        )?;
        let connections = signaling.connections.load(Ordering::Relaxed);
        counter(encoder, "signaling_connections", "Accepted WebSocket connections.", count(connections))?;
        counter(
            encoder,
            "signaling_closes",
            "Closed WebSocket connections by close code (RFC 6455; codes from 4400 are tacet's).",
            labelled("code", &signaling.closes),
        )?;
        counter(
            encoder,
            "signaling_refusals",
            "Refused connections and requests, by reason.",
            labelled("reason", &signaling.refusals),
        )?;
        let accept_errors = signaling.accept_errors.load(Ordering::Relaxed);
        counter(
            encoder,
            "signaling_accept_errors",
            "Failed attempts to accept a connection, such as for want of a file descriptor.",
            count(accept_errors),
        )?;
        let [open, most, late, replaced] =
            [&signaling.sockets_open, &signaling.sockets_most, &signaling.sockets_late, &signaling.sockets_replaced]
                .map(|value| value.load(Ordering::Relaxed));
        gauge(encoder, "signaling_sockets_open", "Open TCP connections, whatever they do.", count(open))?;
        gauge(encoder, "signaling_sockets_most", "Maximum number of TCP connections.", count(most))?;
        counter(
            encoder,
            "signaling_sockets_late",
            "TCP connections that were closed because a request took too long, or none came.",
            count(late),
        )?;
        counter(
            encoder,
            "signaling_sockets_replaced",
            "TCP connections that were closed to make space for new ones.",
            count(replaced),
        )?;
        counter(
            encoder,
            "signaling_messages_received",
            "Data messages received from clients, accepted or not.",
            labelled("format", &signaling.received),
        )?;
        counter(
            encoder,
            "signaling_messages_sent",
            "Data messages sent to clients.",
            labelled("format", &signaling.sent),
        )?;
        counter(
            encoder,
            "signaling_errors",
            "Error messages sent to clients, by code.",
            labelled("code", &signaling.errors),
        )?;
        histogram(
            encoder,
            "signaling_connected_seconds",
            "Time from a participant's join until its transport is connected.",
            [(PLAIN, &signaling.joins())],
        )?;
        counter(
            encoder,
            "signaling_resumptions",
            "Clients that asked to continue a session, by what they still had of it.",
            labelled("outcome", &signaling.resumptions),
        )?;
        counter(
            encoder,
            "signaling_webhook_attempts",
            "Attempts to call webhooks, by what became of the message.",
            labelled("outcome", &signaling.deliveries),
        )?;
        gauge(
            encoder,
            "signaling_participants_held",
            "Participants whose place is held although they have no connection.",
            count(signaling.held.load(Ordering::Relaxed)),
        )?;
        gauge(
            encoder,
            "signaling_rooms_gathering",
            "Rooms that await the participants of a call after a start.",
            count(signaling.gathering.load(Ordering::Relaxed)),
        )?;
        let faults = signaling.room_faults.load(Ordering::Relaxed);
        counter(encoder, "signaling_room_faults", "Rooms that were closed by a server fault.", count(faults))
    }
}

/// Counts by kind, with the kind in a label.
fn labelled<K: Kind>(
    label: &'static str,
    counts: &CountByKind<K>,
) -> impl Iterator<Item = ([(&'static str, String); 1], u64)> {
    counts.read().map(move |(kind, count)| ([(label, kind.label())], count))
}
