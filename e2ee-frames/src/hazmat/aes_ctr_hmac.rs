//! RFC 9605 suites 1 to 3: AES-CTR with a truncated HMAC-SHA-256 (section 4.5.1).
//!
//! Only for the vectors of Appendix C: forging a four-byte tag takes about an hour.

use super::HazmatError;
use crate::sframe::{
    header::{self, Header},
    kdf::{NONCE_BYTES, expand_sha256, nonce},
};
use aes::Aes128;
use alloc::vec::Vec;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of the encryption key, in front of the authentication key.
const ENCRYPTION_KEY_BYTES: usize = 16;
/// Bytes of both keys together (Nk).
const KEY_BYTES: usize = 48;

/// A suite with AES-CTR; they differ in the length of the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CtrSuite {
    /// 0x0001, tags of 10 bytes.
    Aes128CtrHmacSha256Tag80 = 1,
    /// 0x0002, tags of 8 bytes.
    Aes128CtrHmacSha256Tag64 = 2,
    /// 0x0003, tags of 4 bytes.
    Aes128CtrHmacSha256Tag32 = 3,
}

impl CtrSuite {
    /// Bytes of the tag (Nt).
    #[must_use]
    pub fn tag_bytes(self) -> usize {
        match self {
            CtrSuite::Aes128CtrHmacSha256Tag80 => 10,
            CtrSuite::Aes128CtrHmacSha256Tag64 => 8,
            CtrSuite::Aes128CtrHmacSha256Tag32 => 4,
        }
    }
}

/// The AEAD of these suites with one key.
pub struct AesCtrHmac {
    suite: CtrSuite,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl AesCtrHmac {
    /// Encryption key (16 bytes) and authentication key (32 bytes), one after the other.
    #[must_use]
    pub fn new(suite: CtrSuite, key: &[u8; KEY_BYTES]) -> Self {
        Self { suite, key: Zeroizing::new(*key) }
    }

    fn apply_key_stream(&self, nonce: &[u8; NONCE_BYTES], data: &mut [u8]) -> Result<(), HazmatError> {
        let (key, _) = self.key.split_first_chunk::<ENCRYPTION_KEY_BYTES>().ok_or(HazmatError)?;
        let mut counter = [0; 16];
        counter.get_mut(..NONCE_BYTES).ok_or(HazmatError)?.copy_from_slice(nonce);
        ctr::Ctr128BE::<Aes128>::new(key.into(), &counter.into()).try_apply_keystream(data).map_err(|_| HazmatError)
    }

    fn tag(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], ct: &[u8]) -> Result<[u8; 32], HazmatError> {
        let (_, key) = self.key.split_first_chunk::<ENCRYPTION_KEY_BYTES>().ok_or(HazmatError)?;
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).map_err(|_| HazmatError)?;
        for length in [aad.len(), ct.len(), self.suite.tag_bytes()] {
            mac.update(&(length as u64).to_be_bytes());
        }
        for part in [nonce.as_slice(), aad, ct] {
            mac.update(part);
        }
        Ok(mac.finalize().into_bytes().into())
    }

    /// Ciphertext and tag.
    ///
    /// # Errors
    /// Never for plaintexts that fit memory.
    pub fn seal(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, HazmatError> {
        let mut sealed = plain.to_vec();
        self.apply_key_stream(nonce, &mut sealed)?;
        let tag = self.tag(nonce, aad, &sealed)?;
        sealed.extend_from_slice(tag.get(..self.suite.tag_bytes()).ok_or(HazmatError)?);
        Ok(sealed)
    }

    /// The plaintext.
    ///
    /// # Errors
    /// If the tag does not match.
    pub fn open(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, HazmatError> {
        let length = sealed.len().checked_sub(self.suite.tag_bytes()).ok_or(HazmatError)?;
        let (ct, tag) = sealed.split_at_checked(length).ok_or(HazmatError)?;
        let expected = self.tag(nonce, aad, ct)?;
        let expected = expected.get(..self.suite.tag_bytes()).ok_or(HazmatError)?;
        if !bool::from(expected.ct_eq(tag)) {
            return Err(HazmatError);
        }
        let mut plain = ct.to_vec();
        self.apply_key_stream(nonce, &mut plain)?;
        Ok(plain)
    }
}

/// Seals and opens SFrame ciphertexts under one base key and KID. Keeps no counters, in either direction.
pub struct CtrContext {
    aead: AesCtrHmac,
    salt: Zeroizing<[u8; NONCE_BYTES]>,
    kid: u64,
}

impl CtrContext {
    /// Derives the context of a base key and a KID (RFC 9605 section 4.4.2).
    #[must_use]
    pub fn new(suite: CtrSuite, base_key: &[u8], kid: u64) -> Self {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let mut salt = Zeroizing::new([0; NONCE_BYTES]);
        expand_sha256(base_key, kid, suite as u16, &mut *key, &mut *salt);
        Self { aead: AesCtrHmac::new(suite, &key), salt, kid }
    }

    /// Seals a frame under this counter: SFrame header, ciphertext, tag.
    ///
    /// # Errors
    /// Never for frames that fit memory.
    pub fn seal(&self, ctr: u64, metadata: &[u8], frame: &[u8]) -> Result<Vec<u8>, HazmatError> {
        let header = Header { kid: self.kid, ctr }.encode();
        let aad = [header.as_bytes(), metadata].concat();
        let sealed = self.aead.seal(&nonce(&self.salt, ctr), &aad, frame)?;
        Ok([header.as_bytes(), &sealed].concat())
    }

    /// Opens an SFrame ciphertext.
    ///
    /// # Errors
    /// If it is malformed, under another KID or not authentic.
    pub fn open(&self, metadata: &[u8], sealed: &[u8]) -> Result<Vec<u8>, HazmatError> {
        let (Header { kid, ctr }, length) = header::parse(sealed).map_err(|_| HazmatError)?;
        let (header, body) = sealed.split_at_checked(length).filter(|_| kid == self.kid).ok_or(HazmatError)?;
        self.aead.open(&nonce(&self.salt, ctr), &[header, metadata].concat(), body)
    }
}
