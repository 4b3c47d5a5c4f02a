//! Anchors: heads of the audit log as leaves of a Merkle tree, whose checkpoint leaves the machine.

use super::{Head, Store};
use crate::{
    database::{self, Space, Table},
    error::StoreError,
    label,
    store::Stored,
    time::Time,
};
use e2ee_core::{Primitives, Standard};
use tacet_tlog::{Tree, tree::leaf_hash};

impl Store {
    /// Appends the head of the audit log to the tree of anchors, unless it is its last leaf already. To be called hourly,
    /// before [`Self::audit_tree`] is signed and cosigned.
    ///
    /// # Errors
    /// A database fails.
    pub fn anchor_audit(&self, now: Time) -> Result<(), StoreError> {
        self.write(Space::Vault, now, |tx| {
            let head = tx.audit_head()?;
            let leaves = leaves(tx.raw())?;
            if head.number == 0 || leaves.last() == Some(&head) {
                return Ok(());
            }
            let index = u64::try_from(leaves.len()).map_err(|_| StoreError::TooLong)?;
            Ok(tx.raw().put(Table::AuditLeaf, &index.to_be_bytes(), &head.to_bytes())?)
        })
    }

    /// The tree of anchors: size and root for a checkpoint, proofs for witnesses.
    ///
    /// # Errors
    /// A database fails.
    pub fn audit_tree(&self) -> Result<Tree, StoreError> {
        Ok(tree_of(&database::read(self.database(Space::Vault), leaves)?))
    }
}

pub(super) fn tree_of(leaves: &[Head]) -> Tree {
    let mut tree = Tree::new();
    for head in leaves {
        tree.append(leaf_hash(&Standard::hash(&label::ANCHOR, &[&head.to_bytes()])));
    }
    tree
}

pub(super) fn leaves(tx: &mut dyn database::Tx) -> Result<Vec<Head>, StoreError> {
    let records = tx.range(Table::AuditLeaf, &[], None, usize::MAX)?;
    let corrupt = || StoreError::Corrupt(Stored::Row(Table::AuditLeaf));
    records.iter().map(|(_, leaf)| Head::parse(leaf).ok_or_else(corrupt)).collect()
}
