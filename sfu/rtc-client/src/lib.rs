//! Client side of a transport to the SFU: controlling ICE agent, DTLS client, SRTP. No I/O. Load bots, tests, fuzz
//! targets and benchmarks use it; browsers and the native client have their own WebRTC stacks.
//!
//! ```text
//!   RtcClient::new(RemoteParameters) ── local() ──► signaling ──► server
//!        │ ▲
//!        │ └── handle(now, datagram) ─► Received::Rtp | Rtcp        socket → client
//!        └──── poll_transmit(), seal_rtp(), seal_rtcp() ─►          client → socket
//!              tick(now), due at next_deadline()
//! ```

mod parameters;

pub use dtls_srtp::{Credentials, DatagramKind, Identity, IdentityError, srtp};
use dtls_srtp::{
    dtls::{Dtls, DtlsEvent, Role},
    srtp::{Profile, SrtpError, SrtpOpener, SrtpSealer},
    stun::{encode, hmac_sha1},
};
use is::stun::{StunMessage, TransId};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

pub use parameters::{LocalParameters, RemoteParameters};

/// Interval of connectivity checks until one is answered.
const CHECK_RETRY: Duration = Duration::from_millis(100);
/// Checks that may be answered late: those of about three seconds, on a path or a server with long queues.
const AWAITED_CHECKS: usize = 32;
/// Interval of checks that keep consent alive (RFC 7675).
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Time without an answer after which the server counts as disconnected.
const SILENCE: Duration = Duration::from_secs(15);
/// Type preference of a peer-reflexive candidate, component 1 (RFC 8445 section 5.1.2).
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;

/// State of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// Connectivity checks or the handshake are in progress.
    Connecting,
    /// SRTP keys are in use.
    Connected,
    /// The server has not answered for 15 s. It may come back.
    Disconnected,
    /// The server's certificate does not match, or the handshake failed. Final.
    Failed,
    /// Either side sent close_notify. Final.
    Closed,
}

/// Contents of a received datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A clear RTP packet.
    Rtp(&'a [u8]),
    /// A clear, possibly compound RTCP packet.
    Rtcp(&'a [u8]),
    /// STUN or DTLS, which has been handled. There may be datagrams to transmit, and the state may have changed.
    Nothing,
}

/// A client of the SFU on one UDP path: from one local socket to the server's first candidate.
#[derive(Debug)]
pub struct RtcClient {
    local: Credentials,
    fingerprint: [u8; 32],
    /// USERNAME of outgoing checks.
    username: String,
    server_pwd: String,
    /// Source address of checks by the server.
    server: Option<SocketAddr>,
    dtls: Dtls,
    srtp: Option<(Box<SrtpOpener>, Box<SrtpSealer>)>,
    state: ClientState,
    transmits: VecDeque<Vec<u8>>,
    next_check: Instant,
    /// The latest checks, until one is answered.
    checks: VecDeque<TransId>,
    last_answer: Option<Instant>,
}

impl RtcClient {
    /// A client of the server that has these parameters. Clients can share one `identity`.
    ///
    /// Returns `None` if the random generator fails.
    #[must_use]
    pub fn new(now: Instant, identity: &Identity, server: impl Into<RemoteParameters>) -> Option<Self> {
        Some(Self::with_credentials(now, identity, Credentials::random()?, server))
    }

    /// The same, with credentials that signaling has sent to the server before: for servers that answer offers.
    #[must_use]
    pub fn with_credentials(
        now: Instant,
        identity: &Identity,
        local: Credentials,
        server: impl Into<RemoteParameters>,
    ) -> Self {
        let server = server.into();
        let mut dtls = Dtls::new(identity, Role::Client, now);
        dtls.expect(server.fingerprint);
        Self {
            fingerprint: identity.fingerprint(),
            username: format!("{}:{}", server.ufrag, local.ufrag),
            local,
            server_pwd: server.pwd,
            server: server.candidates.first().copied(),
            dtls,
            srtp: None,
            state: ClientState::Connecting,
            transmits: VecDeque::new(),
            next_check: now,
            checks: VecDeque::new(),
            last_answer: None,
        }
    }

    /// Parameters of this client, which signaling sends to the server.
    #[must_use]
    pub fn local(&self) -> LocalParameters {
        LocalParameters { ufrag: self.local.ufrag.clone(), pwd: self.local.pwd.clone(), fingerprint: self.fingerprint }
    }

    /// Current state.
    #[must_use]
    pub fn state(&self) -> ClientState {
        self.state
    }

    /// Negotiated protection profile; `None` before there are keys.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        self.srtp.as_ref().map(|(_, sealer)| sealer.profile())
    }

    /// Handles a datagram from the server; SRTP is opened in place.
    ///
    /// # Errors
    /// [`SrtpError`] if an SRTP or SRTCP packet must be dropped; [`SrtpError::Key`] before there are keys.
    pub fn handle<'a>(&mut self, now: Instant, datagram: &'a mut [u8]) -> Result<Received<'a>, SrtpError> {
        match DatagramKind::of(datagram) {
            Some(DatagramKind::Stun) => self.handle_stun(now, datagram),
            Some(DatagramKind::Dtls) => {
                let transmits = &mut self.transmits;
                let event = self.dtls.handle_datagram(now, datagram, |record| transmits.push_back(record.to_vec()));
                self.on_dtls(event);
            }
            Some(kind) => {
                let (opener, _) = self.srtp.as_mut().ok_or(SrtpError::Key)?;
                return Ok(if kind == DatagramKind::Rtcp {
                    Received::Rtcp(opener.open_rtcp(datagram)?)
                } else {
                    Received::Rtp(opener.open_rtp(datagram)?)
                });
            }
            None => {}
        }
        Ok(Received::Nothing)
    }

    /// Sends due checks and retransmits the handshake. Call it first immediately, then at
    /// [`next_deadline`](Self::next_deadline).
    pub fn tick(&mut self, now: Instant) {
        if self.is_final() {
            return;
        }
        if self.next_check <= now {
            self.send_check(now);
        }
        let silent = self.last_answer.is_some_and(|at| now.saturating_duration_since(at) >= SILENCE);
        if silent && self.state == ClientState::Connected {
            self.state = ClientState::Disconnected;
        }
        if self.dtls.deadline().is_some_and(|at| at <= now) {
            self.drive_dtls(now);
        }
    }

    /// When [`tick`](Self::tick) is due; `None` in a final state.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.is_final() {
            return None;
        }
        Some(self.dtls.deadline().map_or(self.next_check, |at| at.min(self.next_check)))
    }

    /// Returns the next STUN or DTLS datagram for the server. Poll it until `None` after every other call.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// Appends a sealed RTP packet to `out`; see [`SrtpSealer::seal_rtp`].
    ///
    /// # Errors
    /// [`SrtpError`]; [`SrtpError::Key`] before there are keys.
    pub fn seal_rtp(&mut self, header: &[u8], payload: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        let (_, sealer) = self.srtp.as_mut().ok_or(SrtpError::Key)?;
        sealer.seal_rtp(header, payload, out)
    }

    /// Appends a sealed RTCP packet to `out`.
    ///
    /// # Errors
    /// [`SrtpError`]; [`SrtpError::Key`] before there are keys.
    pub fn seal_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        let (_, sealer) = self.srtp.as_mut().ok_or(SrtpError::Key)?;
        sealer.seal_rtcp(packet, out)
    }

    /// Sends close_notify: the datagrams are available from [`poll_transmit`](Self::poll_transmit).
    pub fn close(&mut self, now: Instant) {
        let transmits = &mut self.transmits;
        self.dtls.close(now, |record| transmits.push_back(record.to_vec()));
        self.srtp = None;
        if self.state != ClientState::Failed {
            self.state = ClientState::Closed;
        }
    }

    /// Restarts ICE (RFC 8445 section 2.4) with the parameters that the server has for it: new credentials on both sides,
    /// while DTLS and SRTP go on. Returns the client's parameters, which signaling sends to the server; `None` if the
    /// random generator fails, and then nothing has changed.
    #[must_use]
    pub fn restart_ice(&mut self, now: Instant, server: impl Into<RemoteParameters>) -> Option<LocalParameters> {
        let (local, server) = (Credentials::random()?, server.into());
        self.username = format!("{}:{}", server.ufrag, local.ufrag);
        self.local = local;
        self.server_pwd = server.pwd;
        self.server = server.candidates.first().copied();
        self.next_check = now;
        Some(self.local())
    }

    /// Starts a check immediately, after the local address or socket changed.
    pub fn moved(&mut self, now: Instant) {
        self.next_check = now;
    }

    fn is_final(&self) -> bool {
        matches!(self.state, ClientState::Failed | ClientState::Closed)
    }

    fn send_check(&mut self, now: Instant) {
        let id = TransId::new();
        self.checks.truncate(AWAITED_CHECKS - 1);
        self.checks.push_front(id);
        self.next_check = now + CHECK_RETRY;
        // The server is ICE lite: there is one candidate pair, and every check nominates it.
        let request = StunMessage::binding_request(&self.username, id, true, 1, PRIORITY, true);
        let transmits = &mut self.transmits;
        encode(request, &self.server_pwd, |bytes| transmits.push_back(bytes.to_vec()));
    }

    fn handle_stun(&mut self, now: Instant, datagram: &[u8]) {
        let Ok(reply) = StunMessage::parse(datagram) else { return };
        if reply.is_binding_request() {
            self.answer_check(&reply);
            return;
        }
        if !reply.is_successful_binding_response()
            || !self.checks.contains(&reply.trans_id())
            || !reply.verify(self.server_pwd.as_bytes(), hmac_sha1)
        {
            return;
        }
        self.checks.clear();
        self.next_check = now + KEEP_ALIVE;
        if self.state == ClientState::Disconnected {
            self.state = ClientState::Connected;
        }
        if self.last_answer.replace(now).is_none() {
            self.drive_dtls(now);
        }
    }

    /// ICE lite servers need not send checks; that of tacet does, for consent and to prove the client's address.
    fn answer_check(&mut self, request: &StunMessage<'_>) {
        let (Some((local, _)), Some(server)) = (request.split_username(), self.server) else { return };
        if local == self.local.ufrag && request.verify(self.local.pwd.as_bytes(), hmac_sha1) {
            let transmits = &mut self.transmits;
            let reply = StunMessage::binding_reply(request.trans_id(), server);
            encode(reply, &self.local.pwd, |bytes| transmits.push_back(bytes.to_vec()));
        }
    }

    fn drive_dtls(&mut self, now: Instant) {
        let transmits = &mut self.transmits;
        let event = self.dtls.handle_timeout(now, |record| transmits.push_back(record.to_vec()));
        self.on_dtls(event);
    }

    fn on_dtls(&mut self, event: Option<DtlsEvent>) {
        match event {
            Some(DtlsEvent::Keyed(opener, sealer)) => {
                self.srtp = Some((opener, sealer));
                self.state = ClientState::Connected;
            }
            Some(DtlsEvent::Failed(_)) => self.state = ClientState::Failed,
            Some(DtlsEvent::Closed) => self.state = ClientState::Closed,
            None => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(username: &str, pwd: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let request = StunMessage::binding_request(username, TransId::new(), false, 1, 1, false);
        encode(request, pwd, |encoded| bytes.extend_from_slice(encoded));
        bytes
    }

    #[test]
    fn check_of_the_server_is_answered_if_authentic() {
        let server = RemoteParameters {
            ufrag: "server".to_owned(),
            pwd: "password-of-the-server".to_owned(),
            fingerprint: [0; 32],
            candidates: vec![SocketAddr::from(([127, 0, 0, 1], 4_000))],
        };
        let local = Credentials { ufrag: "client".to_owned(), pwd: "password-of-the-client".to_owned() };
        let (now, identity) = (Instant::now(), Identity::generate().unwrap());
        let mut client = RtcClient::with_credentials(now, &identity, local.clone(), server.clone());
        for (username, pwd) in [("client:server", "another"), ("another:server", local.pwd.as_str())] {
            assert_eq!(client.handle(now, &mut check(username, pwd)), Ok(Received::Nothing));
            assert_eq!(client.poll_transmit(), None);
        }
        assert_eq!(client.handle(now, &mut check("client:server", &local.pwd)), Ok(Received::Nothing));
        let reply = client.poll_transmit().unwrap();
        let reply = StunMessage::parse(&reply).unwrap();
        assert!(reply.is_successful_binding_response() && reply.verify(local.pwd.as_bytes(), hmac_sha1));
        assert_eq!(reply.mapped_address(), Some(server.candidates[0]));
    }
}
