//! A tree in memory.

use super::{EMPTY_ROOT, Hash, NodeId, Nodes, ProveError, node_hash, prove_consistency, prove_inclusion, root};
use alloc::vec::Vec;

/// A tree whose hashes are all in memory: 64 bytes a leaf.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Hashes of complete subtrees, by level.
    levels: Vec<Vec<Hash>>,
}

/// There is no such subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree has no such subtree")]
pub struct NoSuchNode;

impl Nodes for Tree {
    type Error = NoSuchNode;

    fn node(&self, id: NodeId) -> Result<Hash, NoSuchNode> {
        let level = usize::try_from(id.level).ok().and_then(|level| self.levels.get(level));
        let index = usize::try_from(id.index).ok();
        level.zip(index).and_then(|(level, index)| level.get(index)).copied().ok_or(NoSuchNode)
    }
}

impl Tree {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Appends a leaf, given as [`leaf_hash`](super::leaf_hash) of its entry. Returns its index.
    pub fn append(&mut self, leaf: Hash) -> u64 {
        let (index, mut hash, mut level) = (self.size(), leaf, 0_usize);
        loop {
            let Some(hashes) = self.levels.get_mut(level) else {
                self.levels.push(Vec::new());
                continue;
            };
            // The second of a pair completes their parent.
            let left = if hashes.len() & 1 == 1 { hashes.last().copied() } else { None };
            hashes.push(hash);
            let Some(left) = left else { return index };
            hash = node_hash(&left, &hash);
            level = level.saturating_add(1);
        }
    }

    /// The root of all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        // The last subtree of a level is without a parent if their number is odd.
        let alone = self.levels.iter().filter(|hashes| hashes.len() & 1 == 1).filter_map(|hashes| hashes.last());
        alone.copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or(EMPTY_ROOT)
    }

    /// The root of the first `size` leaves; `None` if there are fewer.
    #[must_use]
    pub fn root_of(&self, size: u64) -> Option<Hash> {
        (size <= self.size()).then(|| root(self, size).ok()).flatten()
    }

    /// Proves that leaf `index` is in the tree of the first `size` leaves.
    ///
    /// # Errors
    /// If there is no such leaf or tree.
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, ProveError<NoSuchNode>> {
        prove_inclusion(self, index, self.within(size)?)
    }

    /// Proves that the tree of the first `new` leaves starts with that of the first `old`.
    ///
    /// # Errors
    /// If `old` is above `new`, or the tree has fewer leaves.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ProveError<NoSuchNode>> {
        prove_consistency(self, old, self.within(new)?)
    }

    fn within(&self, size: u64) -> Result<u64, ProveError<NoSuchNode>> {
        if size > self.size() { Err(ProveError::OutOfRange) } else { Ok(size) }
    }
}
