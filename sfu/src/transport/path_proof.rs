//! Proof that an address receives what is sent to it.
//!
//! ```text
//!              check of ours answered
//!   unproven ─────────────────────────► proven      without limit
//!      ▲                                  │
//!      └──────────────────────────────────┘
//!          no answer for CONSENT
//! ```
//! The MAC of a client's check proves that its author knew the password, and not that the client is at the source
//! address. So an unproven address gets at most [`AMPLIFICATION`] times the bytes that came from it (the rule of RFC 9000
//! section 8.1), whatever they are for: responses, checks, handshake, media.

use is::stun::TransId;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// Bytes that an unproven address gets for each byte that came from it, headers of IP and UDP included.
pub(super) const AMPLIFICATION: u64 = 3;
/// Without an answer for this long an address is no longer proven, and nothing more is sent to a client that used to answer
/// (RFC 7675 section 5.1 has 30 s).
pub(super) const CONSENT: Duration = Duration::from_secs(25);
/// A proven address is checked again when the last answer is this old (RFC 7675 section 5.1).
pub(super) const REFRESH: Duration = Duration::from_secs(5);
/// Time from a check to its first retransmission; it doubles with each further one (RFC 8489 section 6.2.1).
const RETRY: Duration = Duration::from_millis(100);
/// A check is sent this many times. The last one is given up after 3.1 s.
const SENDS: u32 = 5;

/// What is known about one address.
#[derive(Debug, Default)]
pub(super) struct PathProof {
    /// When the last check was answered.
    answered: Option<Instant>,
    /// The check that awaits its answer.
    check: Option<OwnCheck>,
    /// Bytes from and to the address since it was last proven.
    received: u64,
    sent: u64,
}

#[derive(Clone, Copy, Debug)]
struct OwnCheck {
    id: TransId,
    sends: u32,
    retry: Instant,
    /// It was not sent, for want of credit.
    withheld: bool,
}

impl PathProof {
    /// Whether the address has answered recently.
    pub(super) fn is_proven(&self, now: Instant) -> bool {
        self.answered.is_some_and(|answered| now.saturating_duration_since(answered) < CONSENT)
    }

    /// When the address last answered.
    pub(super) fn answered(&self) -> Option<Instant> {
        self.answered
    }

    /// Counts a datagram of `bytes` from the address, while it is not proven. Returns whether a check that was withheld is due
    /// now.
    pub(super) fn on_received(&mut self, now: Instant, bytes: usize, remote: IpAddr) -> bool {
        if self.is_proven(now) {
            return false;
        }
        if self.answered.take().is_some() {
            // The proof has expired. What was exchanged meanwhile buys nothing.
            (self.received, self.sent) = (0, 0);
        }
        self.received = self.received.saturating_add(on_wire(bytes, remote));
        self.check.as_mut().filter(|check| check.withheld).map(|check| check.retry = now).is_some()
    }

    /// Whether a datagram of `bytes` may be sent to the address; it counts as sent.
    pub(super) fn admit(&mut self, now: Instant, bytes: usize, remote: IpAddr) -> bool {
        self.is_proven(now) || self.admit_unproven(bytes, remote)
    }

    /// The same for an address that is known not to be proven.
    pub(super) fn admit_unproven(&mut self, bytes: usize, remote: IpAddr) -> bool {
        let sent = self.sent.saturating_add(on_wire(bytes, remote));
        let admitted = self.answered.is_none() && sent <= self.limit();
        if admitted {
            self.sent = sent;
        }
        admitted
    }

    /// Whether a packet of media would be admitted while the address is not proven.
    pub(super) fn has_credit(&self) -> bool {
        /// The largest packet that browsers send, in bytes.
        const PACKET: u64 = 1_500;
        self.answered.is_none() && self.limit() >= self.sent.saturating_add(PACKET)
    }

    fn limit(&self) -> u64 {
        self.received.saturating_mul(AMPLIFICATION)
    }

    /// Whether a new check is due: the address is not proven or was proven a while ago, and no check awaits its answer.
    pub(super) fn needs_check(&self, now: Instant) -> bool {
        let fresh = self.answered.is_some_and(|answered| now.saturating_duration_since(answered) < REFRESH);
        !fresh && self.check.is_none()
    }

    /// A check with this id is about to be sent.
    pub(super) fn begin_check(&mut self, now: Instant, id: TransId) {
        self.check = Some(OwnCheck { id, sends: 1, retry: now + RETRY, withheld: false });
    }

    /// The check could not be sent yet. It is sent with the next credit.
    pub(super) fn withhold_check(&mut self) {
        if let Some(check) = &mut self.check {
            check.withheld = true;
        }
    }

    /// The check that awaits its answer is not repeated any more.
    pub(super) fn abandon_check(&mut self) {
        self.check = None;
    }

    /// When [`retry`](Self::retry) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.check.map(|check| check.retry)
    }

    /// The id of the check that is to be sent again now. After the last time, the check is given up.
    pub(super) fn retry(&mut self, now: Instant) -> Option<TransId> {
        let check = self.check.as_mut().filter(|check| check.retry <= now)?;
        if check.sends == SENDS {
            self.check = None;
            return None;
        }
        check.withheld = false;
        check.retry = now + RETRY * (1 << check.sends);
        check.sends += 1;
        Some(check.id)
    }

    /// Whether a response with this id would answer the check.
    pub(super) fn awaits(&self, id: TransId) -> bool {
        self.check.is_some_and(|check| check.id == id)
    }

    /// The check was answered from the address. Returns whether the address was not proven before.
    pub(super) fn on_answer(&mut self, now: Instant) -> bool {
        let is_new = !self.is_proven(now);
        *self = Self { answered: Some(now), ..Self::default() };
        is_new
    }
}

/// Size of a datagram on the wire, without the link layer.
fn on_wire(bytes: usize, remote: IpAddr) -> u64 {
    let headers = if remote.is_ipv4() { 28 } else { 48 };
    bytes as u64 + headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn check_that_was_withheld_is_sent_with_the_next_credit() {
        let (mut proof, start) = (PathProof::default(), Instant::now());
        let id = TransId::new();
        proof.begin_check(start, id);
        proof.withhold_check();
        let soon = start + Duration::from_millis(1);
        assert_eq!(proof.retry(soon), None);
        assert!(proof.on_received(soon, 100, REMOTE));
        assert_eq!(proof.deadline(), Some(soon));
        assert_eq!(proof.retry(soon), Some(id));
        assert!(!proof.on_received(soon, 100, REMOTE));
        assert!(proof.deadline() > Some(soon), "it was sent");
    }

    #[test]
    fn unproven_address_gets_three_times_what_it_sent() {
        let (mut proof, now) = (PathProof::default(), Instant::now());
        assert!(!proof.admit(now, 0, REMOTE), "nothing came from there");
        proof.on_received(now, 72, REMOTE);
        assert!(proof.admit(now, 300 - 28, REMOTE));
        assert!(!proof.admit(now, 0, REMOTE));
    }

    #[test]
    fn proof_expires_and_begins_again() {
        let (mut proof, start) = (PathProof::default(), Instant::now());
        proof.begin_check(start, TransId::new());
        assert!(proof.on_answer(start));
        let later = start + CONSENT;
        assert!(proof.is_proven(later - Duration::from_millis(1)) && !proof.is_proven(later));
        assert!(!proof.admit(later, 1, REMOTE), "what came from there while it was proven buys nothing");
        proof.on_received(later, 72, REMOTE);
        assert!(proof.admit(later, 100, REMOTE) && !proof.admit(later, 300, REMOTE));
        proof.begin_check(later, TransId::new());
        assert!(proof.on_answer(later) && !proof.on_answer(later));
    }

    #[test]
    fn check_is_repeated_and_given_up() {
        let (mut proof, start) = (PathProof::default(), Instant::now());
        let id = TransId::new();
        proof.begin_check(start, id);
        let mut at = Vec::new();
        while let Some(deadline) = proof.deadline() {
            assert!(proof.awaits(id) && !proof.needs_check(deadline));
            at.extend(proof.retry(deadline).map(|_| deadline.duration_since(start).as_millis()));
        }
        assert_eq!(at, [100, 300, 700, 1_500]);
        assert!(!proof.awaits(id) && proof.needs_check(start));
    }

    proptest! {
        /// Whatever is exchanged, an address without a proof never gets more than its share.
        #[test]
        fn unproven_address_never_gets_more(steps in prop::collection::vec((any::<bool>(), 0usize..2_000), 1..200)) {
            let (mut proof, now, mut received, mut sent) = (PathProof::default(), Instant::now(), 0, 0);
            for (is_received, bytes) in steps {
                if is_received {
                    proof.on_received(now, bytes, REMOTE);
                    received += bytes + 28;
                } else if proof.admit(now, bytes, REMOTE) {
                    sent += bytes + 28;
                }
                prop_assert!(sent <= 3 * received);
            }
        }
    }
}
