//! A witness under edited requests of a log with two branches: what it cosigns is always one history.

use crate::branches::{BRANCHES, COMMON, LEAVES, at, witness_key};
use tacet_fuzz::Script;
use tacet_tlog::{
    Checkpoint, MemoryStore, Witness,
    witness::{AddCheckpoint, Head},
};

/// The target: requests in any order, each edited, at times that go on or back.
pub fn run(data: &[u8]) {
    let _ = Head::from_bytes(data);
    if let Ok(request) = AddCheckpoint::parse(data) {
        assert_eq!(request.to_string().as_bytes(), data);
    }
    let mut script = Script(data);
    let mut witness = Witness::new(witness_key(2), MemoryStore::default());
    witness.trust_log(BRANCHES.log.verifier().clone()).unwrap();
    let key = witness.verifier().clone();
    let mut last: Option<(Checkpoint, u64)> = None;
    for _ in 0..8 {
        let Some(choice) = script.byte() else { break };
        let (branch, size) = (usize::from(choice & 1), u64::from(script.byte().unwrap_or(0)) % (LEAVES + 1));
        let old = if choice & 2 == 0 {
            last.as_ref().map_or(0, |(head, _)| head.size())
        } else {
            u64::from(choice >> 2) % 25
        };
        let now = 1_000 + u64::from(script.byte().unwrap_or(0));
        let proof = BRANCHES.trees[branch].prove_consistency(old.min(size), size).unwrap();
        let request = AddCheckpoint::new(old, proof, BRANCHES.note(branch, size)).unwrap().to_string();
        let request = script.edit(&[request.as_bytes()]);
        let Ok(signature) = witness.add_checkpoint(&request, at(now)) else { continue };

        let signed = AddCheckpoint::parse(&request).unwrap();
        let head = signed.checkpoint().clone();
        assert_eq!(key.verify(&head.to_string(), &signature).unwrap().time, Some(at(now)));
        let branch = BRANCHES.branch_of(head.size(), head.root()).expect("a head that the log has not signed");
        if let Some((before, time)) = &last {
            let old_branch = BRANCHES.branch_of(before.size(), before.root()).unwrap();
            assert!(before.size() <= head.size() && *time <= now, "a smaller tree or an earlier time");
            assert!(before.size() <= COMMON || old_branch == branch, "another branch");
        }
        last = Some((head, now));
    }
}
