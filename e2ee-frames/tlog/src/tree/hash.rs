//! The hashes of leaves and nodes (RFC 6962 section 2.1).

use e2ee_core::{Domain, Label, Primitives, Standard};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// SHA-256 of an entry, a leaf or a node.
pub type Hash = [u8; HASH_BYTES];

/// What tells a leaf from a node: otherwise an entry could be chosen that reads as a pair of hashes.
const LEAF: Label = Domain::new("\0").root();
const NODE: Label = Domain::new("\x01").root();

/// The root of a tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// SHA-256 of a zero byte and the entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Standard::hash(&LEAF, &[entry])
}

/// SHA-256 of a byte of 1 and the two children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Standard::hash(&NODE, &[left, right])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_root_is_the_hash_of_nothing() {
        assert_eq!(EMPTY_ROOT, Standard::digest(b""));
    }

    #[test]
    fn leaf_and_node_start_with_different_bytes() {
        assert_eq!(leaf_hash(b"entry"), Standard::digest(b"\x00entry"));
        assert_eq!(node_hash(&[2; 32], &[3; 32]), Standard::digest(&[&[1][..], &[2; 32], &[3; 32]].concat()));
    }
}
