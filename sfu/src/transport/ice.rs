//! The server's side of ICE: lite and always controlled (RFC 8445 section 2.5, RFC 7675 for consent).
//!
//! It never sends a check. The client checks each of its addresses against ours; a check that carries our password's
//! MAC proves the address, and the one with USE-CANDIDATE moves the path there, at once and as often as the client
//! likes, whatever the priorities of the pairs. Before the first nomination the newest proven address is used, since
//! browsers start DTLS before they nominate.

use super::outbox::Outbox;
use crate::limits::SOURCES;
use dtls_srtp::{
    Credentials,
    stun::{encode, hmac_sha1},
};
use is::stun::StunMessage;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Without a check for so long, the client has withdrawn its consent: nothing more is sent. Firefox checks every 5 s,
/// Chromium every 2 s. RFC 7675 section 5.1 has 30 s.
pub(super) const CONSENT: Duration = Duration::from_secs(25);
/// A path that has been silent for so long, while another address speaks, is the client's no more. Browsers and the
/// `webrtc` crate send feedback several times a second.
const MOVED: Duration = Duration::from_secs(1);

/// What a request was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Proven. Another address may have had to give way.
    Accepted {
        /// The address that is not the client's any more.
        dropped: Option<SocketAddr>,
    },
    /// The client believes to be controlled; it was told (RFC 8445 section 7.3.1.1).
    RoleConflict,
    /// The MAC or the user name is not right. Nothing was answered.
    Refused,
}

/// The agent of one transport.
#[derive(Debug)]
pub(super) struct IceLite {
    local: Credentials,
    /// Known when the client's parameters have arrived; checks may come before.
    remote_ufrag: Option<String>,
    sources: Vec<Source>,
    path: Option<SocketAddr>,
    /// When something came by the path that only the client can have sent.
    path_heard: Option<Instant>,
    nominated: bool,
    last_check: Option<Instant>,
}

#[derive(Debug)]
struct Source {
    address: SocketAddr,
    last_check: Instant,
}

impl IceLite {
    pub(super) fn new(local: Credentials) -> Self {
        Self {
            local,
            remote_ufrag: None,
            sources: Vec::new(),
            path: None,
            path_heard: None,
            nominated: false,
            last_check: None,
        }
    }

    pub(super) fn local(&self) -> &Credentials {
        &self.local
    }

    /// The client's user name fragment, which its checks carry from now on.
    pub(super) fn set_remote(&mut self, ufrag: String) {
        self.remote_ufrag = Some(ufrag);
    }

    /// Where packets go.
    pub(super) fn path(&self) -> Option<SocketAddr> {
        self.path
    }

    /// The client's proven addresses.
    pub(super) fn sources(&self) -> impl Iterator<Item = SocketAddr> {
        self.sources.iter().map(|source| source.address)
    }

    /// Whether the client has proven the address.
    pub(super) fn has_proven(&self, address: SocketAddr) -> bool {
        self.sources.iter().any(|source| source.address == address)
    }

    /// When the address was proven last.
    pub(super) fn last_check_from(&self, address: SocketAddr) -> Option<Instant> {
        self.sources.iter().find(|source| source.address == address).map(|source| source.last_check)
    }

    /// The address is another transport's now.
    pub(super) fn forget(&mut self, address: SocketAddr) {
        self.sources.retain(|source| source.address != address);
    }

    /// Whether the client wants to receive.
    pub(super) fn has_consent(&self, now: Instant) -> bool {
        self.last_check.is_some_and(|last| now.saturating_duration_since(last) < CONSENT)
    }

    /// Takes a binding request that names our user name fragment, and answers it.
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: &StunMessage<'_>,
        outbox: &mut Outbox,
    ) -> Check {
        let Some((local, remote)) = request.split_username() else { return Check::Refused };
        let known = local == self.local.ufrag && self.remote_ufrag.as_deref().is_none_or(|ufrag| ufrag == remote);
        if !known || !request.verify(self.local.pwd.as_bytes(), hmac_sha1) {
            return Check::Refused;
        }
        if request.ice_controlled().is_some() {
            let reply = StunMessage::binding_role_conflict_reply(request.trans_id());
            encode(reply, &self.local.pwd, |bytes| outbox.datagram(from, bytes));
            return Check::RoleConflict;
        }
        let reply = StunMessage::binding_reply(request.trans_id(), from);
        encode(reply, &self.local.pwd, |bytes| outbox.datagram(from, bytes));

        self.last_check = Some(now);
        let dropped = self.prove(now, from);
        if request.use_candidate() {
            self.nominated = true;
            self.path = Some(from);
        } else if !self.nominated {
            self.path = Some(from);
        }
        if self.path == Some(from) {
            self.path_heard = Some(now);
        }
        Check::Accepted { dropped }
    }

    /// Notes a packet from a proven address that has passed SRTP; the path follows it if it has moved.
    pub(super) fn heard(&mut self, now: Instant, from: SocketAddr) {
        let silent = || self.path_heard.is_none_or(|heard| now.saturating_duration_since(heard) >= MOVED);
        if self.path == Some(from) || silent() {
            self.path = Some(from);
            self.path_heard = Some(now);
        }
    }

    /// Notes the address; gives the one that had to go for it.
    fn prove(&mut self, now: Instant, from: SocketAddr) -> Option<SocketAddr> {
        if let Some(source) = self.sources.iter_mut().find(|source| source.address == from) {
            source.last_check = now;
            return None;
        }
        let mut dropped = None;
        if self.sources.len() >= SOURCES {
            let path = self.path;
            let oldest = self
                .sources
                .iter()
                .enumerate()
                .filter(|(_, source)| Some(source.address) != path)
                .min_by_key(|(_, source)| source.last_check)
                .map(|(at, _)| at);
            dropped = oldest.map(|at| self.sources.swap_remove(at).address);
        }
        self.sources.push(Source { address: from, last_check: now });
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use is::stun::TransId;

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn agent() -> IceLite {
        let mut agent = IceLite::new(Credentials { ufrag: "server".into(), pwd: "password-of-the-server".into() });
        agent.set_remote("client".into());
        agent
    }

    struct Request<'a> {
        username: &'a str,
        pwd: &'a str,
        controlling: bool,
        nominate: bool,
    }

    const PLAIN: Request<'_> =
        Request { username: "server:client", pwd: "password-of-the-server", controlling: true, nominate: false };
    const NOMINATING: Request<'_> = Request { nominate: true, ..PLAIN };

    fn check(agent: &mut IceLite, now: Instant, port: u16, request: &Request<'_>) -> (Check, Vec<Vec<u8>>) {
        let mut bytes = Vec::new();
        let message =
            StunMessage::binding_request(request.username, TransId::new(), request.controlling, 1, 1, request.nominate);
        encode(message, request.pwd, |encoded| bytes.extend_from_slice(encoded));
        let mut outbox = Outbox::default();
        let check = agent.handle_request(now, address(port), &StunMessage::parse(&bytes).unwrap(), &mut outbox);
        (check, outbox.runs().map(|run| run.bytes().to_vec()).collect())
    }

    const ACCEPTED: Check = Check::Accepted { dropped: None };

    #[test]
    fn a_check_is_answered_with_the_address_it_came_from() {
        let mut agent = agent();
        let (check, replies) = check(&mut agent, Instant::now(), 4000, &PLAIN);
        assert_eq!(check, ACCEPTED);
        let reply = StunMessage::parse(&replies[0]).unwrap();
        assert!(reply.verify(b"password-of-the-server", hmac_sha1));
        assert_eq!(reply.mapped_address(), Some(address(4000)));
    }

    #[test]
    fn a_wrong_password_or_name_is_not_answered() {
        let mut agent = agent();
        for request in [
            Request { pwd: "guess", ..PLAIN },
            Request { username: "server:somebody", ..PLAIN },
            Request { username: "other:client", ..PLAIN },
        ] {
            assert_eq!(check(&mut agent, Instant::now(), 4000, &request), (Check::Refused, vec![]));
        }
        assert_eq!(agent.path(), None);
    }

    #[test]
    fn checks_before_the_clients_parameters_are_answered() {
        let mut agent = IceLite::new(Credentials { ufrag: "server".into(), pwd: "password-of-the-server".into() });
        assert_eq!(check(&mut agent, Instant::now(), 4000, &PLAIN).0, ACCEPTED);
    }

    #[test]
    fn the_newest_address_serves_until_one_is_nominated() {
        let mut agent = agent();
        let now = Instant::now();
        check(&mut agent, now, 1, &PLAIN);
        check(&mut agent, now, 2, &PLAIN);
        assert_eq!(agent.path(), Some(address(2)));
        check(&mut agent, now, 1, &NOMINATING);
        check(&mut agent, now, 2, &PLAIN);
        assert_eq!(agent.path(), Some(address(1)));
        check(&mut agent, now, 3, &NOMINATING);
        assert_eq!(agent.path(), Some(address(3)));
    }

    #[test]
    fn a_client_that_moves_without_nominating_is_followed_by_what_it_sends() {
        let mut agent = agent();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        check(&mut agent, start, 1, &NOMINATING);
        agent.heard(after(500), address(1));
        // Behind another address from here on: checks as before, but they nominate nothing.
        check(&mut agent, after(600), 2, &PLAIN);
        agent.heard(after(1_400), address(2));
        assert_eq!(agent.path(), Some(address(1)), "a packet that overtook others moves nothing");
        agent.heard(after(1_500), address(2));
        assert_eq!(agent.path(), Some(address(2)));
        agent.heard(after(1_600), address(1));
        assert_eq!(agent.path(), Some(address(2)), "nor does one that comes late");
        check(&mut agent, after(1_700), 1, &NOMINATING);
        assert_eq!(agent.path(), Some(address(1)), "what the client says counts at once");
    }

    #[test]
    fn a_silent_path_stays_while_nothing_else_speaks() {
        let mut agent = agent();
        let start = Instant::now();
        check(&mut agent, start, 1, &NOMINATING);
        check(&mut agent, start + Duration::from_secs(9), 2, &PLAIN);
        assert_eq!(agent.path(), Some(address(1)), "checks alone prove that an address works, not that it is used");
    }

    #[test]
    fn a_client_that_claims_to_be_controlled_is_told_so() {
        let mut agent = agent();
        let (check, replies) =
            check(&mut agent, Instant::now(), 1, &Request { controlling: false, nominate: true, ..PLAIN });
        assert_eq!(check, Check::RoleConflict);
        assert_eq!(StunMessage::parse(&replies[0]).unwrap().error_code().map(|(code, _)| code), Some(487));
        assert_eq!(agent.path(), None);
    }

    #[test]
    fn addresses_are_capped_and_the_path_stays() {
        let mut agent = agent();
        let start = Instant::now();
        check(&mut agent, start, 1, &NOMINATING);
        let mut dropped = Vec::new();
        for port in 2..100 {
            let now = start + Duration::from_millis(port.into());
            if let (Check::Accepted { dropped: Some(address) }, _) = check(&mut agent, now, port, &PLAIN) {
                dropped.push(address.port());
            }
        }
        assert_eq!(agent.sources().count(), SOURCES);
        assert_eq!(dropped, (2..85).collect::<Vec<_>>());
        assert_eq!(agent.path(), Some(address(1)));
    }

    #[test]
    fn consent_ends_without_checks_and_comes_back_with_one() {
        let mut agent = agent();
        let start = Instant::now();
        assert!(!agent.has_consent(start));
        check(&mut agent, start, 1, &PLAIN);
        assert!(agent.has_consent(start + CONSENT - Duration::from_millis(1)));
        assert!(!agent.has_consent(start + CONSENT));
        check(&mut agent, start + 2 * CONSENT, 1, &PLAIN);
        assert!(agent.has_consent(start + 2 * CONSENT));
    }
}
