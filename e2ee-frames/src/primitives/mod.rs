//! The cryptographic primitives that everything else is built from, and nothing else calls a cryptographic library.
//!
//! [`Standard`] is what runs. Tests of key distribution also run on an ideal twin, which is thousands of times faster
//! and has no secrets; it is not compiled into the library.

#[cfg(test)]
pub(crate) mod ideal;
mod standard;

pub(crate) use crate::sframe::backend::Aead;
pub(crate) use standard::Standard;

/// What to expand from one secret: the parts of the info, and where the bytes go.
pub(crate) type Output<'a> = (&'a [&'a [u8]], &'a mut [u8]);

/// A choice of primitives.
pub trait Primitives: Default + Send + Sized + 'static {
    /// Seals frames and names: AES-256-GCM.
    type Aead: Aead;
    /// Signs announces: Ed25519.
    type Signing: Signing;
    /// The secret half of an ephemeral key: X25519.
    type Secret: Secret;

    /// SHA-256 of the parts, one after the other.
    fn hash(parts: &[&[u8]]) -> [u8; 32];

    /// HKDF-SHA-512: one extraction, and an expansion for each output. No output may exceed 255 × 64 bytes.
    fn derive(salt: &[u8], secret: &[u8], outputs: &mut [Output<'_>]);

    /// HMAC-SHA-256.
    fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32];

    /// Whether a signature is the device's. Strict: no small-order keys, no malleable signatures.
    fn verify(device: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;
}

/// A signing key.
pub trait Signing: Send {
    /// The key of a random seed.
    fn from_seed(seed: &[u8; 32]) -> Self;
    /// The public half.
    fn public(&self) -> [u8; 32];
    /// Signs.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// An agreement key.
pub trait Secret: Send {
    /// What two of them agree on.
    type Box: BoxKey;
    /// The key of a random seed.
    fn from_seed(seed: &[u8; 32]) -> Self;
    /// The public half.
    fn public(&self) -> [u8; 32];
    /// Whether the other half contributes to what is agreed on: points of low order do not.
    fn contributes(&self, theirs: &[u8; 32]) -> bool;
    /// The nacl.box key with the owner of the other half.
    fn agree(&self, theirs: &[u8; 32]) -> Self::Box;
}

/// A nacl.box key: X25519, XSalsa20 and Poly1305. The same at both ends.
pub trait BoxKey: Send {
    /// Encrypts in place and returns the tag; `None` beyond the cipher's limits.
    fn seal(&self, nonce: &[u8; 24], data: &mut [u8]) -> Option<[u8; 16]>;
    /// Decrypts in place; `None` if the tag does not authenticate.
    fn open(&self, nonce: &[u8; 24], data: &mut [u8], tag: &[u8; 16]) -> Option<()>;
}
