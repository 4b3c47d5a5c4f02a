//! Servers that exist on paper, for tests of the search: a queue whose latency rises towards its capacity, and noise.

use super::{
    criteria::Criteria,
    sample::{Sample, Verdict},
};

/// A server with one queue (M/M/1), and a generator with its own limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    /// Load from which its queue grows without end.
    pub(crate) capacity: f64,
    /// Mean time of one packet in an idle server, in microseconds.
    pub(crate) service_us: f64,
    /// Load from which the generator drops what it receives.
    pub(crate) generator: f64,
}

impl Default for Server {
    fn default() -> Self {
        Self { capacity: 100.0, service_us: 60.0, generator: f64::INFINITY }
    }
}

impl Server {
    /// A run at `load`, of which each unit is 500 packets a second.
    pub(crate) fn run(&self, load: u64, noise: &mut Noise) -> Sample {
        let offered = load as f64;
        let busy = offered / self.capacity;
        // 99 % of an M/M/1 queue's sojourn times are shorter than ln(100) mean ones.
        let p99_us = if busy < 1.0 { self.service_us / (1.0 - busy) * 100f64.ln() } else { 1e6 };
        let loss = (1.0 - 1.0 / busy).max(0.0);
        let verdict = if offered > self.generator {
            Verdict::Generator
        } else if !Criteria::default().met_by(loss, p99_us as u64) || noise.strikes() {
            Verdict::Server
        } else {
            Verdict::Pass
        };
        Sample {
            load,
            forwarded_pps: offered.min(self.capacity) * 500.0,
            loss,
            p99_us: p99_us as u64,
            server_cpu: Some(busy.min(1.0)),
            verdict,
            why: Vec::new(),
        }
    }
}

/// Makes some runs fail that should not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    state: u64,
    share: f64,
}

impl Noise {
    pub(crate) fn none() -> Self {
        Self::seeded(0, 0.0)
    }

    pub(crate) fn seeded(seed: u64, share: f64) -> Self {
        Self { state: seed, share }
    }

    fn strikes(&mut self) -> bool {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / ((1u64 << 53) as f64) < self.share
    }
}
