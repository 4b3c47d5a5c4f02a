//! The server's side of ICE: lite and always controlled (RFC 8445 section 2.5), with its own checks for consent
//! (RFC 7675).
//!
//! ```text
//!   client's check from an address ──► response, and a check of ours ──► answered ──► the address is proven
//!        USE-CANDIDATE names it ──────────────────────────────────────────────────────► the path moves there
//! ```
//! The client checks each of its addresses against ours. A check with the MAC of our password makes its tuple known, but
//! proves no address: anyone who knows or has overheard it can send it from anywhere. So the server checks back, and the path
//! moves to an address only when that was answered: to the one that USE-CANDIDATE named last, whatever the priorities of the
//! pairs, and before the first nomination to the newest. While no path is proven, the newest tuple is the path, since
//! browsers start DTLS before they nominate; [`PathProof`] limits what is sent to it. After the handshake an unproven path
//! stays until a tuple is proven.
//!
//! **Replay.** A check that was seen before is answered again where it came from, and dropped if it comes from elsewhere.
//!
//! **Consent.** The path is checked every [`REFRESH`](super::path_proof::REFRESH). A client that used to answer and no longer does has taken its consent
//! back after [`CONSENT`]. One that has never answered keeps its path while its own checks arrive, at
//! [`AMPLIFICATION`](super::path_proof::AMPLIFICATION) times what it sends.
//!
//! **Restart** (RFC 8445 section 2.4): signaling exchanges new credentials, and nothing else changes. Checks with the old
//! ones count until one with the new ones was accepted; then the old ones are forgotten. The path stays until the client
//! nominates another. If the path has been silent, the newest proven tuple replaces it, as before the first nomination.

use super::{
    check_ids::CheckIds,
    outbox::Outbox,
    path_proof::{CONSENT, PathProof},
    seen_checks::{SeenChecks, SourceNumber},
    tuple::Tuple,
};
use crate::limits::SOURCES;
use dtls_srtp::{
    Credentials,
    stun::{encode, hmac_sha1},
};
use is::stun::{StunMessage, TransId};
use std::time::{Duration, Instant};

/// A path that has been silent for this long while another proven tuple sends media is given up. Browsers and the `webrtc`
/// crate send feedback several times a second.
const MOVED: Duration = Duration::from_secs(1);
/// PRIORITY of our checks: of a peer-reflexive candidate, component 1 (RFC 8445 section 5.1.2).
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;

/// Result of a binding request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The tuple is the client's, as far as the MAC tells.
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
    /// The check came from another address before.
    #[error("replayed: the check came from another address before")]
    Replayed,
}

/// Credentials that signaling has exchanged: at first, and for each restart.
#[derive(Debug)]
struct Exchanged {
    /// Counts the restarts.
    number: u32,
    local: Credentials,
    /// The client's. Checks may arrive before they do.
    remote: Option<Credentials>,
}

impl Exchanged {
    /// Whether USERNAME of a request has these fragments.
    fn is_named_by(&self, request: &StunMessage<'_>) -> bool {
        request.split_username().is_some_and(|(local, remote)| {
            local == self.local.ufrag && self.remote.as_ref().is_none_or(|known| known.ufrag == remote)
        })
    }
}

/// What the agent has done since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IceCounts {
    /// Checks sent, with retransmissions.
    pub(crate) checks_sent: u64,
    /// Addresses that were proven.
    pub(crate) proven: u64,
    /// Datagrams withheld from addresses that are not proven.
    pub(crate) withheld: u64,
}

/// The agent of one transport.
#[derive(Debug)]
pub(super) struct IceLite {
    current: Exchanged,
    /// From before a restart, until a check with the current ones was accepted.
    previous: Option<Exchanged>,
    ids: CheckIds,
    sources: Vec<Source>,
    next_source: SourceNumber,
    seen: SeenChecks,
    path: Option<Tuple>,
    /// Whether the path is not proven, so that what is sent there is counted. As of the last check, answer or sweep.
    is_limited: bool,
    /// When the last authenticated packet or check arrived on the path.
    path_heard: Option<Instant>,
    /// The tuple that the client nominated last, until it is proven.
    named: Option<Tuple>,
    nominated: bool,
    has_answered: bool,
    /// The handshake is complete: the path moves to nothing but a proven tuple.
    is_established: bool,
    /// Media has given the credit for a check that was withheld, so that the deadline is earlier than it was.
    deadline_moved: bool,
    counts: IceCounts,
}

/// An address that the client has sent a check from.
#[derive(Debug)]
struct Source {
    number: SourceNumber,
    tuple: Tuple,
    last_check: Instant,
    /// Number of the credentials in its last check.
    exchanged: u32,
    proof: PathProof,
}

impl IceLite {
    pub(super) fn new(local: Credentials, ids: CheckIds) -> Self {
        Self {
            current: Exchanged { number: 0, local, remote: None },
            previous: None,
            ids,
            sources: Vec::new(),
            next_source: 0,
            seen: SeenChecks::default(),
            path: None,
            is_limited: true,
            path_heard: None,
            named: None,
            nominated: false,
            has_answered: false,
            is_established: false,
            deadline_moved: false,
            counts: IceCounts::default(),
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

    /// Takes what the agent has done since the last call.
    pub(super) fn take_counts(&mut self) -> IceCounts {
        std::mem::take(&mut self.counts)
    }

    /// Sets the client's credentials, which belong to our newest ones, and checks the tuples that waited for them.
    pub(super) fn set_remote(&mut self, now: Instant, remote: Credentials, outbox: &mut Outbox) {
        self.current.remote = Some(remote);
        for at in 0..self.sources.len() {
            self.check_back(now, at, outbox);
        }
    }

    /// Begins a restart with new credentials of ours; the client's are expected by [`set_remote`](Self::set_remote).
    /// Returns credentials of ours that count no longer: those of an earlier restart that the client has not used.
    pub(super) fn restart(&mut self, local: Credentials) -> Option<Credentials> {
        let number = self.current.number.wrapping_add(1);
        let replaced = std::mem::replace(&mut self.current, Exchanged { number, local, remote: None });
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

    /// Tuples that the client has sent checks from.
    pub(super) fn tuples(&self) -> impl Iterator<Item = Tuple> {
        self.sources.iter().map(|source| source.tuple)
    }

    /// Whether the client has answered on the tuple.
    pub(super) fn has_proven(&self, now: Instant, tuple: Tuple) -> bool {
        self.sources.iter().any(|source| source.tuple == tuple && source.proof.is_proven(now))
    }

    /// Whether any check was accepted.
    pub(super) fn has_any_check(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The handshake is complete.
    pub(super) fn establish(&mut self) {
        self.is_established = true;
    }

    /// When the client last answered on the tuple.
    pub(super) fn answered_on(&self, tuple: Tuple) -> Option<Instant> {
        self.sources.iter().find(|source| source.tuple == tuple).and_then(|source| source.proof.answered())
    }

    /// The tuple belongs to another transport now.
    pub(super) fn forget(&mut self, now: Instant, tuple: Tuple) {
        self.sources.retain(|source| source.tuple != tuple);
        self.named.take_if(|named| *named == tuple);
        if self.path == Some(tuple) {
            self.path = None;
            self.is_limited = true;
            self.leave_unproven_path(now);
        }
    }

    /// Whether the client consents to receive.
    pub(super) fn has_consent(&self, now: Instant) -> bool {
        self.path_source().is_some_and(|path| {
            let checked = now.saturating_duration_since(path.last_check) < CONSENT;
            path.proof.is_proven(now) || (!self.has_answered && checked)
        })
    }

    /// Takes a binding request of `bytes` that names a username fragment of ours, and answers it if it is authentic.
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        from: Tuple,
        request: &StunMessage<'_>,
        bytes: usize,
        outbox: &mut Outbox,
    ) -> Check {
        let restarting = self.previous.as_ref().filter(|previous| previous.is_named_by(request));
        let is_current = restarting.is_none();
        let exchanged = restarting.unwrap_or(&self.current);
        if !exchanged.is_named_by(request) {
            return Check::Refused(CheckError::Username);
        }
        let (number, pwd) = (exchanged.number, exchanged.local.pwd.clone());
        if !request.verify(pwd.as_bytes(), hmac_sha1) {
            return Check::Refused(CheckError::Password);
        }
        if request.ice_controlled().is_some() {
            // Shorter than the request, so there is nothing to count.
            let reply = StunMessage::binding_role_conflict_reply(request.trans_id());
            encode(reply, &pwd, |reply| outbox.datagram(from, reply));
            return Check::RoleConflict;
        }
        let known = self.sources.iter().find(|source| source.tuple == from).map(|source| source.number);
        let seen = self.seen.source_of(request.trans_id());
        if seen.is_some() && seen != known {
            return Check::Refused(CheckError::Replayed);
        }
        let (at, dropped) = self.note_source(now, from);
        let Some(source) = self.sources.get_mut(at) else { return Check::Refused(CheckError::Username) };
        source.proof.on_received(now, bytes, from.remote.ip());
        let mut retired = None;
        if seen.is_none() {
            self.seen.insert(request.trans_id(), source.number);
            source.last_check = now;
            if std::mem::replace(&mut source.exchanged, number) != number {
                // The client answers with its new credentials only.
                source.proof.abandon_check();
            }
            if is_current {
                retired = self.complete_restart(now);
            }
            // Ahead of the response: a client that starts the handshake with the response has answered by then.
            self.check_back(now, at, outbox);
            self.on_checked(now, from, request.use_candidate());
        }
        let reply = StunMessage::binding_reply(request.trans_id(), from.remote);
        encode(reply, &pwd, |reply| {
            self.send_to(now, at, reply, outbox);
        });
        Check::Accepted { dropped, retired }
    }

    /// Chooses the path after a check that was not seen before.
    fn on_checked(&mut self, now: Instant, from: Tuple, use_candidate: bool) {
        if self.has_proven(now, from) {
            if use_candidate {
                self.nominate(now, from);
            } else if !self.nominated {
                self.move_to(now, from);
            }
        } else {
            if use_candidate {
                self.named = Some(from);
            }
            let is_proven = self.path.map(|path| self.has_proven(now, path));
            if is_proven.is_none_or(|proven| !proven && !self.is_established) {
                self.move_to(now, from);
            }
        }
        if self.path == Some(from) {
            self.path_heard = Some(now);
        }
    }

    /// Takes a binding success response. Returns whether it answers a check of ours that was sent to this tuple.
    pub(super) fn handle_response(&mut self, now: Instant, from: Tuple, response: &StunMessage<'_>) -> bool {
        let id = response.trans_id();
        let Some(source) = self.sources.iter_mut().find(|source| source.tuple == from && source.proof.awaits(id))
        else {
            return false;
        };
        let exchanged = [Some(&self.current), self.previous.as_ref()].into_iter().flatten();
        let is_authentic = exchanged
            .filter_map(|exchanged| exchanged.remote.as_ref())
            .any(|remote| response.verify(remote.pwd.as_bytes(), hmac_sha1));
        if !is_authentic {
            return false;
        }
        self.has_answered = true;
        let is_new = source.proof.on_answer(now);
        self.counts.proven += u64::from(is_new);
        if self.named == Some(from) {
            self.nominate(now, from);
        } else if is_new && (!self.nominated || self.is_limited) {
            self.move_to(now, from);
        }
        if self.path == Some(from) {
            self.path_heard = Some(now);
        }
        true
    }

    fn nominate(&mut self, now: Instant, tuple: Tuple) {
        self.nominated = true;
        self.named = None;
        self.move_to(now, tuple);
    }

    fn move_to(&mut self, now: Instant, tuple: Tuple) {
        self.path = Some(tuple);
        self.is_limited = !self.has_proven(now, tuple);
    }

    /// Forgets our credentials from before a restart, if there was one, and returns them.
    fn complete_restart(&mut self, now: Instant) -> Option<Credentials> {
        let previous = self.previous.take()?;
        if self.is_path_silent(now) {
            self.nominated = false;
            self.is_established = false;
        }
        Some(previous.local)
    }

    /// Notes an authenticated packet of `bytes` from a known tuple. If the path has been silent and the tuple is proven, the
    /// path moves there; returns whether it has moved.
    pub(super) fn heard(&mut self, now: Instant, from: Tuple, bytes: usize) -> bool {
        if self.path == Some(from) {
            self.path_heard = Some(now);
            if self.is_limited {
                self.received(now, from, bytes);
            }
            return false;
        }
        self.received(now, from, bytes);
        let moves = self.is_path_silent(now) && self.has_proven(now, from);
        if moves {
            self.move_to(now, from);
            self.path_heard = Some(now);
        }
        moves
    }

    /// Counts a datagram of `bytes` from a known tuple, for what may be sent there before it is proven.
    pub(super) fn received(&mut self, now: Instant, from: Tuple, bytes: usize) {
        if let Some(source) = self.sources.iter_mut().find(|source| source.tuple == from) {
            self.deadline_moved |= source.proof.on_received(now, bytes, from.remote.ip());
        }
    }

    fn is_path_silent(&self, now: Instant) -> bool {
        self.path_heard.is_none_or(|heard| now.saturating_duration_since(heard) >= MOVED)
    }

    /// Whether there is a path on which a packet can be sent now.
    pub(super) fn is_open(&self) -> bool {
        let credit = || self.path_source().is_some_and(|source| source.proof.has_credit());
        self.path.is_some() && (!self.is_limited || credit())
    }

    /// The path, if a datagram of `bytes` may be sent on it; it counts as sent.
    pub(super) fn admit(&mut self, bytes: usize) -> Option<Tuple> {
        let path = self.path?;
        if !self.is_limited {
            return Some(path);
        }
        let source = self.sources.iter_mut().find(|source| source.tuple == path);
        let admitted = source.is_some_and(|source| source.proof.admit_unproven(bytes, path.remote.ip()));
        if !admitted {
            self.counts.withheld += 1;
        }
        admitted.then_some(path)
    }

    /// Whether the path is proven.
    pub(super) fn is_path_proven(&self) -> bool {
        self.path.is_some() && !self.is_limited
    }

    fn path_source(&self) -> Option<&Source> {
        self.sources.iter().find(|source| Some(source.tuple) == self.path)
    }

    /// Once a second: checks the path again, and leaves it when its proof has expired and another tuple is proven.
    pub(super) fn sweep(&mut self, now: Instant, outbox: &mut Outbox) {
        let Some(path) = self.path else { return };
        if !self.has_proven(now, path) {
            self.is_limited = true;
            self.leave_unproven_path(now);
            return;
        }
        if let Some(at) = self.sources.iter().position(|source| source.tuple == path) {
            self.check_back(now, at, outbox);
        }
    }

    /// Moves the path to the proven tuple that was checked last, if there is one.
    fn leave_unproven_path(&mut self, now: Instant) {
        let proven = self.sources.iter().filter(|source| source.proof.is_proven(now));
        if let Some(tuple) = proven.max_by_key(|source| source.last_check).map(|source| source.tuple) {
            self.move_to(now, tuple);
        }
    }

    /// Whether [`deadline`](Self::deadline) has moved since the last call, by a datagram that was only counted.
    pub(super) fn take_deadline_moved(&mut self) -> bool {
        std::mem::take(&mut self.deadline_moved)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sources.iter().filter_map(|source| source.proof.deadline()).min()
    }

    /// Sends the checks again that were not answered in time.
    pub(super) fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        for at in 0..self.sources.len() {
            if let Some(id) = self.sources.get_mut(at).and_then(|source| source.proof.retry(now)) {
                self.send_check(now, at, id, outbox);
            }
        }
    }

    /// Sends a check to a source if one is due there, and the client's credentials are known.
    fn check_back(&mut self, now: Instant, at: usize, outbox: &mut Outbox) {
        let due = self.sources.get(at).is_some_and(|source| source.proof.needs_check(now) && self.knows_remote(source));
        let Some(id) = due.then(|| self.ids.take()).flatten() else { return };
        if let Some(source) = self.sources.get_mut(at) {
            source.proof.begin_check(now, id);
        }
        self.send_check(now, at, id, outbox);
    }

    fn knows_remote(&self, source: &Source) -> bool {
        self.exchanged_of(source).remote.is_some()
    }

    /// The credentials that the client used in its last check from this source.
    fn exchanged_of(&self, source: &Source) -> &Exchanged {
        self.previous.as_ref().filter(|previous| previous.number == source.exchanged).unwrap_or(&self.current)
    }

    /// Sends a check of ours (RFC 8445 section 7.2.2).
    fn send_check(&mut self, now: Instant, at: usize, id: TransId, outbox: &mut Outbox) {
        let Some(source) = self.sources.get(at) else { return };
        let Exchanged { local, remote: Some(remote), .. } = self.exchanged_of(source) else { return };
        let (username, pwd) = (format!("{}:{}", remote.ufrag, local.ufrag), remote.pwd.clone());
        let request = StunMessage::binding_request(&username, id, false, self.ids.tie_breaker(), PRIORITY, false);
        encode(request, &pwd, |request| {
            if self.send_to(now, at, request, outbox) {
                self.counts.checks_sent += 1;
            } else if let Some(source) = self.sources.get_mut(at) {
                source.proof.withhold_check();
            }
        });
    }

    /// Sends a datagram to a source, if its proof admits it; returns whether it does.
    fn send_to(&mut self, now: Instant, at: usize, datagram: &[u8], outbox: &mut Outbox) -> bool {
        let Some(source) = self.sources.get_mut(at) else { return false };
        let admitted = source.proof.admit(now, datagram.len(), source.tuple.remote.ip());
        if admitted {
            outbox.datagram(source.tuple, datagram);
        } else {
            self.counts.withheld += 1;
        }
        admitted
    }

    /// Finds or adds the source of an authentic check. Returns its place, and the tuple that was forgotten to make room.
    fn note_source(&mut self, now: Instant, from: Tuple) -> (usize, Option<Tuple>) {
        if let Some(at) = self.sources.iter().position(|source| source.tuple == from) {
            return (at, None);
        }
        let mut dropped = None;
        if self.sources.len() >= SOURCES {
            let (path, named) = (self.path, self.named);
            // What anyone can add by repeating old checks must not replace what the client has proven.
            let oldest = self
                .sources
                .iter()
                .enumerate()
                .filter(|(_, source)| Some(source.tuple) != path)
                .min_by_key(|(_, source)| (source.proof.is_proven(now), Some(source.tuple) == named, source.last_check))
                .map(|(at, _)| at);
            dropped = oldest.map(|at| self.sources.swap_remove(at).tuple);
        }
        let number = self.next_source;
        self.next_source = self.next_source.wrapping_add(1);
        let exchanged = self.current.number;
        self.sources.push(Source { number, tuple: from, last_check: now, exchanged, proof: PathProof::default() });
        (self.sources.len() - 1, dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{check_ids::KEY_LEN, path_proof::REFRESH};
    use std::net::SocketAddr;

    const CLIENT_PWD: &str = "password-of-the-client";

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn path(port: u16) -> Tuple {
        Tuple::udp(([127, 0, 0, 1], 3478).into(), address(port))
    }

    fn agent() -> IceLite {
        let mut agent = agent_without_remote();
        set_remote(&mut agent, "client");
        agent
    }

    fn agent_without_remote() -> IceLite {
        let local = Credentials { ufrag: "server".into(), pwd: "password-of-the-server".into() };
        IceLite::new(local, CheckIds::new([7; KEY_LEN]))
    }

    /// Signaling brings the client's credentials.
    fn set_remote(agent: &mut IceLite, ufrag: &str) {
        let mut outbox = Outbox::default();
        let remote = Credentials { ufrag: ufrag.into(), pwd: CLIENT_PWD.into() };
        agent.set_remote(Instant::now(), remote, &mut outbox);
        deliver(agent, Instant::now(), &outbox, true);
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

    fn encoded(request: &Request<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let message =
            StunMessage::binding_request(request.username, TransId::new(), request.controlling, 1, 1, request.nominate);
        encode(message, request.pwd, |encoded| bytes.extend_from_slice(encoded));
        bytes
    }

    /// A response of the client to a check of the agent.
    fn answer(check: &[u8], pwd: &str) -> Vec<u8> {
        let check = StunMessage::parse(check).unwrap();
        let mut bytes = Vec::new();
        let response = StunMessage::binding_reply(check.trans_id(), ([192, 0, 2, 9], 3478).into());
        encode(response, pwd, |encoded| bytes.extend_from_slice(encoded));
        bytes
    }

    /// Delivers what the agent has sent to the addresses that it has sent it to. Returns the responses; if `answers`, its
    /// checks are answered.
    fn deliver(agent: &mut IceLite, now: Instant, outbox: &Outbox, answers: bool) -> Vec<Vec<u8>> {
        let (checks, replies): (Vec<_>, Vec<_>) =
            outbox.runs().partition(|run| StunMessage::parse(run.bytes()).unwrap().is_binding_request());
        for run in checks.iter().filter(|_| answers) {
            let response = answer(run.bytes(), CLIENT_PWD);
            agent.handle_response(now, run.to(), &StunMessage::parse(&response).unwrap());
        }
        replies.iter().map(|run| run.bytes().to_vec()).collect()
    }

    fn receive(agent: &mut IceLite, now: Instant, port: u16, bytes: &[u8], outbox: &mut Outbox) -> Check {
        agent.handle_request(now, path(port), &StunMessage::parse(bytes).unwrap(), bytes.len(), outbox)
    }

    /// A check of a client that is at this port: it answers.
    fn check(agent: &mut IceLite, now: Instant, port: u16, request: &Request<'_>) -> (Check, Vec<Vec<u8>>) {
        let mut outbox = Outbox::default();
        let check = receive(agent, now, port, &encoded(request), &mut outbox);
        (check, deliver(agent, now, &outbox, true))
    }

    /// A check whose sender is elsewhere. Returns the check of the agent that it brings about.
    fn forge(agent: &mut IceLite, now: Instant, port: u16, request: &Request<'_>) -> Vec<u8> {
        let mut outbox = Outbox::default();
        receive(agent, now, port, &encoded(request), &mut outbox);
        let mut runs = outbox.runs().map(|run| run.bytes().to_vec());
        runs.find(|bytes| StunMessage::parse(bytes).unwrap().is_binding_request()).unwrap_or_default()
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
        let mut agent = agent_without_remote();
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
        set_remote(&mut agent, "client2");
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
        set_remote(&mut agent, "client2");
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
        set_remote(&mut agent, "client2");
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
        agent.heard(after(500), path(1), 100);
        // From here on behind another address: it checks as before, but nominates nothing.
        check(&mut agent, after(600), 2, &PLAIN);
        agent.heard(after(1_400), path(2), 100);
        assert_eq!(agent.path(), Some(path(1)), "a packet that overtook others moves nothing");
        agent.heard(after(1_500), path(2), 100);
        assert_eq!(agent.path(), Some(path(2)));
        agent.heard(after(1_600), path(1), 100);
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
    fn path_moves_when_the_nominated_tuple_has_answered() {
        let mut agent = agent();
        let now = Instant::now();
        check(&mut agent, now, 1, &NOMINATING);
        let question = forge(&mut agent, now, 2, &NOMINATING);
        assert_eq!((agent.path(), agent.has_proven(now, path(2))), (Some(path(1)), false));
        let parsed = StunMessage::parse(&question).unwrap();
        assert_eq!(parsed.username(), Some("client:server"));
        assert!(parsed.verify(CLIENT_PWD.as_bytes(), hmac_sha1) && parsed.ice_controlled().is_some());
        let response = answer(&question, CLIENT_PWD);
        let response = StunMessage::parse(&response).unwrap();
        assert!(!agent.handle_response(now, path(1), &response), "from elsewhere");
        let guessed = answer(&encoded(&PLAIN), CLIENT_PWD);
        assert!(!agent.handle_response(now, path(2), &StunMessage::parse(&guessed).unwrap()), "another transaction id");
        let forged = answer(&question, PLAIN.pwd);
        assert!(!agent.handle_response(now, path(2), &StunMessage::parse(&forged).unwrap()), "another password");
        assert_eq!(agent.path(), Some(path(1)));
        assert!(agent.handle_response(now, path(2), &response));
        assert_eq!(agent.path(), Some(path(2)));
        assert!(!agent.handle_response(now, path(2), &response), "answered already");
    }

    #[test]
    fn check_is_answered_again_only_where_it_came_from() {
        let mut agent = agent();
        let (now, check) = (Instant::now(), encoded(&NOMINATING));
        for (port, result, answers) in
            [(1, ACCEPTED, 2), (1, ACCEPTED, 1), (2, Check::Refused(CheckError::Replayed), 0), (1, ACCEPTED, 1)]
        {
            let mut outbox = Outbox::default();
            assert_eq!(receive(&mut agent, now, port, &check, &mut outbox), result);
            assert_eq!(outbox.packets(), answers, "the first time with a check of ours");
        }
        assert_eq!(agent.tuples().count(), 1);
    }

    /// Repeating a nomination that was overheard does not take the path back.
    #[test]
    fn repeated_nomination_moves_nothing() {
        let mut agent = agent();
        let (now, old) = (Instant::now(), encoded(&NOMINATING));
        let mut outbox = Outbox::default();
        receive(&mut agent, now, 1, &old, &mut outbox);
        deliver(&mut agent, now, &outbox, true);
        check(&mut agent, now, 2, &NOMINATING);
        receive(&mut agent, now, 1, &old, &mut outbox);
        assert_eq!(agent.path(), Some(path(2)));
    }

    #[test]
    fn media_moves_the_path_to_no_unproven_tuple() {
        let mut agent = agent();
        let start = Instant::now();
        check(&mut agent, start, 1, &NOMINATING);
        forge(&mut agent, start, 2, &NOMINATING);
        for second in 1..30 {
            let now = start + second * MOVED;
            assert!(!agent.heard(now, path(2), 100));
            agent.sweep(now, &mut Outbox::default());
        }
        assert_eq!(agent.path(), Some(path(1)));
        assert!(!agent.has_consent(start + CONSENT));
    }

    #[test]
    fn client_that_never_answers_keeps_its_path_at_a_share_of_what_it_sends() {
        let mut agent = agent();
        let start = Instant::now();
        forge(&mut agent, start, 1, &NOMINATING);
        agent.establish();
        for second in 1..100 {
            let now = start + second * MOVED;
            forge(&mut agent, now, 1, &NOMINATING);
            forge(&mut agent, now, 2, &NOMINATING);
            agent.sweep(now, &mut Outbox::default());
            while agent.admit(1_200).is_some() {}
            agent.heard(now, path(1), 1_200);
            let admitted = std::iter::from_fn(|| agent.admit(1_200)).count();
            assert!((2..=3).contains(&admitted), "{admitted} packets for one");
            assert!(agent.has_consent(now));
        }
        assert_eq!(agent.path(), Some(path(1)));
        assert!(!agent.has_consent(start + 99 * MOVED + CONSENT), "its own checks have ended");
    }

    #[test]
    fn unproven_tuples_replace_no_proven_one() {
        let mut agent = agent();
        let now = Instant::now();
        for port in [1, 2, 3] {
            check(&mut agent, now, port, &PLAIN);
        }
        for port in 100..200 {
            forge(&mut agent, now, port, &PLAIN);
        }
        assert!([1, 2, 3].iter().all(|port| agent.has_proven(now, path(*port))));
        assert_eq!(agent.tuples().count(), SOURCES);
    }

    #[test]
    fn path_is_checked_again_and_checks_are_repeated() {
        let mut agent = agent();
        let start = Instant::now();
        check(&mut agent, start, 1, &NOMINATING);
        let mut outbox = Outbox::default();
        agent.sweep(start + REFRESH - MOVED, &mut outbox);
        assert_eq!((outbox.packets(), agent.deadline()), (0, None));
        agent.sweep(start + REFRESH, &mut outbox);
        while let Some(deadline) = agent.deadline() {
            agent.handle_timeout(deadline, &mut outbox);
        }
        assert_eq!(outbox.packets(), 5);
        deliver(&mut agent, start + REFRESH, &outbox, true);
        assert!(!agent.has_consent(start + CONSENT), "a check that was given up proves nothing");
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
