//! Events on their way from the keys to the vault.
//!
//! No transaction spans both databases. An event is written in the transaction that causes it, handled in the vault
//! together with a mark of its id, and removed from the outbox after that. Wherever that is interrupted, it is handled
//! once.

use crate::{
    audit::{Entry, EventKind},
    database::{self, Space, Table},
    error::StoreError,
    owner::Owner,
    sealed::SealedTx,
    store::{Store, Stored},
    time::{Day, Time},
};
use e2ee_core::Reader;

/// Events that are handled at a time.
const BATCH: usize = 100;

/// What happened among the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An owner was deleted; what the vault has of it is to be swept.
    Deleted(Owner),
    /// Something that the audit log records.
    Audited(Entry),
}

impl Event {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Deleted(owner) => [&[1][..], owner.id()].concat(),
            Self::Audited(entry) => [
                &[2][..],
                &entry.day.to_bytes(),
                &entry.kind.0.to_be_bytes(),
                &entry.subject,
                &entry.actor,
                &entry.details,
            ]
            .concat(),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            1 => {
                let owner = Owner::from_id(reader.array()?);
                reader.end()?;
                Some(Self::Deleted(owner))
            }
            2 => {
                let day = Day(reader.u32()?);
                let kind = EventKind(reader.u16()?);
                let (subject, actor) = (reader.array()?, reader.array()?);
                let details = bytes.get(39..)?.to_vec();
                Some(Self::Audited(Entry { day, kind, subject, actor, details }))
            }
            _ => None,
        }
    }
}

impl SealedTx<'_> {
    /// Posts an event in this transaction, which is one on the keys.
    ///
    /// # Errors
    /// The database fails.
    pub fn post(&mut self, event: &Event) -> Result<(), StoreError> {
        let mut id = [0; 16];
        self.store().random().fill(&mut id);
        self.put(Table::Outbox, Owner::STORE, &id, &event.to_bytes())
    }
}

impl Store {
    /// Handles all events that wait, each once. To be called after what causes them, and at the start.
    ///
    /// # Errors
    /// A database fails: call this again.
    pub fn settle(&self, now: Time) -> Result<(), StoreError> {
        loop {
            let waiting = self.read(Space::Keys, now, |tx| tx.page(Table::Outbox, Owner::STORE, b"", None, BATCH))?;
            if waiting.is_empty() {
                return self.forget_marks();
            }
            for (id, event) in &waiting {
                let event = Event::parse(event.as_ref().map_err(|_| StoreError::Corrupt(Stored::Row(Table::Outbox)))?)
                    .ok_or(StoreError::Corrupt(Stored::Row(Table::Outbox)))?;
                self.handle(id, &event, now)?;
            }
            self.write(Space::Keys, now, |tx| {
                waiting.iter().try_for_each(|(id, _)| tx.delete(Table::Outbox, Owner::STORE, id))
            })?;
        }
    }

    fn handle(&self, id: &[u8], event: &Event, now: Time) -> Result<(), StoreError> {
        match event {
            // Doing it twice is doing it once.
            Event::Deleted(owner) => self.sweep_owner(*owner, now),
            Event::Audited(entry) => {
                self.open_audit_day(entry.day, now)?;
                self.write(Space::Vault, now, |tx| {
                    if tx.raw().get(Table::Event, id)?.is_none() {
                        tx.raw().put(Table::Event, id, &[])?;
                        tx.append_audit(entry)?;
                    }
                    Ok(())
                })
            }
        }
    }

    /// Removes marks of events that are no longer in the outbox.
    fn forget_marks(&self) -> Result<(), StoreError> {
        let vault = self.database(Space::Vault);
        let marks = database::read(vault, |tx| tx.range(Table::Event, &[], None, BATCH))?;
        for (id, _) in marks {
            let key = [Owner::STORE.id(), &id[..]].concat();
            if database::read(self.database(Space::Keys), |tx| tx.get(Table::Outbox, &key))?.is_none() {
                database::write(vault, |tx| tx.delete(Table::Event, &id))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_are_written() {
        let entry =
            Entry { day: Day(7), kind: EventKind(3), subject: [1; 16], actor: [2; 16], details: b"details".to_vec() };
        for event in [Event::Deleted(Owner::from_id([5; 16])), Event::Audited(entry)] {
            assert_eq!(Event::parse(&event.to_bytes()), Some(event));
        }
        for bytes in [&[][..], &[1, 2], &[2; 30], &[3; 40]] {
            assert_eq!(Event::parse(bytes), None);
        }
    }
}
