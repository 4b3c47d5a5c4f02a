//! How much one client may send in a second, by kind of datagram.
//!
//! Only authenticated packets count against a client; otherwise a stranger that forges its address could use up its
//! allowance. Once that is used up, its packets are dropped before they are decrypted. Checks with a wrong MAC and DTLS
//! records, which cannot be authenticated, have separate limits.

use crate::{allowance::Allowance, limits};
use dtls_srtp::DatagramKind;
use std::time::Instant;

/// Quotas of one client in the current second.
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

    /// Whether the quota of this kind is used up.
    pub(super) fn is_used_up(&mut self, now: Instant, kind: DatagramKind) -> bool {
        self.packets.is_used_up(now)
            || self.bytes.is_used_up(now)
            || (kind == DatagramKind::Rtcp && self.rtcp.is_used_up(now))
    }

    /// Counts an authenticated packet.
    pub(super) fn authenticated(&mut self, now: Instant, kind: DatagramKind, bytes: usize) {
        self.packets.take(now, 1);
        self.bytes.take(now, u32::try_from(bytes).unwrap_or(u32::MAX));
        if kind == DatagramKind::Rtcp {
            self.rtcp.take(now, 1);
        }
    }

    /// Takes a DTLS datagram; returns false if there were too many.
    pub(super) fn take_dtls(&mut self, now: Instant) -> bool {
        self.dtls.take(now, 1)
    }

    /// Whether a check may be verified.
    pub(super) fn allows_check(&mut self, now: Instant, from_proven_tuple: bool) -> bool {
        !self.checks.is_used_up(now) && (from_proven_tuple || !self.refused_checks.is_used_up(now))
    }

    /// Counts a check that was verified.
    pub(super) fn verified_check(&mut self, now: Instant, right: bool, from_proven_tuple: bool) {
        if right {
            self.checks.take(now, 1);
        } else if !from_proven_tuple {
            self.refused_checks.take(now, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of datagrams that pass, of 30,000 at once.
    fn passing(kind: DatagramKind, bytes: usize) -> usize {
        let (mut allowance, now) = (ClientAllowance::new(), Instant::now());
        let passes = |_: &i32| {
            let passes = !allowance.is_used_up(now, kind);
            if passes {
                allowance.authenticated(now, kind, bytes);
            }
            passes
        };
        (0..30_000).filter(passes).count()
    }

    #[test]
    fn packets_bytes_and_rtcp_are_limited() {
        assert_eq!(passing(DatagramKind::Rtp, 100), limits::PACKETS as usize);
        assert_eq!(passing(DatagramKind::Rtp, 25_000), 1_000);
        assert_eq!(passing(DatagramKind::Rtcp, 100), limits::RTCP_PACKETS as usize);
    }

    #[test]
    fn refused_checks_do_not_use_up_accepted_ones() {
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
            assert!(allowance.allows_check(now, true), "from a proven tuple, though forged");
            allowance.verified_check(now, false, true);
        }
        for _ in 0..limits::CHECKS {
            assert!(allowance.allows_check(now, true));
            allowance.verified_check(now, true, true);
        }
        assert!(!allowance.allows_check(now, true), "the quota of checks is used up");
    }
}
