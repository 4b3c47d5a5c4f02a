//! The hash that the server keeps of a room's guest access.

use crate::sha256::sha256;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use tacet_proto::bytes::Fixed;

/// SHA-256 of a room's access token. It suffices to refuse strangers, and for nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccessHash(pub [u8; 32]);

impl AccessHash {
    /// Hash of an access token.
    #[must_use]
    pub fn of(token: &[u8; 32]) -> Self {
        Self(sha256(token))
    }

    /// Whether this is the token's hash, in constant time.
    #[must_use]
    pub fn admits(&self, token: &Fixed<32>) -> bool {
        verify_slices_are_equal(&self.0, &sha256(&token.0)).is_ok()
    }
}

impl std::fmt::Debug for AccessHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_hash_admits_its_token_only() {
        let hash = AccessHash::of(&[7; 32]);
        assert!(hash.admits(&Fixed([7; 32])));
        assert!(!hash.admits(&Fixed([8; 32])));
        assert!(!hash.admits(&Fixed(hash.0)), "the stored hash opens nothing");
    }
}
