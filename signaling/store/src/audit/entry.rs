//! Entries: `day4 event2 subject16 actor16 before32 details`.

use super::Hash;
use crate::{
    database::{Space, Table},
    error::StoreError,
    owner::Owner,
    store::Store,
    time::{Day, Time},
};
use e2ee_core::{Primitives, Reader, SecretBytes, Standard};

/// What stands for an account: a MAC of its id under a random key of that account. Deleting the account deletes the key.
pub type Pseudonym = [u8; 16];

/// What happened. Numbers are the application's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind(pub u16);

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When. No finer time is kept.
    pub day: Day,
    /// What.
    pub kind: EventKind,
    /// The account that it concerns.
    pub subject: Pseudonym,
    /// The account that did it.
    pub actor: Pseudonym,
    /// The rest, as the application writes it.
    pub details: Vec<u8>,
}

impl Entry {
    pub(crate) fn to_bytes(&self, before: &Hash) -> Vec<u8> {
        let kind = self.kind.0.to_be_bytes();
        [&self.day.to_bytes()[..], &kind, &self.subject, &self.actor, before, &self.details].concat()
    }

    /// The entry, and the hash before it.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, Hash)> {
        let mut reader = Reader::new(bytes);
        let (day, kind) = (Day(reader.u32()?), EventKind(reader.u16()?));
        let (subject, actor, before) = (reader.array()?, reader.array()?, reader.array()?);
        let details = bytes.get(70..)?.to_vec();
        Some((Self { day, kind, subject, actor, details }, before))
    }
}

impl Store {
    /// What stands for an account in the audit log. Its key is drawn when it is asked for first.
    ///
    /// # Errors
    /// [`StoreError::UnknownOwner`] if there is no such account; the database fails.
    pub fn pseudonym(&self, account: Owner, now: Time) -> Result<Pseudonym, StoreError> {
        let mut fresh = SecretBytes::<32>::zeros();
        self.random().fill(&mut *fresh);
        let key = self.write(Space::Keys, now, |tx| {
            if let Some(key) = tx.get(Table::Subject, account, b"")? {
                return Ok(key.first_chunk().map(SecretBytes::copy_of));
            }
            tx.put(Table::Subject, account, b"", &*fresh)?;
            Ok(Some(SecretBytes::copy_of(&fresh)))
        })?;
        let key = key.ok_or(StoreError::UnknownOwner)?;
        let mac = Standard::mac(&key, account.id());
        Ok(*e2ee_core::array::split::<16, 16, 32>(&mac).0)
    }
}
