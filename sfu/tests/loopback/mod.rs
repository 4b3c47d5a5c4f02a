//! Clients on loopback sockets, for tests of a running SFU.

#![allow(dead_code, unreachable_pub)]

use rtc_client::{Identity, Received, RtcClient};
use sfu::event::LocalTransport;
use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

/// Far more than is needed: only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Client {
    pub socket: UdpSocket,
    pub transport: RtcClient,
    /// Payloads heard, which are numbers.
    pub heard: BTreeSet<u16>,
}

impl Client {
    pub fn new(identity: &Identity, server: &LocalTransport) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(server.candidates[0]).unwrap();
        let transport = RtcClient::new(Instant::now(), identity, server).unwrap();
        Self { socket, transport, heard: BTreeSet::new() }
    }

    pub fn turn(&mut self) {
        self.transport.tick(Instant::now());
        let mut buffer = [0; 2_048];
        loop {
            while let Some(datagram) = self.transport.poll_transmit() {
                let _ = self.socket.send(&datagram);
            }
            match self.socket.recv(&mut buffer) {
                Ok(len) => {
                    if let Received::Rtp(packet) = self.transport.handle(Instant::now(), &mut buffer[..len]).unwrap() {
                        self.heard.insert(u16::from_be_bytes(*packet.last_chunk().unwrap()));
                    }
                }
                // Refused: the server is gone, and has said so before.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn speak(&mut self, number: u16) {
        let mut header = vec![0x80, 111];
        header.extend_from_slice(&number.to_be_bytes());
        header.extend_from_slice(&(u32::from(number) * 960).to_be_bytes());
        header.extend_from_slice(&7u32.to_be_bytes());
        let payload = [&[0xee; 1_000][..], &number.to_be_bytes()].concat();
        let mut out = Vec::new();
        self.transport.seal_rtp(&header, &payload, &mut out).unwrap();
        self.socket.send(&out).unwrap();
    }
}

pub fn turn_until(clients: &mut [Client], mut done: impl FnMut(&[Client]) -> bool) {
    let start = Instant::now();
    while !done(clients) {
        assert!(start.elapsed() < PATIENCE, "nothing more comes");
        clients.iter_mut().for_each(Client::turn);
        std::thread::yield_now();
    }
}
