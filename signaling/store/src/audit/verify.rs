//! Verification of the audit log: against its own chain, its anchors, and a checkpoint from elsewhere.

use super::{Entry, Hash, Head, Store, anchor, hash_of};
use crate::{
    database::{Space, Table},
    error::StoreError,
    owner::{OWNER_BYTES, Owner},
    time::{Day, Time},
};

/// A log without flaws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Entries that are kept.
    pub entries: u64,
    /// Anchors.
    pub anchors: u64,
}

/// What is wrong with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// This entry was altered, or is not where it was.
    #[error("entry {0} was altered or moved")]
    Altered(u64),
    /// An entry with this number should follow.
    #[error("entry {0} is missing")]
    Missing(u64),
    /// An anchor names another entry with this number.
    #[error("entry {0} is not the one that was anchored")]
    NotAnchored(u64),
    /// The anchors are not those of the checkpoint.
    #[error("the anchors are not those of the checkpoint")]
    OtherAnchors,
}

impl Store {
    /// Checks the log, and that its anchors extend those of a checkpoint that was kept elsewhere: its size and root.
    ///
    /// # Errors
    /// The database fails; a corrupt record of the log's own. A flaw is no error but the inner result.
    pub fn verify_audit(&self, known: Option<(u64, Hash)>, now: Time) -> Result<Result<Audited, Flaw>, StoreError> {
        self.read(Space::Vault, now, |tx| {
            let (head, leaves) = (tx.audit_head()?, anchor::leaves(tx.raw())?);
            let first = super::first_kept(tx.raw())?;
            let from = Owner::audit(Day(0));
            let rows = tx.raw().range(Table::Audit, from.id(), Some(&Owner::audit_end()), usize::MAX)?;
            let (mut chain, mut anchors) = (Chain::after(first), leaves.iter().peekable());
            for (key, row) in &rows {
                let owner = key.first_chunk::<OWNER_BYTES>().map(|id| Owner::from_id(*id));
                let name = key.get(OWNER_BYTES..).unwrap_or_default();
                let (Some(owner), Ok(number)) = (owner, name.try_into().map(u64::from_be_bytes)) else {
                    return Ok(Err(Flaw::Missing(chain.next())));
                };
                let opened = match tx.get(Table::Audit, owner, name) {
                    Ok(opened) => opened,
                    Err(StoreError::Corrupt(_)) => return Ok(Err(Flaw::Altered(number))),
                    Err(error) => return Err(error),
                };
                let Some((_, before)) = opened.and_then(|plain| Entry::parse(&plain)) else {
                    return Ok(Err(Flaw::Altered(number)));
                };
                if let Err(flaw) = chain.extend(number, &before, hash_of(&before, key, row)) {
                    return Ok(Err(flaw));
                }
                // Anchors of entries that have expired cannot be compared any more.
                while anchors.next_if(|leaf| leaf.number < number).is_some() {}
                while let Some(leaf) = anchors.next_if(|leaf| leaf.number == number) {
                    if Some(leaf.hash) != chain.last {
                        return Ok(Err(Flaw::NotAnchored(number)));
                    }
                }
            }
            if chain.number != head.number {
                return Ok(Err(Flaw::Missing(chain.next())));
            }
            if chain.last.is_some_and(|last| last != head.hash) {
                return Ok(Err(Flaw::Altered(head.number)));
            }
            Ok(check_anchors(&leaves, head, known).map(|anchors| Audited { entries: rows.len() as u64, anchors }))
        })
    }
}

/// The entries so far.
struct Chain {
    number: u64,
    /// `None` before the first one that is kept.
    last: Option<Hash>,
}

impl Chain {
    /// Before the first entry that is kept.
    fn after(first: u64) -> Self {
        Self { number: first.saturating_sub(1), last: None }
    }

    fn next(&self) -> u64 {
        self.number.saturating_add(1)
    }

    fn extend(&mut self, number: u64, before: &Hash, hash: Hash) -> Result<(), Flaw> {
        if number != self.next() {
            return Err(Flaw::Missing(self.next()));
        }
        if self.last.is_some_and(|last| last != *before) {
            return Err(Flaw::Altered(number));
        }
        (self.number, self.last) = (number, Some(hash));
        Ok(())
    }
}

/// Returns the number of anchors.
fn check_anchors(leaves: &[Head], head: Head, known: Option<(u64, Hash)>) -> Result<u64, Flaw> {
    if let Some(leaf) = leaves.last().filter(|leaf| leaf.number > head.number) {
        return Err(Flaw::Missing(leaf.number));
    }
    let tree = anchor::tree_of(leaves);
    if let Some((size, root)) = known
        && tree.root_of(size) != Some(root)
    {
        return Err(Flaw::OtherAnchors);
    }
    Ok(tree.size())
}
