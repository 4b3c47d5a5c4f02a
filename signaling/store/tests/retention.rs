//! Rows that end by themselves, before and after their last day.

#![allow(clippy::unwrap_used)]

mod support;

use support::{DAY, Fault, Machine, NOW};
use tacet_store::{
    Day, Owner, Store, StoreError, Time,
    calls::{Call, Members, When},
    database::Table,
};

const ALICE: Owner = Owner::from_id([0xa1; 16]);
/// More than a batch.
const ROWS: u16 = 600;
const TABLES: [Table; 2] = [Table::UsedPrekey, Table::Envelope];

fn machine() -> (Machine, Store) {
    let machine = Machine::default();
    let store = machine.create();
    store.create_owner(ALICE, NOW).unwrap();
    (machine, store)
}

fn put_until(store: &Store, table: Table, row: u16, last: Day) {
    store.write(table.space(), NOW, |tx| tx.put_until(table, ALICE, &row.to_be_bytes(), b"value", last)).unwrap();
}

fn rows(store: &Store, table: Table) -> usize {
    store.read(table.space(), NOW, |tx| Ok(tx.page(table, ALICE, b"", None, usize::MAX)?.len())).unwrap()
}

fn expiries(machine: &Machine) -> usize {
    machine.records(Table::KeysExpiry).len() + machine.records(Table::VaultExpiry).len()
}

fn end_of(day: Day) -> Time {
    day.start().plus_seconds(DAY - 1)
}

#[test]
fn rows_end_after_their_last_day() {
    let (machine, store) = machine();
    let last = NOW.day().plus(14);
    for table in TABLES {
        (0..ROWS).for_each(|row| put_until(&store, table, row, last));
        put_until(&store, table, ROWS, last.plus(1));
    }
    assert_eq!(store.sweep(end_of(last)).unwrap(), 0);
    assert_eq!(TABLES.map(|table| rows(&store, table)), [usize::from(ROWS) + 1; 2]);
    assert_eq!(store.sweep(last.plus(1).start()).unwrap(), 2 * u64::from(ROWS));
    assert_eq!(TABLES.map(|table| rows(&store, table)), [1; 2]);
    store.sweep(last.plus(2).start()).unwrap();
    assert_eq!((TABLES.map(|table| rows(&store, table)), expiries(&machine)), ([0; 2], 0));
}

#[test]
fn last_day_can_be_moved() {
    let (_machine, store) = machine();
    let last = NOW.day().plus(7);
    for (row, moved) in [(0, last.plus(3)), (1, Day(last.0 - 3))] {
        put_until(&store, Table::Envelope, row, last);
        put_until(&store, Table::Envelope, row, moved);
    }
    // Writing it again does not move it.
    store.write(Table::Envelope.space(), NOW, |tx| tx.put(Table::Envelope, ALICE, &[0, 1], b"new")).unwrap();
    let left_at = |day: Day| {
        store.sweep(day.start()).unwrap();
        rows(&store, Table::Envelope)
    };
    assert_eq!([Day(last.0 - 3), Day(last.0 - 2), last.plus(3), last.plus(4)].map(left_at), [2, 1, 1, 0]);
}

/// What was deleted before its last day and written again does not end on that day.
#[test]
fn deleted_row_has_no_last_day() {
    let (machine, store) = machine();
    put_until(&store, Table::Envelope, 0, NOW.day());
    let space = Table::Envelope.space();
    store.write(space, NOW, |tx| tx.delete(Table::Envelope, ALICE, &[0, 0])).unwrap();
    store.write(space, NOW, |tx| tx.put(Table::Envelope, ALICE, &[0, 0], b"stays")).unwrap();
    assert_eq!(expiries(&machine), 0);
    store.sweep(NOW.day().plus(9).start()).unwrap();
    assert_eq!(rows(&store, Table::Envelope), 1);
}

#[test]
fn last_days_go_with_their_owner() {
    let (machine, store) = machine();
    for table in TABLES {
        (0..ROWS).for_each(|row| put_until(&store, table, row, NOW.day().plus(14)));
    }
    store.delete_owner(ALICE, NOW).unwrap();
    assert_eq!(expiries(&machine), 0);
}

#[test]
fn sweeping_survives_a_failure_at_every_step() {
    for fault in [Fault::Before, Fault::After] {
        for step in 0.. {
            let (machine, store) = machine();
            for table in TABLES {
                (0..ROWS).for_each(|row| put_until(&store, table, row, NOW.day()));
            }
            machine.power.fail_at(step, fault);
            let _ = store.sweep(NOW.plus_seconds(DAY));
            let was_down = machine.power.restore();
            let store = machine.open();
            store.sweep(NOW.plus_seconds(DAY)).unwrap();
            assert_eq!((TABLES.map(|table| rows(&store, table)), expiries(&machine)), ([0; 2], 0), "{step} {fault:?}");
            if !was_down {
                break;
            }
        }
    }
}

const ROOM: Owner = Owner::from_id([0x70; 16]);
const BOB: Owner = Owner::from_id([0xb0; 16]);

fn with_calls() -> (Machine, Store) {
    let (machine, store) = machine();
    store.create_owner(ROOM, NOW).unwrap();
    store.record_call(ROOM, NOW, 42, 1, &[ALICE, BOB], NOW.plus_seconds(42 * 60)).unwrap();
    store.record_call(ROOM, NOW.plus_seconds(3_600), 1, 2, &[ALICE], NOW.plus_seconds(3_660)).unwrap();
    (machine, store)
}

#[test]
fn call_is_exact_for_a_day() {
    let (machine, store) = with_calls();
    store.blur_calls(NOW.plus_seconds(DAY - 1)).unwrap();
    let calls = store.calls(ROOM, NOW).unwrap();
    let first = calls.iter().find(|call| call.result == 1).unwrap();
    assert_eq!((first.when, first.minutes), (When::At(NOW), 45));
    assert_eq!(first.members, Members::Accounts(vec![ALICE, BOB]));
    // One second later, the first one; an hour later, the other.
    store.blur_calls(NOW.plus_seconds(DAY)).unwrap();
    let calls = store.calls(ROOM, NOW).unwrap();
    let call = |result: u8| calls.iter().find(|call| call.result == result).unwrap();
    let inexact = Call { when: When::On(NOW.day()), minutes: 45, result: 1, members: Members::Number(2) };
    assert_eq!(*call(1), inexact);
    assert_eq!(call(2).members, Members::Accounts(vec![ALICE]));
    store.blur_calls(NOW.plus_seconds(DAY + 3_600)).unwrap();
    assert!(store.calls(ROOM, NOW).unwrap().iter().all(|call| matches!(call.when, When::On(_))));
    assert!(machine.records(Table::ExactCall).is_empty());
}

#[test]
fn call_is_kept_for_thirty_days() {
    let (machine, store) = with_calls();
    store.blur_calls(NOW.plus_seconds(2 * DAY)).unwrap();
    let last = NOW.day().plus(30);
    store.sweep(end_of(last)).unwrap();
    assert_eq!(store.calls(ROOM, NOW).unwrap().len(), 2);
    store.sweep(last.plus(1).start()).unwrap();
    assert!(machine.records(Table::Call).is_empty());
}

/// Nothing in clear says when a call was, or who was in it, once it is inexact.
#[test]
fn calls_of_two_days_cannot_be_joined() {
    let (machine, store) = with_calls();
    let later = NOW.plus_seconds(3 * DAY);
    store.record_call(ROOM, later, 42, 1, &[ALICE, BOB], later).unwrap();
    store.blur_calls(later.plus_seconds(DAY)).unwrap();
    for call in store.calls(ROOM, later).unwrap() {
        assert!(matches!((call.when, call.members), (When::On(_), Members::Number(_))));
    }
    for table in [Table::Call, Table::ExactCall, Table::VaultExpiry] {
        for (key, _) in machine.records(table) {
            let holds = |needle: &[u8]| key.windows(needle.len()).any(|window| window == needle);
            assert!(!holds(ALICE.id()) && !holds(&later.as_secs().to_be_bytes()), "{table:?}");
        }
    }
}

/// The room is deleted before its calls are inexact.
#[test]
fn calls_end_with_their_room() {
    let (machine, store) = with_calls();
    store.delete_owner(ROOM, NOW).unwrap();
    store.blur_calls(NOW.plus_seconds(2 * DAY)).unwrap();
    assert!(machine.records(Table::Call).is_empty() && machine.records(Table::ExactCall).is_empty());
    let refused = store.record_call(ROOM, NOW, 5, 1, &[ALICE], NOW);
    assert!(matches!(refused, Err(StoreError::UnknownOwner)));
}
