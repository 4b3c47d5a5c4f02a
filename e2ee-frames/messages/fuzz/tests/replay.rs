//! Every committed input of every target, and a short run of mutated ones.

use messages_fuzz::TARGETS;

/// Targets that agree on keys are slow.
fn rounds(target: &str) -> u64 {
    match target {
        "message_file" => 100,
        "message_bundle" => 40,
        "message_room" => 30,
        _ => 16,
    }
}

tacet_fuzz::replay!(TARGETS, rounds);
