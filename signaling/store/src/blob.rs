//! AES-256-GCM with a random nonce: `nonce12 ciphertext tag16`.

use e2ee_core::aead::{Aead, AwsLc, TAG_BYTES};

/// Length of a nonce.
pub(crate) const NONCE_BYTES: usize = 12;
/// What sealing adds to a plaintext.
pub(crate) const OVERHEAD: usize = NONCE_BYTES + TAG_BYTES;

/// Appends nonce, ciphertext and tag to `out`.
pub(crate) fn seal(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let cipher = AwsLc::new(key)?;
    out.reserve(plain.len().saturating_add(OVERHEAD));
    out.extend_from_slice(nonce);
    let at = out.len();
    out.resize(at.checked_add(plain.len())?, 0);
    let tag = cipher.seal_into(nonce, aad, plain, out.get_mut(at..)?).ok()?;
    out.extend_from_slice(&tag);
    Some(())
}

/// Decrypts in place and returns the plaintext, a part of `sealed`. `None` if it is not authentic.
pub(crate) fn open<'a>(key: &[u8; 32], aad: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE_BYTES>()?;
    let (data, tag) = rest.split_last_chunk_mut::<TAG_BYTES>()?;
    AwsLc::new(key)?.open(nonce, aad, data, tag).ok()?;
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_was_sealed_and_nothing_else() {
        let mut out = vec![7];
        seal(&[1; 32], &[2; 12], b"aad", b"plain", &mut out).unwrap();
        assert_eq!(out.len(), 1 + 5 + OVERHEAD);
        let sealed = &out[1..];
        assert_eq!(open(&[1; 32], b"aad", &mut sealed.to_vec()).unwrap(), b"plain");
        assert!(open(&[1; 32], b"other", &mut sealed.to_vec()).is_none());
        assert!(open(&[3; 32], b"aad", &mut sealed.to_vec()).is_none());
        for length in 0..sealed.len() {
            assert!(open(&[1; 32], b"aad", &mut sealed[..length].to_vec()).is_none());
        }
    }
}
