//! Every committed input of every target, and a short run of mutated ones.

use messages_fuzz::TARGETS;
use tacet_fuzz::Replay;

/// Targets that agree on keys are slow.
fn rounds(target: &str) -> u64 {
    match target {
        "message_file" => 100,
        "message_bundle" => 40,
        "message_room" => 30,
        _ => 16,
    }
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
