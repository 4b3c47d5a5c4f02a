//! The backends beside the model: the same transactions have the same results.

#![allow(clippy::unwrap_used)]

mod support;

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use std::{sync::Barrier, thread};
use tacet_store::database::{
    Abort, Database, DatabaseError, Kind, MemoryDatabase, Record, Space, SqliteDatabase, Table, Tx, read, write,
};

/// Histories that are compared, of two transactions each.
const HISTORIES: u32 = 10_000;

#[derive(Clone, Debug)]
enum Operation {
    Get(Table, Vec<u8>),
    Put(Table, Vec<u8>, Vec<u8>),
    Delete(Table, Vec<u8>),
    Range(Table, Vec<u8>, Option<Vec<u8>>, usize),
}

#[derive(Clone, Debug)]
struct Work {
    operations: Vec<Operation>,
    aborts: bool,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few keys, so that they meet; some are prefixes of others, and bytes are compared without sign.
    prop::collection::vec(select(vec![0, 1, 127, 128, 255]), 0..4)
}

fn operation() -> impl Strategy<Value = Operation> {
    let table = || select(vec![Table::Content, Table::Envelope, Table::VaultMeta]);
    let value = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        2 => (table(), key()).prop_map(|(table, key)| Operation::Get(table, key)),
        4 => (table(), key(), value).prop_map(|(table, key, value)| Operation::Put(table, key, value)),
        2 => (table(), key()).prop_map(|(table, key)| Operation::Delete(table, key)),
        2 => (table(), key(), prop::option::of(key()), 0..9_usize)
            .prop_map(|(table, from, to, limit)| Operation::Range(table, from, to, limit)),
    ]
}

fn history() -> impl Strategy<Value = Vec<Work>> {
    let work = (prop::collection::vec(operation(), 1..4), prop::bool::weighted(0.25))
        .prop_map(|(operations, aborts)| Work { operations, aborts });
    prop::collection::vec(work, 2)
}

fn apply(tx: &mut dyn Tx, operation: &Operation) -> Result<Vec<Record>, DatabaseError> {
    match operation {
        Operation::Get(table, key) => Ok(tx.get(*table, key)?.map(|value| (key.clone(), value)).into_iter().collect()),
        Operation::Put(table, key, value) => tx.put(*table, key, value).map(|()| Vec::new()),
        Operation::Delete(table, key) => tx.delete(*table, key).map(|()| Vec::new()),
        Operation::Range(table, from, to, limit) => tx.range(*table, from, to.as_deref(), *limit),
    }
}

/// What a transaction has seen, and whether it was committed.
fn perform(database: &dyn Database, work: &Work) -> (Vec<Vec<Record>>, bool) {
    let mut seen = Vec::new();
    let outcome = database.transact(Kind::Write, &mut |tx| {
        seen.clear();
        for operation in &work.operations {
            seen.push(apply(tx, operation)?);
        }
        if work.aborts { Err(Abort) } else { Ok(()) }
    });
    match outcome {
        Ok(()) => (seen, true),
        Err(DatabaseError::Aborted) => (seen, false),
        Err(error) => panic!("{error:?}"),
    }
}

fn contents(database: &dyn Database) -> Vec<Vec<Record>> {
    read(database, |tx| {
        Table::of(database.space()).map(|table| tx.range(table, &[], None, 1_000)).collect::<Result<_, DatabaseError>>()
    })
    .unwrap()
}

fn agrees_with_the_model(database: &dyn Database, histories: u32) {
    let model = MemoryDatabase::new(Space::Vault);
    // Each history goes on where the last one has ended.
    let config = Config { cases: histories, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    TestRunner::new(config)
        .run(&history(), |history| {
            for work in &history {
                prop_assert_eq!(perform(&model, work), perform(database, work));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(contents(&model), contents(database));
}

/// Two transactions each read what the other writes: only outcomes of an order are possible.
fn prevents_write_skew(database: &dyn Database) {
    for round in 0..20_u8 {
        let both = Barrier::new(2);
        let take = |own: u8, other: u8| {
            both.wait();
            write(database, |tx| {
                if tx.get(Table::Content, &[round, other])?.is_none() {
                    tx.put(Table::Content, &[round, own], b"taken")?;
                }
                Ok::<_, DatabaseError>(())
            })
            .unwrap();
        };
        thread::scope(|scope| {
            scope.spawn(|| take(1, 2));
            take(2, 1);
        });
        let taken = read(database, |tx| tx.range(Table::Content, &[round], Some(&[round, 9]), 9)).unwrap();
        assert_eq!(taken.len(), 1, "round {round}");
    }
}

fn loses_no_increments(database: &dyn Database) {
    let add = || {
        let mut added = 0_u8;
        for _ in 0..25 {
            let outcome = write(database, |tx| {
                let count = tx.get(Table::VaultMeta, b"count")?.map_or(0, |value| value[0]);
                tx.put(Table::VaultMeta, b"count", &[count + 1])
            });
            match outcome {
                Ok(()) => added += 1,
                // Too many others were in its way.
                Err(DatabaseError::Busy) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        added
    };
    let added: u8 = thread::scope(|scope| {
        let others: Vec<_> = (0..3).map(|_| scope.spawn(add)).collect();
        add() + others.into_iter().map(|other| other.join().unwrap()).sum::<u8>()
    });
    assert!(added >= 25, "{added}");
    assert_eq!(read(database, |tx| tx.get(Table::VaultMeta, b"count")).unwrap(), Some(vec![added]));
}

fn refuses_misuse(database: &dyn Database) {
    let misuse = |result| assert!(matches!(result, Err(DatabaseError::Misuse(_))), "{result:?}");
    misuse(read(database, |tx| tx.put(Table::Content, b"k", b"v")));
    misuse(read(database, |tx| tx.delete(Table::Content, b"k")));
    misuse(write(database, |tx| tx.put(Table::Account, b"k", b"v")));
    // Even if the work goes on.
    misuse(write(database, |tx| {
        let _ = tx.put(Table::Account, b"k", b"v");
        tx.put(Table::Content, b"misused", b"v")
    }));
    assert_eq!(read(database, |tx| tx.get(Table::Content, b"misused")).unwrap(), None);
}

fn rolls_back_after_a_panic(database: &dyn Database) {
    let panics = || {
        let _ = write::<(), DatabaseError>(database, |tx| {
            tx.put(Table::Content, b"panicked", b"v")?;
            panic!("on purpose");
        });
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    assert_eq!(read(database, |tx| tx.get(Table::Content, b"panicked")).unwrap(), None);
    write(database, |tx| tx.put(Table::Content, b"after", b"v")).unwrap();
}

fn conforms(database: &dyn Database) {
    refuses_misuse(database);
    rolls_back_after_a_panic(database);
    prevents_write_skew(database);
    loses_no_increments(database);
}

#[test]
fn model_conforms() {
    conforms(&MemoryDatabase::new(Space::Vault));
}

#[test]
fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(&SqliteDatabase::open(folder.path(), Space::Vault).unwrap());
}

/// In memory if possible: tens of thousands of commits wait for no disk.
#[test]
fn sqlite_agrees_with_the_model() {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    agrees_with_the_model(&SqliteDatabase::open(folder.path(), Space::Vault).unwrap(), HISTORIES);
}

#[cfg(unix)]
mod postgres {
    use super::*;
    use crate::support::server::Server;
    use tacet_store::database::PostgresDatabase;

    #[test]
    fn postgres_conforms() {
        let server = Server::start();
        let database = PostgresDatabase::connect(&server.parameters("vault", "vault"), Space::Vault).unwrap();
        conforms(&database);
    }

    #[test]
    fn postgres_agrees_with_the_model() {
        let server = Server::start();
        let database = PostgresDatabase::connect(&server.parameters("vault", "vault"), Space::Vault).unwrap();
        agrees_with_the_model(&database, HISTORIES);
    }
}

#[test]
fn sqlite_keeps_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteDatabase::open(folder.path(), Space::Keys).unwrap();
    write(&open(), |tx| tx.put(Table::Account, b"k", b"v")).unwrap();
    assert_eq!(read(&open(), |tx| tx.get(Table::Account, b"k")).unwrap(), Some(b"v".to_vec()));
}

#[test]
fn sqlite_is_opened_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = SqliteDatabase::open(folder.path(), Space::Keys).unwrap();
    assert!(matches!(SqliteDatabase::open(folder.path(), Space::Keys), Err(DatabaseError::InUse)));
    drop(first);
    SqliteDatabase::open(folder.path(), Space::Keys).unwrap();
}

#[test]
#[cfg(unix)]
fn sqlite_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let database = SqliteDatabase::open(folder.path(), Space::Keys).unwrap();
    write(&database, |tx| tx.put(Table::Account, b"k", b"v")).unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 3, "database, WAL and lock");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
    }
}
