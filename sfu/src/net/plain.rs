//! One datagram per system call, by the standard library: works on every platform.

use crate::{
    metrics::{Counter, Counters},
    transport::Outbox,
};
use mio::net::UdpSocket;
use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

/// Maximum number of datagrams in one batch, as with batched I/O.
const BATCH: usize = 32;
/// Longest UDP payload in bytes, rounded up.
const BUFFER: usize = 65_536;
/// How long a full send buffer may delay the worker, per outbox.
const PATIENCE: Duration = Duration::from_millis(2);
/// Time between attempts to send while the send buffer is full.
const RETRY: Duration = Duration::from_micros(100);

/// The receive buffer of a socket.
pub(super) struct Receiver {
    buffer: Box<[u8]>,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER].into_boxed_slice() }
    }

    /// Passes up to [`BATCH`] datagrams to `take`. Returns whether there may be more.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        counters: &mut Counters,
        mut take: impl FnMut(SocketAddr, &mut [u8]),
    ) -> bool {
        for _ in 0..BATCH {
            match socket.recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    if let Some(datagram) = self.buffer.get_mut(..length) {
                        take(unmapped(from), datagram);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if is_truncated(&error) => counters.add(Counter::DropTruncated, 1),
                // Interrupted, or an ICMP error that answers an earlier packet.
                Err(_) => {}
            }
        }
        true
    }
}

/// Returns a mapped IPv4 address in its plain form.
fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Windows reports a datagram longer than the buffer as an error (`WSAEMSGSIZE`).
fn is_truncated(error: &io::Error) -> bool {
    cfg!(windows) && error.raw_os_error() == Some(10_040)
}

/// How a socket sends.
#[derive(Debug)]
pub(super) struct Sender {
    /// Whether IPv4 addresses need their mapped form.
    ipv6: bool,
}

impl Sender {
    pub(super) fn new(ipv6: bool) -> Self {
        Self { ipv6 }
    }

    /// Sends all packets, one by one.
    pub(super) fn send(&mut self, socket: &UdpSocket, outbox: &Outbox, counters: &mut Counters) {
        let mut patience = Patience::default();
        for run in outbox.runs() {
            let to = self.mapped(run.to().remote);
            for packet in run.segments() {
                if send_one(socket, packet, to, &mut patience) {
                    counters.add(Counter::DatagramsOut, 1);
                    counters.add(Counter::BytesOut, packet.len() as u64);
                } else {
                    counters.add(Counter::DropSend, 1);
                }
            }
        }
    }

    fn mapped(&self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(ip) if self.ipv6 => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
            _ => address,
        }
    }
}

/// Returns whether the kernel accepted the packet.
fn send_one(socket: &UdpSocket, packet: &[u8], to: SocketAddr, patience: &mut Patience) -> bool {
    loop {
        match socket.send_to(packet, to) {
            Ok(_) => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && patience.wait() => {}
            Err(_) => return false,
        }
    }
}

/// Waits for space in the send buffer, at most [`PATIENCE`] in all from the first time on.
#[derive(Default)]
struct Patience {
    until: Option<Instant>,
}

impl Patience {
    /// Waits a moment; returns false, without waiting, when the time is up.
    fn wait(&mut self) -> bool {
        let now = Instant::now();
        if now >= *self.until.get_or_insert_with(|| now + PATIENCE) {
            return false;
        }
        thread::sleep(RETRY);
        true
    }
}
