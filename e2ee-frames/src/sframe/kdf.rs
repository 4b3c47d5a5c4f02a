//! Key derivation of a sender's key and salt (RFC 9605 section 4.4.2).

use super::suite::Suite;
#[cfg(any(test, feature = "hazmat"))]
use e2ee_core::array;
use e2ee_core::{Output, Primitives};
#[cfg(any(test, feature = "hazmat"))]
use hkdf::Hkdf;
#[cfg(any(test, feature = "hazmat"))]
use sha2::{Sha256, Sha512};
#[cfg(any(test, feature = "hazmat"))]
use zeroize::Zeroize;
use zeroize::Zeroizing;

/// Bytes of the nonce and of the salt (Nn).
pub(crate) const NONCE_BYTES: usize = 12;

const KEY_LABEL: &[u8] = b"SFrame 1.0 Secret key ";
const SALT_LABEL: &[u8] = b"SFrame 1.0 Secret salt ";

/// Key and salt of one KID.
pub(crate) struct FrameKeys {
    key: Zeroizing<[u8; 32]>,
    suite: Suite,
    pub(crate) salt: Zeroizing<[u8; NONCE_BYTES]>,
}

impl FrameKeys {
    fn zeros(suite: Suite) -> Self {
        Self { key: Zeroizing::new([0; 32]), suite, salt: Zeroizing::new([0; NONCE_BYTES]) }
    }

    /// The key of the AEAD, with the length that the suite requires.
    pub(crate) fn key(&self) -> &[u8] {
        match self.suite {
            #[cfg(any(test, feature = "hazmat"))]
            Suite::Aes128GcmSha256 => array::split::<16, 16, 32>(&self.key).0,
            Suite::Aes256GcmSha512 => &*self.key,
        }
    }

    /// Key and salt of this KID in the suite of every session, 0x0005.
    pub(crate) fn derive<P: Primitives>(base_key: &[u8], kid: u64) -> Self {
        let suite = Suite::Aes256GcmSha512;
        let mut keys = Self::zeros(suite);
        let (kid, suite) = (kid.to_be_bytes(), suite.id().to_be_bytes());
        let mut outputs: [Output<'_>; 2] =
            [(&[KEY_LABEL, &kid, &suite], &mut *keys.key), (&[SALT_LABEL, &kid, &suite], &mut *keys.salt)];
        P::derive(&[], base_key, &mut outputs);
        keys
    }
}

/// Derives key and salt of this KID from a base key, in any suite.
#[cfg(any(test, feature = "hazmat"))]
pub(crate) fn frame_keys(suite: Suite, base_key: &[u8], kid: u64) -> FrameKeys {
    let mut keys = FrameKeys::zeros(suite);
    match suite {
        Suite::Aes128GcmSha256 => {
            let (key, _) = array::split_mut::<16, 16, 32>(&mut keys.key);
            expand_sha256(base_key, kid, suite.id(), key, &mut *keys.salt);
        }
        Suite::Aes256GcmSha512 => {
            let (mut prk, hkdf) = Hkdf::<Sha512>::extract(None, base_key);
            prk.zeroize();
            let (kid, suite) = (kid.to_be_bytes(), suite.id().to_be_bytes());
            let expanded = hkdf
                .expand_multi_info(&[KEY_LABEL, &kid, &suite], &mut *keys.key)
                .and_then(|()| hkdf.expand_multi_info(&[SALT_LABEL, &kid, &suite], &mut *keys.salt));
            // Expanding fails only beyond 255 hash lengths.
            debug_assert!(expanded.is_ok(), "at most 32 bytes are expanded");
        }
    }
    keys
}

/// Fills key and salt for a suite with SHA-256.
#[cfg(any(test, feature = "hazmat"))]
pub(crate) fn expand_sha256(base_key: &[u8], kid: u64, suite: u16, key: &mut [u8], salt: &mut [u8]) {
    let (mut prk, hkdf) = Hkdf::<Sha256>::extract(None, base_key);
    prk.zeroize();
    let (kid, suite) = (kid.to_be_bytes(), suite.to_be_bytes());
    let expanded = hkdf
        .expand_multi_info(&[KEY_LABEL, &kid, &suite], key)
        .and_then(|()| hkdf.expand_multi_info(&[SALT_LABEL, &kid, &suite], salt));
    debug_assert!(expanded.is_ok(), "at most 48 bytes are expanded");
}

/// The nonce of a counter: salt XOR counter, right-aligned (section 4.4.3).
pub(crate) fn nonce(salt: &[u8; NONCE_BYTES], ctr: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = *salt;
    for (byte, ctr) in nonce.iter_mut().rev().zip(ctr.to_be_bytes().iter().rev()) {
        *byte ^= ctr;
    }
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sframe::context::tests::{Vector, vectors};
    use e2ee_core::Standard;

    #[test]
    fn rfc_9605_appendix_c_keys_salts_and_nonces() {
        for Vector { suite, kid, ctr, base_key, sframe_key, sframe_salt, nonce: expected, .. } in vectors() {
            let keys = frame_keys(suite, &base_key, kid);
            assert_eq!(keys.key(), sframe_key);
            assert_eq!(keys.salt[..], sframe_salt);
            assert_eq!(nonce(&keys.salt, ctr)[..], expected);
            if suite == Suite::Aes256GcmSha512 {
                let keys = FrameKeys::derive::<Standard>(&base_key, kid);
                assert_eq!((keys.key(), &keys.salt[..]), (&sframe_key[..], &sframe_salt[..]));
            }
        }
    }

    #[test]
    fn nonce_contains_whole_counter() {
        assert_eq!(nonce(&[0; 12], u64::MAX), [0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    }
}
