//! For how long the driver's thread had no core since a packet was received: the machine's part of a packet's time in the server.
//!
//! The count of the system is read when packets are received, at most once in [`APART`], and again when they have been sent. What
//! lies between a reading and the receipt of a packet is taken off, so that a wait is never found longer than it was. A thread
//! that has waited for packets reads nothing: it costs two microseconds, and such a thread has time to spare.

use super::thread_clock::ThreadClock;
use crate::worker::ThreadTime;
use std::{
    cell::OnceCell,
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Between two readings at least. What takes less is not looked at.
const APART: Duration = Duration::from_millis(2);
/// A poll of this length had nothing to return at first.
const IDLE: Duration = Duration::from_micros(50);
/// Readings that are kept: of half a second, as long as audio is.
const READINGS: usize = 256;

/// Readings of the thread that drives a worker.
#[derive(Debug, Default)]
pub(super) struct CoreWait {
    /// `None` where the system has none.
    clock: Option<ThreadClock>,
    /// When, and how long the thread had waited for a core until then; oldest first.
    readings: VecDeque<(Instant, Duration)>,
    is_idle: bool,
}

impl CoreWait {
    pub(super) fn of_this_thread() -> Self {
        Self { clock: ThreadClock::of_this_thread(), readings: VecDeque::with_capacity(READINGS), is_idle: false }
    }

    /// What the system has counted of the thread until now.
    pub(super) fn thread_time(&self) -> Option<ThreadTime> {
        self.clock.as_ref()?.read()
    }

    /// The thread waited for packets for this time.
    pub(super) fn on_poll(&mut self, time: Duration) {
        self.is_idle = time >= IDLE;
    }

    /// Packets are received.
    pub(super) fn on_receive(&mut self, now: Instant) {
        if self.is_idle || self.readings.back().is_some_and(|(at, _)| now.saturating_duration_since(*at) < APART) {
            return;
        }
        if let Some(time) = self.thread_time() {
            self.record(now, time.waited);
        }
    }

    fn record(&mut self, now: Instant, waited: Duration) {
        if self.readings.len() >= READINGS {
            self.readings.pop_front();
        }
        self.readings.push_back((now, waited));
    }

    /// How long the thread had no core from the receipt of a packet until it was sent, which is now: for each packet of what is sent at
    /// once. The count is read once at most.
    pub(super) fn until(&self, now: Instant) -> impl Fn(Instant) -> Duration {
        let time = OnceCell::new();
        move |received| {
            if now.saturating_duration_since(received) < APART {
                return Duration::ZERO;
            }
            let time = time.get_or_init(|| self.thread_time());
            time.map_or(Duration::ZERO, |time| self.waited_since(received, time.waited))
        }
    }

    fn waited_since(&self, received: Instant, waited: Duration) -> Duration {
        let reading = self.readings.iter().rev().find(|(at, _)| *at <= received);
        reading.map_or(Duration::ZERO, |(at, before)| {
            waited.saturating_sub(*before).saturating_sub(received.saturating_duration_since(*at))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn wait_is_that_since_the_reading_before_the_receipt_at_least() {
        let (mut wait, start) = (CoreWait::default(), Instant::now());
        wait.record(start + 10 * MS, 100 * MS);
        wait.record(start + 20 * MS, 105 * MS);
        let since = |received: u32, waited: u32| wait.waited_since(start + received * MS, waited * MS);
        assert_eq!(since(20, 135), 30 * MS);
        assert_eq!(since(21, 135), 29 * MS, "part of it may have been before");
        assert_eq!(since(15, 103), Duration::ZERO);
        assert_eq!(since(5, 200), Duration::ZERO, "nothing is known");
    }

    #[test]
    fn readings_are_apart_and_bounded() {
        let (mut wait, start) = (CoreWait::of_this_thread(), Instant::now());
        (0..4 * READINGS as u32).for_each(|n| wait.on_receive(start + n * MS));
        assert!(wait.readings.len() <= READINGS);
        assert!(wait.readings.iter().is_sorted_by(|a, b| b.0.duration_since(a.0) >= APART));
    }
}
