//! Why the store cannot do what it was asked for.

use crate::{database::DatabaseError, master::MasterKeyError, store::Stored};
use std::io;

/// Why the store cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A database refuses or fails.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A file of a wrap key, or the list of deleted accounts, cannot be read or written.
    #[error("a file of the store cannot be read or written")]
    File(#[from] io::Error),
    /// The operator's key is another one, or fails.
    #[error("{stored} cannot be used: {cause}")]
    MasterKey {
        /// What it should open or seal.
        stored: Stored,
        /// The reason.
        cause: MasterKeyError,
    },
    /// There is no store yet.
    #[error("there is no store here: tacet store init makes one")]
    NotInitialised,
    /// There is one already, or files of one.
    #[error("there is a store already, or a part of one")]
    AlreadyExists,
    /// Its files of wrap keys are gone.
    #[error("the store has no wrap keys: restore the folder of wrap keys")]
    NoWrapKeys,
    /// The two databases, or a database and an archive, are of different stores.
    #[error("the parts are of different stores")]
    OtherStore,
    /// It was made for another region.
    #[error("the store is of the region {store:?}, and the server of {server:?}")]
    OtherRegion {
        /// The store's.
        store: String,
        /// The server's.
        server: String,
    },
    /// A newer program has written it.
    #[error("the store has schema {0}, which this program does not know")]
    NewerSchema(u32),
    /// The account, room or day does not exist, or is deleted.
    #[error("there is no such owner")]
    UnknownOwner,
    /// The account was deleted, and its id cannot be used again.
    #[error("the owner was deleted")]
    Deleted,
    /// A key or value is longer than the store allows.
    #[error("a key or a value is too long")]
    TooLong,
    /// What is stored is not what was written.
    #[error("{0} is corrupt")]
    Corrupt(Stored),
    /// The cipher refuses.
    #[error("the cipher fails")]
    Cipher,
}
