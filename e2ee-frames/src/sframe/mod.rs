//! SFrame (RFC 9605): header, key derivation, cipher suites, replay window, and contexts that seal and open.
//!
//! Byte for byte the RFC, without codecs, participants or key distribution.

#[cfg(test)]
pub(crate) mod audit;
pub(crate) mod context;
pub mod header;
pub(crate) mod kdf;
pub mod kid;
pub mod suite;
pub(crate) mod window;

pub use suite::Suite;

/// Bytes of the authentication tag of both suites.
pub const TAG_BYTES: usize = e2ee_core::aead::TAG_BYTES;
