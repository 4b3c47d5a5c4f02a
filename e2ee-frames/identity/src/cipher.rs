//! AES-256-GCM under a key that seals a few messages, so that setting it up each time costs nothing that matters.

use e2ee_core::{Aead, Primitives, Random, Standard};

/// Bytes of a nonce. Random: each key seals far fewer than 2³² messages.
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;

type Cipher = <Standard as Primitives>::Aead;

/// The cipher failed, which it does only beyond 64 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cipher failed")]
pub struct CipherError;

/// Seals `data` in place; returns nonce and tag.
pub(crate) fn seal(
    key: &[u8; 32],
    aad: &[u8],
    data: &mut [u8],
    random: &mut (impl Random + ?Sized),
) -> Result<([u8; NONCE_BYTES], [u8; TAG_BYTES]), CipherError> {
    let mut nonce = [0; NONCE_BYTES];
    random.fill(&mut nonce);
    let tag = Cipher::new(key).and_then(|cipher| cipher.seal(&nonce, aad, data).ok()).ok_or(CipherError)?;
    Ok((nonce, tag))
}

/// Opens `data` in place; `None`, and no plaintext, if it does not authenticate.
pub(crate) fn open(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    data: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Option<()> {
    Cipher::new(key)?.open(nonce, aad, data, tag).ok()
}
