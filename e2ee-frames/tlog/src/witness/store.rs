//! The durable state of a witness.

use super::Head;
use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
};

/// The outcome of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The new head is stored and outlasts a crash at once.
    Durably,
    /// Another head than the expected one is stored. Nothing was changed.
    NotAsExpected,
}

/// Where a witness keeps the last head of each log.
///
/// A file per log is enough: write a temporary file, flush it, rename it over the old one, flush the folder, in one
/// process at a time. So is a row in a database with serializable transactions. [`Head::to_bytes`] is the record.
pub trait WitnessStore {
    /// Why the state cannot be read or written: also a damaged record.
    type Error;

    /// The last head of a log; `None` only if none was ever stored.
    ///
    /// # Errors
    /// If it cannot be read for certain.
    fn head(&self, origin: &str) -> Result<Option<Head>, Self::Error>;

    /// Stores `new` in place of `expected`, or of nothing, in one step: after a crash at any moment, either the old
    /// state is found or the new one.
    ///
    /// # Errors
    /// If the state cannot be made durable. Either head may be stored then; [`Self::head`] returns from now on the one
    /// that a restart would find, or fails.
    fn replace(&mut self, origin: &str, expected: Option<&Head>, new: &Head) -> Result<Replaced, Self::Error>;
}

/// Heads in memory, for tests and examples. A witness that forgets its heads may sign two trees: never use it with a key
/// that outlives the process.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(BTreeMap<String, Head>);

impl WitnessStore for MemoryStore {
    type Error = core::convert::Infallible;

    fn head(&self, origin: &str) -> Result<Option<Head>, Self::Error> {
        Ok(self.0.get(origin).cloned())
    }

    fn replace(&mut self, origin: &str, expected: Option<&Head>, new: &Head) -> Result<Replaced, Self::Error> {
        if self.0.get(origin) != expected {
            return Ok(Replaced::NotAsExpected);
        }
        self.0.insert(origin.to_string(), new.clone());
        Ok(Replaced::Durably)
    }
}
