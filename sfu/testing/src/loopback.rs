//! Clients on loopback sockets, for tests of a running SFU.

use crate::{CLIENT_IDENTITY, opus_header};
use rtc_client::{Received, RtcClient};
use sfu::event::LocalTransport;
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// Time after which a test fails. Far more than any test needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A client on its own socket, which is connected to the server's first candidate.
#[derive(Debug)]
pub struct LoopbackClient {
    /// ICE, DTLS and SRTP.
    pub transport: RtcClient,
    /// Clear RTP packets, in the order of their arrival.
    pub rtp: Vec<Vec<u8>>,
    socket: UdpSocket,
}

impl LoopbackClient {
    /// A client of the server that has these parameters.
    ///
    /// # Panics
    /// If no socket can be bound.
    #[must_use]
    pub fn new(server: &LocalTransport) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(server.candidates.first().unwrap()).unwrap();
        let transport = RtcClient::new(Instant::now(), &CLIENT_IDENTITY, server).unwrap();
        Self { transport, rtp: Vec::new(), socket }
    }

    /// Sends what is due and receives all that has arrived.
    ///
    /// # Panics
    /// If a packet does not authenticate, or on an error of the socket.
    pub fn step(&mut self) {
        self.transport.tick(Instant::now());
        let mut buffer = [0; 2_048];
        loop {
            while let Some(datagram) = self.transport.poll_transmit() {
                let _ = self.socket.send(&datagram);
            }
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let datagram = buffer.get_mut(..length).unwrap();
                    if let Received::Rtp(packet) = self.transport.handle(Instant::now(), datagram).unwrap() {
                        self.rtp.push(packet.to_vec());
                    }
                }
                // Refused: the server is gone, and has sent close_notify before.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Sends an Opus packet.
    ///
    /// # Panics
    /// If there are no keys, or the sequence number was used before.
    pub fn speak(&mut self, ssrc: u32, seq: u16, payload: &[u8]) {
        let mut sealed = Vec::new();
        self.transport.seal_rtp(&opus_header(ssrc, seq), payload, &mut sealed).unwrap();
        self.socket.send(&sealed).unwrap();
    }
}

/// Waits until `done`, without stepping any client: for what a worker publishes after it has sent.
///
/// # Panics
/// After [`PATIENCE`].
pub fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "it does not come about");
        thread::yield_now();
    }
}

/// Steps all clients until `done`.
///
/// # Panics
/// After [`PATIENCE`].
pub fn run_until(clients: &mut [LoopbackClient], mut done: impl FnMut(&[LoopbackClient]) -> bool) {
    let start = Instant::now();
    while !done(clients) {
        assert!(start.elapsed() < PATIENCE, "nothing more arrives");
        clients.iter_mut().for_each(LoopbackClient::step);
        thread::yield_now();
    }
}
