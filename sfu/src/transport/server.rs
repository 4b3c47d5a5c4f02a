//! The server's end of one client's transport: ICE, DTLS and SRTP.
//!
//! ```text
//!             checks            fingerprint matches          no answer for 25 s
//!    (new) ──────────► tuples ─────────────────────► Connected ◄───────────────► Disconnected
//!                        │                               │          an answer again
//!                        └── wrong certificate ──► Failed         close_notify ──► Closed
//! ```
//! A client that is silent stays `Disconnected` for as long as its participant exists. ICE restarts in any state but the
//! final ones, `Failed` and `Closed`; state, keys and path are what they were.
//!
//! Each change of state, and what leads to it, is logged at `debug` in the transport's span, so that a log shows why a
//! client did not connect. A client cannot bring about more than [`LOG_LINES`] a second.

use super::{
    allowance::ClientAllowance,
    check_ids::CheckIds,
    ice::{Check, IceCounts, IceLite},
    outbox::{OpenRun, Outbox},
    tuple::Tuple,
};
use crate::{
    allowance::{Allowance, Notice},
    command::{CommandError, RemoteTransport},
    event::{Limit, TransportState},
    ids::ParticipantId,
    limits,
};
use dtls_srtp::{
    Credentials, DatagramKind, Identity,
    dtls::{Dtls, DtlsEvent, Role},
    srtp::{SrtpError, SrtpOpener, SrtpSealer},
};
use is::stun::StunMessage;
use std::{collections::VecDeque, fmt, time::Instant};
use tracing::{Level, Span, debug};

/// Lines of log in a second that one client can bring about by what it sends.
const LOG_LINES: u32 = 10;

/// Maximum number of datagrams of the handshake that wait for the path to be proven: two flights of the server.
const HELD: usize = 8;

/// A packet that was authenticated and decrypted. It must not reach a socket.
#[derive(Debug)]
pub(crate) enum Clear<'a> {
    Rtp(&'a [u8]),
    Rtcp(&'a [u8]),
}

/// Why a packet was not received, or not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// There are no keys, no path or no consent.
    NotConnected,
    /// The path is not proven, and has got its share of what came from there.
    Unproven,
    /// The client has sent as much as it may.
    Excess,
    /// Longer than any path carries.
    TooLong,
    /// SRTP refused it.
    Srtp(SrtpError),
}

impl From<SrtpError> for Blocked {
    fn from(error: SrtpError) -> Self {
        Self::Srtp(error)
    }
}

/// An event of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransportEvent {
    /// The handshake is complete, and SRTP keys are in use.
    Connected,
    /// A check was answered after consent had been lost.
    Reconnected,
    /// No check was answered for [`CONSENT`](super::path_proof::CONSENT).
    ConsentLost,
    /// The handshake failed, or the transport had a fault.
    Failed,
    /// The client did not connect within [`CONNECT_TIME`](limits::CONNECT_TIME).
    TimedOut,
    /// The client sent `close_notify`.
    Closed,
    /// The client sends more than it may.
    LimitExceeded(Limit),
}

impl TransportEvent {
    /// The state that the transport has entered, if it has.
    pub(crate) fn state(self) -> Option<TransportState> {
        match self {
            Self::Connected | Self::Reconnected => Some(TransportState::Connected),
            Self::ConsentLost => Some(TransportState::Disconnected),
            Self::Failed | Self::TimedOut => Some(TransportState::Failed),
            Self::Closed => Some(TransportState::Closed),
            Self::LimitExceeded(_) => None,
        }
    }
}

/// One client's transport.
#[derive(Debug)]
pub(crate) struct ServerTransport {
    participant: ParticipantId,
    ice: IceLite,
    dtls: Dtls,
    srtp: Option<(Box<SrtpOpener>, Box<SrtpSealer>)>,
    open_run: OpenRun,
    /// Datagrams of the handshake that wait for the path to be proven.
    held: Vec<Vec<u8>>,
    state: Option<TransportState>,
    remote_fingerprint: Option<[u8; 32]>,
    allowance: ClientAllowance,
    excess: Notice,
    /// When it was created, or ICE was last restarted.
    connecting_since: Instant,
    events: VecDeque<TransportEvent>,
    /// Parent of its log lines.
    span: Span,
    log: Allowance,
    /// Progress of the connection, from which a failure is explained.
    dtls_started: bool,
    checks_refused: bool,
    /// Another path was selected.
    has_moved: bool,
}

impl ServerTransport {
    /// A transport without a peer; its log lines go to `span`.
    pub(crate) fn new(
        participant: ParticipantId,
        identity: &Identity,
        credentials: Credentials,
        check_ids: CheckIds,
        now: Instant,
        span: Span,
    ) -> Self {
        debug!(parent: &span, "transport created");
        Self {
            participant,
            ice: IceLite::new(credentials, check_ids),
            dtls: Dtls::new(identity, Role::Server, now),
            srtp: None,
            open_run: OpenRun::default(),
            held: Vec::new(),
            state: None,
            remote_fingerprint: None,
            allowance: ClientAllowance::new(),
            excess: Notice::default(),
            connecting_since: now,
            events: VecDeque::new(),
            span,
            log: Allowance::new(LOG_LINES),
            dtls_started: false,
            checks_refused: false,
            has_moved: false,
        }
    }

    pub(crate) fn participant(&self) -> ParticipantId {
        self.participant
    }

    /// The server's username fragments by which checks may name the transport.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        self.ice.ufrags()
    }

    /// The server's newest credentials.
    #[cfg(test)]
    pub(crate) fn local(&self) -> &Credentials {
        self.ice.local()
    }

    /// What its ICE agent has done since the last call.
    pub(crate) fn take_ice_counts(&mut self) -> IceCounts {
        self.ice.take_counts()
    }

    /// Tuples that the client has sent checks from.
    pub(crate) fn tuples(&self) -> impl Iterator<Item = Tuple> {
        self.ice.tuples()
    }

    /// When the client last answered on the tuple.
    pub(crate) fn answered_on(&self, tuple: Tuple) -> Option<Instant> {
        self.ice.answered_on(tuple)
    }

    /// The tuple belongs to another transport now.
    pub(crate) fn forget(&mut self, now: Instant, tuple: Tuple) {
        self.ice.forget(now, tuple);
    }

    /// The next event, oldest first. To be polled after each other call.
    pub(crate) fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    /// Takes the client's parameters. Those of a further call are its half of an ICE restart, and must have the same
    /// fingerprint.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        remote: RemoteTransport,
        outbox: &mut Outbox,
    ) -> Result<(), CommandError> {
        let fits = |text: &str, limit| (1..=limit).contains(&text.len());
        let other_certificate = self.remote_fingerprint.is_some_and(|known| known != remote.fingerprint);
        if !fits(&remote.ufrag, limits::UFRAG_BYTES)
            || !fits(&remote.pwd, limits::CREDENTIAL_BYTES)
            || other_certificate
        {
            debug!(parent: &self.span, other_certificate, "client's transport parameters refused");
            return Err(CommandError::Invalid);
        }
        self.ice.set_remote(now, Credentials { ufrag: remote.ufrag, pwd: remote.pwd }, outbox);
        if self.remote_fingerprint.replace(remote.fingerprint).is_some() {
            debug!(parent: &self.span, "client's transport parameters replaced");
            return Ok(());
        }
        debug!(parent: &self.span, "client's transport parameters arrived");
        let event = self.dtls.expect(remote.fingerprint);
        self.on_dtls(now, event, outbox);
        Ok(())
    }

    /// Restarts ICE with these credentials of the server. Checks with the old ones count until the client uses the new
    /// ones. A client that has yet to connect gets the whole time for it again. Returns credentials that count no longer:
    /// those of an earlier restart that the client has not used.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] if the transport has ended.
    pub(crate) fn restart_ice(
        &mut self,
        now: Instant,
        credentials: Credentials,
    ) -> Result<Option<Credentials>, CommandError> {
        if self.is_final() {
            debug!(parent: &self.span, "ICE restart refused: the transport has ended");
            return Err(CommandError::Invalid);
        }
        debug!(parent: &self.span, "ICE restart begun");
        self.connecting_since = now;
        Ok(self.ice.restart(credentials))
    }

    /// Whether there are keys, and the client's consent is fresh.
    pub(crate) fn is_connected(&self) -> bool {
        self.state == Some(TransportState::Connected)
    }

    /// Takes a connectivity check that names our username fragment.
    ///
    /// # Errors
    /// [`Blocked::Excess`] if there were too many.
    pub(crate) fn handle_check(
        &mut self,
        now: Instant,
        tuple: Tuple,
        request: &StunMessage<'_>,
        bytes: usize,
        outbox: &mut Outbox,
    ) -> Result<Check, Blocked> {
        let proven = self.ice.has_proven(now, tuple);
        if !self.allowance.allows_check(now, proven) {
            return Err(Blocked::Excess);
        }
        let path = self.ice.path();
        let check = self.ice.handle_request(now, tuple, request, bytes, outbox);
        self.allowance.verified_check(now, !matches!(check, Check::Refused(_)), proven);
        match &check {
            Check::Accepted { retired, .. } => {
                if retired.is_some() {
                    debug!(parent: &self.span, %tuple, "ICE restart completed: the client checks with its new credentials");
                }
                if !proven && self.may_log(now) {
                    debug!(parent: &self.span, %tuple, "connectivity check accepted on a new tuple");
                }
                if self.ice.path() != path {
                    self.path_selected(now);
                }
                self.regain_consent(now);
            }
            Check::RoleConflict => {
                if self.may_log(now) {
                    debug!(parent: &self.span, %tuple, "connectivity check answered with role conflict (487)");
                }
            }
            Check::Refused(cause) => {
                self.checks_refused = true;
                if self.may_log(now) {
                    debug!(parent: &self.span, %tuple, %cause, "connectivity check refused");
                }
            }
        }
        Ok(check)
    }

    /// Takes an answer to a check of ours. Returns whether it is one.
    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        tuple: Tuple,
        response: &StunMessage<'_>,
        outbox: &mut Outbox,
    ) -> bool {
        let path = self.ice.path();
        if !self.ice.handle_response(now, tuple, response) {
            return false;
        }
        if self.ice.path() != path {
            self.path_selected(now);
        }
        if self.ice.is_path_proven() {
            self.send_held(outbox);
        }
        self.regain_consent(now);
        true
    }

    fn regain_consent(&mut self, now: Instant) {
        if self.state == Some(TransportState::Disconnected) && self.ice.has_consent(now) {
            self.enter(TransportEvent::Reconnected, "the client answers again");
        }
    }

    /// Sends the datagrams of the handshake that have waited for the path to be proven.
    fn send_held(&mut self, outbox: &mut Outbox) {
        for datagram in std::mem::take(&mut self.held) {
            send_record(&mut self.ice, &mut self.held, &datagram, outbox);
        }
    }

    /// A check arrived on a tuple that another transport has proven recently; it is not answered.
    pub(crate) fn refuse_tuple(&mut self, now: Instant, tuple: Tuple) {
        self.checks_refused = true;
        if self.may_log(now) {
            debug!(parent: &self.span, %tuple, "connectivity check dropped: another transport uses the tuple");
        }
    }

    /// Takes a DTLS datagram from a proven tuple.
    ///
    /// # Errors
    /// [`Blocked`] if it is too long, or there were too many.
    pub(crate) fn handle_dtls(
        &mut self,
        now: Instant,
        tuple: Tuple,
        datagram: &[u8],
        outbox: &mut Outbox,
    ) -> Result<(), Blocked> {
        if datagram.len() > limits::DATAGRAM_BYTES {
            return Err(Blocked::TooLong);
        }
        if !self.allowance.take_dtls(now) {
            return Err(Blocked::Excess);
        }
        if !std::mem::replace(&mut self.dtls_started, true) {
            debug!(parent: &self.span, %tuple, "DTLS handshake started");
        }
        self.ice.received(now, tuple, datagram.len());
        let Self { ice, held, .. } = self;
        let event = self.dtls.handle_datagram(now, datagram, |record| send_record(ice, held, record, outbox));
        self.on_dtls(now, event, outbox);
        Ok(())
    }

    /// Opens SRTP or SRTCP from a proven tuple, in place.
    pub(crate) fn open<'a>(
        &mut self,
        now: Instant,
        tuple: Tuple,
        kind: DatagramKind,
        packet: &'a mut [u8],
    ) -> Result<Clear<'a>, Blocked> {
        match self.try_open(now, tuple, kind, packet) {
            Ok(clear) => Ok(clear),
            Err(blocked) => {
                let limit = match blocked {
                    Blocked::Excess => Some(Limit::Datagrams),
                    Blocked::Srtp(SrtpError::TooManySsrcs) => Some(Limit::Ssrcs),
                    _ => None,
                };
                if let Some(limit) = limit.filter(|_| self.excess.due(now, limits::NOTICE_INTERVAL)) {
                    debug!(parent: &self.span, ?limit, "client exceeds a limit");
                    self.events.push_back(TransportEvent::LimitExceeded(limit));
                }
                Err(blocked)
            }
        }
    }

    fn try_open<'a>(
        &mut self,
        now: Instant,
        tuple: Tuple,
        kind: DatagramKind,
        packet: &'a mut [u8],
    ) -> Result<Clear<'a>, Blocked> {
        let (opener, _) = self.srtp.as_mut().ok_or(Blocked::NotConnected)?;
        let bytes = packet.len();
        if bytes > limits::DATAGRAM_BYTES {
            return Err(Blocked::TooLong);
        }
        if self.allowance.is_used_up(now, kind) {
            return Err(Blocked::Excess);
        }
        let clear = if kind == DatagramKind::Rtcp {
            Clear::Rtcp(opener.open_rtcp(packet)?)
        } else {
            Clear::Rtp(opener.open_rtp(packet)?)
        };
        self.allowance.authenticated(now, kind, bytes);
        if self.ice.heard(now, tuple, bytes) {
            self.path_selected(now);
        }
        Ok(clear)
    }

    /// Whether another path was selected since the last call.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    /// Whether a packet that is sealed now would be sent.
    pub(crate) fn is_reachable(&self) -> bool {
        self.srtp.is_some() && self.state == Some(TransportState::Connected) && self.ice.is_open()
    }

    /// Seals an RTP packet into the outbox.
    pub(crate) fn send_rtp(&mut self, header: &[u8], payload: &[u8], outbox: &mut Outbox) -> Result<(), Blocked> {
        let len = header.len() + payload.len();
        let (to, len, sealer, open_run) = self.sender(len, SrtpSealer::rtp_overhead)?;
        Ok(outbox.sealed(open_run, to, len, |out| sealer.seal_rtp(header, payload, out))?)
    }

    /// Seals an RTCP packet into the outbox.
    pub(crate) fn send_rtcp(&mut self, packet: &[u8], outbox: &mut Outbox) -> Result<(), Blocked> {
        let (to, len, sealer, open_run) = self.sender(packet.len(), SrtpSealer::rtcp_overhead)?;
        Ok(outbox.sealed(open_run, to, len, |out| sealer.seal_rtcp(packet, out))?)
    }

    /// Where and how to send a packet of `len` clear bytes; returns its sealed length, too.
    fn sender(
        &mut self,
        len: usize,
        overhead: impl FnOnce(&SrtpSealer) -> usize,
    ) -> Result<(Tuple, usize, &mut SrtpSealer, &mut OpenRun), Blocked> {
        let Self { ice, srtp: Some((_, sealer)), state: Some(TransportState::Connected), open_run, .. } = self else {
            return Err(Blocked::NotConnected);
        };
        let len = len + overhead(sealer);
        let to = ice.admit(len).ok_or(Blocked::Unproven)?;
        Ok((to, len, sealer, open_run))
    }

    /// When [`handle_check_timeout`](Self::handle_check_timeout) is due.
    pub(crate) fn check_deadline(&self) -> Option<Instant> {
        self.ice.deadline()
    }

    /// Whether a packet that was opened since the last call has moved the deadline of checks.
    pub(crate) fn take_deadline_moved(&mut self) -> bool {
        self.ice.take_deadline_moved()
    }

    /// Sends checks again that were not answered.
    pub(crate) fn handle_check_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        self.ice.handle_timeout(now, outbox);
    }

    /// When [`handle_handshake_timeout`](Self::handle_handshake_timeout) is due.
    pub(crate) fn handshake_deadline(&self) -> Option<Instant> {
        self.dtls.deadline()
    }

    /// Retransmits a flight of the handshake, or fails after the last one.
    pub(crate) fn handle_handshake_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        let Self { ice, held, .. } = self;
        let event = self.dtls.handle_timeout(now, |record| send_record(ice, held, record, outbox));
        self.on_dtls(now, event, outbox);
    }

    /// Whether the client has yet to connect.
    pub(crate) fn is_unconnected(&self) -> bool {
        self.state.is_none()
    }

    /// Notices that consent was lost, or that the client does not connect at all.
    pub(crate) fn check_consent(&mut self, now: Instant, outbox: &mut Outbox) {
        if !self.is_final() {
            self.ice.sweep(now, outbox);
        }
        if self.is_unconnected() && now.saturating_duration_since(self.connecting_since) >= limits::CONNECT_TIME {
            self.end();
            self.enter(TransportEvent::TimedOut, self.missing());
        } else if self.state == Some(TransportState::Connected) && !self.ice.has_consent(now) {
            self.enter(TransportEvent::ConsentLost, "no connectivity check was answered for 25 s");
        }
    }

    /// Sends `close_notify`.
    pub(crate) fn close(&mut self, now: Instant, outbox: &mut Outbox) {
        if self.is_unconnected() {
            debug!(parent: &self.span, missing = %self.missing(), "transport closed before it was connected");
        } else {
            debug!(parent: &self.span, "transport closed by the server");
        }
        self.send_close_notify(now, outbox);
    }

    fn send_close_notify(&mut self, now: Instant, outbox: &mut Outbox) {
        let Self { ice, held, .. } = self;
        if ice.path().is_some() {
            self.dtls.close(now, |record| send_record(ice, held, record, outbox));
        }
    }

    /// Ends the transport: nothing of it is used again.
    pub(crate) fn fail(&mut self, cause: impl fmt::Display) {
        self.end();
        self.enter(TransportEvent::Failed, cause);
    }

    fn end(&mut self) {
        self.srtp = None;
        self.held.clear();
        self.dtls.abandon();
    }

    fn on_dtls(&mut self, now: Instant, event: Option<DtlsEvent>, outbox: &mut Outbox) {
        match event {
            Some(DtlsEvent::Keyed(opener, sealer)) => {
                let profile = sealer.profile();
                self.ice.establish();
                self.srtp = Some((opener, sealer));
                self.enter(TransportEvent::Connected, format_args!("DTLS handshake completed, SRTP profile {profile}"));
            }
            Some(DtlsEvent::Failed(error)) => {
                // If its certificate was wrong, the client believes that it is connected.
                self.send_close_notify(now, outbox);
                self.fail(error);
            }
            Some(DtlsEvent::Closed) => {
                self.srtp = None;
                self.enter(TransportEvent::Closed, "the client sent close_notify");
            }
            None => {}
        }
    }

    fn enter(&mut self, event: TransportEvent, cause: impl fmt::Display) {
        if self.is_final() || self.state == event.state() {
            return;
        }
        self.state = event.state();
        self.events.push_back(event);
        if let Some(state) = self.state {
            debug!(parent: &self.span, ?state, %cause, "transport state changed");
        }
    }

    fn is_final(&self) -> bool {
        matches!(self.state, Some(TransportState::Failed | TransportState::Closed))
    }

    /// The first step towards a connection that has not been taken.
    fn missing(&self) -> &'static str {
        let parameters = self.remote_fingerprint.is_some();
        if self.dtls_started && !parameters {
            "the client's transport parameters never arrived by signaling"
        } else if self.dtls_started {
            "the DTLS handshake was not completed"
        } else if self.ice.has_any_check() {
            "no DTLS handshake was started"
        } else if self.checks_refused {
            "all connectivity checks were refused"
        } else if parameters {
            "no connectivity check arrived"
        } else {
            "neither the client's transport parameters nor a connectivity check arrived"
        }
    }

    /// Another path was selected.
    fn path_selected(&mut self, now: Instant) {
        self.has_moved = true;
        if let Some(tuple) = self.ice.path().filter(|_| self.may_log(now)) {
            debug!(parent: &self.span, %tuple, "path selected");
        }
    }

    /// Whether a line may be logged that the client can bring about again and again.
    fn may_log(&mut self, now: Instant) -> bool {
        tracing::enabled!(Level::DEBUG) && self.log.take(now, 1)
    }
}

/// Sends a datagram of the handshake on the path. While the path is not proven and has got its share, the datagram waits.
fn send_record(ice: &mut IceLite, held: &mut Vec<Vec<u8>>, datagram: &[u8], outbox: &mut Outbox) {
    match ice.admit(datagram.len()) {
        Some(to) => outbox.datagram(to, datagram),
        None if held.len() < HELD => held.push(datagram.to_vec()),
        None => {}
    }
}
