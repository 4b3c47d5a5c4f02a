//! Every committed input of every target, and a short run of mutated ones.

use store_fuzz::TARGETS;
use tacet_fuzz::Replay;

/// Each makes a store.
fn rounds(target: &str) -> u64 {
    if target == "store_row" { 60 } else { 150 }
}

const REPLAY: Replay = Replay { folder: env!("CARGO_MANIFEST_DIR"), targets: &TARGETS, rounds };

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
