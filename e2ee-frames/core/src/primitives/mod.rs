//! The cryptographic primitives that protocols are built from; only this module and [`crate::aead`] call cryptographic
//! libraries.
//!
//! [`Standard`] is the real implementation. [`ideal`](self) primitives (feature `ideal`) behave alike for simulations of
//! key distribution, thousands of times faster and without any secrecy.

#[cfg(any(test, feature = "ideal"))]
pub mod ideal;
mod standard;

use crate::{aead::Aead, label::Label};
pub use standard::Standard;

/// One output of a key derivation: the parts of its info string, and the buffer that it fills.
pub type Output<'a> = (&'a [&'a [u8]], &'a mut [u8]);

/// A choice of primitives.
pub trait Primitives: Default + Send + Sized + 'static {
    /// AES-256-GCM.
    type Aead: Aead;
    /// Ed25519.
    type Signing: SigningKey;
    /// X25519.
    type Agreement: AgreementKey;

    /// SHA-256 of `bytes`, to refer to them by. Carries no label: use [`Self::hash`] for everything else.
    fn digest(bytes: &[u8]) -> [u8; 32];

    /// SHA-256 of the label followed by the parts. Parts are not delimited: all but one must have a fixed length.
    fn hash(label: &Label, parts: &[&[u8]]) -> [u8; 32];

    /// HKDF-SHA-512 (RFC 5869): one extraction, then one expansion per output. An output has at most 255 × 64 bytes.
    /// The salt is a [`Label`], or that of a standard such as RFC 9605.
    fn derive(salt: &[u8], secret: &[u8], outputs: &mut [Output<'_>]);

    /// HMAC-SHA-256. The key must be used for one purpose only.
    fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32];

    /// Whether `device` signed `message` under this label. Strict: rejects small-order keys and malleable signatures.
    fn verify(device: &[u8; 32], label: &Label, message: &[u8], signature: &[u8; 64]) -> bool;
}

/// The private half of a signing key.
pub trait SigningKey: Send {
    /// The key of a random seed.
    fn from_seed(seed: &[u8; 32]) -> Self;
    /// The public half.
    fn public(&self) -> [u8; 32];
    /// Signs the label followed by `message`.
    fn sign(&self, label: &Label, message: &[u8]) -> [u8; 64];
}

/// The private half of a key agreement.
pub trait AgreementKey: Send {
    /// The key that two parties agree on.
    type Box: BoxKey;
    /// The key of a random seed.
    fn from_seed(seed: &[u8; 32]) -> Self;
    /// The public half.
    fn public(&self) -> [u8; 32];
    /// Whether the peer's public half contributes to the agreement: points of low order do not.
    fn contributes(&self, peer: &[u8; 32]) -> bool;
    /// The nacl.box key shared with the owner of the peer's public half.
    fn agree(&self, peer: &[u8; 32]) -> Self::Box;
}

/// A nacl.box key: X25519, XSalsa20 and Poly1305. The same at both ends, so it does not show a direction.
pub trait BoxKey: Send {
    /// Encrypts in place and returns the tag; `None` beyond the cipher's length limit.
    fn seal(&self, nonce: &[u8; 24], data: &mut [u8]) -> Option<[u8; 16]>;
    /// Decrypts in place; `None` if the tag does not authenticate.
    fn open(&self, nonce: &[u8; 24], data: &mut [u8], tag: &[u8; 16]) -> Option<()>;
}
