//! The DTLS handshake that keys SRTP (RFC 5764), in either role, on `dimpl`.
//!
//! Keys are released only after the peer's certificate matched the fingerprint from signaling (RFC 8122); the handshake
//! itself completes with any certificate. Version 1.2, because there the server chooses the SRTP profile, AES-256-GCM
//! first. No cookies: callers accept records only from addresses that ICE has proven.

use crate::srtp::{Profile, SrtpOpener, SrtpSealer};
use dimpl::{Config, DtlsCertificate, KeyingMaterial, Output, SrtpProfile};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Time to the first retransmission. The default of one second would delay the call by seconds when a datagram is lost.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// 100 ms doubled this many times exceeds [`HANDSHAKE_TIMEOUT`].
const RETRIES: usize = 9;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Larger than any record of a usual handshake, in bytes.
const OUTPUT_BUFFER: usize = 2_048;
/// `dimpl` reports a timeout years ahead when it has none.
const NO_TIMEOUT: Duration = Duration::from_secs(86_400);

/// Certificate and settings, which all transports of a process can share. Generating one takes about a millisecond.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCertificate,
    fingerprint: [u8; 32],
    config: Arc<Config>,
}

/// The certificate or the configuration could not be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot create a DTLS certificate")]
pub struct IdentityError;

impl Identity {
    /// Generates a self-signed ECDSA P-256 certificate, valid for a year.
    ///
    /// # Errors
    /// If the random generator or the cipher library fails.
    pub fn generate() -> Result<Self, IdentityError> {
        let certificate = dimpl::certificate::generate_self_signed_certificate().map_err(|_| IdentityError)?;
        let config = Config::builder()
            .use_server_cookie(false)
            .flight_start_rto(FIRST_RETRY)
            .flight_retries(RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .build()
            .map_err(|_| IdentityError)?;
        Ok(Self { fingerprint: sha256(&certificate.certificate), certificate, config: Arc::new(config) })
    }

    /// SHA-256 of the certificate in DER form.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hash = [0; 32];
    // Panics on another length, which SHA-256 does not have: zeros must never pass for a fingerprint.
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Role in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends the first flight.
    Client,
    /// Waits for the first flight.
    Server,
}

/// Result of a handshake, or its end. Each is returned once.
#[derive(Debug)]
pub enum DtlsEvent {
    /// The certificate matches the fingerprint; the SRTP contexts of both directions.
    Keyed(Box<SrtpOpener>, Box<SrtpSealer>),
    /// There will be no keys.
    Failed(HandshakeError),
    /// The peer sent close_notify.
    Closed,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The certificate is not the one that signaling announced.
    #[error("wrong certificate: its fingerprint is not the one from signaling")]
    Fingerprint,
    /// The peer offers none of our SRTP profiles, or no `use_srtp` at all.
    #[error("no SRTP protection profile in common")]
    NoProfile,
    /// The DTLS library exported too little keying material, or material that the ciphers refuse.
    #[error("the handshake produced no usable SRTP keys")]
    KeyingMaterial,
    /// The peer stopped answering.
    #[error("the DTLS handshake timed out")]
    Timeout,
    /// The peer violated the protocol, or sent an alert.
    #[error("DTLS error: {0}")]
    Protocol(dimpl::Error),
}

impl From<dimpl::Error> for HandshakeError {
    fn from(error: dimpl::Error) -> Self {
        match error {
            dimpl::Error::Timeout(_) => Self::Timeout,
            other => Self::Protocol(other),
        }
    }
}

/// One DTLS association.
pub struct Dtls {
    /// `None` after an error, because errors of `dimpl` are final. SRTP continues without it.
    engine: Option<dimpl::Dtls>,
    role: Role,
    expected: Option<[u8; 32]>,
    presented: Option<[u8; 32]>,
    connected: bool,
    material: Option<(KeyingMaterial, SrtpProfile)>,
    stage: Stage,
    timeout: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Handshake,
    Keyed,
    Over,
}

impl Dtls {
    /// An association whose handshake starts with the first datagram (server) or the first
    /// [`handle_timeout`](Self::handle_timeout) (client).
    pub fn new(identity: &Identity, role: Role, now: Instant) -> Self {
        let mut engine = dimpl::Dtls::new_12(identity.config.clone(), identity.certificate.clone(), now);
        engine.set_active(role == Role::Client);
        if role == Role::Server {
            // `dimpl` panics if a server gets a packet before it gets the time.
            let _ = engine.handle_timeout(now);
        }
        Self {
            engine: Some(engine),
            role,
            expected: None,
            presented: None,
            connected: false,
            material: None,
            stage: Stage::Handshake,
            timeout: None,
        }
    }

    /// Sets the fingerprint that the peer's certificate must have. The handshake may have completed before.
    pub fn expect(&mut self, fingerprint: [u8; 32]) -> Option<DtlsEvent> {
        self.expected = Some(fingerprint);
        self.conclude()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.timeout
    }

    /// Handles a datagram from the peer; `send` gets the datagrams that answer it.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8], send: impl FnMut(&[u8])) -> Option<DtlsEvent> {
        let engine = self.engine.as_mut()?;
        let result = engine.handle_timeout(now).and_then(|()| engine.handle_packet(datagram));
        self.progress(now, result, send)
    }

    /// Starts a client's handshake, and retransmits the current flight when it is due.
    pub fn handle_timeout(&mut self, now: Instant, send: impl FnMut(&[u8])) -> Option<DtlsEvent> {
        let result = self.engine.as_mut()?.handle_timeout(now);
        self.progress(now, result, send)
    }

    /// Sends close_notify.
    pub fn close(&mut self, now: Instant, send: impl FnMut(&[u8])) {
        if let Some(engine) = &mut self.engine {
            let result = engine.handle_timeout(now).and_then(|()| engine.close());
            self.stage = Stage::Over;
            self.progress(now, result, send);
            self.engine = None;
        }
    }

    /// Ends the association without a message to the peer.
    pub fn abandon(&mut self) {
        self.engine = None;
        self.stage = Stage::Over;
        self.timeout = None;
    }

    /// Sends the output of the engine after a step with this result, and returns the resulting event.
    fn progress(
        &mut self,
        now: Instant,
        result: Result<(), dimpl::Error>,
        mut send: impl FnMut(&[u8]),
    ) -> Option<DtlsEvent> {
        let mut closed = false;
        let mut buffer = [0; OUTPUT_BUFFER];
        let mut large = Vec::new();
        while let Some(engine) = &mut self.engine {
            let buffer = if large.is_empty() { &mut buffer[..] } else { &mut large[..] };
            match engine.poll_output(buffer) {
                Output::Packet(packet) => send(packet),
                Output::BufferTooSmall { needed } => large.resize(needed.max(OUTPUT_BUFFER + 1), 0),
                Output::PeerCert(der) => self.presented = Some(sha256(der)),
                Output::Connected => self.connected = true,
                Output::KeyingMaterial(material, profile) => self.material = Some((material, profile)),
                Output::CloseNotify => closed = true,
                Output::Timeout(at) => {
                    let awaited = self.stage != Stage::Over && at.saturating_duration_since(now) < NO_TIMEOUT;
                    self.timeout = Some(at).filter(|_| awaited);
                    break;
                }
                // Application data is not used.
                _ => {}
            }
        }
        if result.is_err() {
            self.engine = None;
            self.timeout = None;
        }
        if closed && self.stage != Stage::Over {
            self.stage = Stage::Over;
            return Some(DtlsEvent::Closed);
        }
        match result {
            Err(error) if self.stage == Stage::Handshake => self.fail(error.into()),
            // Media goes on after an error of DTLS once there are keys.
            _ => self.conclude(),
        }
    }

    fn conclude(&mut self) -> Option<DtlsEvent> {
        if self.stage != Stage::Handshake {
            return None;
        }
        let expected = self.expected?;
        match self.presented {
            Some(presented) if presented != expected => return self.fail(HandshakeError::Fingerprint),
            Some(_) if self.connected => {}
            _ => return None,
        }
        let Some((material, profile)) = self.material.take() else { return self.fail(HandshakeError::NoProfile) };
        match self.ciphers(&material, profile) {
            Ok((opener, sealer)) => {
                self.stage = Stage::Keyed;
                Some(DtlsEvent::Keyed(Box::new(opener), Box::new(sealer)))
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: HandshakeError) -> Option<DtlsEvent> {
        // The engine stays, to send close_notify.
        self.stage = Stage::Over;
        self.timeout = None;
        self.material = None;
        Some(DtlsEvent::Failed(error))
    }

    /// RFC 5764 section 4.2: `client key ‖ server key ‖ client salt ‖ server salt`.
    fn ciphers(&self, material: &[u8], profile: SrtpProfile) -> Result<(SrtpOpener, SrtpSealer), HandshakeError> {
        let profile = match profile {
            SrtpProfile::AEAD_AES_256_GCM => Profile::Aes256Gcm,
            SrtpProfile::AEAD_AES_128_GCM => Profile::Aes128Gcm,
            SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1,
            _ => return Err(HandshakeError::NoProfile),
        };
        let mut rest = material;
        let mut take = |length| {
            let (taken, left) = rest.split_at_checked(length).ok_or(HandshakeError::KeyingMaterial)?;
            rest = left;
            Ok::<_, HandshakeError>(taken)
        };
        let (client_key, server_key) = (take(profile.key_len())?, take(profile.key_len())?);
        let (client_salt, server_salt) = (take(profile.salt_len())?, take(profile.salt_len())?);
        let (ours, theirs) = match self.role {
            Role::Client => ((client_key, client_salt), (server_key, server_salt)),
            Role::Server => ((server_key, server_salt), (client_key, client_salt)),
        };
        let unusable = |_| HandshakeError::KeyingMaterial;
        let opener = SrtpOpener::new(profile, theirs.0, theirs.1).map_err(unusable)?;
        let sealer = SrtpSealer::new(profile, ours.0, ours.1).map_err(unusable)?;
        Ok((opener, sealer))
    }
}

impl std::fmt::Debug for Dtls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dtls").field("role", &self.role).field("stage", &self.stage).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    struct Side {
        dtls: Dtls,
        inbox: VecDeque<Vec<u8>>,
        events: Vec<DtlsEvent>,
    }

    impl Side {
        fn new(identity: &Identity, role: Role, now: Instant) -> Self {
            Self { dtls: Dtls::new(identity, role, now), inbox: VecDeque::new(), events: Vec::new() }
        }

        fn step(&mut self, now: Instant, peer: &mut VecDeque<Vec<u8>>) {
            let mut send = |packet: &[u8]| peer.push_back(packet.to_vec());
            while let Some(datagram) = self.inbox.pop_front() {
                self.events.extend(self.dtls.handle_datagram(now, &datagram, &mut send));
            }
            if self.dtls.deadline().is_none_or(|at| at <= now) {
                self.events.extend(self.dtls.handle_timeout(now, &mut send));
            }
        }
    }

    fn run(client: &mut Side, server: &mut Side, mut now: Instant) -> Instant {
        for _ in 0..40 {
            client.step(now, &mut server.inbox);
            server.step(now, &mut client.inbox);
            now += Duration::from_millis(20);
        }
        now
    }

    fn two() -> (Side, Side, Identity, Identity, Instant) {
        let now = Instant::now();
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        (Side::new(&a, Role::Client, now), Side::new(&b, Role::Server, now), a, b, now)
    }

    #[test]
    fn handshake_agrees_on_aes_256_gcm() {
        let (mut client, mut server, a, b, now) = two();
        assert!(client.dtls.expect(b.fingerprint()).is_none());
        assert!(server.dtls.expect(a.fingerprint()).is_none());
        run(&mut client, &mut server, now);
        let [DtlsEvent::Keyed(_, sealer)] = &mut client.events[..] else { panic!("{:?}", client.events) };
        let [DtlsEvent::Keyed(opener, _)] = &mut server.events[..] else { panic!("{:?}", server.events) };
        let mut packet = Vec::new();
        sealer.seal_rtp(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], b"hello", &mut packet).unwrap();
        assert_eq!(packet.len(), 12 + 5 + 16);
        assert!(opener.open_rtp(&mut packet).unwrap().ends_with(b"hello"));
    }

    #[test]
    fn handshake_without_common_profile_fails() {
        let (_, mut server, a, _, _) = two();
        assert!(server.dtls.expect(a.fingerprint()).is_none());
        // As `dimpl` leaves it when the peer offered none of our profiles: connected, without keying material.
        (server.dtls.presented, server.dtls.connected) = (Some(a.fingerprint()), true);
        let Some(DtlsEvent::Failed(error)) = server.dtls.conclude() else { panic!("no failure") };
        assert_eq!(error.to_string(), "no SRTP protection profile in common");
    }

    #[test]
    fn keys_wait_for_the_fingerprint() {
        let (mut client, mut server, a, b, now) = two();
        assert!(client.dtls.expect(b.fingerprint()).is_none());
        run(&mut client, &mut server, now);
        assert!(server.events.is_empty());
        assert!(matches!(server.dtls.expect(a.fingerprint()), Some(DtlsEvent::Keyed(..))));
    }

    #[test]
    fn wrong_certificate_fails() {
        let (mut client, mut server, _, b, now) = two();
        assert!(client.dtls.expect(b.fingerprint()).is_none());
        assert!(server.dtls.expect([1; 32]).is_none());
        run(&mut client, &mut server, now);
        assert!(matches!(server.events[..], [DtlsEvent::Failed(HandshakeError::Fingerprint)]));
    }

    #[test]
    fn close_notify_closes_the_peer() {
        let (mut client, mut server, a, b, now) = two();
        client.dtls.expect(b.fingerprint());
        server.dtls.expect(a.fingerprint());
        let now = run(&mut client, &mut server, now);
        client.dtls.close(now, |packet| server.inbox.push_back(packet.to_vec()));
        run(&mut client, &mut server, now);
        assert!(matches!(server.events[..], [DtlsEvent::Keyed(..), DtlsEvent::Closed]));
    }

    #[test]
    fn lost_flight_is_retransmitted_within_600_ms() {
        let (mut client, mut server, a, b, now) = two();
        client.dtls.expect(b.fingerprint());
        server.dtls.expect(a.fingerprint());
        client.step(now, &mut server.inbox);
        server.step(now, &mut client.inbox);
        assert!(!client.inbox.is_empty());
        client.inbox.clear();
        let mut at = now;
        while client.events.is_empty() {
            at += Duration::from_millis(10);
            client.step(at, &mut server.inbox);
            server.step(at, &mut client.inbox);
            // Both sides repeat after 75 to 125 ms; a repetition may fall into the other's pause.
            assert!(at < now + Duration::from_millis(600));
        }
        assert!(matches!(client.events[..], [DtlsEvent::Keyed(..)]));
    }

    #[test]
    fn garbage_after_the_handshake_is_ignored() {
        let (mut client, mut server, a, b, now) = two();
        client.dtls.expect(b.fingerprint());
        server.dtls.expect(a.fingerprint());
        let now = run(&mut client, &mut server, now);
        for first in 20..64u8 {
            let event =
                server.dtls.handle_datagram(now, &[first, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 80], |_| ());
            assert!(event.is_none());
        }
    }
}
