//! The server's end of one client's transport: ICE, DTLS and SRTP put together.
//!
//! ```text
//!              checks                 fingerprint fits           no checks for 25 s
//!    (new) ──────────► addresses ──────────────────► Connected ◄──────────────────► Disconnected
//!                          │                            │          a check again
//!                          └── wrong certificate ──► Failed        good-bye ──► Closed
//! ```

use super::{
    allowance::ClientAllowance,
    ice::{Check, IceLite},
    outbox::{OpenRun, Outbox},
};
use crate::{
    allowance::Notice,
    command::{CommandError, RemoteTransport},
    event::{Limit, TransportState},
    ids::ParticipantId,
    limits,
};
use dtls_srtp::{
    Credentials, DatagramKind as Protocol, Identity,
    dtls::{Dtls, DtlsEvent, Role},
    srtp::{SrtpError, SrtpOpener, SrtpSealer},
};
use is::stun::StunMessage;
use std::{net::SocketAddr, time::Instant};

/// A packet that was authenticated and decrypted. It must not reach a socket.
#[derive(Debug)]
pub(crate) enum Clear<'a> {
    Rtp(&'a [u8]),
    Rtcp(&'a [u8]),
}

/// Why a packet did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// There are no keys, no path, or there is no consent.
    NotConnected,
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

/// One client's transport.
#[derive(Debug)]
pub(crate) struct Connection {
    participant: ParticipantId,
    ice: IceLite,
    dtls: Dtls,
    srtp: Option<(Box<SrtpOpener>, Box<SrtpSealer>)>,
    open_run: OpenRun,
    state: Option<TransportState>,
    remote_fingerprint: Option<[u8; 32]>,
    allowance: ClientAllowance,
    excess: Notice,
    added: Instant,
}

impl Connection {
    pub(crate) fn new(participant: ParticipantId, identity: &Identity, credentials: Credentials, now: Instant) -> Self {
        Self {
            participant,
            ice: IceLite::new(credentials),
            dtls: Dtls::new(identity, Role::Server, now),
            srtp: None,
            open_run: OpenRun::default(),
            state: None,
            remote_fingerprint: None,
            allowance: ClientAllowance::new(),
            excess: Notice::default(),
            added: now,
        }
    }

    pub(crate) fn participant(&self) -> ParticipantId {
        self.participant
    }

    pub(crate) fn local(&self) -> &Credentials {
        self.ice.local()
    }

    /// The addresses that lead here.
    pub(crate) fn sources(&self) -> impl Iterator<Item = SocketAddr> {
        self.ice.sources()
    }

    /// When the client last proved the address.
    pub(crate) fn last_check_from(&self, source: SocketAddr) -> Option<Instant> {
        self.ice.last_check_from(source)
    }

    /// The address is another's.
    pub(crate) fn forget(&mut self, source: SocketAddr) {
        self.ice.forget(source);
    }

    /// The client's parameters. A second time with a new user name is an ICE restart; the certificate must stay.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        remote: RemoteTransport,
        outbox: &mut Outbox,
    ) -> Result<Option<TransportState>, CommandError> {
        let other = self.remote_fingerprint.is_some_and(|known| known != remote.fingerprint);
        let fits = |text: &str| (1..=limits::CREDENTIAL_BYTES).contains(&text.len());
        if !fits(&remote.ufrag) || !fits(&remote.pwd) || other {
            return Err(CommandError::Invalid);
        }
        self.ice.set_remote(remote.ufrag);
        if self.remote_fingerprint.replace(remote.fingerprint).is_some() {
            return Ok(None);
        }
        let event = self.dtls.expect(remote.fingerprint);
        Ok(self.on_dtls(now, event, outbox))
    }

    /// Whether there are keys, and the client is heard.
    pub(crate) fn is_connected(&self) -> bool {
        self.state == Some(TransportState::Connected)
    }

    /// Whether to tell that the client sends more than it may.
    pub(crate) fn tells_excess(&mut self, now: Instant, blocked: Blocked) -> Option<Limit> {
        let limit = match blocked {
            Blocked::Excess => Limit::Datagrams,
            Blocked::Srtp(SrtpError::TooManySsrcs) => Limit::Ssrcs,
            _ => return None,
        };
        self.excess.due(now, limits::NOTICE_INTERVAL).then_some(limit)
    }

    /// A connectivity check that names our user name fragment.
    ///
    /// # Errors
    /// [`Blocked::Excess`] if there were too many.
    pub(crate) fn handle_check(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: &StunMessage<'_>,
        outbox: &mut Outbox,
    ) -> Result<(Check, Option<TransportState>), Blocked> {
        let proven = self.ice.has_proven(from);
        if !self.allowance.allows_check(now, proven) {
            return Err(Blocked::Excess);
        }
        let check = self.ice.handle_request(now, from, request, outbox);
        self.allowance.verified_check(now, check != Check::Refused, proven);
        let back = matches!(check, Check::Accepted { .. }) && self.state == Some(TransportState::Disconnected);
        Ok((check, if back { self.enter(TransportState::Connected) } else { None }))
    }

    /// A DTLS datagram from a proven address.
    ///
    /// # Errors
    /// [`Blocked`] if it is too long, or there were too many.
    pub(crate) fn handle_dtls(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        outbox: &mut Outbox,
    ) -> Result<Option<TransportState>, Blocked> {
        if datagram.len() > limits::DATAGRAM_BYTES {
            return Err(Blocked::TooLong);
        }
        if !self.allowance.take_dtls(now) {
            return Err(Blocked::Excess);
        }
        let to = self.ice.path().unwrap_or(from);
        let event = self.dtls.handle_datagram(now, datagram, |record| outbox.datagram(to, record));
        Ok(self.on_dtls(now, event, outbox))
    }

    /// Opens SRTP or SRTCP from a proven address, in place.
    pub(crate) fn open<'a>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        protocol: Protocol,
        packet: &'a mut [u8],
    ) -> Result<Clear<'a>, Blocked> {
        let (opener, _) = self.srtp.as_mut().ok_or(Blocked::NotConnected)?;
        let bytes = packet.len();
        if bytes > limits::DATAGRAM_BYTES {
            return Err(Blocked::TooLong);
        }
        if self.allowance.is_used_up(now, protocol) {
            return Err(Blocked::Excess);
        }
        let clear = if protocol == Protocol::Rtcp {
            Clear::Rtcp(opener.open_rtcp(packet)?)
        } else {
            Clear::Rtp(opener.open_rtp(packet)?)
        };
        self.allowance.authenticated(now, protocol, bytes);
        self.ice.heard(now, from);
        Ok(clear)
    }

    /// Whether what is sealed now would leave.
    pub(crate) fn is_reachable(&self) -> bool {
        self.srtp.is_some() && self.state == Some(TransportState::Connected) && self.ice.path().is_some()
    }

    /// Seals an RTP packet into the outbox.
    pub(crate) fn send_rtp(&mut self, header: &[u8], payload: &[u8], outbox: &mut Outbox) -> Result<(), Blocked> {
        let (to, sealer, open_run) = self.sender()?;
        let len = header.len() + payload.len() + sealer.rtp_overhead();
        Ok(outbox.sealed(open_run, to, len, |out| sealer.seal_rtp(header, payload, out))?)
    }

    /// Seals an RTCP packet into the outbox.
    pub(crate) fn send_rtcp(&mut self, packet: &[u8], outbox: &mut Outbox) -> Result<(), Blocked> {
        let (to, sealer, open_run) = self.sender()?;
        let len = packet.len() + sealer.rtcp_overhead();
        Ok(outbox.sealed(open_run, to, len, |out| sealer.seal_rtcp(packet, out))?)
    }

    fn sender(&mut self) -> Result<(SocketAddr, &mut SrtpSealer, &mut OpenRun), Blocked> {
        let to = self.ice.path().filter(|_| self.state == Some(TransportState::Connected));
        match (to, &mut self.srtp) {
            (Some(to), Some((_, sealer))) => Ok((to, sealer, &mut self.open_run)),
            _ => Err(Blocked::NotConnected),
        }
    }

    /// When the handshake wants [`handle_handshake_timeout`](Self::handle_handshake_timeout).
    pub(crate) fn handshake_deadline(&self) -> Option<Instant> {
        self.dtls.deadline()
    }

    /// Repeats what may be lost of the handshake.
    pub(crate) fn handle_handshake_timeout(&mut self, now: Instant, outbox: &mut Outbox) -> Option<TransportState> {
        let path = self.ice.path();
        let event = self.dtls.handle_timeout(now, |record| {
            if let Some(to) = path {
                outbox.datagram(to, record);
            }
        });
        self.on_dtls(now, event, outbox)
    }

    /// Whether the client has yet to connect.
    pub(crate) fn is_unconnected(&self) -> bool {
        self.state.is_none()
    }

    /// Notices that the client has fallen silent, or does not connect at all.
    pub(crate) fn check_consent(&mut self, now: Instant) -> Option<TransportState> {
        if self.is_unconnected() && now.saturating_duration_since(self.added) >= limits::CONNECT_TIME {
            return self.fail();
        }
        let silent = self.state == Some(TransportState::Connected) && !self.ice.has_consent(now);
        if silent { self.enter(TransportState::Disconnected) } else { None }
    }

    /// Says good-bye to the client.
    pub(crate) fn close(&mut self, now: Instant, outbox: &mut Outbox) {
        if let Some(to) = self.ice.path() {
            self.dtls.close(now, |record| outbox.datagram(to, record));
        }
    }

    /// Ends the transport after a fault of ours: nothing of it is used again.
    pub(crate) fn fail(&mut self) -> Option<TransportState> {
        self.srtp = None;
        self.dtls.abandon();
        self.enter(TransportState::Failed)
    }

    fn on_dtls(&mut self, now: Instant, event: Option<DtlsEvent>, outbox: &mut Outbox) -> Option<TransportState> {
        match event? {
            DtlsEvent::Keyed(opener, sealer) => {
                self.srtp = Some((opener, sealer));
                self.enter(TransportState::Connected)
            }
            DtlsEvent::Failed(_) => {
                // With a wrong certificate the client believes to be connected; tell it.
                self.close(now, outbox);
                self.fail()
            }
            DtlsEvent::Closed => {
                self.srtp = None;
                self.enter(TransportState::Closed)
            }
        }
    }

    fn enter(&mut self, state: TransportState) -> Option<TransportState> {
        let is_final = matches!(self.state, Some(TransportState::Failed | TransportState::Closed));
        if is_final || self.state == Some(state) {
            return None;
        }
        self.state = Some(state);
        self.state
    }
}
