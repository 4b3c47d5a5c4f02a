//! Fuzz targets of `e2ee-frames`, of the bytes of its C ABI, and of `e2ee-identity`.
//!
//! Each module is one target: a function of bytes that panics if something is wrong. libFuzzer drives it (`make fuzz`),
//! and `cargo test` replays every committed input and a short round of altered ones ([`tacet_fuzz`]). Everything is
//! deterministic: one input, one outcome. A target asserts invariants for arbitrary bytes, not only the absence of
//! panics.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a target fails by panicking")]

pub mod announces;
pub mod chat;
pub mod envelope;
pub mod frames;
pub mod header;
pub mod identity;
pub mod key_request;
pub mod keys;
pub mod open;
pub mod session;
mod stage;

use e2ee_frames::Codec;
use tacet_fuzz::{Script, Target};

/// All targets.
pub const TARGETS: [Target; 12] = [
    ("header", header::run),
    ("envelope", envelope::run),
    ("open", open::run),
    ("frames", frames::run),
    ("keys", keys::run),
    ("announces", announces::run),
    ("key_request", key_request::run),
    ("chat", chat::run),
    ("session", session::run),
    ("identity_devices", identity::devices),
    ("identity_archive", identity::archive),
    ("identity_typed", identity::typed),
];

/// The codec that the next byte of a script stands for.
fn codec(script: &mut Script<'_>) -> Option<Codec> {
    script.byte().and_then(|byte| e2ee_frames::codec::from_id(u32::from(byte % 5)))
}
