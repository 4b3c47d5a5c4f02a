//! The store: two databases, wrap keys and the master key, put together.

use crate::{
    data_key::{self, Cache, DataKey, DataKeyRecord, Place, Versions},
    database::{self, Database, DatabaseError, Purpose, Record, Space, Table, Tx},
    deletion::TombstoneLog,
    error::StoreError,
    facts, label,
    master::MasterKey,
    owner::Owner,
    sealed::SealedTx,
    time::Time,
    wrap::{self, WrapFiles, WrapKey, WrapKeys},
};
use e2ee_core::{Label, Random, SecretBytes};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

/// Versions of one data key that are looked at. There are two while one is rotated.
const MAX_VERSIONS: usize = 16;

/// The random id of a store, to which all of its keys are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreId(pub [u8; 16]);

/// Something that is stored, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stored {
    /// A row of a table.
    Row(Table),
    /// A fact on the store.
    Fact(&'static str),
    /// A wrapped data key.
    DataKey,
    /// The wrap key with this number.
    WrapKey(u32),
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(table) => write!(f, "a row of the table {}", table.name()),
            Self::Fact(name) => write!(f, "the record {name}"),
            Self::DataKey => write!(f, "a data key"),
            Self::WrapKey(number) => write!(f, "wrap key {number}"),
        }
    }
}

/// What a store is made of. The caller chooses the backends.
pub struct Parts {
    /// The database [`Space::Keys`].
    pub keys: Arc<dyn Database>,
    /// The database [`Space::Vault`].
    pub vault: Arc<dyn Database>,
    /// Files of wrap keys.
    pub wrap_files: Arc<dyn WrapFiles>,
    /// Where deletions are noted before they are answered. One should be on another machine.
    pub tombstones: Vec<Arc<dyn TombstoneLog>>,
    /// The operator's key.
    pub master: Box<dyn MasterKey>,
    /// The system's randomness.
    pub random: Box<dyn Random>,
    /// Where the data may lie, such as `eu-de`; may be empty.
    pub region: String,
}

/// An open store. Calls block; all of them may be made from several threads.
pub struct Store {
    keys: Arc<dyn Database>,
    vault: Arc<dyn Database>,
    pub(crate) wrap_files: Arc<dyn WrapFiles>,
    pub(crate) tombstones: Vec<Arc<dyn TombstoneLog>>,
    pub(crate) master: RwLock<Box<dyn MasterKey>>,
    random: Mutex<Box<dyn Random>>,
    pub(crate) wraps: RwLock<WrapKeys>,
    cache: Cache,
    id: StoreId,
    region: String,
}

impl Store {
    /// Makes a new store.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if there is one, or files of wrap keys; failures of the parts.
    pub fn create(mut parts: Parts, now: Time) -> Result<Self, StoreError> {
        let has_facts = |database: &dyn Database| database::read(database, |tx| facts::get(tx, database.space()));
        let has_facts = has_facts(&*parts.keys)?.is_some() || has_facts(&*parts.vault)?.is_some();
        if has_facts || !parts.wrap_files.read_all()?.is_empty() {
            return Err(StoreError::AlreadyExists);
        }
        let mut id = StoreId([0; 16]);
        parts.random.fill(&mut id.0);
        wrap::create(&*parts.wrap_files, 1, id, &*parts.master, &mut *parts.random)?;
        let region = parts.region.clone();
        let store = Self::assemble(parts, id)?;
        let owner_keys = store.new_data_keys(Owner::STORE, &Purpose::ALL, 1, now)?;
        database::write(&*store.keys, |tx| {
            facts::put(tx, Space::Keys, id, &region)?;
            facts::set_wrap_floor(tx, 1, now)?;
            owner_keys.iter().try_for_each(|(key, record)| tx.put(Table::DataKey, key, record))
        })?;
        database::write(&*store.vault, |tx| facts::put(tx, Space::Vault, id, &region))?;
        Ok(store)
    }

    /// Opens a store: checks that its parts belong together and that the master key opens every wrap key. Deletions that
    /// were interrupted, or that an older archive knows nothing of, are done before anything else.
    ///
    /// # Errors
    /// Says which part is missing, of another store, or damaged. Nothing has changed then.
    pub fn open(parts: Parts, now: Time) -> Result<Self, StoreError> {
        let keys = database::read(&*parts.keys, |tx| facts::get(tx, Space::Keys))?.ok_or(StoreError::NotInitialised)?;
        let vault = database::read(&*parts.vault, |tx| facts::get(tx, Space::Vault))?;
        let region = parts.region.clone();
        if keys.region != region {
            return Err(StoreError::OtherRegion { store: keys.region, server: region });
        }
        let store = Self::assemble(parts, keys.store)?;
        match vault {
            Some(vault) if vault.store == keys.store && vault.region == keys.region => {}
            Some(_) => return Err(StoreError::OtherStore),
            // Its creation was interrupted.
            None => database::write(&*store.vault, |tx| facts::put(tx, Space::Vault, keys.store, &region))?,
        }
        store.wraps().newest()?;
        // Of another time than the databases, the wrap keys would open nothing.
        store.stable_key(&label::TOMBSTONE, now)?;
        store.apply_tombstones(now)?;
        store.settle(now)?;
        // A rotation may have ended before it came to that, and the next one is a week away.
        store.destroy_outdated_wrap_keys()?;
        Ok(store)
    }

    fn assemble(parts: Parts, id: StoreId) -> Result<Self, StoreError> {
        let Parts { keys, vault, wrap_files, tombstones, master, random, region } = parts;
        if (keys.space(), vault.space()) != (Space::Keys, Space::Vault) {
            return Err(DatabaseError::Misuse("the databases are exchanged").into());
        }
        let wraps = RwLock::new(WrapKeys::load(&*wrap_files, id, &*master)?);
        let (master, random) = (RwLock::new(master), Mutex::new(random));
        Ok(Self { keys, vault, wrap_files, tombstones, master, random, wraps, cache: Cache::default(), id, region })
    }

    /// The store's id.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// The store's region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// One of the two databases, beneath all sealing.
    #[must_use]
    pub fn database(&self, space: Space) -> &dyn Database {
        match space {
            Space::Keys => &*self.keys,
            Space::Vault => &*self.vault,
        }
    }

    /// Makes an owner with its data keys, so that rows can be written for it. One that exists is left as it is.
    ///
    /// # Errors
    /// [`StoreError::Deleted`] if the owner was deleted: ids are random, and are not used again. A database fails.
    pub fn create_owner(&self, owner: Owner, now: Time) -> Result<(), StoreError> {
        let tombstone = self.tombstone_of(owner, now)?;
        self.add_data_keys((owner, &[Purpose::Identity, Purpose::Content], 1), now, |tx| {
            if tx.get(Table::Tombstone, &tombstone)?.is_some() {
                return Err(StoreError::Deleted);
            }
            Ok(database::page(tx, Table::DataKey, owner.id(), None, 1)?.is_empty())
        })
    }

    /// Looks at one state of a database, and opens rows of it. `work` may be repeated.
    ///
    /// # Errors
    /// Those of `work`; the database fails.
    pub fn read<T>(
        &self,
        space: Space,
        now: Time,
        mut work: impl FnMut(&mut SealedTx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        database::read(self.database(space), |tx| work(&mut SealedTx::new(self, space, tx, now)))
    }

    /// Changes a database in one step, or not at all. `work` may be repeated, so it must have no other effects.
    ///
    /// # Errors
    /// Those of `work`, which roll back; the database fails.
    pub fn write<T>(
        &self,
        space: Space,
        now: Time,
        mut work: impl FnMut(&mut SealedTx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        database::write(self.database(space), |tx| work(&mut SealedTx::new(self, space, tx, now)))
    }

    /// Drops opened data keys that are older than a minute. To be called every minute.
    pub fn expire_cached_keys(&self, now: Time) {
        self.cache.expire(now);
    }

    pub(crate) fn forget_cached_keys(&self, owner: Owner) {
        self.cache.forget(owner);
    }

    /// Fresh data keys, sealed under the newest wrap key: keys and values of their records.
    fn new_data_keys(
        &self,
        owner: Owner,
        purposes: &[Purpose],
        version: u32,
        now: Time,
    ) -> Result<Vec<Record>, StoreError> {
        let (wrap, wrap_key) = self.newest_wrap_key()?;
        let mut random = self.random();
        let seal = |&purpose: &Purpose| {
            let mut key = SecretBytes::zeros();
            random.fill(&mut *key);
            let place = Place { store: self.id, owner, purpose, version };
            let record = place.seal(&key, now.day(), (wrap, &wrap_key), &mut **random).ok_or(StoreError::Cipher)?;
            Ok((data_key::key_of(owner, purpose, version).to_vec(), record.to_bytes()))
        };
        purposes.iter().map(seal).collect()
    }

    /// Draws and inserts data keys of a version, if `is_wanted` says so in the transaction. One that another server's
    /// rotation has overtaken is drawn again: the wrap key that seals it may be destroyed.
    pub(crate) fn add_data_keys(
        &self,
        (owner, purposes, version): (Owner, &[Purpose], u32),
        now: Time,
        mut is_wanted: impl FnMut(&mut dyn Tx) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for _ in 0..database::MAX_ATTEMPTS {
            let wrap = self.wraps().newest()?;
            let fresh = self.new_data_keys(owner, purposes, version, now)?;
            let is_settled = database::write(&*self.keys, |tx| {
                if !is_wanted(tx)? {
                    return Ok(true);
                }
                if wrap < facts::wrap_floor(tx)? {
                    return Ok(false);
                }
                fresh.iter().try_for_each(|(key, record)| tx.put(Table::DataKey, key, record))?;
                Ok::<_, StoreError>(true)
            })?;
            if is_settled {
                return Ok(());
            }
            self.reload_wrap_keys()?;
        }
        Err(DatabaseError::Busy.into())
    }

    /// All versions of a data key, from the cache unless `fresh`; without any if its owner does not exist. `tx` is a
    /// transaction on the keys, if there is one already.
    pub(crate) fn data_key(
        &self,
        tx: Option<&mut dyn Tx>,
        (owner, purpose): (Owner, Purpose),
        now: Time,
        fresh: bool,
    ) -> Result<Versions, StoreError> {
        if !fresh && let Some(versions) = self.cache.get(owner, purpose, now) {
            return Ok(versions);
        }
        let prefix = data_key::floor_key(owner, purpose);
        let load = |tx: &mut dyn Tx| database::page(tx, Table::DataKey, &prefix, None, MAX_VERSIONS);
        let records = match tx {
            Some(tx) => load(tx)?,
            None => database::read(&*self.keys, load)?,
        };
        let mut versions = BTreeMap::new();
        for (key, value) in records {
            let (.., version) = data_key::parse_key(&key).ok_or(StoreError::Corrupt(Stored::DataKey))?;
            let record = DataKeyRecord::parse(&value).ok_or(StoreError::Corrupt(Stored::DataKey))?;
            let place = Place { store: self.id, owner, purpose, version };
            let key =
                place.open(&record, &**self.wrap_key(record.wrap)?).ok_or(StoreError::Corrupt(Stored::DataKey))?;
            versions.insert(version, DataKey::new(version, &key));
        }
        let versions = Versions(Arc::new(versions));
        if versions.0.is_empty() {
            self.cache.forget(owner);
        } else {
            self.cache.put(owner, purpose, versions.clone(), now);
        }
        Ok(versions)
    }

    /// A key of the store itself that never changes.
    pub(crate) fn stable_key(&self, label: &Label, now: Time) -> Result<SecretBytes<32>, StoreError> {
        let versions = self.data_key(None, (Owner::STORE, Purpose::Stable), now, false)?;
        Ok(versions.newest().ok_or(StoreError::UnknownOwner)?.derive(label, &[]))
    }

    /// A wrap key; its file is looked for again if it is not known, because another server may have made it.
    pub(crate) fn wrap_key(&self, number: u32) -> Result<WrapKey, StoreError> {
        if let Some(key) = self.wraps().get(number) {
            return Ok(key);
        }
        self.reload_wrap_keys()?;
        self.wraps().get(number).ok_or(StoreError::Corrupt(Stored::WrapKey(number)))
    }

    pub(crate) fn newest_wrap_key(&self) -> Result<(u32, WrapKey), StoreError> {
        let number = self.wraps().newest()?;
        Ok((number, self.wrap_key(number)?))
    }

    pub(crate) fn reload_wrap_keys(&self) -> Result<(), StoreError> {
        let master = self.master.read().unwrap_or_else(PoisonError::into_inner);
        let loaded = WrapKeys::load(&*self.wrap_files, self.id, &**master)?;
        *self.wraps.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    pub(crate) fn wraps(&self) -> std::sync::RwLockReadGuard<'_, WrapKeys> {
        self.wraps.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn random(&self) -> MutexGuard<'_, Box<dyn Random>> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Versions of the master key that are in use. The others may be removed.
    #[must_use]
    pub fn master_versions(&self) -> BTreeSet<u32> {
        self.wraps().masters().clone()
    }
}
