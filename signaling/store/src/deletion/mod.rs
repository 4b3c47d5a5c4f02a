//! Deletion of an owner: its keys are destroyed, so nothing of it opens any more, in old archives neither once the wrap
//! keys of that time are gone.
//!
//! 1. A tombstone is appended to every log of them, so that a restored archive does not bring the owner back.
//! 2. One transaction deletes data keys and rows among the keys, closes the floors to writers, and leaves an event.
//! 3. Rows in the vault are swept; without keys they are noise.
//!
//! An answer means that the first two steps are durable. [`Store::settle`] finishes the third after a crash.

mod receipt;
mod tombstone;

pub use receipt::Receipt;
pub use tombstone::{FileLog, MemoryLog, Tombstone, TombstoneLog};

use crate::{
    data_key,
    database::{self, DatabaseError, Purpose, Space, Table, Tx},
    error::StoreError,
    label,
    outbox::Event,
    owner::Owner,
    retention,
    store::{Store, Stored},
    time::{Day, Time},
};
use e2ee_core::{Primitives, Standard};
use std::collections::BTreeSet;

/// Rows that one transaction of the vault deletes.
const BATCH: usize = 500;
/// How often files are cleaned of what was deleted, while others read.
const SCRUBS: u32 = 3;
/// A deleted owner's floors are kept for that long: far longer than any server keeps data keys in its cache.
const FLOOR_DAYS: u32 = 2;

impl Store {
    /// Deletes an account or a room, and all that is kept of it.
    ///
    /// # Errors
    /// [`StoreError::UnknownOwner`] if there is none; a log or a database fails: call this again. The owner may be
    /// deleted all the same.
    pub fn delete_owner(&self, owner: Owner, now: Time) -> Result<Receipt, StoreError> {
        if !owner.can_be_deleted() {
            return Err(DatabaseError::Misuse("the owner is a part of the store").into());
        }
        let tombstone = Tombstone { mac: self.tombstone_of(owner, now)?, day: now.day() };
        let (exists, buried) = database::read(self.database(Space::Keys), |tx| {
            let exists = !database::page(tx, Table::DataKey, owner.id(), None, 1)?.is_empty();
            Ok::<_, StoreError>((exists, tx.get(Table::Tombstone, &tombstone.mac)?))
        })?;
        if let (false, Some(day)) = (exists, buried) {
            // An earlier call was not answered, or not to the end.
            self.settle(now)?;
            let day = day
                .try_into()
                .map(u32::from_be_bytes)
                .map_err(|_| StoreError::Corrupt(Stored::Row(Table::Tombstone)))?;
            return self.sign_receipt(Tombstone { day: Day(day), ..tombstone }, now);
        }
        if !exists {
            return Err(StoreError::UnknownOwner);
        }
        for log in &self.tombstones {
            log.append(&tombstone)?;
        }
        self.bury(owner, &tombstone, now)?;
        self.settle(now)?;
        self.sign_receipt(tombstone, now)
    }

    /// Deletes every owner whose tombstone is in a log and not in the database: the database is of an older archive, or
    /// a deletion was interrupted. Returns how many there were.
    pub(crate) fn apply_tombstones(&self, now: Time) -> Result<u64, StoreError> {
        let mut logged = BTreeSet::new();
        for log in &self.tombstones {
            logged.extend(log.read_all()?.into_iter().map(|tombstone| (tombstone.mac, tombstone.day)));
        }
        database::read(self.database(Space::Keys), |tx| {
            for (mac, day) in std::mem::take(&mut logged) {
                if tx.get(Table::Tombstone, &mac)?.is_none() {
                    logged.insert((mac, day));
                }
            }
            Ok::<_, StoreError>(())
        })?;
        if logged.is_empty() {
            return Ok(0);
        }
        let mut applied = 0_u64;
        for owner in self.owners()? {
            let mac = self.tombstone_of(owner, now)?;
            if let Some((_, day)) = logged.iter().find(|(of, _)| *of == mac) {
                self.bury(owner, &Tombstone { mac, day: *day }, now)?;
                applied = applied.saturating_add(1);
            }
        }
        // Those of owners that this database has never had, so that they are not looked for at each start.
        database::write(self.database(Space::Keys), |tx| {
            logged.iter().try_for_each(|(mac, day)| tx.put(Table::Tombstone, mac, &day.to_bytes()))?;
            Ok::<_, StoreError>(())
        })?;
        self.settle(now)?;
        Ok(applied)
    }

    /// Everyone who has data keys and can be deleted.
    fn owners(&self) -> Result<BTreeSet<Owner>, StoreError> {
        let (mut owners, mut after): (BTreeSet<Owner>, Option<Vec<u8>>) = (BTreeSet::new(), None);
        loop {
            let records = database::read(self.database(Space::Keys), |tx| {
                database::page(tx, Table::DataKey, &[], after.as_deref(), BATCH)
            })?;
            let Some((last, _)) = records.last() else { return Ok(owners) };
            after = Some(last.clone());
            let of = |(key, _): &database::Record| data_key::parse_key(key).map(|(owner, ..)| owner);
            owners.extend(records.iter().filter_map(of).filter(Owner::can_be_deleted));
        }
    }

    /// The second step. Among the keys, nothing of the owner is left but its tombstone, the event and closed floors.
    fn bury(&self, owner: Owner, tombstone: &Tombstone, now: Time) -> Result<(), StoreError> {
        self.write(Space::Keys, now, |tx| {
            for table in Table::sealed_for(Purpose::Identity).chain([Table::DataKey]) {
                delete_some(tx.raw(), table, owner, usize::MAX)?;
                retention::forget_owner(tx.raw(), table, owner, usize::MAX)?;
            }
            data_key::close_floor(tx.raw(), owner, Purpose::Identity, now.day())?;
            tx.raw().put(Table::Tombstone, &tombstone.mac, &tombstone.day.to_bytes())?;
            tx.post(&Event::Deleted(owner))
        })?;
        self.forget_cached_keys(owner);
        self.scrub(Space::Keys)
    }

    /// The third step.
    pub(crate) fn sweep_owner(&self, owner: Owner, now: Time) -> Result<(), StoreError> {
        let vault = self.database(Space::Vault);
        database::write(vault, |tx| data_key::close_floor(tx, owner, Purpose::Content, now.day()))?;
        for table in Table::sealed_for(Purpose::Content) {
            while database::write(vault, |tx| delete_some(tx, table, owner, BATCH))? > 0 {}
            while database::write(vault, |tx| retention::forget_owner(tx, table, owner, BATCH))? > 0 {}
        }
        self.scrub(Space::Vault)
    }

    /// Removes closed floors of owners that were deleted days ago, so that their ids are not kept. To be called daily.
    ///
    /// # Errors
    /// A database fails.
    pub fn forget_deleted(&self, now: Time) -> Result<(), StoreError> {
        for table in [Table::KeysFloor, Table::VaultFloor] {
            database::write(self.database(table.space()), |tx| {
                for (key, value) in tx.range(table, &[], None, usize::MAX)? {
                    if data_key::closed_on(&value).is_some_and(|day| day.plus(FLOOR_DAYS) < now.day()) {
                        tx.delete(table, &key)?;
                    }
                }
                Ok::<_, StoreError>(())
            })?;
        }
        Ok(())
    }

    fn scrub(&self, space: Space) -> Result<(), StoreError> {
        for _ in 0..SCRUBS {
            if self.database(space).scrub()? {
                break;
            }
        }
        Ok(())
    }

    /// Says nothing on the owner without the store's key, and is the same each time.
    pub(crate) fn tombstone_of(&self, owner: Owner, now: Time) -> Result<[u8; 32], StoreError> {
        let key = self.stable_key(&label::TOMBSTONE, now)?;
        Ok(Standard::mac(&key, owner.id()))
    }

    fn sign_receipt(&self, tombstone: Tombstone, now: Time) -> Result<Receipt, StoreError> {
        Ok(Receipt::sign(tombstone, self.id(), &self.stable_key(&label::RECEIPT, now)?))
    }

    /// The public key that receipts are verified with.
    ///
    /// # Errors
    /// A database fails.
    pub fn receipt_key(&self, now: Time) -> Result<[u8; 32], StoreError> {
        Ok(receipt::public_key(&self.stable_key(&label::RECEIPT, now)?))
    }
}

/// Returns how many were deleted.
fn delete_some(tx: &mut dyn Tx, table: Table, owner: Owner, limit: usize) -> Result<usize, DatabaseError> {
    let records = database::page(tx, table, owner.id(), None, limit)?;
    records.iter().try_for_each(|(key, _)| tx.delete(table, key))?;
    Ok(records.len())
}
