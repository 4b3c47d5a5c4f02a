//! The client against the real server, both in this process, over loopback sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bot;
mod conversation;
mod detour;
mod listener;
mod proxy;
mod reconnect;
mod recorder;
mod refusal;
mod secrecy;
mod server;
mod sound;

use std::time::Duration;

/// Far more than any step needs: only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
