//! Virtual time.

use std::time::{Duration, Instant};

/// Seconds since the start of a run, to times of the simulation and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) const fn new(start: Instant) -> Self {
        Self { start }
    }

    pub(crate) const fn start(self) -> Instant {
        self.start
    }

    pub(crate) fn at(self, seconds: f64) -> Instant {
        self.start + Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    pub(crate) fn seconds(self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start).as_secs_f64()
    }

    /// As a receiver's clock has it.
    pub(crate) fn micros(self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }
}

/// How long this many bytes take at a rate.
pub(crate) fn time_for(bytes: usize, rate: f64) -> Duration {
    Duration::try_from_secs_f64(bytes as f64 * 8.0 / rate.max(1.0)).unwrap_or(Duration::MAX)
}
