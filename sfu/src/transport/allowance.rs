//! How much one client may send, by kind.
//!
//! Only what was authenticated counts against a client: else whoever forges its address could use up its allowance. Once
//! that is used up, its packets are dropped before they cost a cipher's time. What cannot be authenticated, checks with
//! a wrong MAC and records of the handshake, is limited by itself.

use crate::{allowance::Allowance, limits};
use dtls_srtp::DatagramKind as Protocol;
use std::time::Instant;

/// What a client has sent in the current second.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientAllowance {
    packets: Allowance,
    bytes: Allowance,
    rtcp: Allowance,
    dtls: Allowance,
    checks: Allowance,
    refused_checks: Allowance,
}

impl ClientAllowance {
    pub(super) const fn new() -> Self {
        Self {
            packets: Allowance::new(limits::PACKETS),
            bytes: Allowance::new(limits::BYTES),
            rtcp: Allowance::new(limits::RTCP_PACKETS),
            dtls: Allowance::new(limits::DTLS_DATAGRAMS),
            checks: Allowance::new(limits::CHECKS),
            refused_checks: Allowance::new(limits::REFUSED_CHECKS),
        }
    }

    /// Whether the client has sent as many packets of the protocol as it may.
    pub(super) fn is_used_up(&mut self, now: Instant, protocol: Protocol) -> bool {
        self.packets.is_used_up(now)
            || self.bytes.is_used_up(now)
            || (protocol == Protocol::Rtcp && self.rtcp.is_used_up(now))
    }

    /// Counts an authenticated packet.
    pub(super) fn authenticated(&mut self, now: Instant, protocol: Protocol, bytes: usize) {
        self.packets.take(now, 1);
        self.bytes.take(now, u32::try_from(bytes).unwrap_or(u32::MAX));
        if protocol == Protocol::Rtcp {
            self.rtcp.take(now, 1);
        }
    }

    /// Takes a datagram of DTLS; false: there were too many.
    pub(super) fn take_dtls(&mut self, now: Instant) -> bool {
        self.dtls.take(now, 1)
    }

    /// Whether a check is to be verified.
    pub(super) fn allows_check(&mut self, now: Instant, from_proven_address: bool) -> bool {
        !self.checks.is_used_up(now) && (from_proven_address || !self.refused_checks.is_used_up(now))
    }

    /// Counts a check that was verified.
    pub(super) fn verified_check(&mut self, now: Instant, right: bool, from_proven_address: bool) {
        if right {
            self.checks.take(now, 1);
        } else if !from_proven_address {
            self.refused_checks.take(now, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many datagrams pass of 30,000 at once.
    fn passing(protocol: Protocol, bytes: usize) -> usize {
        let (mut allowance, now) = (ClientAllowance::new(), Instant::now());
        let passes = |_: &i32| {
            let passes = !allowance.is_used_up(now, protocol);
            if passes {
                allowance.authenticated(now, protocol, bytes);
            }
            passes
        };
        (0..30_000).filter(passes).count()
    }

    #[test]
    fn packets_bytes_and_rtcp_of_a_second_are_limited() {
        assert_eq!(passing(Protocol::Rtp, 100), limits::PACKETS as usize);
        assert_eq!(passing(Protocol::Rtp, 25_000), 1_000);
        assert_eq!(passing(Protocol::Rtcp, 100), limits::RTCP_PACKETS as usize);
    }

    #[test]
    fn wrong_checks_of_strangers_do_not_use_up_those_of_the_client() {
        let (mut allowance, now) = (ClientAllowance::new(), Instant::now());
        let verified = (0..10_000).filter(|_| {
            let verified = allowance.allows_check(now, false);
            if verified {
                allowance.verified_check(now, false, false);
            }
            verified
        });
        assert_eq!(verified.count(), limits::REFUSED_CHECKS as usize);
        for _ in 0..10_000 {
            assert!(allowance.allows_check(now, true), "from a proven address, though forged");
            allowance.verified_check(now, false, true);
        }
        for _ in 0..limits::CHECKS {
            assert!(allowance.allows_check(now, true));
            allowance.verified_check(now, true, true);
        }
        assert!(!allowance.allows_check(now, true), "as often as a client may ask");
    }
}
