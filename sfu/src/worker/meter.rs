//! What a worker measures as packets pass: counters, and the time until a participant's first media.

use crate::{
    allowance::Notice,
    metrics::{Counter, Counters, FIRST_MEDIA, Histogram},
    transport::{Blocked, IceCounts, TransportEvent, Tuple, srtp::SrtpError},
};
use std::time::{Duration, Instant};

/// Shortest time between two log lines of one cause that a stranger can bring about.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Meter {
    counters: Counters,
    first_media: Histogram,
    /// Causes of drops that were logged.
    logged: Vec<(Counter, Notice)>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { counters: Counters::default(), first_media: Histogram::new(FIRST_MEDIA), logged: Vec::new() }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    pub(super) fn first_media(&self) -> &Histogram {
        &self.first_media
    }

    pub(super) fn count(&mut self, counter: Counter, n: u64) {
        self.counters.add(counter, n);
    }

    /// Counts a received datagram.
    pub(super) fn received(&mut self, bytes: usize) {
        self.counters.add(Counter::DatagramsIn, 1);
        self.counters.add(Counter::BytesIn, bytes as u64);
    }

    /// Counts a received datagram that is dropped, and logs one a second of each cause.
    pub(super) fn dropped(&mut self, now: Instant, cause: Counter, tuple: Tuple) {
        self.counters.add(cause, 1);
        if tracing::enabled!(tracing::Level::TRACE) && self.may_log(now, cause) {
            tracing::trace!(%tuple, cause = cause.name(), "datagram dropped");
        }
    }

    /// Counts packets for a client that cannot be sent, and logs one a second of each cause.
    pub(super) fn not_sent(&mut self, now: Instant, cause: Counter, packets: usize) {
        self.counters.add(cause, packets as u64);
        if tracing::enabled!(tracing::Level::TRACE) && self.may_log(now, cause) {
            tracing::trace!(packets, cause = cause.name(), "packets not sent");
        }
    }

    /// Counts what happened to a transport.
    pub(super) fn transport(&mut self, event: TransportEvent) {
        let counter = match event {
            TransportEvent::Connected => Counter::Connected,
            TransportEvent::Failed => Counter::Failed,
            TransportEvent::ConsentLost | TransportEvent::TimedOut => Counter::Disconnected,
            TransportEvent::Reconnected | TransportEvent::Closed | TransportEvent::LimitExceeded(_) => return,
        };
        self.counters.add(counter, 1);
    }

    /// Counts what the ICE agent of a transport has done.
    pub(super) fn ice(&mut self, counts: IceCounts) {
        let IceCounts { checks_sent, proven, withheld } = counts;
        for (counter, n) in
            [(Counter::PathChecks, checks_sent), (Counter::PathsProven, proven), (Counter::DropUnproven, withheld)]
        {
            if n > 0 {
                self.counters.add(counter, n);
            }
        }
    }

    /// Whether a line of this cause may be logged; it counts as logged then.
    fn may_log(&mut self, now: Instant, cause: Counter) -> bool {
        if let Some((_, notice)) = self.logged.iter_mut().find(|(logged, _)| *logged == cause) {
            return notice.due(now, LOG_INTERVAL);
        }
        let mut notice = Notice::default();
        notice.due(now, LOG_INTERVAL);
        self.logged.push((cause, notice));
        true
    }
}

/// Measures the time from joining to the first media.
#[derive(Debug)]
pub(super) struct FirstMedia {
    /// When the participant joined; `None` once media was sent to it.
    joined: Option<Instant>,
}

impl FirstMedia {
    pub(super) fn since(joined: Instant) -> Self {
        Self { joined: Some(joined) }
    }

    /// Media was sent to the participant.
    pub(super) fn sent(&mut self, now: Instant, meter: &mut Meter) {
        if let Some(joined) = self.joined.take() {
            meter.first_media.record(now.saturating_duration_since(joined), 1);
        }
    }
}

/// The counter of a received datagram that a transport did not accept.
pub(super) fn drop_cause(blocked: Blocked) -> Counter {
    match blocked {
        Blocked::NotConnected | Blocked::Unproven => Counter::DropUnkeyed,
        Blocked::Excess => Counter::DropRate,
        Blocked::TooLong => Counter::DropTruncated,
        Blocked::Srtp(SrtpError::Authentication) => Counter::DropForged,
        Blocked::Srtp(SrtpError::Replay) => Counter::DropReplayed,
        Blocked::Srtp(SrtpError::Malformed) => Counter::DropMalformed,
        Blocked::Srtp(_) => Counter::DropLimit,
    }
}
