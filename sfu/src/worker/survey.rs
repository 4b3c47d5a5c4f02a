//! Once a second: what rooms have counted is added up, and what there is, is counted. The packet path pays nothing.

use super::{rooms::Rooms, transports::Transports};
use crate::metrics::{Counter, Gauge, Gauges};
use std::time::Instant;

/// The last survey and what it found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    gauges: Gauges,
    /// When it was, and datagrams by then.
    last: Option<(Instant, u64)>,
}

impl Survey {
    pub(super) fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    /// Looks at everything.
    pub(super) fn take(&mut self, now: Instant, rooms: &mut Rooms, transports: &mut Transports) {
        transports.counters_mut().merge(&rooms.take_counted());
        let datagrams = [Counter::DatagramsIn, Counter::DatagramsOut].map(|counter| transports.counters().get(counter));
        let datagrams = datagrams.into_iter().fold(0, u64::wrapping_add);
        let rate = self.last.replace((now, datagrams)).map_or(0, |(at, before)| {
            let millis = now.saturating_duration_since(at).as_millis().max(1);
            u64::try_from(u128::from(datagrams.wrapping_sub(before)) * 1_000 / millis).unwrap_or(u64::MAX)
        });
        if transports.is_empty() {
            // There will be no survey before somebody comes, and that may be days.
            self.last = None;
        }
        let (rooms, tracks) = rooms.size();
        for (gauge, value) in [
            (Gauge::Rooms, rooms as u64),
            (Gauge::Participants, transports.len() as u64),
            (Gauge::Tracks, tracks as u64),
            (Gauge::Connected, transports.connected() as u64),
            (Gauge::Handshakes, transports.handshakes() as u64),
            (Gauge::PacketRate, if transports.is_empty() { 0 } else { rate }),
        ] {
            self.gauges.set(gauge, value);
        }
    }
}
