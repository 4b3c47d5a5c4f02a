//! A log that shows two trees: alike up to leaf 5, then two branches.

use std::sync::LazyLock;
use tacet_tlog::{Checkpoint, LogKey, Note, Timestamp, Tree, WitnessKey, tree::leaf_hash};

/// Leaves of each branch.
pub(crate) const LEAVES: u64 = 24;
/// Leaves that the branches have in common.
pub(crate) const COMMON: u64 = 5;

pub(crate) struct Branches {
    pub(crate) log: LogKey,
    pub(crate) trees: [Tree; 2],
}

pub(crate) static BRANCHES: LazyLock<Branches> = LazyLock::new(|| {
    let tree = |branch: u8| {
        let mut tree = Tree::new();
        for index in 0..LEAVES {
            tree.append(leaf_hash(&[index as u8, if index < COMMON { 0 } else { branch }]));
        }
        tree
    };
    let log = LogKey::from_seed("call.example/directory", &[1; 32]).expect("a good name");
    Branches { log, trees: [tree(1), tree(2)] }
});

impl Branches {
    /// The head of the first `size` leaves of a branch, signed by the log.
    pub(crate) fn note(&self, branch: usize, size: u64) -> Note {
        let root = self.trees[branch].root_of(size).expect("within the tree");
        let checkpoint = Checkpoint::new(self.log.name(), size, root).expect("a small tree");
        self.log.sign(&checkpoint).expect("its own checkpoint")
    }

    /// The branch of which a root of this size is; 0 for what they have in common.
    pub(crate) fn branch_of(&self, size: u64, root: &[u8; 32]) -> Option<usize> {
        (0..2).find(|branch| self.trees[*branch].root_of(size).as_ref() == Some(root))
    }
}

pub(crate) fn witness_key(seed: u8) -> WitnessKey {
    WitnessKey::from_seed("witness.example/a", &[seed; 32]).expect("a good name")
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds).expect("a time before the end of them")
}
