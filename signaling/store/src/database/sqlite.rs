//! SQLite: one file a database, one writer at a time, readers beside it.
//!
//! WAL with `synchronous=FULL`: what was committed outlasts a power cut. `secure_delete` overwrites deleted values in the
//! file; what is left of them in the WAL goes with [`Database::scrub`].

use super::{Abort, Database, DatabaseError, Kind, Record, Space, Table, Tx, admit, end};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long a transaction waits for others.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that are kept for reading.
const IDLE_READERS: usize = 4;
/// Compiled statements that a connection keeps: four a table.
const STATEMENTS: usize = 64;

/// A database in the file `keys.db` or `vault.db` of a folder. The folder must be on a local disk.
pub struct SqliteDatabase {
    space: Space,
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    /// Ends with the process, however that ends.
    _lock: File,
}

impl SqliteDatabase {
    /// Opens the database, after creating the file if it does not exist.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`] if another process has it open; the file cannot be created or is no database.
    pub fn open(folder: &Path, space: Space) -> Result<Self, DatabaseError> {
        let file = |ending: &str| folder.join(format!("{}.{ending}", space.name()));
        let lock = private(&file("lock")).map_err(DatabaseError::failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DatabaseError::InUse),
            Err(TryLockError::Error(error)) => return Err(DatabaseError::failed(error)),
        }
        let path = file("db");
        // The WAL inherits the mode of this file.
        private(&path).map_err(DatabaseError::failed)?;
        let writer = connect(&path).map_err(failure)?;
        for table in Table::of(space) {
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS {} (k BLOB PRIMARY KEY, v BLOB NOT NULL) STRICT, WITHOUT ROWID",
                table.name()
            );
            writer.execute_batch(&sql).map_err(failure)?;
        }
        Ok(Self { space, path, writer: Mutex::new(writer), readers: Mutex::default(), _lock: lock })
    }

    fn read(&self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Abort>) -> Result<(), DatabaseError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = idle.map_or_else(|| connect(&self.path).map_err(failure), Ok)?;
        let done = run(&mut connection, self.space, Kind::Read, work);
        let mut idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        done
    }
}

impl Database for SqliteDatabase {
    fn space(&self) -> Space {
        self.space
    }

    fn transact(
        &self,
        kind: Kind,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Abort>,
    ) -> Result<(), DatabaseError> {
        match kind {
            Kind::Read => self.read(work),
            // A panic in `work` has rolled back when the lock is released.
            Kind::Write => run(&mut self.writer.lock().unwrap_or_else(PoisonError::into_inner), self.space, kind, work),
        }
    }

    fn scrub(&self) -> Result<bool, DatabaseError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let busy: i64 = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failure)?;
        Ok(busy == 0)
    }
}

/// Opens a file that only its owner may read, creating it if need be.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    // The folder itself may be reached by a link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA trusted_schema=OFF;
         PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON;",
    )?;
    Ok(connection)
}

fn run(
    connection: &mut Connection,
    space: Space,
    kind: Kind,
    work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Abort>,
) -> Result<(), DatabaseError> {
    let behavior = match kind {
        Kind::Read => TransactionBehavior::Deferred,
        Kind::Write => TransactionBehavior::Immediate,
    };
    // Dropped without commit, it is rolled back.
    let transaction = connection.transaction_with_behavior(behavior).map_err(failure)?;
    let mut tx = Transaction { space, kind, sql: transaction, failed: None };
    let done = work(&mut tx);
    end(tx.failed, done)?;
    tx.sql.commit().map_err(failure)
}

fn failure(error: rusqlite::Error) -> DatabaseError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DatabaseError::Busy,
        Some(ErrorCode::DiskFull) => DatabaseError::Full,
        _ => DatabaseError::failed(error),
    }
}

struct Transaction<'a> {
    space: Space,
    kind: Kind,
    sql: rusqlite::Transaction<'a>,
    /// The first failure. The caller may have taken it for something else: nothing is committed after it.
    failed: Option<DatabaseError>,
}

impl Transaction<'_> {
    fn run<T>(
        &mut self,
        table: Table,
        changes: bool,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let result = admit(self.space, self.kind, table, changes).and_then(|()| work(&self.sql).map_err(failure));
        result.map_err(|error| {
            self.failed.get_or_insert(error);
            DatabaseError::Aborted
        })
    }
}

impl Tx for Transaction<'_> {
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.run(table, false, |sql| {
            let mut get = sql.prepare_cached(&format!("SELECT v FROM {} WHERE k = ?1", table.name()))?;
            get.query_row([key], |row| row.get(0)).optional()
        })
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DatabaseError> {
        self.run(table, true, |sql| {
            let put = format!("INSERT INTO {} VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = ?2", table.name());
            sql.prepare_cached(&put)?.execute([key, value]).map(drop)
        })
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), DatabaseError> {
        self.run(table, true, |sql| {
            sql.prepare_cached(&format!("DELETE FROM {} WHERE k = ?1", table.name()))?.execute([key]).map(drop)
        })
    }

    fn range(
        &mut self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, DatabaseError> {
        self.run(table, false, |sql| {
            let end = if to.is_some() { "AND k < ?3" } else { "" };
            let range = format!("SELECT k, v FROM {} WHERE k >= ?1 {end} ORDER BY k LIMIT ?2", table.name());
            let mut range = sql.prepare_cached(&range)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let record = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            match to {
                Some(to) => range.query_map((from, limit, to), record)?.collect(),
                None => range.query_map((from, limit), record)?.collect(),
            }
        })
    }
}
