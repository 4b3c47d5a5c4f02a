//! The path from a light bot to the server: ICE, DTLS and SRTP, or SRTP with given keys.

use rtc_client::{
    ClientState, DatagramKind, Identity, Received, RemoteParameters, RtcClient,
    srtp::{Profile, SrtpError, SrtpOpener, SrtpSealer},
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

/// Contents of a datagram for the bot.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// An authenticated RTP packet.
    Rtp(&'a [u8]),
    /// An authenticated RTCP packet.
    Rtcp(&'a [u8]),
}

/// State of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathState {
    Connecting,
    Connected,
    Failed,
}

/// Datagrams to send, in reused buffers.
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

    /// Appends the datagram that `write` makes, unless it fails.
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

/// The path of one bot.
#[derive(Debug)]
pub(crate) enum Path {
    /// ICE, DTLS and SRTP.
    Negotiated(Box<RtcClient>),
    /// SRTP alone, with keys that both ends were given.
    Keyed(Box<(SrtpOpener, SrtpSealer)>),
}

impl Path {
    /// A path to a tacet server, whose half of the transport came by signaling.
    pub(crate) fn new(
        identity: &Identity,
        remote: &ServerTransport,
        server: SocketAddr,
        now: Instant,
    ) -> Result<Self, PathError> {
        let transport = RtcClient::new(now, identity, server_half(remote, server)).ok_or(PathError)?;
        Ok(Self::Negotiated(Box::new(transport)))
    }

    /// The client's half for signaling; `None` if both ends have their keys already.
    pub(crate) fn local(&self) -> Option<client::ClientTransport> {
        let Self::Negotiated(transport) = self else { return None };
        let local = transport.local();
        Some(client::ClientTransport {
            ice: ClientIce { ufrag: local.ufrag, pwd: local.pwd },
            dtls: Dtls { fingerprint: Fixed(local.fingerprint) },
        })
    }

    pub(crate) fn state(&self) -> PathState {
        let Self::Negotiated(transport) = self else { return PathState::Connected };
        match transport.state() {
            ClientState::Connecting => PathState::Connecting,
            // A silent server may come back; packets lost until then are counted.
            ClientState::Connected | ClientState::Disconnected => PathState::Connected,
            ClientState::Failed | ClientState::Closed => PathState::Failed,
        }
    }

    /// The protection profile, once there are keys.
    pub(crate) fn profile(&self) -> Option<Profile> {
        match self {
            Self::Negotiated(transport) => transport.profile(),
            Self::Keyed(keys) => Some(keys.1.profile()),
        }
    }

    /// Takes a datagram; replies go to `out`. Returns `None` unless it is an authenticated RTP or RTCP packet.
    pub(crate) fn handle<'a>(
        &mut self,
        now: Instant,
        datagram: &'a mut [u8],
        out: &mut Datagrams,
    ) -> Option<Input<'a>> {
        let transport = match self {
            Self::Negotiated(transport) => transport,
            Self::Keyed(keys) => {
                return match DatagramKind::of(datagram)? {
                    DatagramKind::Rtp => keys.0.open_rtp(datagram).ok().map(|packet| Input::Rtp(packet)),
                    DatagramKind::Rtcp => keys.0.open_rtcp(datagram).ok().map(|packet| Input::Rtcp(packet)),
                    _ => None,
                };
            }
        };
        match transport.handle(now, datagram) {
            Ok(Received::Rtp(packet)) => Some(Input::Rtp(packet)),
            Ok(Received::Rtcp(packet)) => Some(Input::Rtcp(packet)),
            Ok(Received::Nothing) => {
                take_transmits(transport, out);
                None
            }
            Err(_) => None,
        }
    }

    /// Runs checks and handshake when they are due.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Datagrams) {
        if let Self::Negotiated(transport) = self
            && transport.next_deadline().is_some_and(|at| at <= now)
        {
            transport.tick(now);
            take_transmits(transport, out);
        }
    }

    /// Sends close_notify.
    pub(crate) fn close(&mut self, now: Instant, out: &mut Datagrams) {
        if let Self::Negotiated(transport) = self {
            transport.close(now);
            take_transmits(transport, out);
        }
    }

    /// Appends a sealed RTP packet, once there are keys.
    pub(crate) fn seal_rtp(&mut self, header: &[u8], payload: &[u8], out: &mut Datagrams) {
        out.push(|buffer| match self {
            Self::Negotiated(transport) => transport.seal_rtp(header, payload, buffer),
            Self::Keyed(keys) => keys.1.seal_rtp(header, payload, buffer),
        });
    }

    /// Appends a sealed RTCP packet, once there are keys.
    pub(crate) fn seal_rtcp(&mut self, packet: &[u8], out: &mut Datagrams) {
        out.push::<SrtpError>(|buffer| match self {
            Self::Negotiated(transport) => transport.seal_rtcp(packet, buffer),
            Self::Keyed(keys) => keys.1.seal_rtcp(packet, buffer),
        });
    }
}

/// The server's half as the client transport takes it.
pub(crate) fn server_half(remote: &ServerTransport, server: SocketAddr) -> RemoteParameters {
    RemoteParameters {
        ufrag: remote.ice.ufrag.clone(),
        pwd: remote.ice.pwd.clone(),
        fingerprint: remote.dtls.fingerprint.0,
        candidates: vec![server],
    }
}

fn take_transmits(transport: &mut RtcClient, out: &mut Datagrams) {
    while let Some(datagram) = transport.poll_transmit() {
        out.push(|buffer| {
            buffer.extend_from_slice(&datagram);
            Ok::<(), ()>(())
        });
    }
}
