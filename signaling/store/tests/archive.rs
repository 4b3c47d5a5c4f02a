//! Archives: what was stored comes back, what was deleted does not, and damage is found.

#![allow(clippy::unwrap_used)]

mod support;

use std::{io::BufRead, sync::Arc};
use support::{DAY, Machine, NOW, random};
use tacet_store::{
    Owner, Store, StoreError,
    archive::{ArchiveError, Content, Identity, Restored, restore, verify},
    database::{Space, SqliteDatabase, Table},
    deletion::TombstoneLog,
};

const ALICE: Owner = Owner::from_id([0xa1; 16]);
const BOB: Owner = Owner::from_id([0xb0; 16]);
const SECRETS: [&[u8]; 3] = [b"alice@example.com", b"correct horse", b"a long private text"];

fn machine() -> (Machine, Store) {
    let machine = Machine::default();
    let store = machine.create();
    for owner in [ALICE, BOB] {
        store.create_owner(owner, NOW).unwrap();
        for table in [Table::Account, Table::Session, Table::Content] {
            let put = |row: u16| {
                store.write(table.space(), NOW, |tx| {
                    tx.put(table, owner, &row.to_be_bytes(), SECRETS[usize::from(row) % SECRETS.len()])
                })
            };
            (0..150).for_each(|row| put(row).unwrap());
        }
    }
    (machine, store)
}

fn identity() -> Identity {
    Identity::generate(&mut random(50)).unwrap().0
}

/// Keys, vault, wrap.
fn archives(store: &Store) -> [Vec<u8>; 3] {
    [Content::Keys, Content::Vault, Content::Wrap].map(|content| {
        let mut archive = Vec::new();
        store.archive(content, &identity().recipient().unwrap(), &mut archive, NOW).unwrap();
        archive
    })
}

fn restored(machine: &Machine, archives: &[Vec<u8>; 3], accept: bool) -> Result<(Store, Restored), ArchiveError> {
    let [keys, vault, wrap] = archives;
    let [mut keys, mut vault, mut wrap] = [&keys[..], &vault[..], &wrap[..]];
    let archives: [&mut dyn BufRead; 3] = [&mut keys, &mut vault, &mut wrap];
    restore(machine.parts(), archives, &identity(), accept, NOW)
}

fn verified(machine: &Machine, archives: &[Vec<u8>; 3]) -> Result<Restored, ArchiveError> {
    let [keys, vault, wrap] = archives;
    let [mut keys, mut vault, mut wrap] = [&keys[..], &vault[..], &wrap[..]];
    let archives: [&mut dyn BufRead; 3] = [&mut keys, &mut vault, &mut wrap];
    verify(archives, &identity(), (Box::new(machine.master()), "eu-de".to_owned()), NOW)
}

fn rows(store: &Store, table: Table, owner: Owner) -> usize {
    store.read(table.space(), NOW, |tx| Ok(tx.page(table, owner, b"", None, usize::MAX)?.len())).unwrap()
}

#[test]
fn store_comes_back() {
    let (machine, store) = machine();
    let archives = archives(&store);
    let fresh = Machine::default();
    let (store, restored) = restored(&fresh, &archives, true).unwrap();
    assert_eq!((restored.records[&Table::Content], restored.as_of), (300, NOW));
    for table in [Table::Account, Table::Content] {
        assert_eq!((rows(&store, table, ALICE), rows(&store, table, BOB)), (150, 150));
    }
    assert_eq!(rows(&store, Table::Session, ALICE), 0, "everyone signs in again");
    drop(store);
    fresh.open();
    assert_eq!(verified(&machine, &archives).unwrap().records, restored.records);
}

/// The same records lead from one backend to another.
#[test]
fn store_moves_to_sqlite() {
    let (_machine, store) = machine();
    let folder = tempfile::tempdir().unwrap();
    let open = |space| Arc::new(SqliteDatabase::open(folder.path(), space).unwrap());
    let fresh = Machine::with(open(Space::Keys), open(Space::Vault));
    let (store, _) = restored(&fresh, &archives(&store), true).unwrap();
    assert_eq!(rows(&store, Table::Content, BOB), 150);
}

#[test]
fn deleted_account_does_not_come_back() {
    let (machine, store) = machine();
    let [keys, vault, _] = archives(&store);
    store.delete_owner(ALICE, NOW).unwrap();
    let [.., wrap] = archives(&store);
    // With the tombstones of the archive of wrap keys alone.
    let fresh = Machine::default();
    let (store, _) = restored(&fresh, &[keys.clone(), vault.clone(), wrap], true).unwrap();
    assert_eq!((rows(&store, Table::Content, ALICE), rows(&store, Table::Content, BOB)), (0, 150));
    assert_eq!(fresh.tombstones.read_all().unwrap().len(), 1, "and not after the next restart");
    // With the log alone.
    let [.., wrap] = archives(&self::machine().1);
    let fresh = Machine::default();
    for tombstone in machine.tombstones.read_all().unwrap() {
        fresh.tombstones.append(&tombstone).unwrap();
    }
    let (store, _) = restored(&fresh, &[keys, vault, wrap], false).unwrap();
    assert_eq!((rows(&store, Table::Content, ALICE), rows(&store, Table::Content, BOB)), (0, 150));
}

#[test]
fn lost_log_of_deletions_must_be_accepted() {
    let (_machine, store) = machine();
    let refused = restored(&Machine::default(), &archives(&store), false);
    assert!(matches!(refused, Err(ArchiveError::NoTombstones)));
}

#[test]
fn store_is_not_restored_over_another() {
    let (machine, store) = machine();
    let archives = archives(&store);
    assert!(matches!(restored(&machine, &archives, true), Err(ArchiveError::NotEmpty)));
}

#[test]
fn archives_are_not_mistaken_for_each_other() {
    let (_machine, store) = machine();
    let [keys, vault, wrap] = archives(&store);
    let refused = restored(&Machine::default(), &[vault, keys, wrap], true);
    assert!(matches!(refused, Err(ArchiveError::OtherContent)));
}

#[test]
fn one_altered_byte_is_found() {
    let (machine, store) = machine();
    let archives = archives(&store);
    for (index, archive) in archives.iter().enumerate() {
        let length = archive.len();
        for at in [0, 100, 160, length / 2, length - 1] {
            let mut altered = archives.clone();
            altered[index][at] ^= 1;
            assert!(verified(&machine, &altered).is_err(), "archive {index}, byte {at}");
            altered[index].truncate(at);
            assert!(verified(&machine, &altered).is_err(), "archive {index}, cut at {at}");
        }
    }
}

/// A row that was corrupt when the archive was taken is found, too.
#[test]
fn corrupt_row_is_found() {
    let (machine, store) = machine();
    let (key, mut row) = machine.records(Table::Content).swap_remove(7);
    *row.last_mut().unwrap() ^= 1;
    tacet_store::database::write(&*machine.vault, |tx| tx.put(Table::Content, &key, &row)).unwrap();
    let found = verified(&machine, &archives(&store));
    assert!(matches!(found, Err(ArchiveError::Store(StoreError::Corrupt(_)))));
}

#[test]
fn archives_hold_nothing_in_clear() {
    let (machine, store) = machine();
    let archives = archives(&store);
    let key = machine.master.lines().next().unwrap().split_once(' ').unwrap().1;
    for needle in SECRETS.into_iter().chain([key.as_bytes()]) {
        for archive in &archives {
            assert!(!archive.windows(needle.len()).any(|window| window == needle));
        }
    }
}

/// Old archives of the databases, with the archive of wrap keys that was replaced since, as it should be.
#[test]
fn old_archives_open_nothing_after_three_rotations() {
    let (_machine, store) = machine();
    let [keys, vault, _] = archives(&store);
    for week in 1..=3 {
        assert!(
            restored(&Machine::default(), &[keys.clone(), vault.clone(), archives(&store)[2].clone()], true).is_ok()
        );
        store.rotate_wrap_keys(NOW.plus_seconds(week * 7 * DAY)).unwrap();
    }
    let wrap = archives(&store)[2].clone();
    let store = restored(&Machine::default(), &[keys, vault, wrap], true);
    assert!(matches!(store, Err(ArchiveError::Store(StoreError::Corrupt(_)))));
}
