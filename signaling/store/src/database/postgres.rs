//! PostgreSQL: one database and role for each of the two, over a Unix socket.
//!
//! Writes are `SERIALIZABLE` and repeated after a conflict; reads see one snapshot and conflict with none. Deleted values
//! stay in the heap until VACUUM, and in the WAL until it is recycled, so deletion rests on destroyed keys.

use super::{Abort, Database, DatabaseError, Kind, MAX_ATTEMPTS, Record, Space, Table, Tx, admit, end};
use postgres::{Client, Config, IsolationLevel, NoTls, Statement, config::Host, error::SqlState};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Connections that are kept.
const IDLE: usize = 4;
/// The wait before a transaction is repeated first. It doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(1);

/// A database of a PostgreSQL server on this machine. Not for threads that run asynchronous tasks: calls block.
pub struct PostgresDatabase {
    space: Space,
    config: Config,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl PostgresDatabase {
    /// Connects, and creates the tables that do not exist. `parameters` are those of libpq, such as
    /// `host=/run/postgresql user=tacet_keys dbname=tacet_keys`.
    ///
    /// # Errors
    /// The parameters name a host that is not the folder of a Unix socket; the server cannot be reached or refuses.
    pub fn connect(parameters: &str, space: Space) -> Result<Self, DatabaseError> {
        let config: Config = parameters.parse().map_err(failure)?;
        let is_local = |host: &Host| !matches!(host, Host::Tcp(_));
        if config.get_hosts().is_empty() || !config.get_hosts().iter().all(is_local) {
            return Err(DatabaseError::Misuse("PostgreSQL is reached over a Unix socket only"));
        }
        let database = Self { space, config, idle: Mutex::default() };
        let mut connection = database.connection()?;
        for table in Table::of(space) {
            let sql = format!("CREATE TABLE IF NOT EXISTS {} (k bytea PRIMARY KEY, v bytea NOT NULL)", table.name());
            connection.client.batch_execute(&sql).map_err(failure)?;
        }
        database.keep(connection);
        Ok(database)
    }

    fn connection(&self) -> Result<Connection, DatabaseError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle.filter(|connection| !connection.client.is_closed()) {
            Some(connection) => Ok(connection),
            None => {
                let client = self.config.connect(NoTls).map_err(failure)?;
                Ok(Connection { client, statements: HashMap::new() })
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE && !connection.client.is_closed() {
            idle.push(connection);
        }
    }
}

impl Database for PostgresDatabase {
    fn space(&self) -> Space {
        self.space
    }

    fn transact(
        &self,
        kind: Kind,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Abort>,
    ) -> Result<(), DatabaseError> {
        // One that panics or fails is dropped, and with it the connection.
        let mut connection = self.connection()?;
        let mut wait = FIRST_WAIT;
        for _ in 0..MAX_ATTEMPTS {
            match attempt(&mut connection, self.space, kind, work) {
                Ok(outcome) => {
                    self.keep(connection);
                    return outcome;
                }
                Err(Conflict) => thread::sleep(wait),
            }
            wait = wait.saturating_mul(2);
        }
        self.keep(connection);
        Err(DatabaseError::Busy)
    }

    fn scrub(&self) -> Result<bool, DatabaseError> {
        Ok(false)
    }
}

/// The transaction cannot be put into an order with others.
struct Conflict;

fn attempt(
    connection: &mut Connection,
    space: Space,
    kind: Kind,
    work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Abort>,
) -> Result<Result<(), DatabaseError>, Conflict> {
    let level = match kind {
        Kind::Read => IsolationLevel::RepeatableRead,
        Kind::Write => IsolationLevel::Serializable,
    };
    let Connection { client, statements } = connection;
    let begun = client.build_transaction().isolation_level(level).read_only(kind == Kind::Read).start();
    // Dropped without commit, it is rolled back.
    let sql = match begun {
        Ok(sql) => sql,
        Err(error) => return Ok(Err(failure(error))),
    };
    let mut tx = Transaction { space, kind, sql, statements, failed: None };
    let done = work(&mut tx);
    match end(tx.failed, done).and_then(|()| tx.sql.commit().map_err(Failed::Sql)) {
        Err(Failed::Sql(error)) if is_conflict(&error) => Err(Conflict),
        outcome => Ok(outcome.map_err(DatabaseError::from)),
    }
}

fn is_conflict(error: &postgres::Error) -> bool {
    let conflicts = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| conflicts.contains(code))
}

fn failure(error: postgres::Error) -> DatabaseError {
    match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => DatabaseError::Full,
        _ => DatabaseError::failed(error),
    }
}

enum Failed {
    Aborted,
    Misuse(&'static str),
    Sql(postgres::Error),
}

impl From<Abort> for Failed {
    fn from(_: Abort) -> Self {
        Self::Aborted
    }
}

impl From<Failed> for DatabaseError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Aborted => Self::Aborted,
            Failed::Misuse(what) => Self::Misuse(what),
            Failed::Sql(error) => failure(error),
        }
    }
}

struct Transaction<'a> {
    space: Space,
    kind: Kind,
    sql: postgres::Transaction<'a>,
    statements: &'a mut HashMap<String, Statement>,
    /// The first failure. The caller may have taken it for something else: nothing is committed after it.
    failed: Option<Failed>,
}

impl Transaction<'_> {
    fn run<T>(
        &mut self,
        table: Table,
        changes: bool,
        text: String,
        work: impl FnOnce(&mut postgres::Transaction<'_>, &Statement) -> Result<T, postgres::Error>,
    ) -> Result<T, DatabaseError> {
        if let Err(DatabaseError::Misuse(what)) = admit(self.space, self.kind, table, changes) {
            self.failed.get_or_insert(Failed::Misuse(what));
            return Err(DatabaseError::Aborted);
        }
        let statement = match self.statements.get(&text) {
            Some(statement) => Ok(statement.clone()),
            None => self.sql.prepare(&text).inspect(|statement| {
                self.statements.insert(text, statement.clone());
            }),
        };
        statement.and_then(|statement| work(&mut self.sql, &statement)).map_err(|error| {
            self.failed.get_or_insert(Failed::Sql(error));
            DatabaseError::Aborted
        })
    }
}

impl Tx for Transaction<'_> {
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.run(table, false, format!("SELECT v FROM {} WHERE k = $1", table.name()), |sql, get| {
            sql.query_opt(get, &[&key])?.map(|row| row.try_get(0)).transpose()
        })
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DatabaseError> {
        let put = format!("INSERT INTO {} VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = $2", table.name());
        self.run(table, true, put, |sql, put| sql.execute(put, &[&key, &value]).map(drop))
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), DatabaseError> {
        let delete = format!("DELETE FROM {} WHERE k = $1", table.name());
        self.run(table, true, delete, |sql, delete| sql.execute(delete, &[&key]).map(drop))
    }

    fn range(
        &mut self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, DatabaseError> {
        let end = if to.is_some() { "AND k < $3" } else { "" };
        let range = format!("SELECT k, v FROM {} WHERE k >= $1 {end} ORDER BY k LIMIT $2", table.name());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.run(table, false, range, |sql, range| {
            let rows = match to {
                Some(to) => sql.query(range, &[&from, &limit, &to]),
                None => sql.query(range, &[&from, &limit]),
            }?;
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
        })
    }
}
