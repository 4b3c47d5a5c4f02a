//! The server's side of ICE: lite and always controlled (RFC 8445 section 2.5, RFC 7675 for consent).
//!
//! It never sends a check. The client checks each of its addresses against ours. A check with the MAC of our password
//! proves its tuple, and one with USE-CANDIDATE moves the path there, at once and as often as the client likes, whatever
//! the priorities of the pairs. Before the first nomination the newest proven tuple is the path, since browsers start
//! DTLS before they nominate.
//!
//! **Restart** (RFC 8445 section 2.4): signaling exchanges new credentials, and nothing else changes. Checks with the old
//! ones count until one with the new ones was accepted; then the old ones are forgotten. The path stays until the client
//! nominates another. If the path has been silent, the newest tuple replaces it, as before the first nomination.

use super::{outbox::Outbox, tuple::Tuple};
use crate::limits::SOURCES;
use dtls_srtp::{
    Credentials,
    stun::{encode, hmac_sha1},
};
use is::stun::StunMessage;
use std::time::{Duration, Instant};

/// The client's consent ends without a check for this long (RFC 7675 section 5.1 has 30 s), and nothing more is sent.
/// Firefox checks every 5 s, Chromium every 2 s.
pub(super) const CONSENT: Duration = Duration::from_secs(25);
/// A path that has been silent for this long while another proven tuple sends media is given up. Browsers and the `webrtc`
/// crate send feedback several times a second.
const MOVED: Duration = Duration::from_secs(1);

/// Result of a binding request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The tuple is proven.
    Accepted {
        /// The tuple that was forgotten to make room for it.
        dropped: Option<Tuple>,
        /// Our credentials from before a restart, which this check has completed.
        retired: Option<Credentials>,
    },
    /// The client believes that it is controlled; the response says otherwise (RFC 8445 section 7.3.1.1).
    RoleConflict,
    /// Nothing was answered.
    Refused(CheckError),
}

/// Why a binding request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckError {
    /// USERNAME names other fragments than signaling exchanged.
    #[error("wrong username: the fragments are not those that signaling exchanged")]
    Username,
    /// MESSAGE-INTEGRITY is not made with our password.
    #[error("wrong password: MESSAGE-INTEGRITY does not match")]
    Password,
}

/// Credentials that signaling has exchanged: at first, and for each restart.
#[derive(Debug)]
struct Exchanged {
    local: Credentials,
    /// The client's fragment. Checks may arrive before it does.
    remote_ufrag: Option<String>,
}

impl Exchanged {
    fn new(local: Credentials) -> Self {
        Self { local, remote_ufrag: None }
    }

    /// Whether USERNAME of a request has these fragments.
    fn is_named_by(&self, request: &StunMessage<'_>) -> bool {
        request.split_username().is_some_and(|(local, remote)| {
            local == self.local.ufrag && self.remote_ufrag.as_deref().is_none_or(|ufrag| ufrag == remote)
        })
    }
}

/// The agent of one transport.
#[derive(Debug)]
pub(super) struct IceLite {
    current: Exchanged,
    /// From before a restart, until a check with the current ones was accepted.
    previous: Option<Exchanged>,
    sources: Vec<Source>,
    path: Option<Tuple>,
    /// When the last authenticated packet or check arrived on the path.
    path_heard: Option<Instant>,
    nominated: bool,
    last_check: Option<Instant>,
}

#[derive(Debug)]
struct Source {
    tuple: Tuple,
    last_check: Instant,
}

impl IceLite {
    pub(super) fn new(local: Credentials) -> Self {
        Self {
            current: Exchanged::new(local),
            previous: None,
            sources: Vec::new(),
            path: None,
            path_heard: None,
            nominated: false,
            last_check: None,
        }
    }

    /// Our username fragments by which checks may name this agent: one, or two during a restart.
    pub(super) fn ufrags(&self) -> impl Iterator<Item = &str> {
        let exchanged = std::iter::once(&self.current).chain(&self.previous);
        exchanged.map(|exchanged| exchanged.local.ufrag.as_str())
    }

    /// Our newest credentials.
    #[cfg(test)]
    pub(super) fn local(&self) -> &Credentials {
        &self.current.local
    }

    /// Sets the client's username fragment, which its checks with our newest credentials must carry from now on.
    pub(super) fn set_remote(&mut self, ufrag: String) {
        self.current.remote_ufrag = Some(ufrag);
    }

    /// Begins a restart with new credentials of ours; the client's are expected by [`set_remote`](Self::set_remote).
    /// Returns credentials of ours that count no longer: those of an earlier restart that the client has not used.
    pub(super) fn restart(&mut self, local: Credentials) -> Option<Credentials> {
        let replaced = std::mem::replace(&mut self.current, Exchanged::new(local));
        if self.previous.is_some() {
            return Some(replaced.local);
        }
        self.previous = Some(replaced);
        None
    }

    /// The tuple that packets are sent on.
    pub(super) fn path(&self) -> Option<Tuple> {
        self.path
    }

    /// Tuples that the client has proven.
    pub(super) fn tuples(&self) -> impl Iterator<Item = Tuple> {
        self.sources.iter().map(|source| source.tuple)
    }

    /// Whether the client has proven the tuple.
    pub(super) fn has_proven(&self, tuple: Tuple) -> bool {
        self.sources.iter().any(|source| source.tuple == tuple)
    }

    /// Whether any check was accepted.
    pub(super) fn has_any_check(&self) -> bool {
        self.last_check.is_some()
    }

    /// When the tuple was proven last.
    pub(super) fn last_check_on(&self, tuple: Tuple) -> Option<Instant> {
        self.sources.iter().find(|source| source.tuple == tuple).map(|source| source.last_check)
    }

    /// The tuple belongs to another transport now.
    pub(super) fn forget(&mut self, tuple: Tuple) {
        self.sources.retain(|source| source.tuple != tuple);
    }

    /// Whether the client consents to receive.
    pub(super) fn has_consent(&self, now: Instant) -> bool {
        self.last_check.is_some_and(|last| now.saturating_duration_since(last) < CONSENT)
    }

    /// Takes a binding request that names a username fragment of ours, and answers it if it is authentic.
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        from: Tuple,
        request: &StunMessage<'_>,
        outbox: &mut Outbox,
    ) -> Check {
        let restarting = self.previous.as_ref().filter(|previous| previous.is_named_by(request));
        let is_current = restarting.is_none();
        let exchanged = restarting.unwrap_or(&self.current);
        if !exchanged.is_named_by(request) {
            return Check::Refused(CheckError::Username);
        }
        let pwd = &exchanged.local.pwd;
        if !request.verify(pwd.as_bytes(), hmac_sha1) {
            return Check::Refused(CheckError::Password);
        }
        if request.ice_controlled().is_some() {
            let reply = StunMessage::binding_role_conflict_reply(request.trans_id());
            encode(reply, pwd, |bytes| outbox.datagram(from, bytes));
            return Check::RoleConflict;
        }
        let reply = StunMessage::binding_reply(request.trans_id(), from.remote);
        encode(reply, pwd, |bytes| outbox.datagram(from, bytes));

        let retired = if is_current { self.complete_restart(now) } else { None };
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
        Check::Accepted { dropped, retired }
    }

    /// Forgets our credentials from before a restart, if there was one, and returns them.
    fn complete_restart(&mut self, now: Instant) -> Option<Credentials> {
        let previous = self.previous.take()?;
        if self.is_path_silent(now) {
            self.nominated = false;
        }
        Some(previous.local)
    }

    /// Notes an authenticated packet from a proven tuple. If the path has been silent, it moves there; returns whether
    /// it has moved.
    pub(super) fn heard(&mut self, now: Instant, from: Tuple) -> bool {
        if self.path == Some(from) {
            self.path_heard = Some(now);
            return false;
        }
        let silent = self.is_path_silent(now);
        if silent {
            self.path = Some(from);
            self.path_heard = Some(now);
        }
        silent
    }

    fn is_path_silent(&self, now: Instant) -> bool {
        self.path_heard.is_none_or(|heard| now.saturating_duration_since(heard) >= MOVED)
    }

    /// Notes a proven tuple; returns the one that was forgotten to make room for it.
    fn prove(&mut self, now: Instant, from: Tuple) -> Option<Tuple> {
        if let Some(source) = self.sources.iter_mut().find(|source| source.tuple == from) {
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
                .filter(|(_, source)| Some(source.tuple) != path)
                .min_by_key(|(_, source)| source.last_check)
                .map(|(at, _)| at);
            dropped = oldest.map(|at| self.sources.swap_remove(at).tuple);
        }
        self.sources.push(Source { tuple: from, last_check: now });
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use is::stun::TransId;
    use std::net::SocketAddr;

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn path(port: u16) -> Tuple {
        Tuple::udp(([127, 0, 0, 1], 3478).into(), address(port))
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
        let check = agent.handle_request(now, path(port), &StunMessage::parse(&bytes).unwrap(), &mut outbox);
        (check, outbox.runs().map(|run| run.bytes().to_vec()).collect())
    }

    const ACCEPTED: Check = Check::Accepted { dropped: None, retired: None };

    #[test]
    fn check_response_maps_source_address() {
        let mut agent = agent();
        let (check, replies) = check(&mut agent, Instant::now(), 4000, &PLAIN);
        assert_eq!(check, ACCEPTED);
        let reply = StunMessage::parse(&replies[0]).unwrap();
        assert!(reply.verify(b"password-of-the-server", hmac_sha1));
        assert_eq!(reply.mapped_address(), Some(address(4000)));
    }

    #[test]
    fn check_with_wrong_credentials_is_refused() {
        let mut agent = agent();
        for (request, error) in [
            (Request { pwd: "guess", ..PLAIN }, CheckError::Password),
            (Request { username: "server:stranger", ..PLAIN }, CheckError::Username),
            (Request { username: "other:client", ..PLAIN }, CheckError::Username),
        ] {
            assert_eq!(check(&mut agent, Instant::now(), 4000, &request), (Check::Refused(error), vec![]));
        }
        assert_eq!(agent.path(), None);
    }

    #[test]
    fn check_before_remote_ufrag_is_accepted() {
        let mut agent = IceLite::new(Credentials { ufrag: "server".into(), pwd: "password-of-the-server".into() });
        assert_eq!(check(&mut agent, Instant::now(), 4000, &PLAIN).0, ACCEPTED);
    }

    const RESTARTED: Request<'_> = Request { username: "server2:client2", pwd: "password-after-restart", ..PLAIN };

    fn new_credentials() -> Credentials {
        Credentials { ufrag: "server2".into(), pwd: "password-after-restart".into() }
    }

    /// A check that completes a restart.
    fn completed() -> Check {
        let retired = Some(Credentials { ufrag: "server".into(), pwd: "password-of-the-server".into() });
        Check::Accepted { dropped: None, retired }
    }

    #[test]
    fn old_credentials_count_until_the_new_ones_are_used() {
        let mut agent = agent();
        let now = Instant::now();
        check(&mut agent, now, 1, &NOMINATING);
        assert_eq!(agent.restart(new_credentials()), None);
        assert_eq!(agent.ufrags().collect::<Vec<_>>(), ["server2", "server"]);
        assert_eq!(check(&mut agent, now, 1, &PLAIN).0, ACCEPTED);
        let mixed = Request { pwd: PLAIN.pwd, ..RESTARTED };
        assert_eq!(check(&mut agent, now, 1, &mixed).0, Check::Refused(CheckError::Password));
        let (completes, replies) = check(&mut agent, now, 1, &RESTARTED);
        assert_eq!(completes, completed(), "before the client's fragment is known");
        assert!(StunMessage::parse(&replies[0]).unwrap().verify(RESTARTED.pwd.as_bytes(), hmac_sha1));
        assert_eq!(check(&mut agent, now, 1, &PLAIN), (Check::Refused(CheckError::Username), vec![]));
        agent.set_remote("client2".into());
        assert_eq!(check(&mut agent, now, 1, &RESTARTED).0, ACCEPTED);
        let stranger = Request { username: "server2:client", ..RESTARTED };
        assert_eq!(check(&mut agent, now, 1, &stranger).0, Check::Refused(CheckError::Username));
    }

    #[test]
    fn unused_restart_is_replaced_by_the_next() {
        let mut agent = agent();
        let now = Instant::now();
        let first = Credentials { ufrag: "unused".into(), pwd: "password-never-used".into() };
        assert_eq!(agent.restart(first.clone()), None);
        assert_eq!(agent.restart(new_credentials()), Some(first));
        assert_eq!(agent.ufrags().collect::<Vec<_>>(), ["server2", "server"]);
        assert_eq!(check(&mut agent, now, 1, &PLAIN).0, ACCEPTED);
        assert_eq!(check(&mut agent, now, 1, &RESTARTED).0, completed());
    }

    #[test]
    fn role_conflict_does_not_complete_a_restart() {
        let mut agent = agent();
        agent.restart(new_credentials());
        let (conflict, _) = check(&mut agent, Instant::now(), 1, &Request { controlling: false, ..RESTARTED });
        assert_eq!((conflict, agent.ufrags().count()), (Check::RoleConflict, 2));
    }

    #[test]
    fn restart_keeps_a_path_that_is_heard() {
        let mut agent = agent();
        let now = Instant::now();
        check(&mut agent, now, 1, &NOMINATING);
        agent.restart(new_credentials());
        assert_eq!(agent.path(), Some(path(1)));
        check(&mut agent, now, 2, &RESTARTED);
        assert_eq!(agent.path(), Some(path(1)), "nothing is nominated yet");
        check(&mut agent, now, 2, &Request { nominate: true, ..RESTARTED });
        assert_eq!(agent.path(), Some(path(2)));
    }

    #[test]
    fn restart_abandons_a_silent_path() {
        let mut agent = agent();
        let start = Instant::now();
        check(&mut agent, start, 1, &NOMINATING);
        agent.restart(new_credentials());
        check(&mut agent, start + MOVED, 2, &RESTARTED);
        assert_eq!(agent.path(), Some(path(2)));
        check(&mut agent, start + MOVED, 3, &RESTARTED);
        assert_eq!(agent.path(), Some(path(3)), "the newest tuple until one is nominated");
    }

    #[test]
    fn path_is_newest_tuple_until_nomination() {
        let mut agent = agent();
        let now = Instant::now();
        check(&mut agent, now, 1, &PLAIN);
        check(&mut agent, now, 2, &PLAIN);
        assert_eq!(agent.path(), Some(path(2)));
        check(&mut agent, now, 1, &NOMINATING);
        check(&mut agent, now, 2, &PLAIN);
        assert_eq!(agent.path(), Some(path(1)));
        check(&mut agent, now, 3, &NOMINATING);
        assert_eq!(agent.path(), Some(path(3)));
    }

    #[test]
    fn path_follows_media_of_moved_client() {
        let mut agent = agent();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        check(&mut agent, start, 1, &NOMINATING);
        agent.heard(after(500), path(1));
        // From here on behind another address: it checks as before, but nominates nothing.
        check(&mut agent, after(600), 2, &PLAIN);
        agent.heard(after(1_400), path(2));
        assert_eq!(agent.path(), Some(path(1)), "a packet that overtook others moves nothing");
        agent.heard(after(1_500), path(2));
        assert_eq!(agent.path(), Some(path(2)));
        agent.heard(after(1_600), path(1));
        assert_eq!(agent.path(), Some(path(2)), "nor does one that is late");
        check(&mut agent, after(1_700), 1, &NOMINATING);
        assert_eq!(agent.path(), Some(path(1)), "a nomination counts at once");
    }

    #[test]
    fn path_stays_without_media_elsewhere() {
        let mut agent = agent();
        let start = Instant::now();
        check(&mut agent, start, 1, &NOMINATING);
        check(&mut agent, start + Duration::from_secs(9), 2, &PLAIN);
        assert_eq!(agent.path(), Some(path(1)), "a check proves that a tuple works, not that it is used");
    }

    #[test]
    fn role_conflict_is_answered_with_487() {
        let mut agent = agent();
        let (check, replies) =
            check(&mut agent, Instant::now(), 1, &Request { controlling: false, nominate: true, ..PLAIN });
        assert_eq!(check, Check::RoleConflict);
        assert_eq!(StunMessage::parse(&replies[0]).unwrap().error_code().map(|(code, _)| code), Some(487));
        assert_eq!(agent.path(), None);
    }

    #[test]
    fn tuples_are_bounded_and_path_is_kept() {
        let mut agent = agent();
        let start = Instant::now();
        check(&mut agent, start, 1, &NOMINATING);
        let mut dropped = Vec::new();
        for port in 2..100 {
            let now = start + Duration::from_millis(port.into());
            if let (Check::Accepted { dropped: Some(tuple), .. }, _) = check(&mut agent, now, port, &PLAIN) {
                dropped.push(tuple.remote.port());
            }
        }
        assert_eq!(agent.tuples().count(), SOURCES);
        assert_eq!(dropped, (2..85).collect::<Vec<_>>());
        assert_eq!(agent.path(), Some(path(1)));
    }

    #[test]
    fn consent_expires_and_returns_with_a_check() {
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
