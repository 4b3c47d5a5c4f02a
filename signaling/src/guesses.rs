//! Limits guessing: how many wrong answers of one address are heard in a second. Right answers are not asked where they come
//! from: a stranger who shares an address with the operator cannot lock the operator out.

use crate::{network::network, rate::Window};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Wrong answers of one address in any [`PERIOD`] that are answered one by one.
pub(crate) const GUESSES: usize = 3;
const PERIOD: Duration = Duration::from_secs(1);
/// Addresses that are remembered. Wrong answers of more, within a second, are answered as too many.
const ADDRESSES: usize = 10_000;

/// The wrong answers of the last second.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<HashMap<IpAddr, (Window, Instant)>>);

impl Guesses {
    /// Counts a wrong answer of an address.
    ///
    /// # Errors
    /// There were too many: the time until the next one counts.
    pub(crate) fn wrong(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let address = network(address);
        let mut wrong = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !wrong.contains_key(&address) && wrong.len() >= ADDRESSES {
            wrong.retain(|_, (_, last)| now.saturating_duration_since(*last) < PERIOD);
            if wrong.len() >= ADDRESSES {
                return Err(PERIOD);
            }
        }
        let (window, last) = wrong.entry(address).or_insert_with(|| (Window::new(GUESSES, PERIOD), now));
        *last = now;
        window.accept(now)
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
            assert_eq!(guesses.wrong(eve, start), Ok(()));
        }
        assert_eq!(guesses.wrong(eve, start), Err(PERIOD));
        assert_eq!(guesses.wrong("192.0.2.2".parse().unwrap(), start), Ok(()), "another address");
        assert_eq!(guesses.wrong(eve, start + PERIOD), Ok(()));
    }

    #[test]
    fn addresses_are_bounded() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..20_000 {
            let _ = guesses.wrong(address(number), start);
        }
        assert_eq!(guesses.0.lock().unwrap().len(), ADDRESSES);
        assert_eq!(guesses.wrong(address(30_000), start + PERIOD), Ok(()), "the others are forgotten");
        assert_eq!(guesses.0.lock().unwrap().len(), 1);
    }
}
