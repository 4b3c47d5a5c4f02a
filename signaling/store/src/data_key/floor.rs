//! Floors: the lowest versions of data keys with which rows may be written. `version4`, or `version4 day4` once closed.

use crate::{
    database::{DatabaseError, Purpose, Tx},
    owner::Owner,
    time::Day,
};
use e2ee_core::{Reader, array::concat};

/// The floor of an owner and purpose: above all versions once it is closed.
pub(crate) fn floor(tx: &mut dyn Tx, owner: Owner, purpose: Purpose) -> Result<u32, DatabaseError> {
    let value = tx.get(purpose.floor(), &floor_key(owner, purpose))?;
    // A record that cannot be read refuses all writes.
    Ok(value.map_or(0, |value| Reader::new(&value).u32().unwrap_or(u32::MAX)))
}

/// Raises the floor to a version. It is never lowered.
pub(crate) fn raise_floor(tx: &mut dyn Tx, owner: Owner, purpose: Purpose, version: u32) -> Result<(), DatabaseError> {
    if floor(tx, owner, purpose)? < version {
        tx.put(purpose.floor(), &floor_key(owner, purpose), &version.to_be_bytes())?;
    }
    Ok(())
}

/// Lets no version write any more: the owner is deleted.
pub(crate) fn close_floor(tx: &mut dyn Tx, owner: Owner, purpose: Purpose, day: Day) -> Result<(), DatabaseError> {
    let value: [u8; 8] = concat(&[&u32::MAX.to_be_bytes(), &day.to_bytes()]);
    tx.put(purpose.floor(), &floor_key(owner, purpose), &value)
}

/// The day on which a floor was closed; `None` if it is open.
pub(crate) fn closed_on(value: &[u8]) -> Option<Day> {
    let mut reader = Reader::new(value);
    (reader.u32()? == u32::MAX).then_some(())?;
    reader.u32().map(Day)
}

/// Where the floor lies; also the prefix of the versions' keys.
pub(crate) fn floor_key(owner: Owner, purpose: Purpose) -> [u8; 17] {
    concat(&[owner.id(), &[purpose.number()]])
}
