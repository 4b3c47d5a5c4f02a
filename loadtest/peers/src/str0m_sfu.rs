//! A plain SFU on the `str0m` crate, the baseline for an afternoon with a good library: one thread, one
//! socket, one system call a packet, no pacing and no bandwidth estimation.
//!
//! ```text
//!   stdin: Order ──► Rtc of a client
//!   socket ─► by source address ─► publisher's Rtc ─► RtpPacket ─► each subscriber's Rtc ─► socket
//! ```

use crate::child;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::{SocketAddr, UdpSocket},
    sync::mpsc,
    time::{Duration, Instant},
};
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    config::{DtlsCert, Fingerprint},
    format::Codec,
    ice::IceCreds,
    media::{MediaKind, Mid, Pt},
    net::{Protocol, Receive},
    rtp::{RtpPacket, RtpWrite, Ssrc},
};

/// Maximum wait for a datagram, and so maximum delay of a request or a client's timeout.
const PATIENCE: Duration = Duration::from_millis(5);
const DATAGRAM_BYTES: usize = 2_048;

/// A client to let in.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) publishes: bool,
    /// Stream of the publisher, or as it is to be forwarded to this subscriber.
    pub(crate) ssrc: u32,
    pub(crate) rtx: u32,
    pub(crate) client: Half,
}

/// One end of a transport.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Half {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    /// SHA-256 of the certificate.
    pub(crate) fingerprint: Vec<u8>,
    /// Where the server listens; absent in a client's half, who is known by its checks.
    pub(crate) address: Option<SocketAddr>,
}

/// Payload type of VP8 on both sides.
pub(crate) const VP8: u8 = 96;
/// Payload type of retransmissions.
pub(crate) const RTX: u8 = 97;
/// Id of the transport-wide sequence number.
pub(crate) const TRANSPORT_CC: u8 = 3;

/// Runs until the standard input ends.
///
/// # Errors
/// Errors of the socket, or a malformed request.
pub fn run() -> io::Result<()> {
    let socket = child::media_socket()?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let orders = child::orders::<Order>();
    let mut sfu = Sfu {
        address: socket.local_addr()?,
        socket,
        certificate: certificate()?,
        clients: Vec::new(),
        by_address: HashMap::new(),
        due: Vec::new(),
        forward: Vec::new(),
    };
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        loop {
            match orders.try_recv() {
                Ok(order) => child::answer(&sfu.add(order?)?)?,
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
            }
        }
        match sfu.socket.recv_from(&mut buffer) {
            Ok((length, from)) => sfu.receive(from, buffer.get(..length).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // ICMP of a client that has gone.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
        sfu.tick();
    }
}

fn certificate() -> io::Result<DtlsCert> {
    let provider = str0m::crypto::from_feature_flags();
    provider.dtls_provider.generate_certificate().ok_or_else(|| io::Error::other("no certificate"))
}

struct Client {
    rtc: Rtc,
    publishes: bool,
    ssrc: Ssrc,
}

struct Sfu {
    socket: UdpSocket,
    address: SocketAddr,
    certificate: DtlsCert,
    clients: Vec<Client>,
    by_address: HashMap<SocketAddr, usize>,
    /// When each client's next timeout is due.
    due: Vec<Instant>,
    /// Packets of the publisher that have not been forwarded yet.
    forward: Vec<RtpPacket>,
}

impl Sfu {
    /// Adds a client; returns the server's half of its transport.
    fn add(&mut self, order: Order) -> io::Result<Half> {
        let now = Instant::now();
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_ice_lite(true)
            .set_dtls_cert(self.certificate.clone())
            .clear_codecs()
            .enable_vp8(true)
            .build(now);
        let candidate = Candidate::host(self.address, "udp").map_err(io::Error::other)?;
        rtc.add_local_candidate(candidate);
        let mid = Mid::from("v");
        let (ssrc, rtx) = (Ssrc::from(order.ssrc), Ssrc::from(order.rtx));
        let half = {
            let mut direct = rtc.direct_api();
            direct.set_ice_controlling(false);
            direct.set_remote_ice_credentials(IceCreds { ufrag: order.client.ufrag, pass: order.client.pwd });
            let fingerprint = Fingerprint { hash_func: "sha-256".to_owned(), bytes: order.client.fingerprint };
            direct.set_remote_fingerprint(fingerprint);
            direct.start_dtls(false).map_err(io::Error::other)?;
            direct.declare_media(mid, MediaKind::Video);
            if order.publishes {
                direct.expect_stream_rx(ssrc, Some(rtx), mid, None);
            } else {
                direct.declare_stream_tx(ssrc, Some(rtx), mid, None);
            }
            let IceCreds { ufrag, pass } = direct.local_ice_credentials();
            let fingerprint = direct.local_dtls_fingerprint().bytes.clone();
            Half { ufrag, pwd: pass, fingerprint, address: Some(self.address) }
        };
        self.clients.push(Client { rtc, publishes: order.publishes, ssrc });
        self.due.push(now);
        Ok(half)
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        let now = Instant::now();
        let Ok(contents) = datagram.try_into() else { return };
        let receive = Receive { proto: Protocol::Udp, source: from, destination: self.address, contents };
        let input = Input::Receive(now, receive);
        let known = self.by_address.get(&from).copied();
        let Some(at) = known.or_else(|| self.clients.iter().position(|client| client.rtc.accepts(&input))) else {
            return;
        };
        if known.is_none() {
            self.by_address.insert(from, at);
        }
        let Some(client) = self.clients.get_mut(at) else { return };
        if client.rtc.handle_input(input).is_ok() {
            self.poll(at);
            self.pass_on();
        }
    }

    /// Runs the timeouts of the clients that are due.
    fn tick(&mut self) {
        let now = Instant::now();
        for at in 0..self.clients.len() {
            if self.due.get(at).is_none_or(|due| *due > now) {
                continue;
            }
            if let Some(client) = self.clients.get_mut(at)
                && client.rtc.handle_input(Input::Timeout(now)).is_ok()
            {
                self.poll(at);
            }
        }
        self.pass_on();
    }

    /// Sends the output of a client's engine, and collects the publisher's packets.
    fn poll(&mut self, at: usize) {
        let Some(client) = self.clients.get_mut(at) else { return };
        let mut next = Instant::now() + Duration::from_secs(1);
        loop {
            match client.rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    next = due;
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    // A full buffer or a client that has gone: the packet is lost, and shows as such.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Ok(Output::Event(Event::RtpPacket(packet))) if client.publishes => self.forward.push(packet),
                Ok(Output::Event(_)) => {}
                Err(_) => break,
            }
        }
        if let Some(due) = self.due.get_mut(at) {
            *due = next;
        }
    }

    /// Writes the collected packets to every subscriber.
    fn pass_on(&mut self) {
        if self.forward.is_empty() {
            return;
        }
        let packets = std::mem::take(&mut self.forward);
        for at in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(at).filter(|client| !client.publishes) else { continue };
            let ssrc = client.ssrc;
            let Some(pt) = vp8(&client.rtc) else { continue };
            for packet in &packets {
                let (seq_no, payload) = (packet.seq_no, packet.payload.clone());
                let write = RtpWrite::new(pt, seq_no, packet.header.timestamp, packet.timestamp, payload);
                let write = write.marker(packet.header.marker).nackable(true);
                let Some(client) = self.clients.get_mut(at) else { continue };
                if let Some(stream) = client.rtc.direct_api().stream_tx(&ssrc) {
                    stream.write_rtp(write);
                }
                self.poll(at);
            }
        }
    }
}

fn vp8(rtc: &Rtc) -> Option<Pt> {
    rtc.codec_config().params().iter().find(|params| params.spec().codec == Codec::Vp8).map(|params| params.pt())
}
