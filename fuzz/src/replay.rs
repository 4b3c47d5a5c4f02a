//! Runs targets inside `cargo test`: on the committed corpus, so that no finding of libFuzzer comes back, and on seeded
//! mutations of it.

#![allow(clippy::unwrap_used, reason = "runs in tests, which fail by panicking")]

use crate::Target;
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Makes the tests of a fuzz crate, in a file of its folder `tests`: all [`Target`]s in an array, and a function from the name of a
/// target to its [`rounds`](Replay::rounds).
#[macro_export]
macro_rules! replay {
    ($targets:expr, $rounds:expr) => {
        const REPLAY: $crate::Replay =
            $crate::Replay { folder: env!("CARGO_MANIFEST_DIR"), targets: &$targets, rounds: $rounds };

        #[test]
        fn committed_inputs_pass() {
            REPLAY.committed_inputs();
        }

        #[test]
        fn mutated_inputs_pass() {
            REPLAY.mutated_inputs();
        }

        #[test]
        fn random_bytes_pass() {
            REPLAY.random_bytes();
        }
    };
}

/// The targets of one fuzz crate.
///
/// A failure prints the input and the seed. `FUZZ_SEED=… cargo test -p CRATE` repeats the run.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// Folder of the crate: `env!("CARGO_MANIFEST_DIR")`.
    pub folder: &'static str,
    /// Targets of the crate.
    pub targets: &'static [Target],
    /// Number of mutated inputs for a target, by its name; chosen so that an unoptimised run takes about a second.
    pub rounds: fn(&str) -> u64,
}

impl Replay {
    /// Runs every target on its committed corpus.
    ///
    /// # Panics
    /// If a target fails or has no corpus.
    pub fn committed_inputs(&self) {
        for (target, body) in self.targets {
            let inputs = self.corpus(target);
            assert!(!inputs.is_empty(), "{target} has no corpus");
            for input in inputs {
                check(target, *body, &input, "a committed input");
            }
        }
    }

    /// Runs every target on mutations of its corpus.
    ///
    /// # Panics
    /// If a target fails.
    pub fn mutated_inputs(&self) {
        let seed = seed();
        for (target, body) in self.targets {
            let (inputs, mut random) = (self.corpus(target), SplitMix(seed));
            for round in 0..(self.rounds)(target) {
                let input = random.mutate(&inputs);
                check(target, *body, &input, &format!("round {round} of mutations, FUZZ_SEED={seed}"));
            }
        }
    }

    /// Runs every target on random bytes.
    ///
    /// # Panics
    /// If a target fails.
    pub fn random_bytes(&self) {
        let seed = seed();
        for (target, body) in self.targets {
            let mut random = SplitMix(seed);
            for round in 0..(self.rounds)(target) / 4 {
                let input: Vec<u8> = (0..random.below(400)).map(|_| random.below(256) as u8).collect();
                check(target, *body, &input, &format!("round {round} of random bytes, FUZZ_SEED={seed}"));
            }
        }
    }

    /// Returns the committed inputs of a target, ordered by file name.
    fn corpus(&self, target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(self.folder).join("corpus").join(target);
        let mut paths: Vec<PathBuf> = match fs::read_dir(folder) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        };
        paths.sort();
        paths.iter().map(|path| fs::read(path).unwrap()).collect()
    }
}

/// Deterministic random numbers: splitmix64.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    /// Returns a mutation: one or two inputs spliced, then changed in up to four places.
    fn mutate(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
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

/// Runs a target on an input; `origin` says where the input comes from.
fn check(target: &str, body: fn(&[u8]), input: &[u8], origin: &str) {
    if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{target} fails on {origin}, input (hex) {hex}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_reports_the_input_of_a_failure() {
        let fails = |input: &[u8]| assert_ne!(input, [7, 8]);
        let failure = catch_unwind(|| check("example", fails, &[7, 8], "purpose")).unwrap_err();
        let message = failure.downcast_ref::<String>().unwrap();
        assert_eq!(message, "example fails on purpose, input (hex) 0708");
    }

    #[test]
    fn mutations_repeat_with_their_seed() {
        let inputs = [b"one".to_vec(), b"another".to_vec()];
        let round = |seed| -> Vec<_> { (0..50).map(|_| SplitMix(seed).mutate(&inputs)).collect() };
        assert_eq!(round(1), round(1));
        assert_ne!(round(1), round(2));
    }
}
