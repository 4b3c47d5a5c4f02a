//! STUN (RFC 8489) for ICE, beyond the codec of `is`: HMAC, by the library that all other ciphers come from, and random
//! credentials.

use aws_lc_rs::{hmac, rand};
use is::stun::StunMessage;

/// Length of a generated username fragment: 48 bits. RFC 8445 section 5.3 requires 24; 48 make it unique.
pub const UFRAG_LEN: usize = 8;
/// Length of a generated password: 144 bits. RFC 8445 section 5.3 requires 128.
const PWD_LEN: usize = 24;
/// Maximum length of an encoded message in bytes; connectivity checks are far shorter.
const MAX_MESSAGE: usize = 256;

/// Username fragment and password of one ICE agent (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Username fragment.
    pub ufrag: String,
    /// Password: the key of MESSAGE-INTEGRITY of requests to this side.
    pub pwd: String,
}

impl Credentials {
    /// Generates credentials; `None` if the random generator fails.
    #[must_use]
    pub fn random() -> Option<Self> {
        Some(Self { ufrag: random_text(UFRAG_LEN)?, pwd: random_text(PWD_LEN)? })
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Returns `len` random characters of `ice-char`, six bits each.
fn random_text(len: usize) -> Option<String> {
    const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0; len];
    rand::fill(&mut bytes).ok()?;
    bytes.iter().map(|byte| ICE_CHARS.get(usize::from(byte & 63)).copied().map(char::from)).collect()
}

/// HMAC-SHA1 over the concatenated parts, in the form that the codec calls.
pub fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
    for part in parts {
        context.update(part);
    }
    let mut mac = [0; 20];
    // Panics on another length, which SHA-1 does not have: zeros must never pass for a MAC.
    mac.copy_from_slice(context.sign().as_ref());
    mac
}

/// Encodes a message with MESSAGE-INTEGRITY and FINGERPRINT and passes it to `send`.
pub fn encode(message: StunMessage<'_>, pwd: &str, send: impl FnOnce(&[u8])) {
    let mut buffer = [0; MAX_MESSAGE];
    if let Some(bytes) =
        message.to_bytes(Some(pwd.as_bytes()), &mut buffer, hmac_sha1).ok().and_then(|len| buffer.get(..len))
    {
        send(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_credentials_are_ice_characters() {
        let (a, b) = (Credentials::random().unwrap(), Credentials::random().unwrap());
        assert_ne!(a, b);
        assert_eq!((a.ufrag.len(), a.pwd.len()), (UFRAG_LEN, PWD_LEN));
        assert!(a.pwd.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'+' || c == b'/'));
    }

    #[test]
    fn credentials_debug_hides_the_password() {
        let credentials = Credentials::random().unwrap();
        assert!(!format!("{credentials:?}").contains(&credentials.pwd));
    }

    /// RFC 2202 section 3, test case 2, in two parts.
    #[test]
    fn hmac_matches_rfc_2202() {
        let mac = hmac_sha1(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(mac.to_vec(), crate::hex::hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
    }
}
