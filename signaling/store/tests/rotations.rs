//! Rotations: keys move on, nothing is lost, wherever the machine fails.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use support::{DAY, Fault, Machine, NOW, random};
use tacet_store::{
    DataKeyRecord, Owner, Store, StoreError, Time,
    database::{Purpose, Space, Table},
    master::MasterKey,
    version_of,
    wrap::{KEPT, WrapFiles, WrapRecord},
};

const OWNERS: [Owner; 3] = [Owner::from_id([1; 16]), Owner::from_id([2; 16]), Owner::from_id([3; 16])];
/// More than a batch, in all.
const ROWS: u16 = 700;

fn value(owner: Owner, row: u16) -> Vec<u8> {
    [&owner.id()[..4], &row.to_be_bytes()].concat()
}

/// Three owners, the first with many rows.
fn machine(rows: u16) -> Machine {
    let machine = Machine::default();
    let store = machine.create();
    for owner in OWNERS {
        store.create_owner(owner, NOW).unwrap();
        let rows = if owner == OWNERS[0] { rows } else { 3 };
        for table in [Table::Content, Table::Account] {
            store
                .write(table.space(), NOW, |tx| {
                    (0..rows).try_for_each(|row| tx.put(table, owner, &row.to_be_bytes(), &value(owner, row)))
                })
                .unwrap();
        }
    }
    machine
}

/// Every row opens, and says what was written.
fn assert_whole(machine: &Machine, rows: u16) {
    let store = machine.open();
    for owner in OWNERS {
        let rows = if owner == OWNERS[0] { rows } else { 3 };
        for table in [Table::Content, Table::Account] {
            let page = store.read(table.space(), NOW, |tx| tx.page(table, owner, b"", None, usize::MAX)).unwrap();
            let expected: Vec<Vec<u8>> = (0..rows).map(|row| value(owner, row)).collect();
            let found: Vec<Vec<u8>> = page.into_iter().map(|(_, plain)| plain.unwrap().to_vec()).collect();
            assert!(found == expected, "{table:?} {owner:?}");
        }
    }
}

fn versions(machine: &Machine, table: Table, owner: Owner) -> BTreeSet<u32> {
    let records = machine.records(table).into_iter().filter(|(key, _)| key.starts_with(owner.id()));
    records.map(|(_, row)| version_of(&row).unwrap()).collect()
}

fn data_key_versions(machine: &Machine, owner: Owner, purpose: Purpose) -> Vec<u8> {
    let prefix = [&owner.id()[..], &[purpose.number()]].concat();
    let records = machine.records(Table::DataKey).into_iter().filter(|(key, _)| key.starts_with(&prefix));
    records.map(|(key, _)| key[20]).collect()
}

fn wraps_named(machine: &Machine) -> BTreeSet<u32> {
    machine.records(Table::DataKey).iter().map(|(_, value)| DataKeyRecord::parse(value).unwrap().wrap).collect()
}

fn wraps_kept(machine: &Machine) -> Vec<u32> {
    machine.files.read_all().unwrap().into_iter().map(|(number, _)| number).collect()
}

/// Fails at every durable step of `work`, before and after it, then starts again and finishes the work.
fn at_every_step(
    prepare: impl Fn() -> Machine,
    work: impl Fn(&Machine, &Store) -> Result<(), StoreError>,
    check: impl Fn(&Machine, &str),
) {
    let mut failures = 0;
    for fault in [Fault::Before, Fault::After] {
        for step in 0.. {
            let machine = prepare();
            let store = machine.open();
            machine.power.fail_at(step, fault);
            let outcome = work(&machine, &store);
            let was_down = machine.power.restore();
            assert_eq!(was_down, outcome.is_err(), "step {step} {fault:?}");
            drop(store);
            if was_down {
                failures += 1;
                work(&machine, &machine.open()).unwrap();
            }
            check(&machine, &format!("step {step} {fault:?}"));
            if !was_down {
                break;
            }
        }
    }
    assert!(failures > 1, "{failures} failures");
}

#[test]
fn data_key_rotation_survives_a_failure_at_every_step() {
    for (purpose, table) in [(Purpose::Content, Table::Content), (Purpose::Identity, Table::Account)] {
        at_every_step(
            || machine(ROWS),
            |_, store| store.rotate_data_key(OWNERS[0], purpose, NOW).map(drop),
            |machine, case| {
                assert_whole(machine, ROWS);
                let keys = data_key_versions(machine, OWNERS[0], purpose);
                // A failure after the last step is followed by a whole rotation.
                assert!(keys == [2] || keys == [3], "{case}: {keys:?}");
                assert_eq!(versions(machine, table, OWNERS[0]), BTreeSet::from([keys[0].into()]), "{case}");
                assert_eq!(data_key_versions(machine, OWNERS[1], purpose), [1], "{case}");
            },
        );
    }
}

/// Between failure and the next start, too, every row can be read.
#[test]
fn rows_can_be_read_in_the_middle_of_a_rotation() {
    for step in 0..12 {
        let machine = machine(ROWS);
        machine.power.fail_at(step, Fault::After);
        let outcome = machine.open().rotate_data_key(OWNERS[0], Purpose::Content, NOW);
        machine.power.restore();
        assert_whole(&machine, ROWS);
        // New rows, too.
        let store = machine.open();
        store.write(Space::Vault, NOW, |tx| tx.put(Table::Envelope, OWNERS[0], b"new", b"value")).unwrap();
        store.rotate_data_key(OWNERS[0], Purpose::Content, NOW).unwrap();
        let new = store.read(Space::Vault, NOW, |tx| Ok(tx.get(Table::Envelope, OWNERS[0], b"new")?.unwrap().to_vec()));
        assert_eq!(new.unwrap(), b"value", "step {step}, {outcome:?}");
    }
}

#[test]
fn wrap_key_rotation_survives_a_failure_at_every_step() {
    let prepare = || {
        let machine = machine(3);
        let store = machine.open();
        // So that the next rotation destroys one.
        store.rotate_wrap_keys(NOW).unwrap();
        store.rotate_wrap_keys(NOW).unwrap();
        assert_eq!(wraps_kept(&machine), [1, 2, 3]);
        machine
    };
    at_every_step(
        prepare,
        |_, store| store.rotate_wrap_keys(NOW.plus_seconds(DAY)),
        |machine, case| {
            assert_whole(machine, 3);
            let newest = *wraps_kept(machine).last().unwrap();
            assert!(newest == 4 || newest == 5, "{case}");
            assert_eq!(wraps_kept(machine), [newest - 2, newest - 1, newest], "{case}");
            assert_eq!(wraps_named(machine), BTreeSet::from([newest]), "{case}");
            assert_eq!(machine.open().wrap_keys_rotated().unwrap(), NOW.plus_seconds(DAY), "{case}");
        },
    );
}

/// At the next start, and not a week later.
#[test]
fn wrap_key_that_an_interrupted_rotation_has_left_is_destroyed() {
    for (step, fault) in (0..4).flat_map(|step| [(step, Fault::Before), (step, Fault::After)]) {
        let machine = machine(3);
        let store = machine.open();
        store.rotate_wrap_keys(NOW).unwrap();
        store.rotate_wrap_keys(NOW).unwrap();
        machine.power.fail_at(step, fault);
        let _ = store.rotate_wrap_keys(NOW);
        machine.power.restore();
        assert_whole(&machine, 3);
        assert_eq!(wraps_kept(&machine).len(), 3, "step {step} {fault:?}");
    }
}

#[test]
fn master_key_rotation_survives_a_failure_at_every_step() {
    let prepare = || {
        let machine = machine(3);
        machine.open().rotate_wrap_keys(NOW).unwrap();
        machine
    };
    let newer = |machine: &Machine| {
        let mut master = machine.master();
        master.add(&mut random(5));
        master
    };
    at_every_step(
        // The operator has added a version to the file before the server reads it.
        || {
            let mut machine = prepare();
            machine.master = newer(&machine).to_text().to_string();
            machine
        },
        |machine, store| store.set_master_keys(Box::new(machine.master())),
        |machine, case| {
            assert_eq!(machine.open().master_versions(), BTreeSet::from([2]), "{case}");
            assert_whole(machine, 3);
            let masters = machine.files.read_all().unwrap();
            assert!(masters.iter().all(|(_, bytes)| WrapRecord::parse(bytes).unwrap().master == 2), "{case}");
        },
    );
}

#[test]
fn retired_master_key_is_not_needed() {
    let mut machine = machine(3);
    let mut master = machine.master();
    master.add(&mut random(5));
    let store = machine.open();
    assert_eq!(store.master_versions(), BTreeSet::from([1]));
    let mut both = machine.master();
    both.add(&mut random(5));
    store.set_master_keys(Box::new(both)).unwrap();
    assert_eq!(store.master_versions(), BTreeSet::from([2]), "version 1 may be retired");
    drop(store);
    master.remove(1);
    assert!(!master.has(1));
    machine.master = master.to_text().to_string();
    assert_whole(&machine, 3);
}

#[test]
fn wrong_master_keys_are_not_taken_over() {
    let machine = machine(3);
    let store = machine.open();
    let wrong = tacet_store::master::MasterKeys::generate(&mut random(77));
    assert!(matches!(store.set_master_keys(Box::new(wrong)), Err(StoreError::MasterKey { .. })));
    store.rotate_wrap_keys(NOW).unwrap();
    assert_whole(&machine, 3);
}

/// After three more rotations the first wrap key is gone, and with it what an old archive of data keys could be opened by.
#[test]
fn wrap_keys_die_after_three_rotations() {
    let machine = machine(3);
    let store = machine.open();
    for week in 1..=5_u32 {
        let now = NOW.plus_seconds(7 * DAY * u64::from(week));
        store.rotate_wrap_keys(now).unwrap();
        let newest = week + 1;
        let oldest = newest.saturating_sub(KEPT - 1).max(1);
        assert_eq!(wraps_kept(&machine), (oldest..=newest).collect::<Vec<_>>());
        assert_whole(&machine, 3);
    }
}

/// Another server has rotated, and this one has the old key in its cache: it writes under the new one.
#[test]
fn paused_writer_is_fenced() {
    for (purpose, table) in [(Purpose::Content, Table::Content), (Purpose::Identity, Table::Account)] {
        let machine = machine(3);
        let (paused, other) = (machine.open(), machine.open());
        let write = |row: u16, now: Time| {
            paused.write(table.space(), now, |tx| tx.put(table, OWNERS[0], &row.to_be_bytes(), &value(OWNERS[0], row)))
        };
        write(0, NOW).unwrap();
        other.rotate_data_key(OWNERS[0], purpose, NOW).unwrap();
        // The same moment: the cache has not expired.
        write(1, NOW).unwrap();
        assert_eq!(versions(&machine, table, OWNERS[0]), BTreeSet::from([2]));
        assert_whole(&machine, 3);
        // And reads what the other one has sealed again.
        let read = paused.read(table.space(), NOW, |tx| Ok(tx.get(table, OWNERS[0], &2_u16.to_be_bytes())?.is_some()));
        assert!(read.unwrap());
    }
}

/// A data key that was sealed under a wrap key of before a rotation is not inserted after it.
#[test]
fn owner_made_by_a_server_with_old_wrap_keys_is_safe() {
    let machine = machine(3);
    let (paused, other) = (machine.open(), machine.open());
    for _ in 0..3 {
        other.rotate_wrap_keys(NOW).unwrap();
    }
    let owner = Owner::from_id([9; 16]);
    paused.create_owner(owner, NOW).unwrap();
    assert_eq!(wraps_named(&machine), BTreeSet::from([4]));
    paused.write(Space::Vault, NOW, |tx| tx.put(Table::Content, owner, b"x", b"y")).unwrap();
}
