//! One direction of a path: loses, delays, reorders and duplicates, by a seed.

use super::Datagram;
use std::collections::BTreeMap;

/// A small generator (xorshift64*), so that a seed names a run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }
}

/// What a link does to packets.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// In 1/1,000.
    pub loss: u64,
    /// In 1/1,000.
    pub duplication: u64,
    /// In ms.
    pub delay: u64,
    /// Up to so many ms more; it reorders.
    pub jitter: u64,
}

impl LinkConfig {
    pub const GOOD: Self = Self { loss: 0, duplication: 0, delay: 10, jitter: 0 };
    pub const BAD: Self = Self { loss: 50, duplication: 20, delay: 20, jitter: 15 };
}

pub struct Link {
    pub config: LinkConfig,
    random: Random,
    sent: u64,
    under_way: BTreeMap<(u64, u64), Datagram>,
}

impl Link {
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self { config, random: Random::new(seed), sent: 0, under_way: BTreeMap::new() }
    }

    pub fn send(&mut self, now: u64, datagram: Datagram) {
        let copies = 1 + u64::from(self.random.below(1_000) < self.config.duplication);
        for _ in 0..copies {
            if self.random.below(1_000) >= self.config.loss {
                let arrival = now + self.config.delay + self.random.below(self.config.jitter + 1);
                self.sent += 1;
                self.under_way.insert((arrival, self.sent), datagram.clone());
            }
        }
    }

    pub fn arrived(&mut self, now: u64) -> Vec<Datagram> {
        let later = self.under_way.split_off(&(now + 1, 0));
        std::mem::replace(&mut self.under_way, later).into_values().collect()
    }
}
