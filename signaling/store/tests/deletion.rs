//! Deletion: what is deleted stays deleted, wherever the machine fails.

#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::BTreeSet, sync::Arc};
use support::{DAY, Fault, Machine, NOW};
use tacet_store::{
    Owner, Store, StoreError,
    audit::{Entry, EventKind},
    database::{Database, MemoryDatabase, Purpose, Space, SqliteDatabase, Table, read, write},
    deletion::TombstoneLog,
    outbox::Event,
    wrap::WrapFiles,
};

const ALICE: Owner = Owner::from_id([0xa1; 16]);
const BOB: Owner = Owner::from_id([0xb0; 16]);
/// More than a batch.
const ROWS: u16 = 600;

fn populate(store: &Store) {
    for owner in [ALICE, BOB] {
        store.create_owner(owner, NOW).unwrap();
        for table in [Table::Account, Table::Device, Table::Content, Table::Envelope] {
            store
                .write(table.space(), NOW, |tx| {
                    (0..ROWS).try_for_each(|row| tx.put(table, owner, &row.to_be_bytes(), b"a value"))
                })
                .unwrap();
        }
    }
}

fn machine() -> Machine {
    let machine = Machine::default();
    populate(&machine.create());
    machine
}

/// Records of an owner, in all tables but those that close its floors.
fn records_of(machine: &Machine, owner: Owner) -> usize {
    let tables = Table::ALL.iter().filter(|table| !matches!(table, Table::KeysFloor | Table::VaultFloor));
    tables.flat_map(|table| machine.records(*table)).filter(|(key, _)| key.starts_with(owner.id())).count()
}

fn reads(store: &Store, owner: Owner) -> bool {
    store.read(Space::Vault, NOW, |tx| Ok(tx.get(Table::Content, owner, &[0, 0])?.is_some())).unwrap()
}

#[test]
fn nothing_is_left_of_a_deleted_owner() {
    let machine = machine();
    let store = machine.open();
    let receipt = store.delete_owner(ALICE, NOW).unwrap();
    assert!(receipt.verify(store.id(), &store.receipt_key(NOW).unwrap()));
    assert_eq!(receipt.tombstone.day, NOW.day());
    assert_eq!(machine.tombstones.read_all().unwrap(), [receipt.tombstone]);
    assert_eq!((records_of(&machine, ALICE), records_of(&machine, BOB)), (0, 4 * usize::from(ROWS) + 2));
    assert!(!reads(&store, ALICE) && reads(&store, BOB));
    assert!(machine.records(Table::Outbox).is_empty());
    // Again: the same receipt.
    assert_eq!(store.delete_owner(ALICE, NOW.plus_seconds(DAY)).unwrap(), receipt);
    assert!(matches!(store.delete_owner(Owner::from_id([1; 16]), NOW), Err(StoreError::UnknownOwner)));
}

#[test]
fn id_of_a_deleted_owner_is_not_used_again() {
    let machine = machine();
    let store = machine.open();
    store.delete_owner(ALICE, NOW).unwrap();
    assert!(matches!(store.create_owner(ALICE, NOW), Err(StoreError::Deleted)));
}

#[test]
fn parts_of_the_store_cannot_be_deleted() {
    let store = machine().open();
    for owner in [Owner::STORE, Owner::audit(NOW.day())] {
        assert!(matches!(store.delete_owner(owner, NOW), Err(StoreError::Database(_))));
    }
}

/// A server that has the owner's keys in its cache cannot write for it, in either database.
#[test]
fn deleted_owner_is_fenced() {
    let machine = machine();
    let (paused, other) = (machine.open(), machine.open());
    let put = |table: Table| paused.write(table.space(), NOW, |tx| tx.put(table, ALICE, b"late", b"value"));
    put(Table::Content).unwrap();
    put(Table::Account).unwrap();
    other.delete_owner(ALICE, NOW).unwrap();
    for table in [Table::Content, Table::Account] {
        assert!(matches!(put(table), Err(StoreError::UnknownOwner)), "{table:?}");
    }
    assert_eq!(records_of(&machine, ALICE), 0);
    // Its id goes from the floors, too, once no cache can have its keys.
    other.forget_deleted(NOW.plus_seconds(2 * DAY)).unwrap();
    assert_eq!(machine.records(Table::VaultFloor).len(), 1);
    other.forget_deleted(NOW.plus_seconds(3 * DAY)).unwrap();
    assert!(machine.records(Table::VaultFloor).is_empty() && machine.records(Table::KeysFloor).is_empty());
    assert!(matches!(put(Table::Content), Err(StoreError::UnknownOwner)));
}

#[test]
fn deletion_survives_a_failure_at_every_step() {
    let mut failures = 0;
    for fault in [Fault::Before, Fault::After] {
        for step in 0.. {
            let machine = machine();
            let store = machine.open();
            machine.power.fail_at(step, fault);
            let answered = store.delete_owner(ALICE, NOW).is_ok();
            let was_down = machine.power.restore();
            drop(store);
            let noted = !machine.tombstones.read_all().unwrap().is_empty();
            let store = machine.open();
            // What was noted is done at the start; what was not noted was not answered.
            assert!(noted || !answered, "step {step} {fault:?}");
            assert_eq!(noted, !reads(&store, ALICE), "step {step} {fault:?}");
            if noted {
                assert_eq!(records_of(&machine, ALICE), 0, "step {step} {fault:?}");
            }
            store.delete_owner(ALICE, NOW).unwrap();
            assert_eq!(records_of(&machine, ALICE), 0, "step {step} {fault:?}");
            assert!(reads(&store, BOB));
            failures += u32::from(was_down);
            if !was_down {
                break;
            }
        }
    }
    assert!(failures > 10, "{failures} failures");
}

/// Events are audited once, wherever the machine fails on their way.
#[test]
fn events_arrive_once() {
    for fault in [Fault::Before, Fault::After] {
        for step in 0.. {
            let machine = machine();
            let store = machine.open();
            let entries = (0..3_u16).map(|kind| Entry {
                day: NOW.day(),
                kind: EventKind(kind),
                subject: [1; 16],
                actor: [2; 16],
                details: vec![],
            });
            store
                .write(Space::Keys, NOW, |tx| entries.clone().try_for_each(|entry| tx.post(&Event::Audited(entry))))
                .unwrap();
            machine.power.fail_at(step, fault);
            let _ = store.settle(NOW);
            let was_down = machine.power.restore();
            let store = machine.open();
            let kinds: BTreeSet<u16> =
                store.audit_entries(NOW.day(), NOW).unwrap().iter().map(|entry| entry.kind.0).collect();
            assert_eq!(kinds, BTreeSet::from([0, 1, 2]), "step {step} {fault:?}");
            assert_eq!(store.audit_head(NOW).unwrap().number, 3, "step {step} {fault:?}");
            assert!(machine.records(Table::Event).is_empty() && machine.records(Table::Outbox).is_empty());
            if !was_down {
                break;
            }
        }
    }
}

/// A copy of a database, as an archive of today has it.
fn copy(of: &dyn Database) -> Arc<MemoryDatabase> {
    let copy = MemoryDatabase::new(of.space());
    for table in Table::of(of.space()) {
        let records = read(of, |tx| tx.range(table, &[], None, usize::MAX)).unwrap();
        write(&copy, |tx| records.iter().try_for_each(|(key, value)| tx.put(table, key, value))).unwrap();
    }
    Arc::new(copy)
}

/// Old databases and today's wrap keys: until the horizon they open what was deleted, after it they do not.
#[test]
fn old_archives_open_nothing_after_the_horizon() {
    let machine = machine();
    let store = machine.open();
    let (keys, vault) = (copy(&*machine.keys), copy(&*machine.vault));
    let receipt = store.delete_owner(ALICE, NOW).unwrap();
    // Someone who has the master key, both old archives, and the wrap keys of this day.
    let opens = || {
        let thief = Machine::with(copy(&*keys), copy(&*vault));
        for (number, contents) in machine.files.read_all().unwrap() {
            thief.files.write(number, &contents).unwrap();
        }
        thief.try_open().is_ok_and(|store| {
            store.read(Space::Vault, NOW, |tx| Ok(tx.get(Table::Content, ALICE, &[0, 0])?.is_some())).unwrap_or(false)
        })
    };
    assert!(opens(), "before any rotation it is still there");
    let mut now = NOW;
    let mut opened_until = NOW.day();
    for _ in 0..5 {
        now = now.plus_seconds(7 * DAY);
        store.rotate_wrap_keys(now).unwrap();
        if opens() {
            opened_until = now.day();
        }
    }
    assert!(!opens());
    assert!(opened_until < receipt.horizon, "{opened_until:?} {:?}", receipt.horizon);
}

/// Yesterday's database with today's log of tombstones: the deletion is done again, before anything is read.
#[test]
fn restored_database_does_not_bring_a_deleted_owner_back() {
    let mut machine = machine();
    let (keys, vault) = (copy(&*machine.keys), copy(&*machine.vault));
    machine.open().delete_owner(ALICE, NOW).unwrap();
    (machine.keys, machine.vault) = (keys, vault);
    let store = machine.open();
    assert!(!reads(&store, ALICE) && reads(&store, BOB));
    assert_eq!(records_of(&machine, ALICE), 0);
}

/// No file of the folder holds the wrapped data key after the deletion, and all hold it before.
#[test]
fn sqlite_files_do_not_hold_a_deleted_key() {
    let folder = tempfile::tempdir().unwrap();
    let open = |space| Arc::new(SqliteDatabase::open(folder.path(), space).unwrap());
    let machine = Machine::with(open(Space::Keys), open(Space::Vault));
    let store = machine.create();
    populate(&store);
    let prefix = [ALICE.id(), &[Purpose::Content.number()][..]].concat();
    let (_, wrapped) = machine.records(Table::DataKey).into_iter().find(|(key, _)| key.starts_with(&prefix)).unwrap();
    let found = || {
        let files =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        files.map(|file| file.windows(wrapped.len()).filter(|window| *window == wrapped).count()).sum::<usize>()
    };
    assert!(found() > 0);
    store.delete_owner(ALICE, NOW).unwrap();
    assert_eq!(found(), 0);
}
