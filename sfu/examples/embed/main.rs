//! A third-party signaling server around the SFU: lines of JSON over TCP, in one process on the loopback address.
//!
//! ```text
//!   Ada ─── lines ──┐                      ┌── lines ─── Bob, Cleo
//!                   ▼                      ▼
//!                  server ── Command ──► Sfu ── Event ──► server
//!                                         ▲
//!   Ada ─── sealed frames in SRTP ────────┴──────────────► Bob, Cleo
//! ```
//! Ada seals frames for the others with `e2ee-frames` and publishes them. Bob and Cleo receive and open them, and leave
//! after enough frames. The server relays announces and keys as opaque bytes, and the SFU forwards payloads that it cannot
//! read. Each client has its own socket and learns about the others only from the server.
//!
//! `cargo run -p tacet-sfu --example embed` prints what happens, and exits with a status that says whether all frames
//! arrived. A real service also needs TLS, tokens and timeouts of silent connections.

#![allow(clippy::print_stdout, reason = "it shows what happens")]

mod client;
mod device;
mod message;
mod server;

use anyhow::{Context, Result};
use std::{sync::Arc, thread};

/// Number of frames after which a listener leaves.
const FRAMES: usize = 50;

fn main() -> Result<()> {
    let server = server::start().context("the server does not start")?;
    let address = server.address();
    // The link of a call carries this between people; the server never receives it.
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
    fn all_clients_receive_expected_frames() {
        super::main().unwrap();
    }
}
