//! AES-256-GCM under keys that are each used once, so that setting one up costs nothing that matters.

use e2ee_core::{Aead, Primitives, Standard};

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;

type Cipher = <Standard as Primitives>::Aead;

/// The cipher failed, which it does only beyond 64 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cipher failed")]
pub struct CipherError;

/// Seals `data` in place; returns the tag.
pub(crate) fn seal(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    data: &mut [u8],
) -> Result<[u8; TAG_BYTES], CipherError> {
    Cipher::new(key).and_then(|cipher| cipher.seal(nonce, aad, data).ok()).ok_or(CipherError)
}

/// Opens `data` in place; `None`, and no plaintext, if it does not authenticate.
pub(crate) fn open(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    data: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Option<()> {
    Cipher::new(key)?.open(nonce, aad, data, tag).ok()
}
