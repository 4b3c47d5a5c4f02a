//! Fuzz targets of the SFU: every format that the network can reach, and the worker as a whole.
//!
//! Each module is one target: a function of bytes that panics if something is wrong. libFuzzer drives it (`make fuzz`),
//! and `cargo test` replays every committed input and a short round of altered ones ([`tacet_fuzz`]). A target asserts
//! what must hold whatever the bytes are, not only that nothing panics.
//!
//! Targets below the transport are deterministic. [`stun`], [`dtls`] and [`worker`] speak to a real transport, whose
//! keys are random: their scripts say what happens, and every key they need is that of the run.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a target fails by panicking")]

mod commands;
pub mod dtls;
mod network;
mod packets;
pub mod payloads;
pub mod room;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
pub mod stun;
pub mod twcc;
pub mod worker;

use tacet_fuzz::Target;

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("rtp", rtp::run),
    ("rtcp", rtcp::run),
    ("twcc", twcc::run),
    ("payloads", payloads::run),
    ("srtp", srtp::run),
    ("stun", stun::run),
    ("dtls", dtls::run),
    ("room", room::run),
    ("worker", worker::run),
];
