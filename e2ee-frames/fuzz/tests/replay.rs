//! Every committed input of every target, and a short round of altered ones. What a long round of `make fuzz` found once
//! is found here ever after.
//!
//! A failure prints the input, and the seed of the round: `FUZZ_SEED=… cargo test -p e2ee-frames-fuzz` repeats it.

#![allow(clippy::unwrap_used)]

use e2ee_frames_fuzz::TARGETS;
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::SystemTime,
};

/// Altered inputs of a target: about a second without optimisation. Those without a session are fast.
fn rounds(target: &str) -> u64 {
    if matches!(target, "header" | "envelope") { 20_000 } else { 250 }
}

/// The committed inputs of a target, in order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Deterministic random numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    /// An input made of one or two others: spliced, then changed in a few places.
    fn alter(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut pick = || inputs.get(self.below(inputs.len())).cloned().unwrap_or_default();
        let (mut input, other) = (pick(), pick());
        if self.below(2) == 0 {
            input.truncate(self.below(input.len() + 1));
            input.extend_from_slice(&other[self.below(other.len() + 1)..]);
        }
        for _ in 0..self.below(5) {
            let at = self.below(input.len() + 1);
            match self.below(3) {
                0 => input.insert(at, self.below(256) as u8),
                1 if at < input.len() => drop(input.remove(at)),
                _ => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
            }
        }
        input
    }
}

fn seed() -> u64 {
    match std::env::var("FUZZ_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64,
    }
}

/// Runs a target on an input; `why` tells where it came from.
fn check(target: &str, body: fn(&[u8]), input: &[u8], why: &str) {
    if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{target} fails on {why}, input (hex) {hex}");
    }
}

#[test]
fn committed_inputs_pass() {
    for (target, body) in TARGETS {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for input in inputs {
            check(target, body, &input, "a committed input");
        }
    }
}

#[test]
fn altered_inputs_pass() {
    let seed = seed();
    for (target, body) in TARGETS {
        let (inputs, mut dice) = (corpus(target), Dice(seed));
        for round in 0..rounds(target) {
            let input = dice.alter(&inputs);
            check(target, body, &input, &format!("round {round} of FUZZ_SEED={seed}"));
        }
    }
}

#[test]
fn any_bytes_pass() {
    let seed = seed();
    for (target, body) in TARGETS {
        let mut dice = Dice(seed);
        for round in 0..rounds(target) / 4 {
            let input: Vec<u8> = (0..dice.below(400)).map(|_| dice.below(256) as u8).collect();
            check(target, body, &input, &format!("round {round} of any bytes of FUZZ_SEED={seed}"));
        }
    }
}
