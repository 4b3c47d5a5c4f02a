//! Proofs: of arbitrary ones, only those verify that say what is true of the tree.

use crate::branches::{BRANCHES, COMMON, LEAVES};
use tacet_fuzz::Script;
use tacet_tlog::{
    Hash,
    tree::{leaf_hash, verify_consistency, verify_inclusion},
};

/// The target: a claim about leaf or size, and edits of the proofs for it.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut number = |bound: u64| script.byte().map_or(0, u64::from) % bound;
    let (size, claimed, index) = (1 + number(LEAVES), 1 + number(LEAVES), number(LEAVES));
    let (branch, other) = (number(2) as usize, number(2) as usize);
    let tree = &BRANCHES.trees[branch];
    let root = tree.root_of(size).unwrap();

    let proofs = [
        tree.prove_inclusion(index % size, size).unwrap().concat(),
        tree.prove_consistency(index.min(size), size).unwrap().concat(),
        BRANCHES.trees[other].prove_consistency(index, LEAVES).unwrap().concat(),
    ];
    let proofs: Vec<&[u8]> = proofs.iter().map(Vec::as_slice).collect();
    let edited = script.edit(&proofs);
    let proof: Vec<Hash> = edited.chunks_exact(32).map(|chunk| chunk.try_into().unwrap()).collect();

    let leaf = leaf_hash(&[index as u8, if index < COMMON { 0 } else { 1 + branch as u8 }]);
    if verify_inclusion(&leaf, claimed - 1, size, &proof, &root).is_ok() {
        assert_eq!((claimed - 1, &proof), (index, &tree.prove_inclusion(index, size).unwrap()), "a leaf elsewhere");
    }
    let old_root = BRANCHES.trees[other].root_of(claimed).unwrap();
    if verify_consistency(claimed, &old_root, size, &root, &proof).is_ok() {
        assert!(claimed <= size && (branch == other || claimed <= COMMON), "another branch");
        assert_eq!(proof, tree.prove_consistency(claimed, size).unwrap());
    }
    let _ = verify_consistency(u64::from(index as u8) << 56, &old_root, u64::MAX, &root, &proof);
}
