//! Rows that end by themselves.
//!
//! ```text
//!   day4 table1 key          → nothing     what ends on a day
//!   0xffffffff table1 key    → day4        when a row ends
//! ```
//!
//! Both are written in the transaction that writes the row, in the same database.

use crate::{
    database::{self, DatabaseError, Space, Table, Tx},
    error::StoreError,
    owner::Owner,
    sealed::SealedTx,
    store::{Store, Stored},
    time::{Day, Time},
};

/// Rows that one transaction removes.
const BATCH: usize = 500;
/// In place of a day: where the days of rows are found. That day does not come.
const BY_ROW: Day = Day(u32::MAX);

fn table_of(space: Space) -> Table {
    match space {
        Space::Keys => Table::KeysExpiry,
        Space::Vault => Table::VaultExpiry,
    }
}

fn key_of(day: Day, table: Table, row: &[u8]) -> Vec<u8> {
    [&day.to_bytes()[..], &[table.number()], row].concat()
}

impl SealedTx<'_> {
    /// Writes a row that is removed once `last` is over. The day replaces an earlier one; [`SealedTx::put`] keeps it.
    ///
    /// # Errors
    /// As [`SealedTx::put`].
    pub fn put_until(
        &mut self,
        table: Table,
        owner: Owner,
        name: &[u8],
        value: &[u8],
        last: Day,
    ) -> Result<(), StoreError> {
        self.put(table, owner, name, value)?;
        let (index, row) = (table_of(table.space()), [owner.id(), name].concat());
        forget(self.raw(), table, &row)?;
        let last = last.min(Day(u32::MAX - 1));
        self.raw().put(index, &key_of(last, table, &row), &[])?;
        Ok(self.raw().put(index, &key_of(BY_ROW, table, &row), &last.to_bytes())?)
    }
}

/// Forgets when a row ends, if it does.
pub(crate) fn forget(tx: &mut dyn Tx, table: Table, row: &[u8]) -> Result<(), DatabaseError> {
    let index = table_of(table.space());
    let by_row = key_of(BY_ROW, table, row);
    if let Some(day) = tx.get(index, &by_row)? {
        tx.delete(index, &[&day[..], &[table.number()], row].concat())?;
        tx.delete(index, &by_row)?;
    }
    Ok(())
}

/// Forgets when rows of an owner end. Returns how many, at most `limit`.
pub(crate) fn forget_owner(tx: &mut dyn Tx, table: Table, owner: Owner, limit: usize) -> Result<usize, DatabaseError> {
    let records = database::page(tx, table_of(table.space()), &key_of(BY_ROW, table, owner.id()), None, limit)?;
    for (by_row, _) in &records {
        forget(tx, table, by_row.get(5..).unwrap_or_default())?;
    }
    Ok(records.len())
}

impl Store {
    /// Removes all rows whose last day is over, and returns how many. To be called every few minutes.
    ///
    /// # Errors
    /// A database fails: call this again.
    pub fn sweep(&self, now: Time) -> Result<u64, StoreError> {
        let mut swept = 0_u64;
        for space in [Space::Keys, Space::Vault] {
            let index = table_of(space);
            loop {
                let batch = database::write(self.database(space), |tx| {
                    let over = tx.range(index, &[], Some(&now.day().to_bytes()), BATCH)?;
                    for (key, _) in &over {
                        let table = key.get(4).and_then(|number| Table::from_number(*number));
                        let (Some(table), Some(row)) = (table.filter(|table| table.space() == space), key.get(5..))
                        else {
                            return Err(StoreError::Corrupt(Stored::Row(index)));
                        };
                        tx.delete(table, row)?;
                        forget(tx, table, row)?;
                    }
                    Ok(over.len())
                })?;
                if batch == 0 {
                    break;
                }
                swept = swept.saturating_add(batch as u64);
            }
        }
        Ok(swept)
    }
}
