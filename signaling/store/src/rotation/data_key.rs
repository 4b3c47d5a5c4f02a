//! Rotation of a data key: a new version seals, all rows move to it, and the old version is destroyed.
//!
//! 1. One transaction inserts the new version.
//! 2. Rows move in batches. Writers may still use the old version, from their caches.
//! 3. The floor is raised, in the database of the rows: a transaction that writes reads the floor, so from now on none
//!    can commit a row of the old version, however long it was paused.
//! 4. Rows that came meanwhile move. After that there are none.
//! 5. The old version is destroyed.
//!
//! Two versions in the database say that a rotation is under way.

use crate::{
    data_key,
    database::{self, Purpose, Table},
    error::StoreError,
    owner::Owner,
    store::{Store, Stored},
    time::Time,
};

/// Rows that one transaction moves.
const BATCH: usize = 500;

impl Store {
    /// Rotates a data key, or finishes a rotation that was interrupted. Returns the number of rows that were moved.
    ///
    /// # Errors
    /// [`StoreError::UnknownOwner`] if there is no such key; a database fails: call this again. A corrupt row stops the
    /// rotation, and its data key is kept.
    pub fn rotate_data_key(&self, owner: Owner, purpose: Purpose, now: Time) -> Result<u64, StoreError> {
        if purpose == Purpose::Stable || owner.is_audit_day() {
            return Err(database::DatabaseError::Misuse("the key is never rotated").into());
        }
        let newest = self.begin_rotation(owner, purpose, now)?;
        let first = self.move_rows(owner, purpose, now)?;
        database::write(self.database(purpose.floor().space()), |tx| {
            data_key::raise_floor(tx, owner, purpose, newest).map_err(StoreError::from)
        })?;
        let rest = self.move_rows(owner, purpose, now)?;
        self.destroy_versions_below(owner, purpose, newest)?;
        self.forget_cached_keys(owner);
        Ok(first.saturating_add(rest))
    }

    /// Returns the version to which rows move.
    fn begin_rotation(&self, owner: Owner, purpose: Purpose, now: Time) -> Result<u32, StoreError> {
        let versions = self.data_key(None, (owner, purpose), now, true)?;
        let newest = versions.newest().ok_or(StoreError::UnknownOwner)?.version;
        if versions.0.len() > 1 {
            return Ok(newest);
        }
        let next = newest.checked_add(1).ok_or(StoreError::Corrupt(Stored::DataKey))?;
        self.add_data_keys((owner, &[purpose], next), now, |tx| {
            // Unless another server has begun, or the owner was deleted.
            let mut exists = |version| tx.get(Table::DataKey, &data_key::key_of(owner, purpose, version));
            match (exists(newest)?, exists(next)?) {
                (_, Some(_)) => Ok(false),
                (Some(_), None) => Ok(true),
                (None, None) => Err(StoreError::UnknownOwner),
            }
        })?;
        self.forget_cached_keys(owner);
        Ok(next)
    }

    fn move_rows(&self, owner: Owner, purpose: Purpose, now: Time) -> Result<u64, StoreError> {
        let mut moved = 0_u64;
        for table in Table::sealed_for(purpose) {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let (last, batch) = self.write(table.space(), now, |tx| {
                    let records = database::page(tx.raw(), table, owner.id(), after.as_deref(), BATCH)?;
                    let mut batch = 0_u64;
                    for (key, row) in &records {
                        batch = batch.saturating_add(u64::from(tx.reseal(table, owner, key, row)?));
                    }
                    Ok((records.last().map(|(key, _)| key.clone()), batch))
                })?;
                moved = moved.saturating_add(batch);
                if last.is_none() {
                    break;
                }
                after = last;
            }
        }
        Ok(moved)
    }

    fn destroy_versions_below(&self, owner: Owner, purpose: Purpose, newest: u32) -> Result<(), StoreError> {
        let keys = self.database(database::Space::Keys);
        database::write(keys, |tx| {
            let from = data_key::key_of(owner, purpose, 0);
            let to = data_key::key_of(owner, purpose, newest);
            for (key, _) in tx.range(Table::DataKey, &from, Some(&to), usize::MAX)? {
                tx.delete(Table::DataKey, &key)?;
            }
            Ok::<_, StoreError>(())
        })?;
        keys.scrub()?;
        Ok(())
    }
}
