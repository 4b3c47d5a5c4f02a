//! Fuzz targets of `e2ee-messages`.
//!
//! Each module is one target: a function of bytes that panics if something is wrong. libFuzzer drives it (`make fuzz`),
//! and `cargo test` replays every committed input and a short round of altered ones ([`tacet_fuzz`]). Everything is
//! deterministic: one input, one outcome. A target asserts invariants for arbitrary bytes, not only the absence of
//! panics.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a target fails by panicking")]

pub mod bundle;
pub mod file;
pub mod outer;
pub mod room;
mod scene;
pub mod slip;
pub mod state;

use tacet_fuzz::Target;

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("message_bundle", bundle::run),
    ("message_outer", outer::run),
    ("message_slip", slip::run),
    ("message_room", room::run),
    ("message_file", file::run),
    ("message_state", state::run),
];
