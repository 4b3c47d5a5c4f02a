//! Fuzz targets of signaling.
//!
//! Each module is one target: a function of bytes that panics if something is wrong. libFuzzer drives it (`make fuzz`),
//! and `cargo test` replays every committed input and a short round of altered ones ([`tacet_fuzz`]). Everything is
//! deterministic: one input, one outcome. A target asserts invariants for arbitrary bytes, not only the absence of
//! panics.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a target fails by panicking")]

pub mod binary;
mod genuine;
pub mod room;
pub mod text;

use tacet_fuzz::Target;

/// All targets.
pub const TARGETS: [Target; 3] =
    [("signaling_text", text::run), ("signaling_binary", binary::run), ("signaling_room", room::run)];
