//! Values derived from the invite secret of a room link: guest access for the server, and keys that it never receives.
//!
//! The secret is 32 random bytes in the link's fragment. Each purpose has its own HKDF-SHA-512 output, so that the output
//! for the server (`access`) reveals nothing about the others.

use crate::label;
use e2ee_core::{Primitives, Standard};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

fn derive<P: Primitives>(invite: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    P::derive(label::INVITE.as_bytes(), invite, &mut [(&[purpose], &mut *key)]);
    key
}

/// The guest access that a client shows the server: HKDF-SHA-512 of the invite secret, salt `e2ee-frames/1 invite`, info
/// `access`. The server stores only its SHA-256.
#[must_use]
pub fn access_token(invite: &[u8; 32]) -> [u8; 32] {
    *derive::<Standard>(invite, b"access")
}

/// Keys shared by everyone who has the link.
pub(crate) struct InviteKeys {
    announce: Zeroizing<[u8; 32]>,
    /// Seals names.
    pub(crate) display: Zeroizing<[u8; 32]>,
}

impl InviteKeys {
    pub(crate) fn new<P: Primitives>(invite: &[u8; 32]) -> Self {
        Self { announce: derive::<P>(invite, b"announce"), display: derive::<P>(invite, b"display") }
    }

    /// Erases both keys.
    pub(crate) fn erase(&mut self) {
        self.announce.zeroize();
        self.display.zeroize();
    }

    /// Authenticates an announce as made by a holder of the link.
    pub(crate) fn mac<P: Primitives>(&self, bytes: &[u8]) -> [u8; 32] {
        P::mac(&self.announce, bytes)
    }

    /// Whether a MAC is right, in constant time.
    pub(crate) fn verify<P: Primitives>(&self, bytes: &[u8], mac: &[u8; 32]) -> bool {
        self.mac::<P>(bytes).ct_eq(mac).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invite_keys_differ_by_purpose() {
        let keys = InviteKeys::new::<Standard>(&[7; 32]);
        assert_ne!(*keys.announce, *keys.display);
        assert_ne!(*keys.announce, access_token(&[7; 32]));
        assert_ne!(access_token(&[7; 32]), access_token(&[8; 32]));
    }

    #[test]
    fn mac_binds_bytes_and_secret() {
        let keys = InviteKeys::new::<Standard>(&[7; 32]);
        let mac = keys.mac::<Standard>(b"announce");
        assert!(keys.verify::<Standard>(b"announce", &mac));
        assert!(!keys.verify::<Standard>(b"announcE", &mac));
        assert!(!InviteKeys::new::<Standard>(&[8; 32]).verify::<Standard>(b"announce", &mac));
    }
}
