//! Exact sliding windows: at most N events in *any* window of a given length, whatever its start.
//!
//! A token bucket of 30 that refills 30 per second would let 59 through in one second. A window keeps the last N instants
//! instead: an event is accepted if and only if the Nth last accepted one is at least a window old.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The last accepted events of one source.
#[derive(Debug)]
pub struct Window {
    accepted: VecDeque<Instant>,
    most: usize,
    length: Duration,
}

impl Window {
    /// Accepts at most `most` events in any `length`.
    #[must_use]
    pub fn new(most: usize, length: Duration) -> Self {
        Self { accepted: VecDeque::new(), most, length }
    }

    /// Accepts an event, or returns the time after which one would be accepted. A refused event is not counted.
    ///
    /// # Errors
    /// The time until the window has room again, longer than zero.
    pub fn accept(&mut self, now: Instant) -> Result<(), Duration> {
        self.check(now)?;
        if self.accepted.len() >= self.most {
            self.accepted.pop_front();
        }
        self.accepted.push_back(now);
        Ok(())
    }

    /// Returns whether an event would be accepted, or the time after which one would be, without counting it.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn check(&self, now: Instant) -> Result<(), Duration> {
        if self.accepted.len() < self.most {
            return Ok(());
        }
        let oldest = self.accepted.front().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(*oldest));
        let wait = self.length.saturating_sub(oldest);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }
}

/// A duration in whole milliseconds, rounded up, so that waiting that long suffices.
#[must_use]
pub fn retry_ms(wait: Duration) -> u32 {
    u32::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTH: Duration = Duration::from_millis(1_000);

    #[test]
    fn thirty_first_event_waits_for_the_first_to_expire() {
        let (mut window, start) = (Window::new(30, LENGTH), Instant::now());
        for i in 0..30 {
            assert_eq!(window.accept(start + Duration::from_millis(i)), Ok(()));
        }
        assert_eq!(window.accept(start + Duration::from_millis(999)), Err(Duration::from_millis(1)));
        assert_eq!(window.accept(start + Duration::from_millis(1_000)), Ok(()));
        assert_eq!(window.accept(start + Duration::from_millis(1_000)), Err(Duration::from_millis(1)));
        assert_eq!(window.accept(start + Duration::from_millis(1_001)), Ok(()));
    }

    #[test]
    fn retry_time_is_rounded_up() {
        assert_eq!(retry_ms(Duration::from_micros(1)), 1);
        assert_eq!(retry_ms(Duration::from_micros(1_000)), 1);
        assert_eq!(retry_ms(Duration::from_micros(1_001)), 2);
    }

    proptest! {
        #[test]
        fn window_accepts_exactly_the_limit(gaps in proptest::collection::vec(0u64..200, 1..400), most in 1usize..40) {
            let (mut window, mut now) = (Window::new(most, LENGTH), Instant::now());
            let mut accepted: Vec<Instant> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                let recent = accepted.iter().filter(|at| now - **at < LENGTH).count();
                match window.accept(now) {
                    Ok(()) => {
                        prop_assert!(recent < most, "accepted one too many");
                        accepted.push(now);
                    }
                    Err(wait) => {
                        prop_assert!(recent >= most, "refused one too many");
                        prop_assert!(!wait.is_zero() && wait <= LENGTH);
                    }
                }
            }
        }
    }
}
