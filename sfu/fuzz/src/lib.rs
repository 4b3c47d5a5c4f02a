//! Fuzz targets of the SFU: every format that arrives from the network, and the whole worker.
//!
//! Each module is one target: a function of bytes that panics when it finds a fault. libFuzzer drives it (`make fuzz`), and
//! `cargo test` replays the committed corpus and mutations of it ([`tacet_fuzz`]). A target asserts properties that hold
//! for all inputs, beyond the absence of panics.
//!
//! Targets below the transport are deterministic. [`stun`], [`dtls`] and [`worker`] use real transports with random keys;
//! their scripts refer to the keys of the current run.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a target fails by panicking")]

pub mod ccfb;
mod commands;
pub mod dependency;
pub mod dtls;
mod message_integrity;
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
pub const TARGETS: [Target; 11] = [
    ("rtp", rtp::run),
    ("rtcp", rtcp::run),
    ("twcc", twcc::run),
    ("ccfb", ccfb::run),
    ("payloads", payloads::run),
    ("dependency", dependency::run),
    ("srtp", srtp::run),
    ("stun", stun::run),
    ("dtls", dtls::run),
    ("room", room::run),
    ("worker", worker::run),
];
