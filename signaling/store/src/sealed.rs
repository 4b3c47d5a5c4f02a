//! A transaction whose values are sealed.

use crate::{
    blob,
    data_key::{self, Versions},
    database::{self, Contents, DatabaseError, Purpose, Space, Table, Tx},
    error::StoreError,
    owner::{OWNER_BYTES, Owner},
    retention,
    row::{self, Plaintext},
    store::{Store, Stored},
    time::Time,
};

/// Longest name of a row within its owner, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// One row of a page: its name, and what it says unless it is corrupt.
pub type Named = (Vec<u8>, Result<Plaintext, StoreError>);

/// A transaction on one of the two databases. Rows are named within their owner, and sealed under its data key.
pub struct SealedTx<'a> {
    store: &'a Store,
    space: Space,
    tx: &'a mut dyn Tx,
    now: Time,
    /// Data keys that this transaction may write with: none is below the floor that it has read.
    admitted: Vec<((Owner, Purpose), Versions)>,
}

impl<'a> SealedTx<'a> {
    pub(crate) fn new(store: &'a Store, space: Space, tx: &'a mut dyn Tx, now: Time) -> Self {
        Self { store, space, tx, now, admitted: Vec::new() }
    }

    pub(crate) fn store(&self) -> &'a Store {
        self.store
    }

    /// The transaction beneath, for records that are not rows.
    pub(crate) fn raw(&mut self) -> &mut dyn Tx {
        self.tx
    }

    /// What a row says; `None` if it is not there, or its owner was deleted.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the row is not authentic.
    pub fn get(&mut self, table: Table, owner: Owner, name: &[u8]) -> Result<Option<Plaintext>, StoreError> {
        let purpose = purpose_of(table)?;
        let key = key_of(owner, name)?;
        match self.tx.get(table, &key)? {
            Some(row) => self.open(table, owner, purpose, &key, &row),
            None => Ok(None),
        }
    }

    /// Writes a row. One that ends on a day goes on to do so.
    ///
    /// # Errors
    /// [`StoreError::UnknownOwner`] if the owner does not exist, or no longer; [`StoreError::TooLong`].
    pub fn put(&mut self, table: Table, owner: Owner, name: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let key = key_of(owner, name)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLong);
        }
        let versions = self.admitted(owner, purpose_of(table)?)?;
        let data_key = versions.newest().ok_or(StoreError::UnknownOwner)?;
        let mut nonce = [0; blob::NONCE_BYTES];
        self.store.random().fill(&mut nonce);
        let row = row::seal(data_key, (table, owner, &key), &nonce, value).ok_or(StoreError::Cipher)?;
        Ok(self.tx.put(table, &key, &row)?)
    }

    /// Removes a row, if it is there.
    ///
    /// # Errors
    /// The database fails.
    pub fn delete(&mut self, table: Table, owner: Owner, name: &[u8]) -> Result<(), StoreError> {
        purpose_of(table)?;
        let key = key_of(owner, name)?;
        retention::forget(self.tx, table, &key)?;
        Ok(self.tx.delete(table, &key)?)
    }

    /// The first `limit` rows of an owner whose names start with `prefix`, after the name `after`. Rows whose owner was
    /// deleted are left out, so a page may be empty although there are more.
    ///
    /// # Errors
    /// The database fails. A corrupt row does not keep the others from being read.
    pub fn page(
        &mut self,
        table: Table,
        owner: Owner,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Named>, StoreError> {
        let purpose = purpose_of(table)?;
        let (prefix, after) = (key_of(owner, prefix)?, after.map(|name| key_of(owner, name)).transpose()?);
        let records = database::page(self.tx, table, &prefix, after.as_deref(), limit)?;
        let mut rows = Vec::with_capacity(records.len());
        for (key, row) in records {
            let name = key.get(OWNER_BYTES..).unwrap_or_default().to_vec();
            match self.open(table, owner, purpose, &key, &row) {
                Ok(Some(plain)) => rows.push((name, Ok(plain))),
                Ok(None) => {}
                Err(error @ StoreError::Corrupt(_)) => rows.push((name, Err(error))),
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    /// Seals a row again if it is under an older version than the one that seals. Returns whether it was.
    pub(crate) fn reseal(&mut self, table: Table, owner: Owner, key: &[u8], row: &[u8]) -> Result<bool, StoreError> {
        let purpose = purpose_of(table)?;
        let newest = self.admitted(owner, purpose)?.newest().map(|key| key.version);
        if row::version_of(row) == newest {
            return Ok(false);
        }
        let Some(plain) = self.open(table, owner, purpose, key, row)? else { return Ok(false) };
        self.put(table, owner, key.get(OWNER_BYTES..).unwrap_or_default(), &plain)?;
        Ok(true)
    }

    fn open(
        &mut self,
        table: Table,
        owner: Owner,
        purpose: Purpose,
        key: &[u8],
        row: &[u8],
    ) -> Result<Option<Plaintext>, StoreError> {
        let corrupt = || StoreError::Corrupt(Stored::Row(table));
        let version = row::version_of(row).ok_or_else(corrupt)?;
        let mut versions = self.versions(owner, purpose, false)?;
        if versions.get(version).is_none() {
            // It may be newer than what was cached.
            versions = self.versions(owner, purpose, true)?;
        }
        let Some(data_key) = versions.get(version) else {
            // Without any version the owner was deleted, and what is left of its rows says nothing.
            return if versions.0.is_empty() { Ok(None) } else { Err(corrupt()) };
        };
        row::open(data_key, (table, owner, key), row).map(Some).ok_or_else(corrupt)
    }

    /// A data key that this transaction may write with. A writer that was paused, with an old key in its cache, finds
    /// here that the floor has been raised.
    fn admitted(&mut self, owner: Owner, purpose: Purpose) -> Result<Versions, StoreError> {
        if let Some((_, versions)) = self.admitted.iter().find(|(of, _)| *of == (owner, purpose)) {
            return Ok(versions.clone());
        }
        let floor = data_key::floor(self.tx, owner, purpose)?;
        let is_admitted = |versions: &Versions| versions.newest().is_some_and(|key| key.version >= floor);
        let mut versions = self.versions(owner, purpose, false)?;
        if !is_admitted(&versions) {
            versions = self.versions(owner, purpose, true)?;
        }
        if !is_admitted(&versions) {
            return Err(StoreError::UnknownOwner);
        }
        self.admitted.push(((owner, purpose), versions.clone()));
        Ok(versions)
    }

    fn versions(&mut self, owner: Owner, purpose: Purpose, fresh: bool) -> Result<Versions, StoreError> {
        match self.space {
            Space::Keys => self.store.data_key(Some(&mut *self.tx), (owner, purpose), self.now, fresh),
            Space::Vault => self.store.data_key(None, (owner, purpose), self.now, fresh),
        }
    }
}

fn purpose_of(table: Table) -> Result<Purpose, StoreError> {
    match table.contents() {
        Contents::Sealed(purpose) => Ok(purpose),
        Contents::Own => Err(DatabaseError::Misuse("the table has no sealed rows").into()),
    }
}

/// Owner and name: the key of a row.
fn key_of(owner: Owner, name: &[u8]) -> Result<Vec<u8>, StoreError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(StoreError::TooLong);
    }
    Ok([owner.id(), name].concat())
}
