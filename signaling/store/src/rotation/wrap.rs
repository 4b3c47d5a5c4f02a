//! Rotation of wrap keys, once a week: the newest seals all data keys, and those older than the third are destroyed.
//!
//! 1. The file of the new wrap key becomes durable.
//! 2. One transaction seals all data keys under it, and raises the floor, below which none may be sealed from now on.
//! 3. Wrap keys that are neither named by a data key nor among the three newest are destroyed.

use crate::{
    data_key::{self, DataKeyRecord, Place},
    database::{self, Space, Table, Tx},
    error::StoreError,
    facts,
    store::{Store, Stored},
    time::{Day, Time},
    wrap,
};
use std::sync::PoisonError;

/// Records that are read at a time.
const PAGE: usize = 1_000;

/// Whether a Monday (UTC) has begun since the last rotation.
#[must_use]
pub fn is_wrap_rotation_due(last: Time, now: Time) -> bool {
    week_of(now.day()) > week_of(last.day())
}

/// Number of Mondays since 1970, which began on a Thursday.
fn week_of(day: Day) -> u32 {
    day.0.saturating_add(3) / 7
}

impl Store {
    /// When wrap keys were rotated last.
    ///
    /// # Errors
    /// The database fails.
    pub fn wrap_keys_rotated(&self) -> Result<Time, StoreError> {
        database::read(self.database(Space::Keys), facts::wrap_rotated)
    }

    /// Rotates wrap keys, or finishes a rotation that was interrupted. With several servers, one of them does it.
    ///
    /// # Errors
    /// A file or the database fails: call this again.
    pub fn rotate_wrap_keys(&self, now: Time) -> Result<(), StoreError> {
        self.reload_wrap_keys()?;
        let floor = database::read(self.database(Space::Keys), facts::wrap_floor)?;
        let mut newest = self.wraps().newest()?;
        // Otherwise the newest was made by a rotation that was interrupted.
        if newest == floor {
            newest = newest.checked_add(1).ok_or(StoreError::Corrupt(Stored::WrapKey(newest)))?;
            let master = self.master.read().unwrap_or_else(PoisonError::into_inner);
            wrap::create(&*self.wrap_files, newest, self.id(), &**master, &mut **self.random())?;
        }
        self.reload_wrap_keys()?;
        database::write(self.database(Space::Keys), |tx| {
            self.rewrap_data_keys(tx, newest)?;
            facts::set_wrap_floor(tx, newest, now)?;
            Ok::<_, StoreError>(())
        })?;
        self.destroy_outdated_wrap_keys()
    }

    fn rewrap_data_keys(&self, tx: &mut dyn Tx, newest: u32) -> Result<(), StoreError> {
        let wrap_key = self.wrap_key(newest)?;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let records = database::page(tx, Table::DataKey, &[], after.as_deref(), PAGE)?;
            let Some((last, _)) = records.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, value) in records {
                let (owner, purpose, version) =
                    data_key::parse_key(&key).ok_or(StoreError::Corrupt(Stored::DataKey))?;
                let record = DataKeyRecord::parse(&value).ok_or(StoreError::Corrupt(Stored::DataKey))?;
                if record.wrap == newest {
                    continue;
                }
                let place = Place { store: self.id(), owner, purpose, version };
                let opened =
                    place.open(&record, &**self.wrap_key(record.wrap)?).ok_or(StoreError::Corrupt(Stored::DataKey))?;
                let sealed = place
                    .seal(&opened, record.created, (newest, &wrap_key), &mut **self.random())
                    .ok_or(StoreError::Cipher)?;
                tx.put(Table::DataKey, &key, &sealed.to_bytes())?;
            }
        }
    }

    /// The floor keeps new records from naming them; that none names them already is looked up.
    pub(crate) fn destroy_outdated_wrap_keys(&self) -> Result<(), StoreError> {
        let outdated = self.wraps().outdated();
        if outdated.is_empty() {
            return Ok(());
        }
        let lowest = database::write(self.database(Space::Keys), |tx| {
            let mut lowest = facts::wrap_floor(tx)?;
            let mut after: Option<Vec<u8>> = None;
            loop {
                let records = database::page(tx, Table::DataKey, &[], after.as_deref(), PAGE)?;
                let Some((last, _)) = records.last() else { return Ok::<_, StoreError>(lowest) };
                after = Some(last.clone());
                for (_, value) in records {
                    let record = DataKeyRecord::parse(&value).ok_or(StoreError::Corrupt(Stored::DataKey))?;
                    lowest = lowest.min(record.wrap);
                }
            }
        })?;
        for number in outdated.into_iter().filter(|number| *number < lowest) {
            self.wrap_files.destroy(number)?;
        }
        self.reload_wrap_keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_is_due_on_mondays() {
        // 5 January 1970 was a Monday.
        let at = |day: u32| Day(day).start();
        assert!(!is_wrap_rotation_due(at(0), at(3)));
        assert!(is_wrap_rotation_due(at(0), at(4)));
        assert!(is_wrap_rotation_due(at(3), at(4)));
        assert!(!is_wrap_rotation_due(at(4), at(10)));
        assert!(is_wrap_rotation_due(at(4), at(11)));
        assert!(is_wrap_rotation_due(at(4), at(100)));
    }
}
