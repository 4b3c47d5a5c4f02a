//! Every committed input of every target, and a short run of mutated ones.

use signaling_fuzz::TARGETS;

/// A room takes longer than a parser.
fn rounds(target: &str) -> u64 {
    if target == "signaling_room" { 400 } else { 4_000 }
}

tacet_fuzz::replay!(TARGETS, rounds);
