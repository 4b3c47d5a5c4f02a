//! Checking proofs against roots (RFC 9162 sections 2.1.3.2 and 2.1.4.2, for the hashes of RFC 6962).

use super::{EMPTY_ROOT, Hash, node_hash};

/// Why a proof shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is no such leaf in a tree of that size, or the older tree is the larger.
    #[error("the tree has no such leaf, or the older tree is the larger one")]
    OutOfRange,
    /// A proof for these sizes has another number of hashes.
    #[error("a proof for these sizes has another number of hashes")]
    Length,
    /// The hashes lead to another root.
    #[error("the hashes of the proof lead to another root")]
    Root,
}

/// The way from a node to the root: the numbers of the node and of the last one, level by level.
struct Ascent {
    node: u64,
    last: u64,
}

impl Ascent {
    /// Takes the next sibling. Returns whether it stands on the left.
    fn step(&mut self) -> Result<bool, ProofError> {
        if self.last == 0 {
            return Err(ProofError::Length);
        }
        let left = self.node & 1 == 1 || self.node == self.last;
        if left {
            // A last node without a right neighbour goes up unchanged until it is a right child.
            while self.node & 1 == 0 && self.node != 0 {
                self.up();
            }
        }
        self.up();
        Ok(left)
    }

    fn up(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }

    fn end(&self) -> Result<(), ProofError> {
        if self.last == 0 { Ok(()) } else { Err(ProofError::Length) }
    }
}

fn equal(computed: &Hash, root: &Hash) -> Result<(), ProofError> {
    // Roots are public, so the time of the comparison shows nothing.
    if computed == root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that leaf `index`, given as [`leaf_hash`](super::leaf_hash) of its entry, is in the tree of `size` leaves with
/// this root.
///
/// # Errors
/// If the proof does not show it.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    let last = size.checked_sub(1).filter(|last| index <= *last).ok_or(ProofError::OutOfRange)?;
    let (mut ascent, mut hash) = (Ascent { node: index, last }, *leaf);
    for sibling in proof {
        hash = if ascent.step()? { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
    }
    ascent.end()?;
    equal(&hash, root)
}

/// Checks that the tree of `new` leaves with `new_root` starts with that of `old` leaves with `old_root`.
///
/// # Errors
/// If the proof does not show it. A tree without leaves must have the empty root.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    if old == 0 {
        equal(&EMPTY_ROOT, old_root)?;
    }
    if old == new || old == 0 {
        if !proof.is_empty() {
            return Err(ProofError::Length);
        }
        return if old == new { equal(old_root, new_root) } else { Ok(()) };
    }
    let mut ascent = Ascent { node: old.saturating_sub(1), last: new.saturating_sub(1) };
    // The subtree at which the old tree ends. If it is the whole of it, the proof leaves its hash out.
    while ascent.node & 1 == 1 {
        ascent.up();
    }
    let (start, siblings) =
        if old.is_power_of_two() { (old_root, proof) } else { proof.split_first().ok_or(ProofError::Length)? };
    let (mut in_old, mut in_new) = (*start, *start);
    for sibling in siblings {
        if ascent.step()? {
            in_old = node_hash(sibling, &in_old);
            in_new = node_hash(sibling, &in_new);
        } else {
            in_new = node_hash(&in_new, sibling);
        }
    }
    ascent.end()?;
    equal(&in_old, old_root)?;
    equal(&in_new, new_root)
}
