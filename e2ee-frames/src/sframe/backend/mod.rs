//! AES-GCM implementations behind one trait. A key is set up once, then seals and opens without allocating.
//!
//! Public only through `hazmat`: nothing else encrypts with a key of the caller's.

#![cfg_attr(not(feature = "hazmat"), allow(unreachable_pub, reason = "re-exported by hazmat"))]

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(any(test, feature = "hazmat", not(feature = "aws-lc")))]
mod rust_crypto;

#[cfg(feature = "aws-lc")]
pub use aws_lc::AwsLc;
#[cfg(any(test, feature = "hazmat", not(feature = "aws-lc")))]
pub use rust_crypto::RustCrypto;

/// What contexts use unless told otherwise: aws-lc where it is compiled in, else RustCrypto.
#[cfg(feature = "aws-lc")]
pub(crate) type Default = AwsLc;
/// What contexts use unless told otherwise: aws-lc where it is compiled in, else RustCrypto.
#[cfg(not(feature = "aws-lc"))]
pub(crate) type Default = RustCrypto;

/// A tag did not authenticate, or a length is beyond the cipher's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not authentic")]
pub struct Unauthentic;

/// An AES-GCM key, ready to use.
pub trait Aead: Sized + Send {
    /// Sets the key up: 16 bytes for AES-128, 32 for AES-256, nothing else.
    fn new(key: &[u8]) -> Option<Self>;

    /// Encrypts in place and returns the tag.
    ///
    /// # Errors
    /// Only beyond the cipher's length limit (64 GiB); `data` is then to be thrown away.
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], Unauthentic>;

    /// Encrypts `plain` into `out`, which is as long, and returns the tag.
    ///
    /// # Errors
    /// If the lengths differ, or beyond the cipher's length limit; `out` is then to be thrown away.
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
        fn both_backends_make_the_same_bytes(
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
