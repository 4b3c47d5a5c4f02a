//! Transaction ids of the server's own checks: unpredictable, from a key that is drawn elsewhere.
//!
//! A member knows its own password, so a guessed transaction id would be an answer from an address that never saw the
//! check.

use dtls_srtp::stun::{TRANS_ID_LEN, hmac_sha1, trans_id};
use is::stun::TransId;
use std::fmt;

/// Length of the key in bytes.
pub(crate) const KEY_LEN: usize = 20;

/// Derives transaction ids from a random key.
pub(crate) struct CheckIds {
    key: [u8; KEY_LEN],
    next: u64,
}

impl CheckIds {
    /// Ids that follow from this key, which must be random and used once.
    pub(crate) const fn new(key: [u8; KEY_LEN]) -> Self {
        Self { key, next: 0 }
    }

    /// The tie-breaker of the agent (RFC 8445 section 5.2).
    pub(super) fn tie_breaker(&self) -> u64 {
        let mac = hmac_sha1(&self.key, &[b"tie-breaker"]);
        mac.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// The next id.
    pub(super) fn take(&mut self) -> Option<TransId> {
        let mac = hmac_sha1(&self.key, &[b"check", &self.next.to_be_bytes()]);
        self.next += 1;
        trans_id(*mac.first_chunk::<TRANS_ID_LEN>()?)
    }
}

impl fmt::Debug for CheckIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckIds").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_by_key_and_by_number() {
        let (mut a, mut b) = (CheckIds::new([1; KEY_LEN]), CheckIds::new([2; KEY_LEN]));
        let ids: HashSet<_> = (0..100).flat_map(|_| [a.take().unwrap(), b.take().unwrap()]).collect();
        assert_eq!(ids.len(), 200);
        assert_ne!(a.tie_breaker(), b.tie_breaker());
        assert!(!format!("{a:?}").contains('1'), "the key is secret");
    }
}
