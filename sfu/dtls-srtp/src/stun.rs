//! STUN (RFC 8489) for ICE, beyond the codec of `is`: HMAC, by the library that all other ciphers come from, and random
//! credentials.

use aws_lc_rs::{hmac, rand};
use is::stun::{StunMessage, TransId};

/// Length of a generated username fragment: 48 bits. RFC 8445 section 5.3 requires 24; 48 make it unique.
pub const UFRAG_LEN: usize = 8;
/// Length of a generated password: 144 bits. RFC 8445 section 5.3 requires 128.
const PWD_LEN: usize = 24;
/// Maximum length of USERNAME that the codec writes, in bytes.
pub const MAX_USERNAME: usize = 128;
/// Maximum length of an encoded message in bytes: a connectivity check with the longest USERNAME has 204.
const MAX_MESSAGE: usize = 256;
/// Length of a transaction id (RFC 8489 section 5).
pub const TRANS_ID_LEN: usize = 12;

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

/// Fills a key with random bytes; `None` if the random generator fails.
#[must_use]
pub fn random_key<const N: usize>() -> Option<[u8; N]> {
    let mut key = [0; N];
    rand::fill(&mut key).ok()?;
    Some(key)
}

/// A transaction id of these bytes. The codec itself draws ids from a generator that can be predicted.
#[must_use]
pub fn trans_id(bytes: [u8; TRANS_ID_LEN]) -> Option<TransId> {
    // RFC 8489 section 5: a binding indication without attributes, which the codec reads.
    let mut message = [0; 20];
    let (header, id) = message.split_first_chunk_mut()?;
    *header = [0x00, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    id.copy_from_slice(&bytes);
    StunMessage::parse(&message).ok().map(|message| message.trans_id())
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

    #[test]
    fn transaction_id_has_the_given_bytes() {
        let mut bytes = Vec::new();
        let request = StunMessage::binding_request("a:b", trans_id(*b"transaction1").unwrap(), false, 1, 1, false);
        encode(request, "password", |encoded| bytes.extend_from_slice(encoded));
        assert_eq!(&bytes[8..20], b"transaction1");
        assert_ne!(trans_id([1; 12]), trans_id([2; 12]));
    }

    #[test]
    fn check_with_the_longest_username_is_encoded() {
        let (username, mut len) = (format!("u:{}", "x".repeat(MAX_USERNAME - 2)), 0);
        let request = StunMessage::binding_request(&username, TransId::new(), false, 1, 1, false);
        encode(request, "password", |encoded| len = encoded.len());
        assert_eq!(len, 204);
    }

    /// RFC 2202 section 3, test case 2, in two parts.
    #[test]
    fn hmac_matches_rfc_2202() {
        let mac = hmac_sha1(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(mac.to_vec(), crate::hex::hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
    }
}
