use super::*;
use crate::{LogKey, Tree, tree::leaf_hash};

const ORIGIN: &str = "call.example/directory";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds).unwrap()
}

fn log() -> LogKey {
    LogKey::from_seed(ORIGIN, &[1; 32]).unwrap()
}

fn witness() -> Witness<MemoryStore> {
    let key = WitnessKey::from_seed("witness.example/a", &[2; 32]).unwrap();
    let mut witness = Witness::new(key, MemoryStore::default());
    witness.trust_log(log().verifier().clone()).unwrap();
    witness
}

/// A tree whose leaf `index` is that number, from `fork` on of another branch.
fn tree(size: u64, fork: u64) -> Tree {
    let mut tree = Tree::new();
    for index in 0..size {
        tree.append(leaf_hash(&[index.to_be_bytes(), u64::from(index >= fork).to_be_bytes()].concat()));
    }
    tree
}

fn checkpoint(tree: &Tree) -> Checkpoint {
    Checkpoint::new(log().name(), tree.size(), tree.root()).unwrap()
}

fn request(old: u64, tree: &Tree) -> Vec<u8> {
    let note = log().sign(&checkpoint(tree)).unwrap();
    let proof = tree.prove_consistency(old.min(tree.size()), tree.size()).unwrap();
    AddCheckpoint::new(old, proof, note).unwrap().to_string().into_bytes()
}

fn status(result: &Result<NoteSignature, Refusal<core::convert::Infallible>>) -> u16 {
    result.as_ref().map_or_else(Refusal::status, |_| 200)
}

#[test]
fn growing_log_is_cosigned() {
    let mut witness = witness();
    let key = witness.verifier().clone();
    let mut old = 0;
    for (index, size) in [1, 2, 3, 8, 8, 130].into_iter().enumerate() {
        let (tree, now) = (tree(size, u64::MAX), at(100 + index as u64));
        let signature = witness.add_checkpoint(&request(old, &tree), now).unwrap();
        let text = checkpoint(&tree).to_string();
        assert_eq!(key.verify(&text, &signature).unwrap().time, Some(now));
        old = size;
    }
}

#[test]
fn requests_are_refused_by_status() {
    let mut witness = witness();
    let (three, five, seven) = (tree(3, u64::MAX), tree(5, u64::MAX), tree(7, u64::MAX));
    assert_eq!(status(&witness.add_checkpoint(&request(0, &five), at(9))), 200);
    let mut add = |request: &[u8]| witness.add_checkpoint(request, at(9));

    assert_eq!(status(&add(b"old x\n")), 400);
    // The old size is above that of the checkpoint.
    assert_eq!(add(&request(5, &three)), Err(Refusal::OldSize));
    // A client that does not know the size is sent it.
    assert_eq!(add(&request(0, &seven)), Err(Refusal::Conflict { size: 5 }));
    assert_eq!(add(&request(3, &seven)), Err(Refusal::Conflict { size: 5 }));
    assert_eq!(add(&request(3, &three)), Err(Refusal::Conflict { size: 5 }));
    // Proofs of another branch, for other sizes, and of another length.
    assert_eq!(add(&request(5, &tree(7, 4))), Err(Refusal::Proof(ProofError::Root)));
    let note = log().sign(&checkpoint(&seven)).unwrap();
    let empty = AddCheckpoint::new(5, Vec::new(), note).unwrap().to_string();
    assert_eq!(add(empty.as_bytes()), Err(Refusal::Proof(ProofError::Length)));

    let other = LogKey::from_seed(ORIGIN, &[3; 32]).unwrap();
    let note = other.sign(&checkpoint(&seven)).unwrap();
    let unsigned = AddCheckpoint::new(5, seven.prove_consistency(5, 7).unwrap(), note).unwrap().to_string();
    assert_eq!(add(unsigned.as_bytes()), Err(Refusal::NotSigned));
    let stranger = LogKey::from_seed("other.example/log", &[1; 32]).unwrap();
    let head = Checkpoint::new(stranger.name(), 7, seven.root()).unwrap();
    let unknown = AddCheckpoint::new(5, Vec::new(), stranger.sign(&head).unwrap()).unwrap().to_string();
    assert_eq!(add(unknown.as_bytes()), Err(Refusal::UnknownLog));

    assert_eq!(status(&add(&request(5, &seven))), 200);
}

#[test]
fn same_head_is_cosigned_again_with_a_new_time() {
    let mut witness = witness();
    let five = tree(5, u64::MAX);
    assert_eq!(status(&witness.add_checkpoint(&request(0, &five), at(9))), 200);
    let again = witness.add_checkpoint(&request(5, &five), at(10)).unwrap();
    assert_eq!(witness.verifier().verify(&checkpoint(&five).to_string(), &again).unwrap().time, Some(at(10)));
}

#[test]
fn second_tree_of_one_size_is_evidence() {
    let mut witness = witness();
    assert_eq!(status(&witness.add_checkpoint(&request(0, &tree(5, u64::MAX)), at(9))), 200);
    let refused = witness.add_checkpoint(&request(5, &tree(5, 4)), at(9));
    assert_eq!(status(&refused), 422);
    let Err(Refusal::Equivocation(evidence)) = refused else { panic!("{refused:?}") };
    let (first, second) = evidence.notes();
    assert!(Equivocation::prove(first, second, &[log().verifier().clone()]).is_ok());
}

#[test]
fn empty_tree_has_the_empty_root() {
    let mut witness = witness();
    let wrong = Checkpoint::new(log().name(), 0, [7; 32]).unwrap();
    let wrong = AddCheckpoint::new(0, Vec::new(), log().sign(&wrong).unwrap()).unwrap().to_string();
    assert_eq!(witness.add_checkpoint(wrong.as_bytes(), at(9)), Err(Refusal::Proof(ProofError::Root)));
    assert_eq!(status(&witness.add_checkpoint(&request(0, &tree(0, 0)), at(9))), 200);
    assert_eq!(status(&witness.add_checkpoint(&request(0, &tree(4, u64::MAX)), at(9))), 200);
}

#[test]
fn clock_that_goes_back_signs_nothing() {
    let mut witness = witness();
    assert_eq!(status(&witness.add_checkpoint(&request(0, &tree(5, u64::MAX)), at(9))), 200);
    let refused = witness.add_checkpoint(&request(5, &tree(7, u64::MAX)), at(8));
    assert_eq!(refused, Err(Refusal::Clock { last: at(9) }));
    // The size is as before, and the request succeeds once the clock is right.
    assert_eq!(status(&witness.add_checkpoint(&request(5, &tree(7, u64::MAX)), at(9))), 200);
}

/// What was checked may be overtaken while a witness audits it.
#[test]
fn accepted_head_replaces_only_the_one_it_was_checked_against() {
    let mut witness = witness();
    let check =
        |witness: &Witness<MemoryStore>, request: &[u8]| witness.check(AddCheckpoint::parse(request).unwrap()).unwrap();
    let slow = check(&witness, &request(0, &tree(5, u64::MAX)));
    let fast = check(&witness, &request(0, &tree(7, u64::MAX)));
    assert!(slow.previous().is_none());
    assert!(witness.cosign(fast, at(9)).is_ok());
    assert_eq!(witness.cosign(slow, at(9)), Err(Refusal::Conflict { size: 7 }));
    // Also by the same head at another time: each is checked against what is stored.
    let (one, other) =
        (check(&witness, &request(7, &tree(7, u64::MAX))), check(&witness, &request(7, &tree(9, u64::MAX))));
    assert!(witness.cosign(one, at(10)).is_ok());
    assert_eq!(witness.cosign(other, at(10)), Err(Refusal::Conflict { size: 7 }));
}

#[test]
fn bad_signature_in_the_name_of_a_known_key_is_refused() {
    let mut witness = witness();
    let five = tree(5, u64::MAX);
    let text = checkpoint(&five).to_string();
    // Two signature lines of one key, of which one is over another text.
    let (good, bad) = (log().sign_text(&text), log().sign_text("text\n"));
    let note = Note::parse(alloc::format!("{text}\n{good}{bad}").as_bytes()).unwrap();
    let request = AddCheckpoint::new(0, Vec::new(), note).unwrap().to_string();
    assert_eq!(witness.add_checkpoint(request.as_bytes(), at(9)), Err(Refusal::NotSigned));
}

#[test]
fn unknown_signatures_are_not_stored() {
    let mut witness = witness();
    let five = tree(5, u64::MAX);
    let mut note = log().sign(&checkpoint(&five)).unwrap();
    note.add(NoteSignature::parse("\u{2014} stranger AAECAwQ=").unwrap()).unwrap();
    let request = AddCheckpoint::new(0, Vec::new(), note).unwrap().to_string();
    let signature = witness.add_checkpoint(request.as_bytes(), at(9)).unwrap();
    let expected = alloc::format!("{}{signature}", log().sign(&checkpoint(&five)).unwrap());
    assert_eq!(witness.latest(ORIGIN).unwrap().unwrap().to_string(), expected);
    assert_eq!(witness.latest("other.example/log"), Ok(None));
}

#[test]
fn logs_have_separate_heads() {
    let mut witness = witness();
    let other = LogKey::from_seed("other.example/log", &[4; 32]).unwrap();
    witness.trust_log(other.verifier().clone()).unwrap();
    assert_eq!(status(&witness.add_checkpoint(&request(0, &tree(5, u64::MAX)), at(9))), 200);
    let seven = tree(7, 0);
    let head = Checkpoint::new(other.name(), 7, seven.root()).unwrap();
    let first = AddCheckpoint::new(0, Vec::new(), other.sign(&head).unwrap()).unwrap().to_string();
    assert_eq!(status(&witness.add_checkpoint(first.as_bytes(), at(3))), 200);
    assert_eq!(witness.origins().count(), 2);
}

#[test]
fn own_key_is_no_log() {
    let mut witness = witness();
    assert_eq!(witness.trust_log(log().verifier().clone()), Ok(()));
    let own = LogKey::from_seed("other.example/log", &[2; 32]).unwrap();
    assert_eq!(witness.trust_log(own.verifier().clone()), Err(TrustError::OwnKey));
}

#[test]
fn origin_hash_is_sha_256() {
    assert_eq!(origin_hash(""), EMPTY_ROOT);
}
