//! Rows and wrapped data keys in a database that someone else can write: a row says what was written, or nothing.

use crate::machine::{Machine, NOW, OWNERS, VALUE};
use tacet_fuzz::Script;
use tacet_store::database::{Space, Table};

/// The target: the first byte selects what is replaced, the rest edits genuine records.
pub fn run(data: &[u8]) {
    let machine = Machine::new();
    let table = if data.first().is_some_and(|byte| byte & 1 == 1) { Table::DataKey } else { Table::Content };
    let records = machine.records(table);
    let genuine: Vec<&[u8]> = records.iter().map(|(_, value)| &value[..]).collect();
    let edited = Script(data.get(1..).unwrap_or_default()).edit(&genuine);
    for (key, value) in &records {
        machine.put(table, key, &edited);
        if let Some(store) = machine.open() {
            for owner in OWNERS {
                let _ = store.read(Space::Vault, NOW, |tx| {
                    let row = tx.get(Table::Content, owner, b"row")?;
                    assert!(row.is_none_or(|row| *row == *VALUE), "a forged row");
                    Ok(())
                });
            }
        }
        machine.put(table, key, value);
    }
}
