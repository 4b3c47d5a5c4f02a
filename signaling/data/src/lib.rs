//! The data folder of a server: the few small records that must outlive its process.
//!
//! ```text
//!   DIR/                  mode 0700
//!   ├── lock              held while a process has the folder open
//!   └── TABLE/            one folder per table
//!       └── KEY.json      one file per record, mode 0600
//! ```
//!
//! A [`Table`] writes a record into a temporary file, flushes it, renames it over the old one and flushes the folder, so
//! that after a crash a record is either the old one or the new one, and a write that was acknowledged is on the disk. A
//! write that fails, for example because the disk is full, leaves the old record.
//!
//! A file that does not hold a record is never deleted: it is renamed to `KEY.json.damaged`, logged, and the rest is
//! loaded.
//!
//! Nothing here knows what the records mean. Calls block on the disk: make them on a thread that may wait.

mod directory;
mod replace;
mod table;

pub use directory::{DataDirectory, OpenError};
pub use table::{Records, StorageError, Table};
