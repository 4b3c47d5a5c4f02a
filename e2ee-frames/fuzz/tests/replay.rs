//! Every committed input of every target, and a short run of mutated ones.

use e2ee_frames_fuzz::TARGETS;

/// Targets without a session are fast.
fn rounds(target: &str) -> u64 {
    if matches!(target, "header" | "envelope") { 20_000 } else { 250 }
}

tacet_fuzz::replay!(TARGETS, rounds);
