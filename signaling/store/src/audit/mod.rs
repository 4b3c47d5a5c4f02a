//! The audit log: what administrators and the server did, in an order that cannot be changed unseen.
//!
//! ```text
//!   entry ─► row (sealed under the day's data key) ─► hash = SHA-256(label ‖ hash before ‖ row's key ‖ row)
//!                                                           │ hourly, and at the end of the day
//!                                                           ▼
//!                                   leaf: day, number, hash ─► Merkle tree ─► checkpoint, cosigned elsewhere
//! ```
//!
//! Each row also holds the hash before it, so a chain whose beginning has expired can still be followed. Hashes cover
//! ciphertext: they stay what they are when a day's data key is destroyed, and when the key that stands for an account is.
//! Cutting off the end shows as soon as a checkpoint has left the machine.

mod anchor;
mod entry;
mod verify;

pub use entry::{Entry, EventKind, Pseudonym};
pub use verify::{Audited, Flaw};

use crate::{
    data_key,
    database::{self, Purpose, Space, Table},
    error::StoreError,
    label,
    owner::Owner,
    sealed::SealedTx,
    store::{Store, Stored},
    time::{Day, Time},
};
use e2ee_core::{Primitives, Reader, Standard, array::concat};

/// The hash of an entry, or of what is before the first one.
pub(crate) type Hash = [u8; 32];

const HEAD: &[u8] = b"audit head";
/// Number of the first entry that has not expired.
const FIRST: &[u8] = b"audit first";

/// The last entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 if there is none.
    pub number: u64,
    /// Its day.
    pub day: u32,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    fn to_bytes(self) -> [u8; 44] {
        concat(&[&self.number.to_be_bytes(), &self.day.to_be_bytes(), &self.hash])
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let head = Self { number: reader.u64()?, day: reader.u32()?, hash: reader.array()? };
        reader.end()?;
        Some(head)
    }
}

fn hash_of(before: &Hash, key: &[u8], row: &[u8]) -> Hash {
    // Keys of entries have one length.
    Standard::hash(&label::AUDIT, &[before, key, row])
}

impl SealedTx<'_> {
    /// Appends an entry in this transaction, which is one on the vault; its day must have been opened.
    pub(crate) fn append_audit(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let head = self.audit_head()?;
        let number = head.number.checked_add(1).ok_or(StoreError::TooLong)?;
        // Entries of an event that was late are put into the day of the head: days do not go back.
        let day = entry.day.0.max(head.day);
        let (owner, name) = (Owner::audit(Day(day)), number.to_be_bytes());
        self.put(Table::Audit, owner, &name, &entry.to_bytes(&head.hash))?;
        let key = [owner.id(), &name[..]].concat();
        let row = self.raw().get(Table::Audit, &key)?.ok_or(StoreError::Corrupt(Stored::Row(Table::Audit)))?;
        let head = Head { number, day, hash: hash_of(&head.hash, &key, &row) };
        Ok(self.raw().put(Table::VaultMeta, HEAD, &head.to_bytes())?)
    }

    fn audit_head(&mut self) -> Result<Head, StoreError> {
        match self.raw().get(Table::VaultMeta, HEAD)? {
            Some(bytes) => Head::parse(&bytes).ok_or(StoreError::Corrupt(Stored::Fact("audit head"))),
            None => Ok(Head::default()),
        }
    }
}

impl Store {
    /// Appends an entry at once. What happens among the keys posts [`crate::outbox::Event::Audited`] instead.
    ///
    /// # Errors
    /// A database fails, for example because its disk is full: what should be recorded must not be done then.
    pub fn audit(&self, entry: &Entry, now: Time) -> Result<(), StoreError> {
        self.open_audit_day(entry.day, now)?;
        self.write(Space::Vault, now, |tx| tx.append_audit(entry))
    }

    /// The last entry.
    ///
    /// # Errors
    /// The database fails.
    pub fn audit_head(&self, now: Time) -> Result<Head, StoreError> {
        self.read(Space::Vault, now, |tx| tx.audit_head())
    }

    /// The entries of a day, in order. Empty if its data key is destroyed.
    ///
    /// # Errors
    /// The database fails; an entry is corrupt.
    pub fn audit_entries(&self, day: Day, now: Time) -> Result<Vec<Entry>, StoreError> {
        let rows =
            self.read(Space::Vault, now, |tx| tx.page(Table::Audit, Owner::audit(day), b"", None, usize::MAX))?;
        let corrupt = || StoreError::Corrupt(Stored::Row(Table::Audit));
        rows.into_iter().map(|(_, row)| Entry::parse(&row?).map(|(entry, _)| entry).ok_or_else(corrupt)).collect()
    }

    /// Makes the data key of a day, and of the day of the head, under which late entries go.
    pub(crate) fn open_audit_day(&self, day: Day, now: Time) -> Result<(), StoreError> {
        let head = self.audit_head(now)?;
        let owner = Owner::audit(Day(day.0.max(head.day)));
        if self.data_key(None, (owner, Purpose::Content), now, false)?.newest().is_some() {
            return Ok(());
        }
        self.add_data_keys((owner, &[Purpose::Content], 1), now, |tx| {
            Ok(tx.get(Table::DataKey, &data_key::key_of(owner, Purpose::Content, 1))?.is_none())
        })
    }

    /// Destroys the data keys and entries of all days before `first`. What was anchored of them stays.
    ///
    /// # Errors
    /// A database fails: call this again.
    pub fn forget_audit_before(&self, first: Day) -> Result<(), StoreError> {
        let (from, to) = (Owner::audit(Day(0)), Owner::audit(first));
        let (keys, vault) = (self.database(Space::Keys), self.database(Space::Vault));
        database::write(keys, |tx| {
            for (key, _) in tx.range(Table::DataKey, from.id(), Some(to.id()), usize::MAX)? {
                tx.delete(Table::DataKey, &key)?;
            }
            Ok::<_, StoreError>(())
        })?;
        keys.scrub()?;
        database::write(vault, |tx| {
            let expired = tx.range(Table::Audit, from.id(), Some(to.id()), usize::MAX)?;
            if let Some(number) = expired.last().and_then(|(key, _)| key.last_chunk().copied().map(u64::from_be_bytes))
            {
                tx.put(Table::VaultMeta, FIRST, &number.saturating_add(1).to_be_bytes())?;
            }
            expired.iter().try_for_each(|(key, _)| tx.delete(Table::Audit, key))?;
            Ok::<_, StoreError>(())
        })?;
        vault.scrub()?;
        Ok(())
    }
}

fn first_kept(tx: &mut dyn database::Tx) -> Result<u64, StoreError> {
    match tx.get(Table::VaultMeta, FIRST)? {
        Some(bytes) => {
            bytes.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Corrupt(Stored::Fact("audit first")))
        }
        None => Ok(1),
    }
}
