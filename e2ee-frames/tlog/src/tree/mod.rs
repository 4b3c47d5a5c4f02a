//! Merkle trees of RFC 6962: how a log commits to its entries in order, and proves it.
//!
//! The root of n > 1 leaves is the hash of two roots: of the largest power of two below n, and of the rest. A complete
//! subtree, of 2^l leaves that start at a multiple of 2^l, therefore never changes once its leaves exist. Those are the
//! [`Nodes`] that a log stores; everything else is computed from at most two of them a level.
//!
//! ```text
//!   level 2            (2,0)
//!                     /     \
//!   level 1      (1,0)       (1,1)       (1,2)
//!               /    \      /    \      /    \
//!   level 0  (0,0) (0,1) (0,2) (0,3) (0,4) (0,5) (0,6)     root of 7 = H((2,0), H((1,2), (0,6)))
//! ```

mod hash;
mod memory;
mod nodes;
mod verify;

pub use hash::{EMPTY_ROOT, HASH_BYTES, Hash, leaf_hash, node_hash};
pub use memory::Tree;
pub use nodes::{NodeId, Nodes, ProveError, append, prove_consistency, prove_inclusion, root};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

/// Maximum number of leaves: 2^63 - 1.
pub const MAX_TREE_SIZE: u64 = i64::MAX as u64;

/// Maximum number of hashes in a proof. A consistency proof has at most one more than the tree has levels (RFC 6962
/// section 2.1.2), which trees of any realistic size stay below; c2sp.org/tlog-witness sets this number for requests.
pub const MAX_PROOF_HASHES: usize = 63;
