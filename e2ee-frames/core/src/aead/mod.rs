//! AES-GCM implementations behind one trait. A key is set up once, then seals and opens without allocating.

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod rust_crypto;

#[cfg(feature = "aws-lc")]
pub use aws_lc::AwsLc;
pub use rust_crypto::RustCrypto;

/// The fastest implementation that is compiled in: aws-lc, else RustCrypto.
#[cfg(feature = "aws-lc")]
pub type Default = AwsLc;
/// The fastest implementation that is compiled in: aws-lc, else RustCrypto.
#[cfg(not(feature = "aws-lc"))]
pub type Default = RustCrypto;

/// The length of a tag, bytes.
pub const TAG_BYTES: usize = 16;

/// A tag did not authenticate, or a length exceeds the cipher's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not authentic")]
pub struct Unauthentic;

/// An AES-GCM key, ready to use.
pub trait Aead: Sized + Send {
    /// Sets a key up: 32 bytes for AES-256, or 16 for AES-128 where it is compiled in. `None` for other lengths.
    fn new(key: &[u8]) -> Option<Self>;

    /// Encrypts in place and returns the tag.
    ///
    /// # Errors
    /// Only beyond the cipher's length limit (64 GiB); discard `data` then.
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], Unauthentic>;

    /// Encrypts `plain` into `out`, which must have the same length, and returns the tag.
    ///
    /// # Errors
    /// If the lengths differ, or beyond the cipher's length limit; discard `out` then.
    fn seal_into(&self, nonce: &[u8; 12], aad: &[u8], plain: &[u8], out: &mut [u8]) -> Result<[u8; 16], Unauthentic>;

    /// Decrypts in place.
    ///
    /// # Errors
    /// If the tag does not authenticate; `data` is then unspecified, but never plaintext.
    fn open(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Result<(), Unauthentic>;
}

#[cfg(all(test, feature = "aws-lc"))]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn backends_produce_identical_bytes(
            key: [u8; 32], short: bool, nonce: [u8; 12],
            aad in proptest::collection::vec(any::<u8>(), 0..40),
            data in proptest::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let key = if short { &key[..16] } else { &key[..] };
            let (ours, theirs) = (RustCrypto::new(key).unwrap(), AwsLc::new(key).unwrap());
            let (mut a, mut b): (Vec<u8>, Vec<u8>) = (data.clone(), data.clone());
            let tag = ours.seal(&nonce, &aad, &mut a).unwrap();
            prop_assert_eq!(theirs.seal(&nonce, &aad, &mut b).unwrap(), tag);
            prop_assert_eq!(&a, &b);
            let mut out = a.clone();
            prop_assert_eq!(ours.seal_into(&nonce, &aad, &data, &mut out).unwrap(), tag);
            prop_assert_eq!(&out, &a);
            out.fill(0);
            prop_assert_eq!(theirs.seal_into(&nonce, &aad, &data, &mut out).unwrap(), tag);
            prop_assert_eq!(&out, &a);
            out.push(0);
            prop_assert!(ours.seal_into(&nonce, &aad, &data, &mut out).is_err());
            prop_assert!(theirs.seal_into(&nonce, &aad, &data, &mut out).is_err());
            ours.open(&nonce, &aad, &mut b, &tag).unwrap();
            theirs.open(&nonce, &aad, &mut a, &tag).unwrap();
            prop_assert_eq!(&a, &data);
            prop_assert_eq!(&b, &data);
        }
    }
}
