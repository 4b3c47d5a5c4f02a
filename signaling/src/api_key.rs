//! The operator's key, with which rooms are created over HTTP.

use crate::sha256::sha256;
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// Least length of a key, in bytes. Guesses are limited as well, to a few a second from each address.
const LEAST: usize = 16;

/// A secret of the operator, of which only a hash is kept; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ApiKey([u8; 32]);

/// The key is too short to be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the API key has {0} bytes, and at least {LEAST} are needed. This prints one: head -c 24 /dev/urandom | base64"
)]
pub struct ShortKey(usize);

impl ApiKey {
    /// A key of at least 16 bytes.
    ///
    /// # Errors
    /// It is shorter.
    pub fn new(key: &str) -> Result<Self, ShortKey> {
        if key.len() < LEAST {
            return Err(ShortKey(key.len()));
        }
        Ok(Self(sha256(key.as_bytes())))
    }

    /// Whether a key is this one. Hashes are compared, in constant time, so not even its length can be timed.
    #[must_use]
    pub fn is(&self, key: &str) -> bool {
        verify_slices_are_equal(&sha256(key.as_bytes()), &self.0).is_ok()
    }
}

/// The key in an `Authorization` header, if it carries one as a bearer token (RFC 6750).
#[must_use]
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEY: &str = "correct horse battery";

    #[test]
    fn api_key_is_a_bearer_token() {
        assert_eq!(bearer("Bearer s3cret"), Some("s3cret"));
        assert_eq!(bearer("bearer  s3cret "), Some("s3cret"));
        assert_eq!(bearer("Bearer "), Some(""));
        for other in ["Basic s3cret", "s3cret", "", "Bearer"] {
            assert_eq!(bearer(other), None, "{other:?}");
        }
    }

    #[test]
    fn one_key_is_right() {
        let key = ApiKey::new(KEY).unwrap();
        assert!(key.is(KEY));
        for wrong in ["", "correct horse batter", "correct horse batterz", "correct horse battery "] {
            assert!(!key.is(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{key:?}"), "ApiKey(..)");
    }

    #[test]
    fn short_key_is_refused() {
        assert_eq!(ApiKey::new("fifteen bytes..").unwrap_err(), ShortKey(15));
        assert!(ApiKey::new("sixteen bytes...").is_ok());
    }
}
