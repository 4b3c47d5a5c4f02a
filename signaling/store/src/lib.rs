//! What a server keeps: rows sealed under keys that can be destroyed, in an ordered map with transactions.
//!
//! ```text
//!   Store::write ─► SealedTx::put(table, owner, name, value)
//!                        │  seal under the row's key
//!                        ▼
//!   Database ─► Tx::put(table, owner ‖ name, row)          keys.db, vault.db
//!
//!   master key v    the operator's; in no database, archive or log
//!     wrap key n    random, some weeks old at most; one file each
//!       data key    of an owner and a purpose, with versions; a record among the keys
//!         row key   HKDF-SHA-256 of the data key, for one row
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`database`] | the map: trait, tables, and the backends |
//! | [`master`] | the operator's key, and where it comes from |
//! | [`wrap`] | wrap keys and their files |
//! | [`deletion`] | tombstones, receipts; deletions are methods of [`Store`] |
//! | [`outbox`] | events that lead from the keys to the vault |
//! | [`audit`] | the chained log of what administrators and the server did |
//! | [`archive`] | encrypted archives, restoring, verifying |
//! | [`calls`] | records of calls, and what is left of them after a day |
//! | [`rotation`] | when keys are rotated; the rotations are methods of [`Store`] |
//!
//! Invariants:
//!
//! * what lies in a database, beside ids and times, is sealed, and opens nowhere but in its place;
//! * a data key is destroyed only if no row needs it, and a wrap key only if no data key does, wherever the process ends
//!   and however long another one was paused;
//! * any bytes yield a value or a named error, never a panic; keys and rows are erased when they are dropped.
//!
//! What it does not do: a running server can read what it keeps, and who can write the database can put an older value of
//! a row back. Time and randomness are given.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use tacet_store::deletion::FileLog;
//! use tacet_store::{Owner, Parts, Store, Time};
//! use tacet_store::database::{Purpose, Space, SqliteDatabase, Table};
//! use tacet_store::master::MasterKeys;
//! use tacet_store::wrap::FolderFiles;
//!
//! let folder = tempfile::tempdir()?;
//! // The system's randomness, in a product.
//! let mut next = 0_u8;
//! let mut random = move |buffer: &mut [u8]| buffer.fill_with(|| { next = next.wrapping_add(151); next });
//! let parts = Parts {
//!     keys: Arc::new(SqliteDatabase::open(folder.path(), Space::Keys)?),
//!     vault: Arc::new(SqliteDatabase::open(folder.path(), Space::Vault)?),
//!     wrap_files: Arc::new(FolderFiles::open(&folder.path().join("wrap"))?),
//!     tombstones: vec![Arc::new(FileLog::open(&folder.path().join("tombstones"))?)],
//!     master: Box::new(MasterKeys::generate(&mut random)),
//!     random: Box::new(random),
//!     region: String::new(),
//! };
//! let now = Time::from_secs(1_800_000_000);
//! let store = Store::create(parts, now)?;
//!
//! let account = Owner::from_id([7; 16]);
//! store.create_owner(account, now)?;
//! store.write(Space::Vault, now, |tx| tx.put(Table::Content, account, b"note", b"a secret"))?;
//! store.rotate_data_key(account, Purpose::Content, now)?;
//! store.read(Space::Vault, now, |tx| {
//!     let note = tx.get(Table::Content, account, b"note")?;
//!     assert_eq!(note.as_deref(), Some(&b"a secret"[..]));
//!     Ok(())
//! })?;
//! let receipt = store.delete_owner(account, now)?;
//! assert!(receipt.verify(store.id(), &store.receipt_key(now)?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod archive;
pub mod audit;
mod blob;
pub mod calls;
mod data_key;
pub mod database;
pub mod deletion;
mod error;
mod facts;
pub mod label;
pub mod master;
pub mod outbox;
mod owner;
mod retention;
pub mod rotation;
mod row;
mod sealed;
mod store;
mod time;
pub mod wrap;

pub use data_key::DataKeyRecord;
pub use error::StoreError;
pub use owner::{OWNER_BYTES, Owner};
pub use row::{Plaintext, version_of};
pub use sealed::{MAX_NAME_BYTES, MAX_VALUE_BYTES, Named, SealedTx};
pub use store::{Parts, Store, StoreId, Stored};
pub use time::{Day, Time};
