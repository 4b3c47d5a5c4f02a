//! Fuzz targets of `e2ee-frames` and of the bytes of its C ABI.
//!
//! Each module is one target: a function of bytes that panics if something is wrong. libFuzzer drives it (`make fuzz`),
//! and `cargo test` replays every committed input and a short round of altered ones. Everything is deterministic: one
//! input, one outcome.
//!
//! Random bytes never pass a signature or a tag, so most targets read their input as a script that edits genuine
//! messages ([`script`]): what is nearly right goes deepest. A target asserts what must hold whatever the bytes are, not
//! only that nothing panics.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a target fails by panicking")]

pub mod announces;
pub mod envelope;
pub mod frames;
pub mod header;
pub mod key_request;
pub mod keys;
pub mod open;
pub mod script;
pub mod session;
mod stage;

/// A target's name, which is also the folder of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("header", header::run),
    ("envelope", envelope::run),
    ("open", open::run),
    ("frames", frames::run),
    ("keys", keys::run),
    ("announces", announces::run),
    ("key_request", key_request::run),
    ("session", session::run),
];
