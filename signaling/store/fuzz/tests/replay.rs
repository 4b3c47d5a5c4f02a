//! Every committed input of every target, and a short run of mutated ones.

use store_fuzz::TARGETS;

/// Each makes a store.
fn rounds(target: &str) -> u64 {
    if target == "store_row" { 60 } else { 150 }
}

tacet_fuzz::replay!(TARGETS, rounds);
