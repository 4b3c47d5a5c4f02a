//! What the server keeps for programs that use its HTTP API.

pub mod idempotency;
pub mod keys;
pub mod scope;
pub(crate) mod short_id;

pub use idempotency::Repeats;
pub use keys::{ApiKeys, KeyDescription, KeyError, KeyId};
pub use scope::Scope;

use crate::webhooks::Webhooks;
use tacet_data::{DataDirectory, StorageError};

/// The records of the HTTP API.
#[derive(Debug, Default)]
pub struct ApiRecords {
    /// Keys that were created beside the operator's.
    pub keys: ApiKeys,
    /// Requests that may be repeated.
    pub repeats: Repeats,
    /// Webhooks, and what they have not received yet.
    pub webhooks: Webhooks,
}

impl ApiRecords {
    /// The records of a data folder.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn open(data: &DataDirectory) -> Result<Self, StorageError> {
        Ok(Self { keys: ApiKeys::open(data)?, repeats: Repeats::open(data)?, webhooks: Webhooks::open(data)? })
    }
}
