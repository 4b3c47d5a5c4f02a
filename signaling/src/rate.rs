//! Rates of messages.
//!
//! [`Window`] is exact: at most N events in *any* window of a given length, whatever its start. A token bucket of 30 that
//! refills 30 per second would let 59 through in one second. A window keeps the last N instants instead: an event is
//! accepted if and only if the Nth last accepted one is at least a window old.
//!
//! [`Bucket`] is a burst and a pace, in the space of one instant (GCRA). Each type of message has one: see [`TypeRates`].

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tacet_proto::{
    MessageType,
    limits::{TypeRate, type_rate},
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
        self.force(now);
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

impl Window {
    /// Counts an event that happens whether or not the window has room.
    pub fn force(&mut self, now: Instant) {
        if self.accepted.len() >= self.most {
            self.accepted.pop_front();
        }
        self.accepted.push_back(now);
    }
}

/// A burst of events at once, and one more after each interval.
#[derive(Debug)]
pub struct Bucket {
    /// When all of the burst would be there again.
    full: Option<Instant>,
    interval: Duration,
    /// How far ahead `full` may lie for one more event.
    tolerance: Duration,
}

impl Bucket {
    /// Accepts `burst` events at once, at least one, and one more each `interval`.
    #[must_use]
    pub fn new(burst: u32, interval: Duration) -> Self {
        Self { full: None, interval, tolerance: interval.saturating_mul(burst.saturating_sub(1)) }
    }

    /// The bucket of a type of message.
    #[must_use]
    pub fn of(TypeRate { burst, every_ms }: TypeRate) -> Self {
        Self::new(burst, Duration::from_millis(u64::from(every_ms)))
    }

    /// Accepts an event, or returns the time after which one would be accepted. A refused event is not counted.
    ///
    /// # Errors
    /// The time until the next event is accepted, longer than zero.
    pub fn accept(&mut self, now: Instant) -> Result<(), Duration> {
        let full = self.full.map_or(now, |full| full.max(now));
        let wait = full.saturating_duration_since(now).saturating_sub(self.tolerance);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full = Some(full + self.interval);
        Ok(())
    }
}

/// What a sender may still send of each type of message.
#[derive(Debug)]
pub struct TypeRates(Box<[Bucket]>);

impl Default for TypeRates {
    fn default() -> Self {
        Self(MessageType::ALL.iter().map(|kind| Bucket::of(type_rate(*kind))).collect())
    }
}

impl TypeRates {
    /// Accepts a message of a type, or returns the time after which one would be accepted.
    ///
    /// # Errors
    /// The time until the next message of this type is accepted, longer than zero.
    pub fn accept(&mut self, kind: MessageType, now: Instant) -> Result<(), Duration> {
        self.0.get_mut(kind as usize).map_or(Ok(()), |bucket| bucket.accept(now))
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
    fn bucket_accepts_its_burst_and_then_keeps_its_pace() {
        let (mut bucket, start) = (Bucket::new(3, LENGTH), Instant::now());
        for _ in 0..3 {
            assert_eq!(bucket.accept(start), Ok(()));
        }
        assert_eq!(bucket.accept(start), Err(LENGTH));
        let soon = start + Duration::from_millis(999);
        assert_eq!(bucket.accept(soon), Err(Duration::from_millis(1)));
        assert_eq!((bucket.accept(start + LENGTH), bucket.accept(start + LENGTH)), (Ok(()), Err(LENGTH)));
        let late = start + 10 * LENGTH;
        assert_eq!((0..10).filter(|_| bucket.accept(late).is_ok()).count(), 3, "no more than the burst is saved");
    }

    #[test]
    fn each_type_of_message_has_its_own_rate() {
        let (mut rates, now) = (TypeRates::default(), Instant::now());
        for kind in MessageType::ALL {
            let accepted = (0..100).filter(|_| rates.accept(*kind, now).is_ok()).count();
            assert_eq!(accepted, type_rate(*kind).burst as usize, "{}", kind.name());
        }
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
