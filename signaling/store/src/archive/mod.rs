//! Archives: snapshots of the databases and copies of the wrap keys, encrypted to a key that lies elsewhere.
//!
//! ```text
//!   keys    data keys, sealed under wrap keys      keep some days' archives
//!   vault   rows, sealed under data keys           keep some weeks' archives
//!   wrap    wrap keys, sealed under the master key, and tombstones
//!                                                  keep ONE: replace it after each rotation of wrap keys
//! ```
//!
//! An archive of the keys opens nothing without wrap keys, and those of its time are gone three rotations later: that is
//! what deletes an account from archives. Keeping old archives of wrap keys undoes it.
//!
//! Nothing is compressed: values are ciphertext.

mod age;
mod format;
mod restore;

pub use age::{AgeError, Identity, Recipient};
pub use format::{ArchiveError, Content, Header};
pub use restore::{Restored, restore, verify};

use crate::{
    database::{self, Kind, Space, Table},
    error::StoreError,
    store::Store,
    time::Time,
};
use format::{RecordSink, TOMBSTONES, WRAP_KEYS};
use std::io::Write;

/// Records that are read at a time.
const PAGE: usize = 500;

impl Store {
    /// Writes an archive. Of a database it is one state. Archives of the two databases belong together if no data key was
    /// rotated between them.
    ///
    /// # Errors
    /// The store or `out` fails: what was written is not complete, and is refused when it is read.
    pub fn archive(
        &self,
        content: Content,
        recipient: &Recipient,
        out: &mut dyn Write,
        now: Time,
    ) -> Result<(), ArchiveError> {
        let header = Header { content, store: self.id(), region: self.region().to_owned(), taken: now };
        let mut random = |buffer: &mut [u8]| self.random().fill(buffer);
        let mut sink = RecordSink::new(age::Writer::new(out, recipient, &mut random)?, &header)?;
        match content {
            Content::Keys => self.archive_database(Space::Keys, &mut sink)?,
            Content::Vault => self.archive_database(Space::Vault, &mut sink)?,
            Content::Wrap => {
                for (number, contents) in self.wrap_files.read_all().map_err(StoreError::from)? {
                    sink.record(WRAP_KEYS, &number.to_be_bytes(), &contents)?;
                }
                let tombstones = database::read(self.database(Space::Keys), |tx| {
                    tx.range(Table::Tombstone, &[], None, usize::MAX).map_err(StoreError::from)
                })?;
                for (mac, day) in tombstones {
                    sink.record(TOMBSTONES, &mac, &day)?;
                }
            }
        }
        sink.finish()?;
        Ok(())
    }

    fn archive_database(&self, space: Space, sink: &mut RecordSink<age::Writer<'_>>) -> Result<(), ArchiveError> {
        let mut failed = None;
        let done = self.database(space).transact(Kind::Read, &mut |tx| {
            // A read is not repeated by any backend once it has begun to succeed, and this writes as it goes.
            for table in Table::of(space) {
                let mut after: Option<Vec<u8>> = None;
                loop {
                    let records = database::page(tx, table, &[], after.as_deref(), PAGE)?;
                    let Some((last, _)) = records.last() else { break };
                    after = Some(last.clone());
                    for (key, value) in &records {
                        if let Err(error) = sink.record(table.number(), key, value) {
                            failed = Some(error);
                            return Err(database::Abort);
                        }
                    }
                }
            }
            Ok(())
        });
        match (failed, done) {
            (Some(error), _) => Err(error),
            (None, done) => Ok(done.map_err(StoreError::from)?),
        }
    }
}
