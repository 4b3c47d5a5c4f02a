//! Facts on the store, in clear, and migrations.

use crate::{
    database::{DatabaseError, Space, Table, Tx},
    error::StoreError,
    store::{StoreId, Stored},
    time::Time,
};

/// Number of the newest migration. One is a function of a transaction, run by [`get`]'s caller from the number that is
/// stored to this one; there is none yet.
const SCHEMA: u32 = 1;

const STORE: &str = "store";
const SCHEMA_NAME: &str = "schema";
const REGION: &str = "region";
/// Lowest number of a wrap key that may seal data keys.
const WRAP_FLOOR: &str = "wrap floor";
/// When wrap keys were rotated last: seconds8.
const WRAP_ROTATED: &str = "wrap rotated";

/// What both databases say on their store.
pub(crate) struct Facts {
    pub(crate) store: StoreId,
    pub(crate) region: String,
}

fn table(space: Space) -> Table {
    match space {
        Space::Keys => Table::KeysMeta,
        Space::Vault => Table::VaultMeta,
    }
}

pub(crate) fn put(tx: &mut dyn Tx, space: Space, store: StoreId, region: &str) -> Result<(), DatabaseError> {
    let table = table(space);
    tx.put(table, STORE.as_bytes(), &store.0)?;
    tx.put(table, SCHEMA_NAME.as_bytes(), &SCHEMA.to_be_bytes())?;
    tx.put(table, REGION.as_bytes(), region.as_bytes())
}

/// `None` if there is no store in the database.
pub(crate) fn get(tx: &mut dyn Tx, space: Space) -> Result<Option<Facts>, StoreError> {
    let table = table(space);
    let Some(store) = tx.get(table, STORE.as_bytes())? else { return Ok(None) };
    let corrupt = |name| StoreError::Corrupt(Stored::Fact(name));
    let schema = number(tx, table, SCHEMA_NAME)?;
    if schema > SCHEMA {
        return Err(StoreError::NewerSchema(schema));
    }
    let region = tx.get(table, REGION.as_bytes())?.and_then(|region| String::from_utf8(region).ok());
    Ok(Some(Facts {
        store: StoreId(store.try_into().map_err(|_| corrupt(STORE))?),
        region: region.ok_or_else(|| corrupt(REGION))?,
    }))
}

pub(crate) fn wrap_floor(tx: &mut dyn Tx) -> Result<u32, StoreError> {
    number(tx, Table::KeysMeta, WRAP_FLOOR)
}

pub(crate) fn set_wrap_floor(tx: &mut dyn Tx, number: u32, now: Time) -> Result<(), DatabaseError> {
    tx.put(Table::KeysMeta, WRAP_FLOOR.as_bytes(), &number.to_be_bytes())?;
    tx.put(Table::KeysMeta, WRAP_ROTATED.as_bytes(), &now.as_secs().to_be_bytes())
}

pub(crate) fn wrap_rotated(tx: &mut dyn Tx) -> Result<Time, StoreError> {
    let value = tx.get(Table::KeysMeta, WRAP_ROTATED.as_bytes())?;
    let seconds = value.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
    seconds.map(Time::from_secs).ok_or(StoreError::Corrupt(Stored::Fact(WRAP_ROTATED)))
}

fn number(tx: &mut dyn Tx, table: Table, name: &'static str) -> Result<u32, StoreError> {
    let value = tx.get(table, name.as_bytes())?;
    let number = value.and_then(|value| value.try_into().ok()).map(u32::from_be_bytes);
    number.ok_or(StoreError::Corrupt(Stored::Fact(name)))
}
