//! AES-GCM in Rust, for every target including wasm.

use super::{Aead, Unauthentic};
#[cfg(feature = "aes-128")]
use aes_gcm::Aes128Gcm;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, aead::inout::InOutBuf};
use alloc::boxed::Box;

/// RustCrypto's `aes-gcm`. Key schedules are erased on drop.
pub struct RustCrypto(Cipher);

// Boxed: with software AES a schedule takes about a kilobyte, and contexts move.
enum Cipher {
    #[cfg(feature = "aes-128")]
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
}

impl Aead for RustCrypto {
    fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            #[cfg(feature = "aes-128")]
            16 => Aes128Gcm::new_from_slice(key).ok().map(|cipher| Self(Cipher::Aes128(Box::new(cipher)))),
            32 => Aes256Gcm::new_from_slice(key).ok().map(|cipher| Self(Cipher::Aes256(Box::new(cipher)))),
            _ => None,
        }
    }

    fn seal(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], Unauthentic> {
        match &self.0 {
            #[cfg(feature = "aes-128")]
            Cipher::Aes128(cipher) => cipher.encrypt_inout_detached(nonce.into(), aad, data.into()),
            Cipher::Aes256(cipher) => cipher.encrypt_inout_detached(nonce.into(), aad, data.into()),
        }
        .map(Into::into)
        .map_err(|_| Unauthentic)
    }

    fn seal_into(&self, nonce: &[u8; 12], aad: &[u8], plain: &[u8], out: &mut [u8]) -> Result<[u8; 16], Unauthentic> {
        let buffer = InOutBuf::new(plain, out).map_err(|_| Unauthentic)?;
        match &self.0 {
            #[cfg(feature = "aes-128")]
            Cipher::Aes128(cipher) => cipher.encrypt_inout_detached(nonce.into(), aad, buffer),
            Cipher::Aes256(cipher) => cipher.encrypt_inout_detached(nonce.into(), aad, buffer),
        }
        .map(Into::into)
        .map_err(|_| Unauthentic)
    }

    fn open(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Result<(), Unauthentic> {
        match &self.0 {
            #[cfg(feature = "aes-128")]
            Cipher::Aes128(cipher) => cipher.decrypt_inout_detached(nonce.into(), aad, data.into(), tag.into()),
            Cipher::Aes256(cipher) => cipher.decrypt_inout_detached(nonce.into(), aad, data.into(), tag.into()),
        }
        .map_err(|_| Unauthentic)
    }
}
