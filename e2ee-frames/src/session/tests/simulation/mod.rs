//! Whole calls as a deterministic simulation: lost, late, duplicated and reordered key traffic, joins and leaves.
//!
//! ```text
//!  seed ─► scenario: devices, network, events and times
//!             │
//!             ▼
//!  call ─► devices (a session and what its user sees) ◄──► network (server and network, both untrusted)     
//!             │
//!             ▼
//!          invariants: who may open which frame, once; recipients of keys; nonces (audit)
//! ```
//! Time is virtual and jumps to the next event; all randomness comes from the seed, so that a seed is a call and a
//! failure can be repeated:
//!
//! ```text
//!  make simulate                                                          100,000 seeds, and 500 with real cryptography
//!  make simulate SEEDS=1000000 FIRST_SEED=500000                          more, or others
//!  SEED=123 cargo test --profile simulation -p e2ee-frames --lib calls_on_ideal_crypto -- --nocapture
//!                                                                         one call, in words
//! ```
//! An ordinary test run simulates 105 calls.

/// Prints what happens, in verbose runs.
macro_rules! say {
    ($call:expr, $($what:tt)*) => {
        if $call.verbose {
            std::println!("{:>9} ms  {}", $call.network.now, alloc::format!($($what)*));
        }
    };
}

mod call;
mod clock;
mod conclusion;
mod device;
mod happenings;
mod invariants;
mod media;
mod network;
mod outage;
mod report;
mod scenario;
mod slots;

use alloc::{format, vec::Vec};
use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use e2ee_core::{Primitives, Standard, primitives::ideal::Ideal};
use report::Statistics;
use std::{panic::catch_unwind, println, time::Instant};

/// Seeds in a row that a thread takes.
const CHUNK: u64 = 16;

/// Whole milliseconds, in which the simulation counts time.
fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// Simulates the calls of many seeds on all cores. `most` devices by seed.
fn simulate_all<P: Primitives>(test: &str, title: &str, seeds: u64, most: fn(u64) -> u64) {
    if let Some(seed) = setting("SEED") {
        let statistics = call::simulate::<P>(seed, most(seed), true);
        println!("{}", statistics.report(title, &format!("seed {seed}"), Duration::ZERO, 1));
        return;
    }
    let started = Instant::now();
    let first = setting("FIRST_SEED").unwrap_or(0);
    let end = first + seeds;
    let next = AtomicU64::new(first);
    let replay =
        |seed| format!("SEED={seed} cargo test --profile simulation -p e2ee-frames --lib {test} -- --nocapture");
    let work = || {
        let mut statistics = Statistics::default();
        let mut failed = Vec::new();
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            for seed in start..end.min(start.saturating_add(CHUNK)) {
                match catch_unwind(|| call::simulate::<P>(seed, most(seed), false)) {
                    Ok(of_call) => statistics.add(&of_call),
                    Err(_) => {
                        println!("Failed; to see it: {}", replay(seed));
                        failed.push(seed);
                    }
                }
            }
            if start >= end || failed.len() > 3 {
                return (statistics, failed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut statistics = Statistics::default();
    let mut failed = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (of_worker, failed_there) = worker.join().unwrap();
            statistics.add(&of_worker);
            failed.extend(failed_there);
        }
    });
    println!("{}", statistics.report(title, &format!("seeds {first} to {}", end - 1), started.elapsed(), threads));
    let commands: Vec<_> = failed.into_iter().map(replay).collect();
    assert!(commands.is_empty(), "calls went wrong; to see one:\n  {}", commands.join("\n  "));
}

#[test]
fn calls_on_ideal_crypto() {
    simulate_all::<Ideal>("calls_on_ideal_crypto", "Ideal crypto", setting("SEEDS").unwrap_or(100), |_| 50);
}

/// Real cryptography is a hundred times slower, so only every tenth call has up to 50 devices here, the others up to 12.
#[test]
fn calls_on_real_crypto() {
    let title = "Real crypto (up to 12 devices, every tenth call up to 50)";
    let seeds = setting("REAL_SEEDS").unwrap_or(5);
    simulate_all::<Standard>("calls_on_real_crypto", title, seeds, |seed| if seed % 10 == 9 { 50 } else { 12 });
}
