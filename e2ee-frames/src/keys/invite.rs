//! What the invite secret of a room link yields: access for the server, and keys that the server never has.
//!
//! The secret is 32 random bytes in the link's fragment. Each purpose has its own HKDF-SHA-512 output, so that what the
//! server learns (`access`) says nothing about the others.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use zeroize::{Zeroize, Zeroizing};

const SALT: &[u8] = b"e2ee-frames/1 invite";

fn derive(invite: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let (mut prk, hkdf) = Hkdf::<Sha512>::extract(Some(SALT), invite);
    prk.as_mut_slice().zeroize();
    let expanded = hkdf.expand(purpose, &mut *key);
    debug_assert!(expanded.is_ok(), "32 bytes are within a hash length");
    key
}

/// What a client shows the server to be let in: HKDF-SHA-512 of the invite secret, salt `e2ee-frames/1 invite`, info
/// `access`. The server stores only its SHA-256.
#[must_use]
pub fn access_token(invite: &[u8; 32]) -> [u8; 32] {
    *derive(invite, b"access")
}

/// The keys of everybody who has the link.
pub(crate) struct InviteKeys {
    announce: Zeroizing<[u8; 32]>,
    /// Seals names.
    pub(crate) display: Zeroizing<[u8; 32]>,
}

impl InviteKeys {
    pub(crate) fn new(invite: &[u8; 32]) -> Self {
        Self { announce: derive(invite, b"announce"), display: derive(invite, b"display") }
    }

    fn announce_mac(&self, bytes: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*self.announce).ok()?;
        mac.update(bytes);
        Some(mac)
    }

    /// Authenticates an announce as made by someone who has the link.
    pub(crate) fn mac(&self, bytes: &[u8]) -> [u8; 32] {
        self.announce_mac(bytes).map_or([0; 32], |mac| mac.finalize().into_bytes().into())
    }

    /// Whether a MAC is right, in constant time.
    pub(crate) fn verify(&self, bytes: &[u8], mac: &[u8; 32]) -> bool {
        self.announce_mac(bytes).is_some_and(|expected| expected.verify_slice(mac).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_do_not_share_keys() {
        let keys = InviteKeys::new(&[7; 32]);
        assert_ne!(*keys.announce, *keys.display);
        assert_ne!(*keys.announce, access_token(&[7; 32]));
        assert_ne!(access_token(&[7; 32]), access_token(&[8; 32]));
    }

    #[test]
    fn macs_verify_only_for_their_bytes_and_secret() {
        let keys = InviteKeys::new(&[7; 32]);
        let mac = keys.mac(b"announce");
        assert!(keys.verify(b"announce", &mac));
        assert!(!keys.verify(b"announcE", &mac));
        assert!(!InviteKeys::new(&[8; 32]).verify(b"announce", &mac));
    }
}
