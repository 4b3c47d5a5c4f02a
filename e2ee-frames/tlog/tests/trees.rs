//! Trees and proofs against three other descriptions of them: the RFC's recursive definitions, published vectors, and
//! the crate `ct-merkle`.

#![allow(clippy::unwrap_used)]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use std::{collections::HashMap, sync::LazyLock};
use tacet_tlog::{
    Hash, Tree,
    tree::{
        self, EMPTY_ROOT, NodeId, Nodes, ProofError, ProveError, append, leaf_hash, node_hash, verify_consistency,
        verify_inclusion,
    },
};

fn entry(index: u64) -> Vec<u8> {
    index.to_string().into_bytes()
}

fn tree(size: u64) -> Tree {
    let mut tree = Tree::new();
    for index in 0..size {
        assert_eq!(tree.append(leaf_hash(&entry(index))), index);
    }
    tree
}

/// The definitions of RFC 6962 section 2.1, word by word.
mod rfc {
    use super::{EMPTY_ROOT, Hash, node_hash};

    fn k(n: usize) -> usize {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }

    pub(super) fn root(d: &[Hash]) -> Hash {
        match d {
            [] => EMPTY_ROOT,
            [leaf] => *leaf,
            _ => node_hash(&root(&d[..k(d.len())]), &root(&d[k(d.len())..])),
        }
    }

    pub(super) fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
        if d.len() == 1 {
            return Vec::new();
        }
        let k = k(d.len());
        let (mut path, sibling) =
            if m < k { (path(m, &d[..k]), root(&d[k..])) } else { (path(m - k, &d[k..]), root(&d[..k])) };
        path.push(sibling);
        path
    }

    pub(super) fn proof(m: usize, d: &[Hash]) -> Vec<Hash> {
        if m == 0 { Vec::new() } else { subproof(m, d, true) }
    }

    fn subproof(m: usize, d: &[Hash], whole: bool) -> Vec<Hash> {
        if m == d.len() {
            return if whole { Vec::new() } else { vec![root(d)] };
        }
        let k = k(d.len());
        let (mut proof, sibling) = if m <= k {
            (subproof(m, &d[..k], whole), root(&d[k..]))
        } else {
            (subproof(m - k, &d[k..], false), root(&d[..k]))
        };
        proof.push(sibling);
        proof
    }
}

#[test]
fn roots_and_proofs_are_those_of_the_rfc() {
    const SIZES: u64 = 300;
    let tree = tree(SIZES);
    let leaves: Vec<Hash> = (0..SIZES).map(|index| leaf_hash(&entry(index))).collect();
    for size in 0..=SIZES {
        assert_eq!(tree.root_of(size), Some(rfc::root(&leaves[..size as usize])));
    }
    for size in (0..=33).chain([63, 64, 65, 127, 128, 129]) {
        let leaves = &leaves[..size as usize];
        for index in 0..size {
            assert_eq!(tree.prove_inclusion(index, size).unwrap(), rfc::path(index as usize, leaves), "{index}/{size}");
        }
        for old in 0..=size {
            assert_eq!(tree.prove_consistency(old, size).unwrap(), rfc::proof(old as usize, leaves), "{old}/{size}");
        }
    }
}

/// Every size, every leaf, every pair.
#[test]
fn all_proofs_of_300_trees_verify() {
    const SIZES: u64 = 300;
    let tree = tree(SIZES);
    let roots: Vec<Hash> = (0..=SIZES).map(|size| tree.root_of(size).unwrap()).collect();
    for size in 0..=SIZES {
        let root = &roots[size as usize];
        for index in 0..size {
            let proof = tree.prove_inclusion(index, size).unwrap();
            assert_eq!(verify_inclusion(&leaf_hash(&entry(index)), index, size, &proof, root), Ok(()));
        }
        for old in 0..=size {
            let proof = tree.prove_consistency(old, size).unwrap();
            assert_eq!(verify_consistency(old, &roots[old as usize], size, root, &proof), Ok(()), "{old}/{size}");
        }
    }
}

#[test]
fn all_proofs_equal_those_of_ct_merkle() {
    const SIZES: u64 = 130;
    let ours = tree(SIZES);
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for size in 0..=SIZES {
        assert_eq!(ours.root_of(size).unwrap()[..], theirs.root().as_bytes()[..], "{size}");
        for index in 0..size {
            let proof = ours.prove_inclusion(index, size).unwrap().concat();
            assert_eq!(proof, theirs.prove_inclusion(index as usize).as_bytes(), "{index}/{size}");
        }
        // Its proofs start from trees with leaves.
        for old in 1..=size {
            let proof = ours.prove_consistency(old, size).unwrap().concat();
            assert_eq!(proof, theirs.prove_consistency((size - old) as usize).as_bytes(), "{old}/{size}");
        }
        theirs.push(entry(size));
    }
}

fn hex(text: &str) -> Hash {
    let byte = |index: usize| u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).unwrap();
    std::array::from_fn(byte)
}

/// The vectors of Certificate Transparency's implementations (github.com/transparency-dev/merkle, testonly).
#[test]
fn published_vectors_are_reproduced() {
    let mut tree = Tree::new();
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(tree.root(), hex(roots[0]));
    for (entry, root) in entries.into_iter().zip(&roots[1..]) {
        tree.append(leaf_hash(entry));
        assert_eq!(tree.root(), hex(root));
    }
    let inclusion = |index, size| tree.prove_inclusion(index, size).unwrap();
    assert_eq!(inclusion(0, 1), Vec::<Hash>::new());
    assert_eq!(inclusion(0, 2), [hex("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7")]);
    assert_eq!(inclusion(2, 3), [hex("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")]);
    assert_eq!(
        inclusion(1, 5),
        [
            hex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            hex("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
            hex("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
        ]
    );
    assert_eq!(
        inclusion(5, 8),
        [
            hex("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
            hex("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
            hex("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        ]
    );
    let consistency = |old, new| tree.prove_consistency(old, new).unwrap();
    assert_eq!(consistency(1, 1), Vec::<Hash>::new());
    assert_eq!(
        consistency(1, 8),
        [
            hex("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"),
            hex("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
            hex("6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"),
        ]
    );
    assert_eq!(
        consistency(2, 5),
        [
            hex("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
            hex("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
        ]
    );
    assert_eq!(
        consistency(6, 8),
        [
            hex("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"),
            hex("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
            hex("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        ]
    );
}

/// Copies of a proof with one bit flipped, one hash dropped, one added, two exchanged.
fn altered(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut altered = Vec::new();
    for bit in 0..proof.len() * 256 {
        let mut flipped = proof.to_vec();
        flipped[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
        altered.push(flipped);
    }
    for index in 0..proof.len() {
        let mut shorter = proof.to_vec();
        shorter.remove(index);
        altered.push(shorter);
    }
    for index in 0..=proof.len() {
        let mut longer = proof.to_vec();
        longer.insert(index, [0; 32]);
        altered.push(longer);
    }
    for index in 1..proof.len() {
        let mut exchanged = proof.to_vec();
        exchanged.swap(index - 1, index);
        altered.push(exchanged);
    }
    altered
}

fn flips(hash: &Hash) -> impl Iterator<Item = Hash> {
    (0..256).map(|bit| {
        let mut flipped = *hash;
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

#[test]
fn every_flipped_bit_of_an_inclusion_proof_is_refused() {
    let tree = tree(13);
    for size in 1..=13 {
        let root = tree.root_of(size).unwrap();
        for index in 0..size {
            let (leaf, proof) = (leaf_hash(&entry(index)), tree.prove_inclusion(index, size).unwrap());
            for altered in altered(&proof) {
                assert!(verify_inclusion(&leaf, index, size, &altered, &root).is_err(), "{index}/{size} {altered:x?}");
            }
            assert!(flips(&leaf).all(|leaf| verify_inclusion(&leaf, index, size, &proof, &root).is_err()));
            assert!(flips(&root).all(|root| verify_inclusion(&leaf, index, size, &proof, &root).is_err()));
        }
    }
}

#[test]
fn every_flipped_bit_of_a_consistency_proof_is_refused() {
    let tree = tree(13);
    for new in 0..=13 {
        let new_root = tree.root_of(new).unwrap();
        for old in 0..=new {
            let (old_root, proof) = (tree.root_of(old).unwrap(), tree.prove_consistency(old, new).unwrap());
            for altered in altered(&proof) {
                assert!(verify_consistency(old, &old_root, new, &new_root, &altered).is_err(), "{old}/{new}");
            }
            assert!(flips(&old_root).all(|root| verify_consistency(old, &root, new, &new_root, &proof).is_err()));
            // Every tree extends the empty one.
            let refused = flips(&new_root).all(|root| verify_consistency(old, &old_root, new, &root, &proof).is_err());
            assert_eq!(refused, old != 0 || new == 0, "{old}/{new}");
        }
    }
}

/// A proof of one leaf or size says nothing about another one.
#[test]
fn proofs_do_not_fit_other_places() {
    let tree = tree(40);
    for size in 1..=40 {
        let root = tree.root_of(size).unwrap();
        for index in 0..size {
            let (leaf, proof) = (leaf_hash(&entry(index)), tree.prove_inclusion(index, size).unwrap());
            for other in (0..=size).filter(|other| *other != index) {
                assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err(), "{index} as {other} of {size}");
            }
        }
        for old in 1..size {
            let (old_root, proof) = (tree.root_of(old).unwrap(), tree.prove_consistency(old, size).unwrap());
            for other in (1..=size).filter(|other| *other != old) {
                assert!(
                    verify_consistency(other, &old_root, size, &root, &proof).is_err(),
                    "{old} as {other} of {size}"
                );
            }
        }
    }
}

#[test]
fn impossible_sizes_are_refused() {
    let (tree, zeros) = (tree(5), [[0; 32]; 2]);
    assert_eq!(verify_inclusion(&EMPTY_ROOT, 0, 0, &[], &EMPTY_ROOT), Err(ProofError::OutOfRange));
    assert_eq!(verify_inclusion(&EMPTY_ROOT, u64::MAX, u64::MAX, &zeros, &EMPTY_ROOT), Err(ProofError::OutOfRange));
    assert_eq!(verify_inclusion(&EMPTY_ROOT, u64::MAX - 1, u64::MAX, &zeros, &EMPTY_ROOT), Err(ProofError::Length));
    assert_eq!(verify_consistency(6, &EMPTY_ROOT, 5, &EMPTY_ROOT, &[]), Err(ProofError::OutOfRange));
    assert_eq!(verify_consistency(5, &EMPTY_ROOT, u64::MAX, &EMPTY_ROOT, &zeros), Err(ProofError::Length));
    assert_eq!(verify_consistency(3, &EMPTY_ROOT, 4, &EMPTY_ROOT, &[]), Err(ProofError::Length));
    assert_eq!(tree.prove_inclusion(5, 5), Err(ProveError::OutOfRange));
    assert_eq!(tree.prove_inclusion(0, 6), Err(ProveError::OutOfRange));
    assert_eq!(tree.prove_consistency(4, 3), Err(ProveError::OutOfRange));
    assert_eq!(tree.root_of(6), None);
}

/// Hashes by their place, as a database keeps them.
#[derive(Default)]
struct Rows(HashMap<NodeId, Hash>);

impl Nodes for Rows {
    type Error = NodeId;

    fn node(&self, id: NodeId) -> Result<Hash, NodeId> {
        self.0.get(&id).copied().ok_or(id)
    }
}

#[test]
fn stored_subtrees_are_written_once_and_suffice() {
    let (mut rows, mut memory) = (Rows::default(), Tree::new());
    for size in 0..100 {
        let leaf = leaf_hash(&entry(size));
        let mut completed = Vec::new();
        append(&rows, size, leaf, |id, hash| completed.push((id, hash))).unwrap();
        for (id, hash) in completed {
            assert_eq!(rows.0.insert(id, hash), None, "{id:?} was written twice");
        }
        memory.append(leaf);
        assert_eq!(tree::root(&rows, size + 1), Ok(memory.root()));
        assert_eq!(
            tree::prove_inclusion(&rows, size / 2, size + 1),
            Ok(memory.prove_inclusion(size / 2, size + 1).unwrap())
        );
        assert_eq!(
            tree::prove_consistency(&rows, size / 2, size + 1),
            Ok(memory.prove_consistency(size / 2, size + 1).unwrap())
        );
    }
    // A hash that is missing is an error and no other root.
    let lost = NodeId { level: 5, index: 1 };
    rows.0.remove(&lost);
    assert_eq!(tree::prove_inclusion(&rows, 0, 100), Err(ProveError::Nodes(lost)));
}

proptest! {
    /// Sizes beyond what tests can build: verification of what a prover makes of arbitrary complete subtrees.
    #[test]
    fn largest_trees_verify(size in 1..=tree::MAX_TREE_SIZE, index: u64, old: u64) {
        /// A tree of equal leaves, so that any size has known hashes.
        struct Uniform;
        impl Nodes for Uniform {
            type Error = ();
            fn node(&self, id: NodeId) -> Result<Hash, ()> {
                static LEVELS: LazyLock<Vec<Hash>> = LazyLock::new(|| {
                    std::iter::successors(Some([7; 32]), |hash| Some(node_hash(hash, hash))).take(64).collect()
                });
                LEVELS.get(id.level as usize).copied().ok_or(())
            }
        }
        let (index, old) = (index % size, old % (size + 1));
        let root = tree::root(&Uniform, size).unwrap();
        let proof = tree::prove_inclusion(&Uniform, index, size).unwrap();
        prop_assert!(proof.len() <= tree::MAX_PROOF_HASHES);
        prop_assert_eq!(verify_inclusion(&[7; 32], index, size, &proof, &root), Ok(()));
        let (old_root, proof) =
            (tree::root(&Uniform, old).unwrap(), tree::prove_consistency(&Uniform, old, size).unwrap());
        prop_assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
    }

    #[test]
    fn arbitrary_proofs_never_panic(sizes: [u64; 2], proof in prop::collection::vec(any::<Hash>(), 0..70), root: Hash) {
        prop_assert!(verify_inclusion(&root, sizes[0], sizes[1], &proof, &EMPTY_ROOT).is_err());
        let _ = verify_consistency(sizes[0], &root, sizes[1], &EMPTY_ROOT, &proof);
    }
}
