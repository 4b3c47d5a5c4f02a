//! An ordered map with transactions, and its backends.
//!
//! A database maps keys to values in numbered tables, in the order of the keys' bytes. Values are ciphertext, so SQL has
//! nothing to ask of them: a backend is small, and all logic exists once. [`MemoryDatabase`] is the model that the others
//! are compared with.
//!
//! Transactions are serializable: their outcome is one that they could have had one after the other.

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
mod table;

pub use memory::MemoryDatabase;
#[cfg(feature = "postgres")]
pub use postgres::PostgresDatabase;
pub use sqlite::SqliteDatabase;
pub use table::{Contents, Purpose, Space, Table};

use std::error::Error;

/// How often a transaction that conflicts with others is tried.
pub const MAX_ATTEMPTS: u32 = 8;

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Look at one state of the database.
    Read,
    /// Change it, too.
    Write,
}

/// A record: key and value.
pub type Record = (Vec<u8>, Vec<u8>);

/// Asks for the transaction to be rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort;

/// How a transaction ends whose work is done: `Ok` if it is to be committed. After a failure it never is, since the work may have
/// taken that for something else.
fn end<E: From<Abort>>(failed: Option<E>, done: Result<(), Abort>) -> Result<(), E> {
    failed.map_or(Ok(()), Err)?;
    done.map_err(E::from)
}

impl From<DatabaseError> for Abort {
    fn from(_: DatabaseError) -> Self {
        Self
    }
}

/// Why a transaction did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// Its work asked for that.
    #[error("the transaction was rolled back")]
    Aborted,
    /// Others were in its way for too long.
    #[error("the database is busy")]
    Busy,
    /// The disk is full.
    #[error("the disk of the database is full")]
    Full,
    /// The database cannot be opened or reached, or is damaged.
    #[error("the database fails")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// Another process has it open.
    #[error("another server uses the database")]
    InUse,
    /// A mistake of the program: a table of the other database, or a change in a transaction that reads.
    #[error("the transaction cannot do that: {0}")]
    Misuse(&'static str),
}

impl From<Abort> for DatabaseError {
    fn from(_: Abort) -> Self {
        Self::Aborted
    }
}

impl DatabaseError {
    /// A failure with its cause.
    pub fn failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(cause.into())
    }
}

/// One of the two databases of a store. Calls block.
pub trait Database: Send + Sync {
    /// Which of the two it is.
    fn space(&self) -> Space;

    /// Runs `work` in a transaction, which is durable when this returns `Ok`. Backends repeat it after a conflict, at most
    /// [`MAX_ATTEMPTS`] times, so `work` must have no other effects than those on the transaction.
    ///
    /// # Errors
    /// [`DatabaseError::Aborted`] if `work` returned [`Abort`] by itself; otherwise the first failure. Nothing has changed
    /// then, except that after a failing commit it may have.
    fn transact(&self, kind: Kind, work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Abort>)
    -> Result<(), DatabaseError>;

    /// Overwrites what deleted values have left in files, as far as the backend can. Returns whether nothing is left.
    ///
    /// # Errors
    /// The database fails.
    fn scrub(&self) -> Result<bool, DatabaseError>;
}

/// A transaction in progress. After an error it can only be rolled back.
pub trait Tx {
    /// The value of a key.
    ///
    /// # Errors
    /// The database fails.
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError>;

    /// Sets the value of a key.
    ///
    /// # Errors
    /// The database fails, or the transaction is one that reads.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DatabaseError>;

    /// Removes a key, if it is there.
    ///
    /// # Errors
    /// The database fails, or the transaction is one that reads.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), DatabaseError>;

    /// The first `limit` records from `from` on, which is included, to `to`, which is not; without `to`, to the end.
    ///
    /// # Errors
    /// The database fails.
    fn range(
        &mut self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, DatabaseError>;
}

/// Reads with a result and errors of the caller's.
///
/// # Errors
/// Those of `work`, and those of the database.
pub fn read<T, E: From<DatabaseError>>(
    database: &dyn Database,
    work: impl FnMut(&mut dyn Tx) -> Result<T, E>,
) -> Result<T, E> {
    run(database, Kind::Read, work)
}

/// Writes with a result and errors of the caller's; an error rolls back.
///
/// # Errors
/// Those of `work`, and those of the database.
pub fn write<T, E: From<DatabaseError>>(
    database: &dyn Database,
    work: impl FnMut(&mut dyn Tx) -> Result<T, E>,
) -> Result<T, E> {
    run(database, Kind::Write, work)
}

fn run<T, E: From<DatabaseError>>(
    database: &dyn Database,
    kind: Kind,
    mut work: impl FnMut(&mut dyn Tx) -> Result<T, E>,
) -> Result<T, E> {
    let mut outcome = None;
    let committed = database.transact(kind, &mut |tx| {
        let result = work(tx);
        let is_good = result.is_ok();
        outcome = Some(result);
        if is_good { Ok(()) } else { Err(Abort) }
    });
    match (committed, outcome) {
        (Ok(()), Some(result)) | (Err(DatabaseError::Aborted), Some(result @ Err(_))) => result,
        (Err(error), _) => Err(error.into()),
        (Ok(()), None) => Err(DatabaseError::Misuse("a transaction without work").into()),
    }
}

/// All records whose keys start with `prefix`, in pages of `limit`: the first page with `after` = `None`, the next ones
/// after the last key of the page before.
///
/// # Errors
/// The database fails.
pub fn page(
    tx: &mut dyn Tx,
    table: Table,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Record>, DatabaseError> {
    let from = after.map_or_else(|| prefix.to_vec(), |last| [last, &[0]].concat());
    tx.range(table, &from, end_of(prefix).as_deref(), limit)
}

/// The first key after all those that start with `prefix`; `None` if there is none.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    let last = end.last_mut()?;
    *last = last.saturating_add(1);
    Some(end)
}

/// Refuses tables of the other database, and changes in a transaction that reads.
fn admit(space: Space, kind: Kind, table: Table, changes: bool) -> Result<(), DatabaseError> {
    if table.space() != space {
        return Err(DatabaseError::Misuse("the table is in the other database"));
    }
    if changes && kind == Kind::Read {
        return Err(DatabaseError::Misuse("a change in a transaction that reads"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_prefix_follows_all_its_keys() {
        assert_eq!(end_of(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(end_of(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(end_of(&[255, 255]), None);
        assert_eq!(end_of(&[]), None);
    }

    #[test]
    fn pages_hold_every_key_of_a_prefix_once() {
        let database = MemoryDatabase::new(Space::Vault);
        let keys: Vec<Vec<u8>> = (0..7).map(|index| vec![9, index]).collect();
        let seen = write(&database, |tx| {
            keys.iter().try_for_each(|key| tx.put(Table::Content, key, b"v"))?;
            tx.put(Table::Content, &[8], b"before")?;
            tx.put(Table::Content, &[10], b"after")?;
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let records = page(tx, Table::Content, &[9], after.as_deref(), 3)?;
                let Some((last, _)) = records.last() else { break };
                after = Some(last.clone());
                seen.extend(records.into_iter().map(|(key, _)| key));
            }
            Ok::<_, DatabaseError>(seen)
        });
        assert_eq!(seen.unwrap(), keys);
    }
}
