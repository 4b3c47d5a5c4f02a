//! The keys that sign room tokens: the current one signs, the current and the one before it verify.

use crate::{random::random, sha256::sha256};
use aws_lc_rs::{
    error::KeyRejected,
    signature::{Ed25519KeyPair, KeyPair},
};
use data_encoding::BASE64URL_NOPAD;
use std::sync::{Arc, PoisonError, RwLock};

/// The seed of an Ed25519 key; `Debug` shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SigningSeed(pub [u8; 32]);

impl std::fmt::Debug for SigningSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSeed(..)")
    }
}

/// A key, and the name under which tokens refer to it.
#[derive(Debug)]
pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    id: String,
}

impl SigningKey {
    fn new(SigningSeed(seed): &SigningSeed) -> Result<Self, KeyRejected> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)?;
        let hash = sha256(pair.public_key().as_ref());
        let id = BASE64URL_NOPAD.encode(hash.first_chunk::<9>().map_or(&hash, |short| &short[..]));
        Ok(Self { pair, id })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// The current key, the one before it, and the name of the server in tokens, which is random and never changes.
#[derive(Debug)]
pub struct TokenKeys {
    server: [u8; 16],
    pair: RwLock<Pair>,
}

#[derive(Clone, Debug)]
struct Pair {
    current: Arc<SigningKey>,
    previous: Option<Arc<SigningKey>>,
}

impl TokenKeys {
    /// Keys that were kept.
    ///
    /// # Errors
    /// The library of ciphers refuses a key.
    pub fn new(server: [u8; 16], current: SigningSeed, previous: Option<SigningSeed>) -> Result<Self, KeyRejected> {
        let current = Arc::new(SigningKey::new(&current)?);
        let previous = previous.map(|seed| SigningKey::new(&seed).map(Arc::new)).transpose()?;
        Ok(Self { server, pair: RwLock::new(Pair { current, previous }) })
    }

    /// A new server with a new key. Its tokens are good only as long as this value lives.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        Self::new(random()?, SigningSeed(random()?), None).map_err(|_| getrandom::Error::UNEXPECTED)
    }

    /// Makes a new key the current one; the current one becomes the previous one.
    ///
    /// # Errors
    /// The library of ciphers refuses the key.
    pub fn rotate(&self, next: &SigningSeed) -> Result<(), KeyRejected> {
        let next = Arc::new(SigningKey::new(next)?);
        let mut pair = self.pair.write().unwrap_or_else(PoisonError::into_inner);
        *pair = Pair { current: next, previous: Some(Arc::clone(&pair.current)) };
        Ok(())
    }

    /// The name of the server in tokens.
    #[must_use]
    pub fn server(&self) -> [u8; 16] {
        self.server
    }

    /// The key that signs.
    pub(super) fn current(&self) -> Arc<SigningKey> {
        self.pair().current
    }

    /// The key of this name.
    pub(super) fn find(&self, id: &str) -> Option<Arc<SigningKey>> {
        let Pair { current, previous } = self.pair();
        [Some(current), previous].into_iter().flatten().find(|key| key.id == id)
    }

    fn pair(&self) -> Pair {
        self.pair.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
