//! The keys that seal resume tokens: the current one seals, the current and the one before it open.

use crate::random::random;
use std::sync::{PoisonError, RwLock};

/// A secret of 32 bytes; `Debug` shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResumeKey(pub [u8; 32]);

impl std::fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumeKey(..)")
    }
}

/// The current key and the one before it. The owner of the keys replaces the current one each day, so that a key that
/// leaks opens the tokens of two days at most.
#[derive(Debug)]
pub struct ResumeKeys(RwLock<Pair>);

#[derive(Clone, Copy, Debug)]
struct Pair {
    current: ResumeKey,
    previous: Option<ResumeKey>,
}

impl ResumeKeys {
    /// Keys that were kept.
    #[must_use]
    pub fn new(current: ResumeKey, previous: Option<ResumeKey>) -> Self {
        Self(RwLock::new(Pair { current, previous }))
    }

    /// A new key, for a server that keeps none. Its tokens open only as long as this value lives.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self::new(ResumeKey(random()?), None))
    }

    /// Makes a new key the current one; the current one becomes the previous one.
    pub fn rotate(&self, next: ResumeKey) {
        let mut pair = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *pair = Pair { current: next, previous: Some(pair.current) };
    }

    /// The key that seals.
    #[must_use]
    pub fn current(&self) -> ResumeKey {
        self.pair().current
    }

    /// The key that sealed before it and still opens.
    #[must_use]
    pub fn previous(&self) -> Option<ResumeKey> {
        self.pair().previous
    }

    fn pair(&self) -> Pair {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_keeps_one_key_back() {
        let [first, second, third] = [1, 2, 3].map(|byte| ResumeKey([byte; 32]));
        let keys = ResumeKeys::new(first, None);
        keys.rotate(second);
        assert_eq!((keys.current(), keys.previous()), (second, Some(first)));
        keys.rotate(third);
        assert_eq!((keys.current(), keys.previous()), (third, Some(second)));
        assert_eq!(format!("{third:?}"), "ResumeKey(..)");
    }
}
