//! How much the server sends back for a datagram of each kind: a table of `tacet-peers flood`.
//!
//! ```text
//!   probe ── its own address ──────────► server        a client of the call: what anyone can forge under its address
//!         ── a stranger's address ─────►               never answers: what anyone can have sent to a third party
//! ```
//! Both addresses are this process's, so that what comes back can be counted without the right to forge addresses. Headers
//! of IP and UDP count on both sides.

use crate::{
    flood::{HEADERS, hello},
    peer::PeerError,
};
use dtls_srtp::stun::encode;
use is::stun::{StunMessage, TransId};
use rtc_client::{ClientState, Credentials, DatagramKind, Identity, Received, RemoteParameters, RtcClient};
use serde::{Deserialize, Serialize};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// Time until the probe is connected.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a receive waits.
const POLL: Duration = Duration::from_millis(2);

/// A kind of datagram, and where it seems to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sample {
    /// Random bytes from a stranger.
    Noise,
    /// A check with an unknown username fragment, from a stranger.
    UnknownUser,
    /// A check with a wrong MAC, from a stranger.
    GuessedPassword,
    /// The first flight of a handshake, from a stranger.
    Hello,
    /// SRTP of a client, sent again by a stranger.
    Packet,
    /// SRTCP of a client, sent again by a stranger.
    Report,
    /// A check of a client, sent again by a stranger.
    OverheardCheck,
    /// A check with a member's own credentials, under a stranger's address.
    ForgedSource,
    /// The same, and the first flight of a handshake.
    ForgedSourceAndHello,
    /// A check by a client that believes that it is controlled, under a stranger's address.
    RoleConflict,
    /// A check with a wrong MAC, under a client's address.
    WrongMac,
    /// A check of a client, sent again under its address.
    RepeatedCheck,
    /// A response to no check, under a client's address.
    Response,
    /// The first flight of a handshake, under a client's address.
    ClientHello,
    /// The last flight of a client's handshake, sent again under its address.
    RepeatedFlight,
    /// SRTP of a client, sent again under its address.
    RepeatedPacket,
    /// SRTCP of a client, sent again under its address.
    RepeatedReport,
}

impl Sample {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::Noise,
        Self::UnknownUser,
        Self::GuessedPassword,
        Self::Hello,
        Self::Packet,
        Self::Report,
        Self::OverheardCheck,
        Self::ForgedSource,
        Self::ForgedSourceAndHello,
        Self::RoleConflict,
        Self::WrongMac,
        Self::RepeatedCheck,
        Self::Response,
        Self::ClientHello,
        Self::RepeatedFlight,
        Self::RepeatedPacket,
        Self::RepeatedReport,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Noise => "random bytes",
            Self::UnknownUser => "STUN, unknown username",
            Self::GuessedPassword => "STUN, known username, wrong MAC",
            Self::Hello => "DTLS handshake",
            Self::Packet => "SRTP of a client, repeated",
            Self::Report => "SRTCP of a client, repeated",
            Self::OverheardCheck => "STUN of a client, repeated",
            Self::ForgedSource => "STUN of a member under a forged address",
            Self::ForgedSourceAndHello => "STUN of a member under a forged address, DTLS handshake",
            Self::RoleConflict => "STUN of a member under a forged address, role conflict",
            Self::WrongMac => "STUN, wrong MAC, under a client's address",
            Self::RepeatedCheck => "STUN of a client, repeated under its address",
            Self::Response => "STUN response under a client's address",
            Self::ClientHello => "DTLS handshake under a client's address",
            Self::RepeatedFlight => "DTLS of a client, repeated under its address",
            Self::RepeatedPacket => "SRTP of a client, repeated under its address",
            Self::RepeatedReport => "SRTCP of a client, repeated under its address",
        }
    }

    /// Whether it comes from the probe's own address.
    fn is_under_clients_address(self) -> bool {
        matches!(
            self,
            Self::WrongMac
                | Self::RepeatedCheck
                | Self::Response
                | Self::ClientHello
                | Self::RepeatedFlight
                | Self::RepeatedPacket
                | Self::RepeatedReport
        )
    }
}

/// Bytes to the server and back, with headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amplification {
    /// Kind of the datagrams.
    pub sample: Sample,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes that came back.
    pub returned: u64,
}

impl Amplification {
    /// Bytes that came back for each byte sent.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.returned as f64 / self.sent.max(1) as f64
    }
}

/// A client of the call on a separate socket.
#[derive(Debug)]
pub struct Probe {
    identity: Identity,
    local: Credentials,
    server: RemoteParameters,
    address: SocketAddr,
    socket: UdpSocket,
    client: RtcClient,
    /// Datagrams of its connection, as they are seen on the way.
    check: Vec<u8>,
    flight: Vec<u8>,
    packet: Vec<u8>,
    report: Vec<u8>,
}

impl Probe {
    /// A client with this half of the transport, which signaling has sent to the server.
    ///
    /// # Errors
    /// [`PeerError`]: it does not connect within 20 s, or a socket fails.
    pub fn connect(identity: Identity, local: Credentials, server: RemoteParameters) -> Result<Self, PeerError> {
        let address = *server.candidates.first().ok_or_else(|| PeerError::Answer("no media path".to_owned()))?;
        let now = Instant::now();
        let client = RtcClient::with_credentials(now, &identity, local.clone(), server.clone());
        let socket = connected_socket(address)?;
        let empty = Vec::new;
        let (check, flight, packet, report) = (empty(), empty(), empty(), empty());
        let mut probe = Self { identity, local, server, address, socket, client, check, flight, packet, report };
        while probe.client.state() != ClientState::Connected {
            if now.elapsed() > PATIENCE {
                return Err(PeerError::Answer("the probe does not connect".to_owned()));
            }
            probe.step(|_| {})?;
        }
        // RFC 3550: a packet and a receiver report of a stream that was not signaled.
        probe.client.seal_rtp(&[0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9], &[0xee; 1_100], &mut probe.packet)?;
        probe.client.seal_rtcp(&[0x80, 201, 0, 1, 0, 0, 0, 9], &mut probe.report)?;
        for datagram in [&probe.packet, &probe.report] {
            probe.socket.send(datagram)?;
        }
        Ok(probe)
    }

    pub(crate) fn client(&mut self) -> &mut RtcClient {
        &mut self.client
    }

    /// Sends a datagram. Returns false if the kernel was too busy.
    pub(crate) fn send(&self, datagram: &[u8]) -> bool {
        self.socket.send(datagram).is_ok()
    }

    /// Sends what is due and takes what has arrived; `on_rtp` gets the packets of media. Returns the bytes sent, and those that
    /// came and are no media.
    pub(crate) fn step(&mut self, mut on_rtp: impl FnMut(&[u8])) -> Result<(u64, u64), PeerError> {
        self.client.tick(Instant::now());
        let (mut sent, mut returned, mut buffer) = (0, 0, [0; 2_048]);
        loop {
            while let Some(datagram) = self.client.poll_transmit() {
                match DatagramKind::of(&datagram) {
                    Some(DatagramKind::Stun) if datagram.starts_with(&[0, 1]) => self.check.clone_from(&datagram),
                    Some(DatagramKind::Dtls) => self.flight.clone_from(&datagram),
                    _ => {}
                }
                self.socket.send(&datagram)?;
                sent += on_wire(datagram.len());
            }
            let Some(length) = receive(&self.socket, &mut buffer)? else { return Ok((sent, returned)) };
            let datagram = buffer.get_mut(..length).unwrap_or_default();
            let kind = DatagramKind::of(datagram);
            if !matches!(kind, Some(DatagramKind::Rtp | DatagramKind::Rtcp)) {
                returned += on_wire(length);
            }
            if let Ok(Received::Rtp(packet)) = self.client.handle(Instant::now(), datagram) {
                on_rtp(packet);
            }
        }
    }

    /// Sends this many datagrams in as many steps of a few milliseconds, and counts what comes back until two seconds later.
    ///
    /// # Errors
    /// [`PeerError`]: a socket, or the random generator.
    pub fn measure(&mut self, sample: Sample, datagrams: usize) -> Result<Amplification, PeerError> {
        const AFTER: Duration = Duration::from_secs(2);
        let stranger = connected_socket(self.address)?;
        let (mut sent, mut returned, mut buffer) = (0, 0, [0; 2_048]);
        let mut until = Instant::now() + AFTER;
        let mut left = datagrams;
        while left > 0 || Instant::now() < until {
            if let Some(rest) = left.checked_sub(1) {
                for datagram in self.datagrams(sample)? {
                    let from = if sample.is_under_clients_address() { &self.socket } else { &stranger };
                    from.send(&datagram)?;
                    sent += on_wire(datagram.len());
                }
                (left, until) = (rest, Instant::now() + AFTER);
            }
            let own = self.step(|_| {})?;
            if sample.is_under_clients_address() {
                (sent, returned) = (sent + own.0, returned + own.1);
            }
            while let Some(length) = receive(&stranger, &mut buffer)? {
                returned += on_wire(length);
            }
        }
        Ok(Amplification { sample, sent, returned })
    }

    /// The datagrams of one step.
    fn datagrams(&self, sample: Sample) -> Result<Vec<Vec<u8>>, PeerError> {
        let check = |ufrag: &str, pwd: &str| {
            let server = RemoteParameters { ufrag: ufrag.to_owned(), pwd: pwd.to_owned(), ..self.server.clone() };
            let now = Instant::now();
            let mut client = RtcClient::with_credentials(now, &self.identity, self.local.clone(), server);
            client.tick(now);
            client.poll_transmit().ok_or(PeerError::Random)
        };
        let (ufrag, pwd) = (self.server.ufrag.as_str(), self.server.pwd.as_str());
        let one = match sample {
            Sample::Noise => {
                let mut bytes = vec![0; 200];
                getrandom::fill(&mut bytes).map_err(|_| PeerError::Random)?;
                bytes
            }
            Sample::UnknownUser => check("unknown0", pwd)?,
            Sample::GuessedPassword | Sample::WrongMac => check(ufrag, "a-password-that-is-guessed")?,
            Sample::Hello | Sample::ClientHello => hello(&self.identity)?,
            Sample::Packet | Sample::RepeatedPacket => self.packet.clone(),
            Sample::Report | Sample::RepeatedReport => self.report.clone(),
            Sample::OverheardCheck | Sample::RepeatedCheck => self.check.clone(),
            Sample::ForgedSource => check(ufrag, pwd)?,
            Sample::ForgedSourceAndHello => return Ok(vec![check(ufrag, pwd)?, hello(&self.identity)?]),
            Sample::RoleConflict => self.controlled_check(),
            Sample::Response => self.response(),
            Sample::RepeatedFlight => self.flight.clone(),
        };
        Ok(vec![one])
    }

    fn controlled_check(&self) -> Vec<u8> {
        let username = format!("{}:{}", self.server.ufrag, self.local.ufrag);
        let request = StunMessage::binding_request(&username, TransId::new(), false, 1, 1, true);
        encoded(request, &self.server.pwd)
    }

    fn response(&self) -> Vec<u8> {
        encoded(StunMessage::binding_reply(TransId::new(), self.address), &self.local.pwd)
    }
}

fn encoded(message: StunMessage<'_>, pwd: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, pwd, |encoded| bytes.extend_from_slice(encoded));
    bytes
}

fn on_wire(bytes: usize) -> u64 {
    (bytes + HEADERS) as u64
}

fn connected_socket(to: SocketAddr) -> io::Result<UdpSocket> {
    let any = SocketAddr::new(to.ip(), 0);
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(POLL))?;
    Ok(socket)
}

/// Length of the next datagram, if one comes soon.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match socket.recv(buffer) {
        Ok(length) => Ok(Some(length)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}
