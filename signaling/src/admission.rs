//! Limits on the connections of one address: how many, and how fast new ones.

use crate::{
    config::Config,
    network::{is_within, network},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use ipnet::IpNet;
use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Counts connections by address.
#[derive(Debug)]
pub(crate) struct Admission {
    limit: Option<usize>,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    handshakes: Option<DefaultKeyedRateLimiter<IpAddr>>,
    exempt: Vec<IpNet>,
}

/// The place of one connection; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Place {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Admission {
    pub(crate) fn new(config: &Config) -> Self {
        // One room may be full of people who share an address and come at the same moment.
        let burst = u32::try_from(config.room.participants).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        let quota = config.handshakes_per_second.and_then(NonZeroU32::new);
        let quota = quota.map(|rate| Quota::per_second(rate).allow_burst(burst.max(rate)));
        let handshakes = quota.map(RateLimiter::keyed);
        Self { limit: config.connections_per_address, open: Arc::default(), handshakes, exempt: config.exempt.clone() }
    }

    /// Counts an attempt of an address, unless it has made too many.
    ///
    /// # Errors
    /// The time until it may make another one.
    pub(crate) fn may_try(&self, address: IpAddr) -> Result<(), Duration> {
        let Some(handshakes) = self.handshakes.as_ref().filter(|_| !self.is_exempt(address)) else { return Ok(()) };
        let attempt = handshakes.check_key(&network(address));
        attempt.map_err(|until| until.wait_time_from(handshakes.clock().now()))
    }

    /// A place for a connection, or `None` if the address has its maximum number.
    pub(crate) fn place(&self, address: IpAddr) -> Option<Place> {
        let limit = self.limit.filter(|_| !self.is_exempt(address));
        let address = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if limit.is_some_and(|limit| *count >= limit) {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place { address, open: Arc::clone(&self.open) })
    }

    fn is_exempt(&self, address: IpAddr) -> bool {
        is_within(&self.exempt, address)
    }

    /// Forgets addresses that have been quiet. Call it regularly.
    pub(crate) fn forget_quiet(&self) {
        if let Some(handshakes) = &self.handshakes {
            handshakes.retain_recent();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::RoomLimits;

    /// Limits of a server whose rooms have this number of participants.
    fn admission(most: usize, participants: usize) -> Admission {
        Admission::new(&Config {
            connections_per_address: Some(most),
            handshakes_per_second: Some(1),
            room: RoomLimits { participants, ..RoomLimits::default() },
            ..Config::default()
        })
    }

    #[test]
    fn full_room_may_come_at_once_from_one_address() {
        let admission = admission(100, 50);
        let school: IpAddr = "192.0.2.1".parse().unwrap();
        assert!((0..50).all(|_| admission.may_try(school).is_ok()));
        let wait = admission.may_try(school).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    }

    #[test]
    fn places_of_an_address_are_limited_and_returned() {
        let admission = admission(2, 100);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let places = [admission.place(address).unwrap(), admission.place(address).unwrap()];
        assert!(admission.place(address).is_none());
        assert!(admission.place("::ffff:192.0.2.1".parse().unwrap()).is_none(), "the same address, mapped");
        assert!(admission.place("192.0.2.2".parse().unwrap()).is_some());
        drop(places);
        assert!(admission.place(address).is_some());
        assert!(admission.open.lock().unwrap().is_empty(), "addresses without connections are forgotten");
    }

    #[test]
    fn ipv6_customer_is_one_address() {
        let admission = admission(100, 1);
        assert!(admission.may_try("2001:db8:0:1::1".parse().unwrap()).is_ok());
        assert!(admission.may_try("2001:db8:0:ff::2".parse().unwrap()).is_err(), "the same /56");
        assert!(admission.may_try("2001:db8:0:100::1".parse().unwrap()).is_ok(), "another /56");
    }
}
