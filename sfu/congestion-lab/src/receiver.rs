//! The receiving side of a call: when packets came.

use crate::clock::Clock;
use std::time::{Duration, Instant};

/// Time between reports while much arrives, and otherwise.
const OFTEN: Duration = Duration::from_millis(50);
const SELDOM: Duration = Duration::from_millis(100);
/// From this rate on, much arrives.
const MUCH: f64 = 300e3;
/// Bytes of a report's headers, and per packet reported.
const REPORT: usize = 60;
const PER_PACKET: f64 = 1.5;

/// Transport-wide feedback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// It says nothing about packets before this one.
    pub(crate) base: u64,
    /// Number and receiver's time, ascending.
    pub(crate) arrivals: Vec<(u64, u64)>,
}

impl Report {
    pub(crate) fn bytes(&self) -> usize {
        REPORT + (self.arrivals.len() as f64 * PER_PACKET) as usize
    }
}

#[derive(Debug)]
pub(crate) struct Receiver {
    clock: Clock,
    arrivals: Vec<(u64, u64)>,
    bytes: usize,
    base: u64,
    last: Instant,
    next: Option<Instant>,
}

impl Receiver {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, arrivals: Vec::new(), bytes: 0, base: 0, last: clock.start(), next: None }
    }

    pub(crate) fn on_packet(&mut self, at: Instant, number: u64, bytes: usize) {
        self.arrivals.push((number, self.clock.micros(at)));
        self.bytes += bytes;
        if self.next.is_none() {
            self.next = Some(at.max(self.last + OFTEN));
        }
    }

    pub(crate) const fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    pub(crate) fn report(&mut self, now: Instant) -> Option<Report> {
        self.next.filter(|next| *next <= now)?;
        let rate = self.bytes as f64 * 8.0 / now.saturating_duration_since(self.last).as_secs_f64().max(1e-3);
        if rate < MUCH && now < self.last + SELDOM {
            self.next = Some(self.last + SELDOM);
            return None;
        }
        let mut arrivals = std::mem::take(&mut self.arrivals);
        arrivals.sort_unstable();
        arrivals.dedup_by_key(|(number, _)| *number);
        let base = arrivals.first().map_or(self.base, |(first, _)| self.base.min(*first));
        self.base = arrivals.last().map_or(self.base, |(last, _)| last + 1);
        (self.next, self.last, self.bytes) = (None, now, 0);
        Some(Report { base, arrivals })
    }
}
