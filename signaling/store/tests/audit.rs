//! The audit log: edits, gaps, moves and cuts are found.

#![allow(clippy::unwrap_used)]

mod support;

use support::{DAY, Machine, NOW};
use tacet_store::{
    Day, Owner, Store, Time,
    audit::{Audited, Entry, EventKind, Flaw},
    database::{Record, Space, Table, write},
};

const ENTRIES: u16 = 12;

fn entry(kind: u16, now: Time) -> Entry {
    Entry { day: now.day(), kind: EventKind(kind), subject: [1; 16], actor: [2; 16], details: b"details".to_vec() }
}

/// Four entries a day, and an anchor at its end.
fn machine() -> (Machine, Store) {
    let machine = Machine::default();
    let store = machine.create();
    for kind in 0..ENTRIES {
        let now = NOW.plus_seconds(u64::from(kind / 4) * DAY);
        store.audit(&entry(kind, now), now).unwrap();
        if kind % 4 == 3 {
            store.anchor_audit(now).unwrap();
        }
    }
    (machine, store)
}

fn verify(store: &Store) -> Result<Audited, Flaw> {
    store.verify_audit(None, NOW).unwrap()
}

fn put(machine: &Machine, table: Table, (key, value): &Record) {
    write(&*machine.vault, |tx| tx.put(table, key, value)).unwrap();
}

fn remove(machine: &Machine, table: Table, key: &[u8]) {
    write(&*machine.vault, |tx| tx.delete(table, key)).unwrap();
}

#[test]
fn untouched_log_is_verified() {
    let (_machine, store) = machine();
    assert_eq!(verify(&store), Ok(Audited { entries: 12, anchors: 3 }));
    let entries = store.audit_entries(NOW.day().plus(1), NOW).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.kind.0).collect::<Vec<_>>(), [4, 5, 6, 7]);
    // An anchor that says nothing new is not made.
    store.anchor_audit(NOW).unwrap();
    assert_eq!(store.audit_tree().unwrap().size(), 3);
}

#[test]
fn edited_entry_is_found() {
    for index in 0..usize::from(ENTRIES) {
        let (machine, store) = machine();
        let (key, mut row) = machine.records(Table::Audit).swap_remove(index);
        *row.last_mut().unwrap() ^= 1;
        put(&machine, Table::Audit, &(key, row));
        assert_eq!(verify(&store), Err(Flaw::Altered(index as u64 + 1)));
    }
}

/// By someone who has the keys: the row itself opens.
#[test]
fn rewritten_entry_is_found() {
    for index in 0..ENTRIES {
        let (_machine, store) = machine();
        let day = NOW.day().plus(u32::from(index / 4));
        let name = (u64::from(index) + 1).to_be_bytes();
        store
            .write(Space::Vault, NOW, |tx| {
                let row = tx.get(Table::Audit, Owner::audit(day), &name)?.unwrap().to_vec();
                tx.put(Table::Audit, Owner::audit(day), &name, &[&row[..], b", but"].concat())
            })
            .unwrap();
        assert!(verify(&store).is_err(), "entry {index}");
    }
}

#[test]
fn missing_entry_is_found() {
    for index in 0..usize::from(ENTRIES) {
        let (machine, store) = machine();
        let (key, _) = machine.records(Table::Audit).swap_remove(index);
        remove(&machine, Table::Audit, &key);
        assert_eq!(verify(&store), Err(Flaw::Missing(index as u64 + 1)));
    }
}

#[test]
fn exchanged_entries_are_found() {
    let (machine, store) = machine();
    let records = machine.records(Table::Audit);
    put(&machine, Table::Audit, &(records[1].0.clone(), records[2].1.clone()));
    put(&machine, Table::Audit, &(records[2].0.clone(), records[1].1.clone()));
    assert_eq!(verify(&store), Err(Flaw::Altered(2)));
}

/// The end is cut off, the head put back, and the anchors, too: only a checkpoint that has left the machine shows it.
#[test]
fn cut_is_found_by_a_checkpoint_from_elsewhere() {
    let (machine, store) = machine();
    let tree = store.audit_tree().unwrap();
    let known = Some((tree.size(), tree.root()));
    assert!(store.verify_audit(known, NOW).unwrap().is_ok());
    let leaves = machine.records(Table::AuditLeaf);
    for (key, _) in &machine.records(Table::Audit)[8..] {
        remove(&machine, Table::Audit, key);
    }
    assert_eq!(verify(&store), Err(Flaw::Missing(9)), "the head says more");
    put(&machine, Table::VaultMeta, &(b"audit head".to_vec(), leaves[1].1.clone()));
    assert_eq!(verify(&store), Err(Flaw::Missing(12)), "the last anchor says more");
    remove(&machine, Table::AuditLeaf, &leaves[2].0);
    assert_eq!(verify(&store), Ok(Audited { entries: 8, anchors: 2 }), "nothing here says more");
    assert_eq!(store.verify_audit(known, NOW).unwrap(), Err(Flaw::OtherAnchors));
}

#[test]
fn log_without_its_first_days_is_verified() {
    let (machine, store) = machine();
    let keys = machine.records(Table::DataKey).len();
    store.forget_audit_before(NOW.day().plus(2)).unwrap();
    assert_eq!(machine.records(Table::DataKey).len(), keys - 2);
    assert_eq!(verify(&store), Ok(Audited { entries: 4, anchors: 3 }));
    assert!(store.audit_entries(NOW.day(), NOW).unwrap().is_empty());
    // More than what has expired is missing.
    remove(&machine, Table::Audit, &machine.records(Table::Audit)[0].0.clone());
    assert_eq!(verify(&store), Err(Flaw::Missing(9)));
    // All of it.
    let (_machine, store) = self::machine();
    store.forget_audit_before(NOW.day().plus(9)).unwrap();
    assert_eq!(verify(&store), Ok(Audited { entries: 0, anchors: 3 }));
    store.audit(&entry(99, NOW.plus_seconds(9 * DAY)), NOW.plus_seconds(9 * DAY)).unwrap();
    assert_eq!(verify(&store), Ok(Audited { entries: 1, anchors: 3 }));
}

/// An event of yesterday that comes late goes behind today's: numbers and days stay in one order.
#[test]
fn late_entry_does_not_break_the_order() {
    let (_machine, store) = machine();
    store.audit(&entry(50, NOW), NOW.plus_seconds(3 * DAY)).unwrap();
    assert_eq!(verify(&store), Ok(Audited { entries: 13, anchors: 3 }));
    let last = store.audit_entries(Day(NOW.day().0 + 2), NOW).unwrap().pop().unwrap();
    assert_eq!((last.kind, last.day), (EventKind(50), NOW.day()));
}

#[test]
fn pseudonym_ends_with_the_account() {
    let (_machine, store) = machine();
    let (alice, bob) = (Owner::from_id([3; 16]), Owner::from_id([4; 16]));
    for owner in [alice, bob] {
        store.create_owner(owner, NOW).unwrap();
    }
    let pseudonym = store.pseudonym(alice, NOW).unwrap();
    assert_eq!(store.pseudonym(alice, NOW).unwrap(), pseudonym);
    assert_ne!(store.pseudonym(bob, NOW).unwrap(), pseudonym);
    store.audit(&Entry { subject: pseudonym, ..entry(60, NOW) }, NOW).unwrap();
    store.delete_owner(alice, NOW).unwrap();
    assert!(store.pseudonym(alice, NOW).is_err(), "nothing leads from the account to its entries");
    assert!(verify(&store).is_ok());
}
