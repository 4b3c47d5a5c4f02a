//! Roots and proofs from stored complete subtrees, and appending to them.

use super::{EMPTY_ROOT, Hash, MAX_TREE_SIZE, node_hash};
use alloc::vec::Vec;

/// Names a complete subtree: the leaves `index << level` up to `(index + 1) << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// 0 for a leaf, at most 62.
    pub level: u32,
    /// Number of the subtree in its level, from the left.
    pub index: u64,
}

impl NodeId {
    /// The subtree of 2^level leaves that begins at `first`, a multiple of that number.
    fn at(level: u32, first: u64) -> Self {
        Self { level, index: first.checked_shr(level).unwrap_or(0) }
    }
}

/// Where the hashes of complete subtrees are stored. Each is written once and never changes.
pub trait Nodes {
    /// Why a hash cannot be read: also when it was never written.
    type Error;

    /// The hash of a complete subtree, all of whose leaves have been appended.
    ///
    /// # Errors
    /// If it cannot be read.
    fn node(&self, id: NodeId) -> Result<Hash, Self::Error>;
}

/// Why a proof cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// No such leaf, or no tree that is so old or so large.
    #[error("there is no such leaf, or the first size is above the second")]
    OutOfRange,
    /// A subtree cannot be read.
    #[error("a hash of the tree cannot be read")]
    Nodes(E),
}

/// The largest power of two below `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1_u64.checked_shl(length.saturating_sub(1).checked_ilog2().unwrap_or(0)).unwrap_or(0)
}

/// The root of the `length` leaves from `start`, which is a multiple of the largest complete subtree among them.
fn subtree<N: Nodes + ?Sized>(nodes: &N, start: u64, length: u64) -> Result<Hash, N::Error> {
    // Complete subtrees from the smallest, on the right, to the largest.
    let (mut root, mut rest) = (None, length);
    while rest != 0 {
        let level = rest.trailing_zeros();
        rest &= rest.wrapping_sub(1);
        let left = nodes.node(NodeId::at(level, start.saturating_add(rest)))?;
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(root.unwrap_or(EMPTY_ROOT))
}

/// The root of the first `size` leaves.
///
/// # Errors
/// If a subtree cannot be read.
pub fn root<N: Nodes + ?Sized>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    subtree(nodes, 0, size)
}

/// Appends a leaf to a tree of `size` leaves, and hands out the hash of each subtree that it completes, its own first,
/// to be stored. The tree has one leaf more once they are.
///
/// # Errors
/// If a subtree cannot be read, or the tree is full at [`MAX_TREE_SIZE`].
pub fn append<N: Nodes + ?Sized>(
    nodes: &N,
    size: u64,
    leaf: Hash,
    mut store: impl FnMut(NodeId, Hash),
) -> Result<(), ProveError<N::Error>> {
    if size >= MAX_TREE_SIZE {
        return Err(ProveError::OutOfRange);
    }
    let (mut id, mut hash) = (NodeId { level: 0, index: size }, leaf);
    store(id, hash);
    // An odd number completes its parent.
    while id.index & 1 == 1 {
        let left = nodes.node(NodeId { index: id.index ^ 1, ..id }).map_err(ProveError::Nodes)?;
        hash = node_hash(&left, &hash);
        id = NodeId { level: id.level.saturating_add(1), index: id.index >> 1 };
        store(id, hash);
    }
    Ok(())
}

/// Proves that leaf `index` is in the tree of `size` leaves: the siblings from the leaf to the root (RFC 6962 section
/// 2.1.1).
///
/// # Errors
/// If there is no such leaf, or a subtree cannot be read.
pub fn prove_inclusion<N: Nodes + ?Sized>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, ProveError<N::Error>> {
    if index >= size {
        return Err(ProveError::OutOfRange);
    }
    let read = |start, length| subtree(nodes, start, length).map_err(ProveError::Nodes);
    // From the root to the leaf.
    let (mut start, mut length, mut proof) = (0_u64, size, Vec::new());
    while length > 1 {
        let left = split(length);
        let (middle, right) = (start.saturating_add(left), length.saturating_sub(left));
        if index < middle {
            proof.push(read(middle, right)?);
            length = left;
        } else {
            proof.push(read(start, left)?);
            (start, length) = (middle, right);
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Proves that the tree of `new` leaves starts with that of `old` (RFC 6962 section 2.1.2). Empty if the first has no
/// leaves, or both are one.
///
/// # Errors
/// If `old` is above `new`, or a subtree cannot be read.
pub fn prove_consistency<N: Nodes + ?Sized>(nodes: &N, old: u64, new: u64) -> Result<Vec<Hash>, ProveError<N::Error>> {
    if old > new {
        return Err(ProveError::OutOfRange);
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let read = |start, length| subtree(nodes, start, length).map_err(ProveError::Nodes);
    // From the root to the subtree at which the old tree ends. `known`: it is the old tree itself.
    let (mut start, mut length, mut known, mut proof) = (0_u64, new, true, Vec::new());
    while start.saturating_add(length) != old {
        let left = split(length);
        let (middle, right) = (start.saturating_add(left), length.saturating_sub(left));
        if old <= middle {
            proof.push(read(middle, right)?);
            length = left;
        } else {
            proof.push(read(start, left)?);
            (start, length, known) = (middle, right, false);
        }
    }
    if !known {
        proof.push(read(start, length)?);
    }
    proof.reverse();
    Ok(proof)
}
