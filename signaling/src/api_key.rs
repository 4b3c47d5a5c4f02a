//! The operator's key, with which rooms are created over HTTP.

use crate::sha256::sha256;
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// A secret of the operator; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ApiKey(pub String);

impl ApiKey {
    /// Whether an `Authorization` header carries this key as a bearer token (RFC 6750). Hashes are compared, so not even
    /// the length of the key can be timed.
    #[must_use]
    pub fn authorizes(&self, authorization: Option<&str>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|value| value.split_once(' ')) else { return false };
        let token = sha256(token.trim().as_bytes());
        scheme.eq_ignore_ascii_case("bearer") && verify_slices_are_equal(&token, &sha256(self.0.as_bytes())).is_ok()
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_key_is_a_bearer_token() {
        let key = ApiKey("s3cret".to_owned());
        assert!(key.authorizes(Some("Bearer s3cret")));
        assert!(key.authorizes(Some("bearer s3cret")));
        for wrong in [None, Some("Bearer s3cre"), Some("Basic s3cret"), Some("s3cret"), Some("Bearer "), Some("")] {
            assert!(!key.authorizes(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{key:?}"), "ApiKey(..)");
    }
}
