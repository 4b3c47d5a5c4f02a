//! The slowest link of a path and the queue before it.
//!
//! ```text
//!   pass(now, bytes) ──► full? ──► │ │ │ │ ──► rate ──► leaves
//!                          ▼        queue
//!                       dropped
//! ```
//! The queue holds no packets: since the rate at every time is known and order is kept, the time at which a packet leaves
//! is known when it comes. Several paths may pass through one queue, as the calls and downloads of a home do.

use crate::{
    codel::Codel,
    quantity::{Bitrate, LONGEST},
    schedule::RateSchedule,
};
use std::time::{Duration, Instant};

/// The rate of a bottleneck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Always the same.
    Constant(Bitrate),
    /// Changes at times since the first packet.
    Scheduled(RateSchedule),
}

impl From<Bitrate> for Rate {
    fn from(rate: Bitrate) -> Self {
        Self::Constant(rate)
    }
}

impl From<RateSchedule> for Rate {
    fn from(schedule: RateSchedule) -> Self {
        Self::Scheduled(schedule)
    }
}

impl Rate {
    /// The rate by which a queue is sized.
    fn nominal_at(&self, age: Duration) -> Bitrate {
        match self {
            Self::Constant(rate) => *rate,
            Self::Scheduled(schedule) => schedule.nominal_at(age).unwrap_or(Bitrate::kbit(0)),
        }
    }

    fn transmitted(&self, from: Duration, bytes: u64) -> Duration {
        match self {
            Self::Constant(rate) => from.saturating_add(rate.time_for(bytes)),
            Self::Scheduled(schedule) => schedule.transmitted(from, bytes),
        }
    }

    /// Bytes that pass between two times, rounded down.
    pub fn bytes_between(&self, from: Duration, to: Duration) -> u64 {
        match self {
            Self::Constant(rate) => rate.bytes_in(to.saturating_sub(from)),
            Self::Scheduled(schedule) => schedule.bytes_between(from, to),
        }
    }
}

/// How much a queue holds, including the packet being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueLimit {
    /// A number of bytes.
    Bytes(u64),
    /// What the rate at the time of arrival empties within this, and at least two full packets.
    Time(Duration),
    /// What the rate at the time of arrival empties within 100 ms, and at least ten full packets.
    Usual,
}

impl QueueLimit {
    /// Two packets of 1,500 bytes.
    const SMALLEST: u64 = 3_000;
    /// Of a usual queue: ten of them, and the time that it takes to empty.
    const USUAL: (u64, Duration) = (15_000, Duration::from_millis(100));

    fn bytes(self, rate: Bitrate) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Time(time) => rate.bytes_in(time).max(Self::SMALLEST),
            Self::Usual => rate.bytes_in(Self::USUAL.1).max(Self::USUAL.0),
        }
    }
}

/// The slowest link of a path and the queue before it. A packet that finds the queue full is dropped (drop-tail).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// Rate of the link.
    pub rate: Rate,
    /// Maximum of what is queued. An idle link accepts one packet of any size.
    pub queue: QueueLimit,
    /// Whether the queue drops early what has waited long, by CoDel (RFC 8289).
    pub codel: bool,
}

impl Bottleneck {
    /// A bottleneck with a usual queue.
    pub fn new(rate: impl Into<Rate>) -> Self {
        Self { rate: rate.into(), queue: QueueLimit::Usual, codel: false }
    }

    /// The same with a queue of this many bytes.
    #[must_use]
    pub fn queue_bytes(self, bytes: u64) -> Self {
        Self { queue: QueueLimit::Bytes(bytes), ..self }
    }

    /// The same with a queue that takes this long to empty.
    #[must_use]
    pub fn queue_time(self, time: Duration) -> Self {
        Self { queue: QueueLimit::Time(time), ..self }
    }

    /// The same with CoDel.
    #[must_use]
    pub fn with_codel(self) -> Self {
        Self { codel: true, ..self }
    }
}

/// A packet's way through a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When its transmission begins.
    pub begins: Instant,
    /// When its last byte has left.
    pub ends: Instant,
}

impl Passage {
    /// Through a path without a bottleneck.
    pub(crate) const fn instant(now: Instant) -> Self {
        Self { begins: now, ends: now }
    }

    /// How long the transmission takes.
    pub fn transmission(&self) -> Duration {
        self.ends.saturating_duration_since(self.begins)
    }
}

/// State of a bottleneck.
#[derive(Clone, Debug)]
pub struct Queue {
    bottleneck: Bottleneck,
    /// Start of the rate's schedule: the first packet.
    start: Option<Instant>,
    /// When the link becomes idle.
    idle_from: Option<Instant>,
    codel: Codel,
}

impl Queue {
    /// An empty queue.
    pub fn new(bottleneck: Bottleneck) -> Self {
        Self { bottleneck, start: None, idle_from: None, codel: Codel::default() }
    }

    /// The same with a schedule that begins at this time rather than with the first packet.
    #[must_use]
    pub fn from(self, start: Instant) -> Self {
        Self { start: Some(start), ..self }
    }

    /// The bottleneck.
    pub const fn bottleneck(&self) -> &Bottleneck {
        &self.bottleneck
    }

    /// Changes rate and limit for packets that come from now on; those queued leave as planned. The schedule of a rate that
    /// differs begins with the next packet.
    pub fn set_bottleneck(&mut self, bottleneck: Bottleneck) {
        if bottleneck.rate != self.bottleneck.rate {
            self.start = None;
        }
        self.bottleneck = bottleneck;
    }

    /// Sends a packet of this size in bytes into the queue; `None` if it is full, or CoDel drops the packet. Time must not decrease.
    pub fn pass(&mut self, now: Instant, bytes: usize) -> Option<Passage> {
        let bytes = bytes as u64;
        let Bottleneck { rate, queue, codel } = &self.bottleneck;
        let start = *self.start.get_or_insert(now);
        let age = |at: Instant| at.saturating_duration_since(start);
        let begins = self.idle_from.map_or(now, |idle| idle.max(now));
        let waiting = rate.bytes_between(age(now), age(begins));
        if waiting > 0 && waiting.saturating_add(bytes) > queue.bytes(rate.nominal_at(age(now))) {
            return None;
        }
        // What waits and what it will find are known now: departures have the order of arrivals.
        if *codel && self.codel.drops(begins, begins.saturating_duration_since(now)) {
            return None;
        }
        let takes = rate.transmitted(age(begins), bytes).saturating_sub(age(begins));
        let ends = later(begins, takes);
        self.idle_from = Some(ends);
        Some(Passage { begins, ends })
    }
}

/// Adds a duration of at most an hour, which never overflows in practice.
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    at.checked_add(by.min(LONGEST)).unwrap_or(at)
}
