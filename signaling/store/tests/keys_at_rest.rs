//! Rows, data keys and wrap keys: each opens where it belongs, and nowhere else.

#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use support::{DAY, Machine, NOW, random};
use tacet_store::{
    Owner, Store, StoreError,
    database::{DatabaseError, Purpose, Space, Table, write},
    master::{MasterKey, MasterKeyError, MasterKeys},
    wrap::WrapFiles,
};

const ALICE: Owner = Owner::from_id([0xa1; 16]);
const BOB: Owner = Owner::from_id([0xb0; 16]);

fn put(store: &Store, owner: Owner, name: &[u8], value: &[u8]) {
    store.write(Space::Vault, NOW, |tx| tx.put(Table::Content, owner, name, value)).unwrap();
    store.write(Space::Keys, NOW, |tx| tx.put(Table::Account, owner, name, value)).unwrap();
}

fn get(store: &Store, table: Table, owner: Owner, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    store.read(table.space(), NOW, |tx| Ok(tx.get(table, owner, name)?.map(|plain| plain.to_vec())))
}

fn with_people() -> (Machine, Store) {
    let machine = Machine::default();
    let store = machine.create();
    for owner in [ALICE, BOB] {
        store.create_owner(owner, NOW).unwrap();
        for name in [&b"one"[..], b"two"] {
            put(&store, owner, name, b"a value that is secret");
        }
    }
    (machine, store)
}

#[test]
fn rows_outlive_the_process() {
    let (machine, store) = with_people();
    drop(store);
    let store = machine.open();
    for table in [Table::Content, Table::Account] {
        assert_eq!(get(&store, table, ALICE, b"one").unwrap().unwrap(), b"a value that is secret");
        assert_eq!(get(&store, table, ALICE, b"three").unwrap(), None);
    }
    let names = store.read(Space::Vault, NOW, |tx| {
        Ok(tx.page(Table::Content, ALICE, b"", None, 9)?.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
    });
    assert_eq!(names.unwrap(), [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn nothing_is_stored_in_clear() {
    let (machine, _) = with_people();
    for table in Table::ALL {
        for (_, value) in machine.records(*table) {
            assert!(!value.windows(6).any(|window| window == b"secret"), "{table:?}");
        }
    }
}

#[test]
fn owners_must_be_created() {
    let (_machine, store) = with_people();
    let stranger = Owner::from_id([1; 16]);
    let refused = store.write(Space::Vault, NOW, |tx| tx.put(Table::Content, stranger, b"x", b"y"));
    assert!(matches!(refused, Err(StoreError::UnknownOwner)));
    // Twice is once: the first data key stays.
    store.create_owner(ALICE, NOW.plus_seconds(DAY)).unwrap();
    assert!(get(&store, Table::Content, ALICE, b"one").unwrap().is_some());
}

#[test]
fn long_names_and_values_are_refused() {
    let (_machine, store) = with_people();
    let put =
        |name: &[u8], value: &[u8]| store.write(Space::Vault, NOW, |tx| tx.put(Table::Content, ALICE, name, value));
    assert!(put(&[0; 256], b"").is_ok());
    assert!(matches!(put(&[0; 257], b""), Err(StoreError::TooLong)));
    assert!(put(b"", &vec![0; 1 << 20]).is_ok());
    assert!(matches!(put(b"", &vec![0; (1 << 20) + 1]), Err(StoreError::TooLong)));
}

#[test]
fn tables_of_records_have_no_rows() {
    let (_machine, store) = with_people();
    let refused = store.write(Space::Keys, NOW, |tx| tx.put(Table::DataKey, ALICE, b"x", b"y"));
    assert!(matches!(refused, Err(StoreError::Database(DatabaseError::Misuse(_)))));
}

#[test]
fn store_is_made_once_and_for_one_region() {
    let (machine, store) = with_people();
    assert!(matches!(Store::create(machine.parts(), NOW), Err(StoreError::AlreadyExists)));
    drop(store);
    let mut parts = machine.parts();
    parts.region = "us-ny".to_owned();
    assert!(matches!(Store::open(parts, NOW), Err(StoreError::OtherRegion { .. })));
    assert!(matches!(Store::open(Machine::default().parts(), NOW), Err(StoreError::NotInitialised)));
}

#[test]
fn parts_of_different_stores_are_refused() {
    let (ours, _) = with_people();
    let (theirs, _) = with_people();
    let mut parts = ours.parts();
    parts.vault = theirs.parts().vault;
    // Seeds are alike, so ids are made to differ.
    write(&*theirs.vault, |tx| tx.put(Table::VaultMeta, b"store", &[9; 16])).unwrap();
    assert!(matches!(Store::open(parts, NOW), Err(StoreError::OtherStore)));
}

#[test]
fn newer_schema_is_refused() {
    let (machine, store) = with_people();
    drop(store);
    write(&*machine.keys, |tx| tx.put(Table::KeysMeta, b"schema", &2_u32.to_be_bytes())).unwrap();
    assert!(matches!(machine.try_open(), Err(StoreError::NewerSchema(2))));
}

#[test]
fn wrong_master_key_is_named_and_nothing_is_touched() {
    let (mut machine, store) = with_people();
    drop(store);
    let right = std::mem::replace(&mut machine.master, MasterKeys::generate(&mut random(99)).to_text().to_string());
    let before = (machine.files.read_all().unwrap(), machine.records(Table::DataKey));
    let error = machine.try_open().err().unwrap();
    let id = machine.master().id(1).unwrap();
    assert_eq!(error.to_string(), format!("wrap key 1 cannot be used: master key 1 (id {id}) does not open it"));
    assert!((machine.files.read_all().unwrap(), machine.records(Table::DataKey)) == before);
    machine.master = right;
    machine.open();
}

#[test]
fn master_key_of_a_missing_version_is_named() {
    let (mut machine, store) = with_people();
    drop(store);
    let mut master = machine.master();
    master.add(&mut random(7));
    master.remove(1);
    machine.master = master.to_text().to_string();
    let error = machine.try_open().err().unwrap();
    assert!(matches!(error, StoreError::MasterKey { cause: MasterKeyError::NoVersion(1), .. }), "{error}");
}

#[test]
fn corrupt_row_does_not_hide_others() {
    let (machine, store) = with_people();
    let (key, mut row) = machine.records(Table::Content).swap_remove(0);
    *row.last_mut().unwrap() ^= 1;
    write(&*machine.vault, |tx| tx.put(Table::Content, &key, &row)).unwrap();
    assert!(matches!(get(&store, Table::Content, ALICE, b"one"), Err(StoreError::Corrupt(_))));
    let good = store.read(Space::Vault, NOW, |tx| {
        Ok(tx.page(Table::Content, ALICE, b"", None, 9)?.iter().map(|(_, row)| row.is_ok()).collect::<Vec<_>>())
    });
    assert_eq!(good.unwrap(), [false, true]);
}

/// Whether all rows of a table can be read as they were written, by a process that has cached nothing.
fn all_open(machine: &Machine) -> bool {
    let Ok(store) = machine.try_open() else { return false };
    [Table::Content, Table::Account].into_iter().all(|table| {
        [ALICE, BOB].into_iter().all(|owner| {
            [&b"one"[..], b"two"].into_iter().all(|name| {
                get(&store, table, owner, name).is_ok_and(|value| value.as_deref() == Some(b"a value that is secret"))
            })
        })
    })
}

fn replaced(machine: &Machine, table: Table, key: &[u8], value: &[u8]) -> bool {
    let database = if table.space() == Space::Keys { &machine.keys } else { &machine.vault };
    let (_, before) = machine.records(table).into_iter().find(|(of, _)| of == key).unwrap();
    write(&**database, |tx| tx.put(table, key, value)).unwrap();
    let opens = all_open(machine);
    write(&**database, |tx| tx.put(table, key, &before)).unwrap();
    opens
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bit_is_refused(
        table in proptest::sample::select(vec![Table::Content, Table::Account, Table::DataKey]),
        row: prop::sample::Index, bit: prop::sample::Index,
    ) {
        let machine = &with_people().0;
        let mut records = machine.records(table);
        // Data keys of the store are not used by these rows.
        records.retain(|(key, _)| !key.starts_with(Owner::STORE.id()));
        let (key, mut value) = records.swap_remove(row.index(records.len()));
        let bit = bit.index(value.len() * 8);
        value[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!replaced(machine, table, &key, &value));
    }

    #[test]
    fn swapped_records_are_refused(
        table in proptest::sample::select(vec![Table::Content, Table::Account, Table::DataKey]),
        from: prop::sample::Index, to: prop::sample::Index,
    ) {
        let machine = &with_people().0;
        let mut records = machine.records(table);
        records.retain(|(key, _)| !key.starts_with(Owner::STORE.id()));
        let (from, to) = (from.index(records.len()), to.index(records.len()));
        prop_assume!(from != to);
        prop_assert!(!replaced(machine, table, &records[to].0, &records[from].1));
    }

    #[test]
    fn flipped_bit_of_a_wrap_key_is_refused(bit: prop::sample::Index) {
        let machine = &with_people().0;
        let (number, contents) = machine.files.read_all().unwrap().swap_remove(0);
        let mut altered = contents.clone();
        let bit = bit.index(altered.len() * 8);
        altered[bit / 8] ^= 1 << (bit % 8);
        machine.files.write(number, &altered).unwrap();
        let opens = all_open(machine);
        machine.files.write(number, &contents).unwrap();
        prop_assert!(!opens);
    }
}

/// The three tests above would notice nothing if rows did not open in the first place.
#[test]
fn unaltered_rows_open() {
    assert!(all_open(&with_people().0));
}

/// A row of another table or database has another key.
#[test]
fn row_of_another_table_is_refused() {
    let (machine, store) = with_people();
    let (key, row) = machine.records(Table::Content).swap_remove(0);
    write(&*machine.vault, |tx| tx.put(Table::Envelope, &key, &row)).unwrap();
    assert!(matches!(get(&store, Table::Envelope, ALICE, b"one"), Err(StoreError::Corrupt(_))));
}

/// A wrapped data key of an older version, put in the place of the newer one.
#[test]
fn older_version_of_a_data_key_is_refused() {
    let (machine, store) = with_people();
    let place = |version: u8| [ALICE.id(), &[Purpose::Content.number(), 0, 0, 0, version][..]].concat();
    let old = machine.records(Table::DataKey).into_iter().find(|(key, _)| *key == place(1)).unwrap().1;
    store.rotate_data_key(ALICE, Purpose::Content, NOW).unwrap();
    write(&*machine.keys, |tx| tx.put(Table::DataKey, &place(2), &old)).unwrap();
    assert!(matches!(get(&machine.open(), Table::Content, ALICE, b"one"), Err(StoreError::Corrupt(_))));
}
