//! The survey of once a second: adds up the counters of rooms and sets the gauges, at no cost to the packet path.

use super::{rooms::Rooms, transports::Transports};
use crate::{
    metrics::{Counter, Counters, DOWNLINK_ESTIMATE, DOWNLINK_QUEUE, Gauge, Gauges, Histogram},
    subscriber::allocation::Sendable,
};
use std::time::Instant;

/// Results of the last survey.
#[derive(Debug)]
pub(super) struct Survey {
    gauges: Gauges,
    downlink_estimate: Histogram,
    downlink_queue: Histogram,
    /// Its time, and the number of datagrams by then.
    last: Option<(Instant, u64)>,
}

impl Survey {
    pub(super) fn new() -> Self {
        Self {
            gauges: Gauges::default(),
            downlink_estimate: Histogram::new(DOWNLINK_ESTIMATE),
            downlink_queue: Histogram::new(DOWNLINK_QUEUE),
            last: None,
        }
    }

    /// Bitrates that downlinks are estimated to carry, and times in their queues.
    pub(super) fn downlinks(&self) -> (&Histogram, &Histogram) {
        (&self.downlink_estimate, &self.downlink_queue)
    }

    pub(super) fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    /// Notes to how much video is limited, and whether the worker is full.
    pub(super) fn set_limit(&mut self, limit: Option<Sendable>, is_full: bool) {
        self.gauges.set(Gauge::Overloaded, is_full.into());
        // 0 says that there is no limit.
        self.gauges.set(Gauge::VideoLimit, limit.map_or(0, |limit| (limit.rate.bps() / 8).max(1)));
    }

    /// Takes a survey.
    pub(super) fn take(&mut self, now: Instant, rooms: &mut Rooms, transports: &Transports, counters: &mut Counters) {
        counters.merge(&rooms.take_counted());
        let datagrams = [Counter::DatagramsIn, Counter::DatagramsOut].map(|counter| counters.get(counter));
        let datagrams = datagrams.into_iter().fold(0, u64::wrapping_add);
        let rate = self.last.replace((now, datagrams)).map_or(0, |(at, before)| {
            let millis = now.saturating_duration_since(at).as_millis().max(1);
            u64::try_from(u128::from(datagrams.wrapping_sub(before)) * 1_000 / millis).unwrap_or(u64::MAX)
        });
        if transports.is_empty() {
            // The next survey follows the next participant, which may be days away.
            self.last = None;
        }
        for state in transports.downlinks() {
            self.downlink_estimate.record_millionths(u64::from(state.kbps) * 1_000, 1);
            self.downlink_queue.record(state.queue, 1);
        }
        let paused = if self.gauges.get(Gauge::VideoLimit) > 0 { rooms.paused_by_overload() } else { 0 };
        let (rooms, tracks) = rooms.size();
        for (gauge, value) in [
            (Gauge::Rooms, rooms as u64),
            (Gauge::Participants, transports.len() as u64),
            (Gauge::Tracks, tracks as u64),
            (Gauge::Connected, transports.connected() as u64),
            (Gauge::Handshakes, transports.handshakes() as u64),
            (Gauge::PausedVideos, paused as u64),
            (Gauge::PacketRate, if transports.is_empty() { 0 } else { rate }),
        ] {
            self.gauges.set(gauge, value);
        }
    }
}
