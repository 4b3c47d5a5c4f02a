//! The master key, which is the operator's: it seals wrap keys, and is in no database, archive or log.

mod keys;
mod source;

pub use keys::MasterKeys;
pub use source::{SourceError, from_credentials, from_environment, from_file};

use e2ee_core::{Random, SecretBytes};

/// Seals and opens wrap keys. A trait, so that a token can keep the key inside.
pub trait MasterKey: Send + Sync {
    /// The version that seals: the highest.
    fn active(&self) -> u32;

    /// Whether there is a key of this version.
    fn has(&self, version: u32) -> bool;

    /// Eight hexadecimal digits that name a key and say nothing on it, for messages to the operator.
    fn id(&self, version: u32) -> Option<String>;

    /// Seals a wrap key under the active version, 60 bytes: nonce, ciphertext and tag of AES-256-GCM.
    ///
    /// # Errors
    /// The token that holds the key fails.
    fn seal(&self, aad: &[u8], key: &[u8; 32], random: &mut dyn Random) -> Result<Vec<u8>, MasterKeyError>;

    /// Opens a wrap key.
    ///
    /// # Errors
    /// There is no key of this version, or it is another one; the token fails.
    fn open(&self, version: u32, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes<32>, MasterKeyError>;
}

/// Why a master key was of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// There is no key of this version.
    #[error("there is no master key {0}")]
    NoVersion(u32),
    /// What it should open is not authentic under it.
    #[error("master key {version} (id {id}) does not open it")]
    DoesNotOpen {
        /// Its version.
        version: u32,
        /// Its id.
        id: String,
    },
    /// The token that holds it fails.
    #[error("the token of the master key fails: {0}")]
    Token(String),
}
