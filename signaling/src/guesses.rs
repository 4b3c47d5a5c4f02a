//! Limits guessing: how many wrong answers of one address are heard in a second.

use crate::{network::network, rate::Window};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Wrong answers of one address in any [`PERIOD`].
const GUESSES: usize = 3;
const PERIOD: Duration = Duration::from_secs(1);
/// Addresses that are remembered. More, within a second, are not heard.
const ADDRESSES: usize = 10_000;

/// The wrong answers of the last second.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<HashMap<IpAddr, (Window, Instant)>>);

impl Guesses {
    /// Asks `is_right`, unless this address has been wrong too often.
    ///
    /// # Errors
    /// The time until it is heard again, whether it is right or not.
    pub(crate) fn hear(
        &self,
        address: IpAddr,
        now: Instant,
        is_right: impl FnOnce() -> bool,
    ) -> Result<bool, Duration> {
        let address = network(address);
        // Held while the answer is checked, which is fast: an address gets no more guesses by asking in parallel.
        let mut wrong = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match wrong.get(&address) {
            Some((window, _)) => window.check(now)?,
            None if wrong.len() >= ADDRESSES => {
                wrong.retain(|_, (_, last)| now.saturating_duration_since(*last) < PERIOD);
                if wrong.len() >= ADDRESSES {
                    return Err(PERIOD);
                }
            }
            None => {}
        }
        if is_right() {
            return Ok(true);
        }
        let (window, last) = wrong.entry(address).or_insert_with(|| (Window::new(GUESSES, PERIOD), now));
        *last = now;
        window.accept(now)?;
        Ok(false)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn guesses_of_an_address_are_limited() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let eve: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..GUESSES {
            assert_eq!(guesses.hear(eve, start, || false), Ok(false));
        }
        assert_eq!(guesses.hear(eve, start, || unreachable!("not heard")), Err(PERIOD));
        assert_eq!(guesses.hear("192.0.2.2".parse().unwrap(), start, || true), Ok(true), "another address");
        assert_eq!(guesses.hear(eve, start + PERIOD, || true), Ok(true));
    }

    #[test]
    fn right_answers_are_not_limited() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        assert!((0..1_000).all(|_| guesses.hear("192.0.2.1".parse().unwrap(), start, || true) == Ok(true)));
        assert!(guesses.0.lock().unwrap().is_empty());
    }

    #[test]
    fn addresses_are_bounded() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..20_000 {
            let _ = guesses.hear(address(number), start, || false);
        }
        assert_eq!(guesses.0.lock().unwrap().len(), ADDRESSES);
        assert_eq!(guesses.hear(address(30_000), start + PERIOD, || false), Ok(false), "the others are forgotten");
        assert_eq!(guesses.0.lock().unwrap().len(), 1);
    }
}
