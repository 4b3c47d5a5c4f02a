//! Restoring a store from its archives, and verifying that they can be.

use super::{
    age::{Identity, Reader},
    format::{ArchiveError, Content, Header, RecordSource, TOMBSTONES, WRAP_KEYS},
};
use crate::{
    database::{self, Contents, Database, DatabaseError, MemoryDatabase, Space, Table},
    deletion::{MemoryLog, Tombstone},
    error::StoreError,
    facts,
    master::MasterKey,
    owner::{OWNER_BYTES, Owner},
    store::{Parts, Store},
    time::{Day, Time},
    wrap::MemoryFiles,
};
use std::{collections::BTreeMap, io::BufRead, sync::Arc};

/// Rows of each table that [`verify`] opens.
const SAMPLE: usize = 100;

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Records of each table.
    pub records: BTreeMap<Table, u64>,
    /// The oldest of the archives: what came after it is lost.
    pub as_of: Time,
}

/// Restores a store into parts without one. Accounts whose tombstones are in the logs, or in the archive of wrap keys, are
/// deleted again before the store is returned; all refresh families are ended.
///
/// # Errors
/// The parts hold a store; an archive is damaged or of another store; the logs of tombstones are empty and
/// `accept_lost_deletions` was not said. What was restored until then must be removed.
pub fn restore(
    parts: Parts,
    archives: [&mut dyn BufRead; 3],
    identity: &Identity,
    accept_lost_deletions: bool,
    now: Time,
) -> Result<(Store, Restored), ArchiveError> {
    if has_facts(&*parts.keys)? || has_facts(&*parts.vault)? || !read_files(&parts)?.is_empty() {
        return Err(ArchiveError::NotEmpty);
    }
    let mut logged = Vec::new();
    for log in &parts.tombstones {
        logged.extend(log.read_all().map_err(StoreError::from)?);
    }
    if logged.is_empty() && !accept_lost_deletions {
        return Err(ArchiveError::NoTombstones);
    }
    let [keys, vault, wrap] = archives;
    let mut records = BTreeMap::new();
    let header = restore_database(&*parts.keys, keys, identity, &mut records)?;
    let vault = restore_database(&*parts.vault, vault, identity, &mut records)?;
    let wrap = restore_wrap_keys(&parts, wrap, identity, &logged)?;
    if [&vault, &wrap].into_iter().any(|other| (other.store, &other.region) != (header.store, &header.region)) {
        return Err(StoreError::OtherStore.into());
    }
    database::write(&*parts.keys, |tx| {
        for (key, _) in tx.range(Table::Session, &[], None, usize::MAX)? {
            tx.delete(Table::Session, &key)?;
        }
        Ok::<_, StoreError>(())
    })?;
    let as_of = header.taken.min(vault.taken).min(wrap.taken);
    Ok((Store::open(parts, now)?, Restored { records, as_of }))
}

/// Restores archives into memory, and opens up to a hundred rows of each table.
///
/// # Errors
/// As [`restore`]; [`StoreError::Corrupt`] names a table whose row does not open.
pub fn verify(
    archives: [&mut dyn BufRead; 3],
    identity: &Identity,
    (master, region): (Box<dyn MasterKey>, String),
    now: Time,
) -> Result<Restored, ArchiveError> {
    let parts = Parts {
        keys: Arc::new(MemoryDatabase::new(Space::Keys)),
        vault: Arc::new(MemoryDatabase::new(Space::Vault)),
        wrap_files: Arc::new(MemoryFiles::default()),
        tombstones: vec![Arc::new(MemoryLog::default())],
        master,
        // Nothing is sealed: what is deleted again only leaves an event, in memory.
        random: Box::new(|buffer: &mut [u8]| buffer.fill(0)),
        region,
    };
    let (store, restored) = restore(parts, archives, identity, true, now)?;
    for table in Table::ALL.iter().copied().filter(|table| matches!(table.contents(), Contents::Sealed(_))) {
        store.read(table.space(), now, |tx| {
            for (key, _) in tx.raw().range(table, &[], None, SAMPLE)? {
                let owner = key.first_chunk::<OWNER_BYTES>().map(|id| Owner::from_id(*id));
                if let Some(owner) = owner {
                    tx.get(table, owner, key.get(OWNER_BYTES..).unwrap_or_default())?;
                }
            }
            Ok(())
        })?;
    }
    Ok(restored)
}

fn has_facts(database: &dyn Database) -> Result<bool, StoreError> {
    Ok(database::read(database, |tx| facts::get(tx, database.space()))?.is_some())
}

fn read_files(parts: &Parts) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
    Ok(parts.wrap_files.read_all()?)
}

fn source<'a>(
    archive: &'a mut dyn BufRead,
    identity: &Identity,
    content: Content,
) -> Result<RecordSource<Reader<'a>>, ArchiveError> {
    let source = RecordSource::new(Reader::new(archive, identity)?)?;
    if source.header.content == content { Ok(source) } else { Err(ArchiveError::OtherContent) }
}

/// In one transaction, which is committed when the archive has turned out to be whole.
fn restore_database(
    database: &dyn Database,
    archive: &mut dyn BufRead,
    identity: &Identity,
    records: &mut BTreeMap<Table, u64>,
) -> Result<Header, ArchiveError> {
    let space = database.space();
    let content = if space == Space::Keys { Content::Keys } else { Content::Vault };
    let mut source = source(archive, identity, content)?;
    let mut is_first = true;
    database::write(database, |tx| {
        // What was read is gone: a conflict, in a database that no one else uses, ends it.
        if !std::mem::take(&mut is_first) {
            return Err(DatabaseError::Busy.into());
        }
        while let Some(record) = source.next()? {
            let table = Table::from_number(record.table).filter(|table| table.space() == space);
            let table = table.ok_or(ArchiveError::Damaged)?;
            tx.put(table, &record.key, &record.value)?;
            let count = records.entry(table).or_default();
            *count = count.saturating_add(1);
        }
        Ok(())
    })
    .map_err(|Failure(error)| error)?;
    Ok(source.header)
}

/// Carries an [`ArchiveError`] out of a transaction.
struct Failure(ArchiveError);

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self(StoreError::from(error).into())
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self(error)
    }
}

fn restore_wrap_keys(
    parts: &Parts,
    archive: &mut dyn BufRead,
    identity: &Identity,
    logged: &[Tombstone],
) -> Result<Header, ArchiveError> {
    let mut source = source(archive, identity, Content::Wrap)?;
    let (mut files, mut tombstones) = (Vec::new(), Vec::new());
    while let Some(record) = source.next()? {
        match record.table {
            WRAP_KEYS => {
                let number = record.key.try_into().map(u32::from_be_bytes).map_err(|_| ArchiveError::Damaged)?;
                files.push((number, record.value));
            }
            TOMBSTONES => {
                let mac = record.key.try_into().map_err(|_| ArchiveError::Damaged)?;
                let day = record.value.try_into().map(u32::from_be_bytes).map_err(|_| ArchiveError::Damaged)?;
                tombstones.push(Tombstone { mac, day: Day(day) });
            }
            _ => return Err(ArchiveError::Damaged),
        }
    }
    for (number, contents) in files {
        parts.wrap_files.write(number, &contents).map_err(StoreError::from)?;
    }
    let is_new = |tombstone: &&Tombstone| logged.iter().all(|other| other.mac != tombstone.mac);
    for tombstone in tombstones.iter().filter(is_new) {
        for log in &parts.tombstones {
            log.append(tombstone).map_err(StoreError::from)?;
        }
    }
    Ok(source.header)
}
