//! A light bot's way to the server: the SFU's own client transport, spoken to in the terms of signaling.

use sfu::{
    event::LocalTransport,
    transport::{ClientState, ClientTransport, Identity, Received},
};
use std::{net::SocketAddr, time::Instant};
use tacet_proto::{
    bytes::Fixed,
    client,
    media::{ClientIce, Dtls},
    server::ServerTransport,
};

/// The system's random generator failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the random generator failed")]
pub struct PathError;

/// What a datagram held for the bot.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// An authenticated RTP packet.
    Rtp(&'a [u8]),
    /// An authenticated RTCP packet.
    Rtcp(&'a [u8]),
}

/// How far a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathState {
    Connecting,
    Connected,
    Failed,
}

/// Datagrams to send, whose buffers are used again.
#[derive(Debug, Default)]
pub(crate) struct Datagrams {
    buffers: Vec<Vec<u8>>,
    used: usize,
}

impl Datagrams {
    pub(crate) fn as_slice(&self) -> &[Vec<u8>] {
        self.buffers.get(..self.used).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// Appends the datagram that `write` makes; drops it when it makes none.
    fn push<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) {
        if self.buffers.len() == self.used {
            self.buffers.push(Vec::with_capacity(1_500));
        }
        if let Some(buffer) = self.buffers.get_mut(self.used) {
            buffer.clear();
            if write(buffer).is_ok() {
                self.used += 1;
            }
        }
    }
}

/// ICE, DTLS and SRTP of one bot.
#[derive(Debug)]
pub(crate) struct Path(ClientTransport);

impl Path {
    pub(crate) fn new(
        identity: &Identity,
        remote: &ServerTransport,
        server: SocketAddr,
        now: Instant,
    ) -> Result<Self, PathError> {
        let remote = LocalTransport {
            ufrag: remote.ice.ufrag.clone(),
            pwd: remote.ice.pwd.clone(),
            fingerprint: remote.dtls.fingerprint.0,
            candidates: vec![server],
        };
        ClientTransport::new(now, identity, &remote).map(Self).ok_or(PathError)
    }

    /// What the server must be told.
    pub(crate) fn local(&self) -> client::ClientTransport {
        let local = self.0.local();
        client::ClientTransport {
            ice: ClientIce { ufrag: local.ufrag, pwd: local.pwd },
            dtls: Dtls { fingerprint: Fixed(local.fingerprint) },
        }
    }

    pub(crate) fn state(&self) -> PathState {
        match self.0.state() {
            ClientState::Connecting => PathState::Connecting,
            // A server that is silent for a while may come back; what is lost meanwhile is counted.
            ClientState::Connected | ClientState::Disconnected => PathState::Connected,
            ClientState::Failed | ClientState::Closed => PathState::Failed,
        }
    }

    /// Takes a datagram; answers go to `out`. Gives nothing for what did not authenticate.
    pub(crate) fn handle<'a>(
        &mut self,
        now: Instant,
        datagram: &'a mut [u8],
        out: &mut Datagrams,
    ) -> Option<Input<'a>> {
        match self.0.handle(now, datagram) {
            Ok(Received::Rtp(packet)) => Some(Input::Rtp(packet)),
            Ok(Received::Rtcp(packet)) => Some(Input::Rtcp(packet)),
            Ok(Received::Nothing) => {
                self.take_transmits(out);
                None
            }
            Err(_) => None,
        }
    }

    /// Checks and handshake, when they are due.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Datagrams) {
        if self.0.next_deadline().is_some_and(|at| at <= now) {
            self.0.tick(now);
            self.take_transmits(out);
        }
    }

    /// Says good-bye.
    pub(crate) fn close(&mut self, now: Instant, out: &mut Datagrams) {
        self.0.close(now);
        self.take_transmits(out);
    }

    fn take_transmits(&mut self, out: &mut Datagrams) {
        while let Some(datagram) = self.0.poll_transmit() {
            out.push(|buffer| {
                buffer.extend_from_slice(&datagram);
                Ok::<(), ()>(())
            });
        }
    }

    /// Appends a sealed RTP packet; nothing before there are keys.
    pub(crate) fn seal_rtp(&mut self, header: &[u8], payload: &[u8], out: &mut Datagrams) {
        out.push(|buffer| self.0.seal_rtp(header, payload, buffer));
    }

    /// Appends a sealed RTCP packet; nothing before there are keys.
    pub(crate) fn seal_rtcp(&mut self, packet: &[u8], out: &mut Datagrams) {
        out.push(|buffer| self.0.seal_rtcp(packet, buffer));
    }
}
