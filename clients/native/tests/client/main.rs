//! The client against the real server, both in this process, over loopback sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bot;
mod call_code;
mod chaos;
mod conversation;
mod layers;
mod listener;
mod reconnect;
mod recorder;
mod refusal;
mod rogue;
mod rogue_server;
mod roles;
mod secrecy;
mod server;
mod streams;
mod tcp_proxy;
mod tone;
mod udp_relay;

use std::time::Duration;

/// Upper limit of any step: only a failing test waits this long.
const TIMEOUT: Duration = Duration::from_secs(60);
