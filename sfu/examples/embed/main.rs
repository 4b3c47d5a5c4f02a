//! Somebody else's signaling around the SFU: lines of JSON over TCP, in one process on the loopback address.
//!
//! ```text
//!   Ada ─── lines ──┐                      ┌── lines ─── Bob, Cleo
//!                   ▼                      ▼
//!                  server ── Command ──► Sfu ── Event ──► server
//!                                         ▲
//!   Ada ─── sealed frames in SRTP ────────┴──────────────► Bob, Cleo
//! ```
//! Ada seals frames for the others with `e2ee-frames` and publishes them; Bob and Cleo receive and open them, and leave
//! when they have enough. The server carries announces and keys as bytes that it cannot use, and the SFU, which does not
//! know that there is such a thing as sealed frames, forwards what it cannot read. Each client uses a socket of its own
//! and knows of the others by the server's word alone.
//!
//! `cargo run -p tacet-sfu --example embed` prints what happens. It ends by itself, with a status that says whether all
//! frames arrived. What a real service needs beyond: TLS, tokens, time-outs of silent connections.

#![allow(clippy::print_stdout, reason = "it shows what happens")]

mod client;
mod device;
mod message;
mod server;

use anyhow::{Context, Result};
use std::{sync::Arc, thread};

/// Frames that a listener wants before it leaves.
const FRAMES: usize = 50;

fn main() -> Result<()> {
    let server = server::start().context("the server does not start")?;
    let address = server.address();
    // What the link of a call carries from person to person, and never past the server.
    let mut invite = [0; 32];
    getrandom::fill(&mut invite).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let invite = Arc::new(invite);
    let clients = [("Ada", client::Role::Speaks), ("Bob", client::Role::Listens), ("Cleo", client::Role::Listens)];
    let clients = clients.map(|(name, role)| {
        let invite = invite.clone();
        (name, thread::spawn(move || client::run(name, role, address, &invite)))
    });
    for (name, client) in clients {
        let result = client.join().map_err(|_| anyhow::anyhow!("{name} panicked"))?;
        result.with_context(|| format!("{name} failed"))?;
    }
    println!("server: {}", server.stop());
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn everybody_gets_the_frames_that_it_waits_for() {
        super::main().unwrap();
    }
}
