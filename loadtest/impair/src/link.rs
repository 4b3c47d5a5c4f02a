//! A path together with the packets in flight on it.

use crate::{
    counts::Counts,
    impairment::Impairment,
    path::{Fate, Path},
    under_way::UnderWay,
};
use std::time::Instant;

/// One direction of a path with the packets in flight, for simulations in virtual time.
///
/// ```
/// use std::time::{Duration, Instant};
/// use tacet_impair::{Impairment, Link};
///
/// let start = Instant::now();
/// let mut link = Link::new(Impairment::PERFECT.delay(Duration::from_millis(20)), 7, start);
/// link.send(start, 5, "hello");
/// let arrival = link.next_arrival().unwrap();
/// assert_eq!(arrival, start + Duration::from_millis(20));
/// assert_eq!(link.arrived(arrival).collect::<Vec<_>>(), ["hello"]);
/// ```
#[derive(Debug)]
pub struct Link<T> {
    path: Path,
    under_way: UnderWay<(u64, T)>,
}

impl<T: Clone> Link<T> {
    /// An empty link that begins now.
    pub fn new(impairment: Impairment, seed: u64, start: Instant) -> Self {
        Self { path: Path::new(impairment, seed, start), under_way: UnderWay::new() }
    }

    /// The current impairment.
    pub fn impairment(&self) -> &Impairment {
        self.path.impairment()
    }

    /// Changes the impairment of packets sent from now on.
    pub fn set_impairment(&mut self, impairment: Impairment) {
        self.path.set_impairment(impairment);
    }

    /// Sends a packet of this size in bytes; returns its fate. Time must not decrease.
    pub fn send(&mut self, now: Instant, bytes: usize, item: T) -> Fate {
        let fate = self.path.send(now, bytes);
        if let Fate::Arrives { number, at, again, .. } = fate {
            if let Some(again) = again {
                self.under_way.push(again, (number, item.clone()));
            }
            self.under_way.push(at, (number, item));
        }
        fate
    }

    /// When the next packet arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.next_at()
    }

    /// Removes and returns items that have arrived by now, in order of arrival. Items that are not consumed stay.
    pub fn arrived(&mut self, now: Instant) -> impl Iterator<Item = T> {
        std::iter::from_fn(move || {
            let (number, item) = self.under_way.pop(now)?;
            self.path.forwarded(number);
            Some(item)
        })
    }

    /// Packet counts since the start.
    pub fn counts(&self) -> Counts {
        self.path.counts()
    }

    /// Number of packets in flight, copies included.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }
}
