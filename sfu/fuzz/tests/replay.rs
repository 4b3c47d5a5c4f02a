//! Every committed input of every target, and a short run of mutated ones.

use sfu_fuzz::TARGETS;
use tacet_fuzz::Replay;

fn rounds(target: &str) -> u64 {
    match target {
        "rtp" | "rtcp" | "twcc" | "ccfb" | "payloads" | "dependency" => 5_000,
        // Handshakes.
        "dtls" | "worker" => 40,
        _ => 250,
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
