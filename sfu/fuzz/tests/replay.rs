//! Every committed input of every target, and a short run of mutated ones.

use sfu_fuzz::TARGETS;

fn rounds(target: &str) -> u64 {
    match target {
        "rtp" | "rtcp" | "twcc" | "ccfb" | "payloads" | "dependency" => 5_000,
        // Handshakes.
        "dtls" | "worker" => 40,
        _ => 250,
    }
}

tacet_fuzz::replay!(TARGETS, rounds);
