//! How late the relay forwards datagrams: `cargo run --release -p tacet-impair --example lateness`.
//!
//! Datagrams go through a relay with a delay, one each 500 µs; what they take beyond the delay is the relay's own doing,
//! and that of the two sockets and of this program.

#![allow(clippy::print_stdout, reason = "that is its purpose")]

use std::{
    error::Error,
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};
use tacet_impair::{Impairment, Relay, RelayConfig};

const DATAGRAMS: u64 = 10_000;
const SPACING: Duration = Duration::from_micros(500);

fn main() -> Result<(), Box<dyn Error>> {
    let delay = Duration::from_millis(10);
    let loopback = "127.0.0.1:0";
    let (server, client) = (UdpSocket::bind(loopback)?, UdpSocket::bind(loopback)?);
    let config = RelayConfig::new(Impairment::PERFECT.delay(delay), 1);
    let relay = Relay::start(loopback.parse()?, server.local_addr()?, &config)?;
    client.connect(relay.local_addr())?;
    server.set_read_timeout(Some(Duration::from_secs(2)))?;

    let start = Instant::now();
    let sender = thread::spawn(move || {
        (0..DATAGRAMS).try_for_each(|number| {
            while start.elapsed() < SPACING * number as u32 {
                thread::sleep((SPACING * number as u32).saturating_sub(start.elapsed()));
            }
            let nanos = start.elapsed().as_nanos() as u64;
            client.send(&nanos.to_be_bytes()).map(|_| ())
        })
    });
    let mut late: Vec<Duration> = Vec::new();
    let mut buffer = [0; 8];
    while late.len() < DATAGRAMS as usize && server.recv(&mut buffer).is_ok() {
        let sent = Duration::from_nanos(u64::from_be_bytes(buffer));
        late.push(start.elapsed().saturating_sub(sent + delay));
    }
    sender.join().map_err(|_| "the sender has panicked")??;
    late.sort_unstable();
    let quantile = |per_mille: usize| late.get((late.len() * per_mille / 1_000).min(late.len().saturating_sub(1)));
    for (name, per_mille) in [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999)] {
        println!("{name:>6} {:>6} µs late", quantile(per_mille).map_or(0, Duration::as_micros));
    }
    println!("{} of {DATAGRAMS} arrived\n{}", late.len(), relay.stop()?);
    Ok(())
}
