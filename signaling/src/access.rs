//! Who may enter and who may make rooms. The server keeps hashes alone and compares them in constant time.

use crate::config::ApiKey;
use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use tacet_proto::bytes::Fixed;

/// SHA-256 of a room's access token: enough to refuse strangers, and for nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccessHash(pub [u8; 32]);

impl AccessHash {
    /// Hash of an access token.
    #[must_use]
    pub fn of(access: &[u8; 32]) -> Self {
        Self(sha256(access))
    }

    /// Whether this is the token's hash, in constant time.
    #[must_use]
    pub fn admits(&self, access: &Fixed<32>) -> bool {
        verify_slices_are_equal(&self.0, &sha256(&access.0)).is_ok()
    }
}

impl std::fmt::Debug for AccessHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessHash(..)")
    }
}

/// Whether an `Authorization` header carries the operator's key. Hashes are compared, so that not even the length of
/// the key can be timed.
#[must_use]
pub fn bears_key(authorization: Option<&str>, key: Option<&ApiKey>) -> bool {
    let (Some(authorization), Some(key)) = (authorization, key) else { return false };
    let Some((scheme, token)) = authorization.split_once(' ') else { return false };
    let token = sha256(token.trim().as_bytes());
    scheme.eq_ignore_ascii_case("bearer") && verify_slices_are_equal(&token, &sha256(key.0.as_bytes())).is_ok()
}

/// Bytes that nobody can guess.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_admitted() {
        let hash = AccessHash::of(&[7; 32]);
        assert!(hash.admits(&Fixed([7; 32])));
        assert!(!hash.admits(&Fixed([8; 32])));
        assert!(!hash.admits(&Fixed(hash.0)), "the stored hash opens nothing");
    }

    #[test]
    fn the_api_key_is_a_bearer_token() {
        let key = ApiKey("s3cret".to_owned());
        assert!(bears_key(Some("Bearer s3cret"), Some(&key)));
        assert!(bears_key(Some("bearer s3cret"), Some(&key)));
        for wrong in [None, Some("Bearer s3cre"), Some("Basic s3cret"), Some("s3cret"), Some("Bearer "), Some("")] {
            assert!(!bears_key(wrong, Some(&key)), "{wrong:?}");
        }
        assert!(!bears_key(Some("Bearer "), None), "without a key nobody has it");
        assert_eq!(format!("{key:?}"), "ApiKey(..)");
    }
}
