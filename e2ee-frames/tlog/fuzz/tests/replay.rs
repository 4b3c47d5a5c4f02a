//! Every committed input of every target, and a short run of mutated ones.

use tlog_fuzz::TARGETS;

/// Targets that verify signatures are slow.
fn rounds(target: &str) -> u64 {
    match target {
        "proof" => 2_000,
        "policy" => 150,
        _ => 250,
    }
}

tacet_fuzz::replay!(TARGETS, rounds);
