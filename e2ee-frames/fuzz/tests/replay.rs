//! Every committed input of every target, and a short run of mutated ones.

use e2ee_frames_fuzz::TARGETS;
use tacet_fuzz::Replay;

/// Targets without a session are fast.
fn rounds(target: &str) -> u64 {
    if matches!(target, "header" | "envelope") { 20_000 } else { 250 }
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
