//! PostgreSQL: conflicts that SQLite, with one writer at a time, does not have; and who may connect where.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod support;

use std::sync::{Arc, Mutex, mpsc};
use support::{Machine, NOW, server::Server};
use tacet_store::{
    Owner, StoreError,
    database::{Database, DatabaseError, PostgresDatabase, Purpose, Space, Table, read, write},
    version_of,
};

const ALICE: Owner = Owner::from_id([0xa1; 16]);

fn connect(server: &Server, space: Space) -> Arc<PostgresDatabase> {
    Arc::new(PostgresDatabase::connect(&server.parameters(space.name(), space.name()), space).unwrap())
}

fn machine(server: &Server) -> Machine {
    Machine::with(connect(server, Space::Keys), connect(server, Space::Vault))
}

/// A writer has read floor and row under the old key, is stopped, and goes on after the rotation.
#[test]
fn writer_stopped_in_a_transaction_is_fenced() {
    let server = Server::start();
    let machine = machine(&server);
    let store = machine.create();
    store.create_owner(ALICE, NOW).unwrap();
    let put = |name: &[u8]| store.write(Space::Vault, NOW, |tx| tx.put(Table::Content, ALICE, name, b"value"));
    put(b"first").unwrap();
    let (sealed, is_sealed) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (may_go_on, attempts) = (Mutex::new(may_go_on), Mutex::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            store.write(Space::Vault, NOW, |tx| {
                tx.put(Table::Content, ALICE, b"late", b"value")?;
                *attempts.lock().unwrap() += 1;
                // Only the first time: the sender is gone after that.
                let _ = sealed.send(());
                let _ = may_go_on.lock().unwrap().recv();
                Ok(())
            })
        });
        is_sealed.recv().unwrap();
        machine.open().rotate_data_key(ALICE, Purpose::Content, NOW).unwrap();
        drop(go_on);
        writer.join().unwrap().unwrap();
    });
    assert_eq!(*attempts.lock().unwrap(), 2, "the first attempt conflicts with the rotation");
    let rows = machine.records(Table::Content);
    let versions: Vec<_> = rows.iter().map(|(_, row)| version_of(row)).collect();
    assert_eq!(versions, [Some(2), Some(2)]);
    let names = machine.open().read(Space::Vault, NOW, |tx| {
        Ok(tx.page(Table::Content, ALICE, b"", None, 9)?.into_iter().filter(|(_, row)| row.is_ok()).count())
    });
    assert_eq!(names.unwrap(), 2);
}

/// The whole way: rotations, deletion, restart.
#[test]
fn store_lives_on_postgres() {
    let server = Server::start();
    let machine = machine(&server);
    let store = machine.create();
    for owner in [ALICE, Owner::from_id([2; 16])] {
        store.create_owner(owner, NOW).unwrap();
        for table in [Table::Content, Table::Account] {
            store.write(table.space(), NOW, |tx| tx.put(table, owner, b"name", b"value")).unwrap();
        }
    }
    store.rotate_wrap_keys(NOW).unwrap();
    store.rotate_data_key(ALICE, Purpose::Identity, NOW).unwrap();
    drop(store);
    let store = machine.open();
    let get = |owner: Owner| store.read(Space::Keys, NOW, |tx| Ok(tx.get(Table::Account, owner, b"name")?.is_some()));
    assert!(get(ALICE).unwrap());
    store.delete_owner(ALICE, NOW).unwrap();
    assert!(!get(ALICE).unwrap() && get(Owner::from_id([2; 16])).unwrap());
    assert!(matches!(store.create_owner(ALICE, NOW), Err(StoreError::Deleted)));
}

#[test]
fn roles_are_kept_apart() {
    let server = Server::start();
    for (role, database) in [("keys", "vault"), ("vault", "keys")] {
        let refused = PostgresDatabase::connect(&server.parameters(role, database), Space::Keys).err().unwrap();
        assert!(matches!(refused, DatabaseError::Failed(_)), "{refused:?}");
    }
    let keys = connect(&server, Space::Keys);
    write(&*keys, |tx| tx.put(Table::Account, b"k", b"v")).unwrap();
    assert_eq!(read(&*keys, |tx| tx.get(Table::Account, b"k")).unwrap(), Some(b"v".to_vec()));
    assert!(!keys.scrub().unwrap(), "what was deleted is still in the heap");
}

/// Passwords and rows would cross the network in clear.
#[test]
fn network_is_refused() {
    for parameters in ["host=127.0.0.1 user=keys", "host=db.example.com", "user=keys", "host=/tmp,db.example.com"] {
        let refused = PostgresDatabase::connect(parameters, Space::Keys).err().unwrap();
        assert!(matches!(refused, DatabaseError::Misuse(_)), "{parameters}: {refused:?}");
    }
}

#[test]
fn server_that_is_gone_is_a_failure() {
    let server = Server::start();
    let keys = connect(&server, Space::Keys);
    drop(server);
    let refused = read(&*keys, |tx| tx.get(Table::Account, b"k"));
    assert!(matches!(refused, Err(DatabaseError::Failed(_))), "{refused:?}");
}
