//! Wrap keys: random keys that seal data keys for some weeks and are then destroyed, and with them every old copy of the
//! data keys in archives.

mod files;
mod record;

pub use files::{FolderFiles, MemoryFiles, WrapFiles};
pub use record::WrapRecord;

use crate::{
    error::StoreError,
    master::MasterKey,
    store::{StoreId, Stored},
};
use e2ee_core::{Random, SecretBytes};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Wrap keys that are kept: the newest and two before it.
pub const KEPT: u32 = 3;

/// A wrap key, opened.
pub(crate) type WrapKey = Arc<SecretBytes<32>>;

/// The wrap keys of a store, opened.
pub(crate) struct WrapKeys {
    keys: BTreeMap<u32, WrapKey>,
    /// Versions of the master key under which they are sealed.
    masters: BTreeSet<u32>,
}

impl WrapKeys {
    /// Opens all files.
    pub(crate) fn load(files: &dyn WrapFiles, store: StoreId, master: &dyn MasterKey) -> Result<Self, StoreError> {
        let (mut keys, mut masters) = (BTreeMap::new(), BTreeSet::new());
        for (number, bytes) in files.read_all()? {
            let record = WrapRecord::parse(&bytes)
                .filter(|record| record.number == number)
                .ok_or(StoreError::Corrupt(Stored::WrapKey(number)))?;
            keys.insert(number, Arc::new(record.open(store, master)?));
            masters.insert(record.master);
        }
        Ok(Self { keys, masters })
    }

    /// The number of the newest.
    pub(crate) fn newest(&self) -> Result<u32, StoreError> {
        self.keys.last_key_value().map(|(number, _)| *number).ok_or(StoreError::NoWrapKeys)
    }

    pub(crate) fn get(&self, number: u32) -> Option<WrapKey> {
        self.keys.get(&number).cloned()
    }

    /// Versions of the master key that seal any of them.
    pub(crate) fn masters(&self) -> &BTreeSet<u32> {
        &self.masters
    }

    /// The numbers of those that no longer have a purpose.
    pub(crate) fn outdated(&self) -> Vec<u32> {
        let newest = self.newest().unwrap_or(0);
        self.keys.keys().copied().filter(|number| number.saturating_add(KEPT) <= newest).collect()
    }
}

/// Draws a wrap key and makes its file durable.
pub(crate) fn create(
    files: &dyn WrapFiles,
    number: u32,
    store: StoreId,
    master: &dyn MasterKey,
    random: &mut dyn Random,
) -> Result<(), StoreError> {
    let mut key = SecretBytes::zeros();
    random.fill(&mut *key);
    let record = WrapRecord::seal(number, &key, store, master, random)?;
    Ok(files.write(number, &record.to_bytes())?)
}

/// Seals every file under the active master key that is sealed under another one. Each file is replaced in one step, so
/// this may end anywhere and be called again.
pub(crate) fn reseal(
    files: &dyn WrapFiles,
    store: StoreId,
    master: &dyn MasterKey,
    random: &mut dyn Random,
) -> Result<(), StoreError> {
    for (number, bytes) in files.read_all()? {
        let record = WrapRecord::parse(&bytes).ok_or(StoreError::Corrupt(Stored::WrapKey(number)))?;
        if record.master != master.active() {
            let key = record.open(store, master)?;
            files.write(number, &WrapRecord::seal(number, &key, store, master, random)?.to_bytes())?;
        }
    }
    Ok(())
}
