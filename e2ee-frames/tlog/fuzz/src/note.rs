//! Notes and checkpoints: what is read is written as it was, and an altered note is trusted only if its checkpoint is the
//! genuine one.

use crate::branches::{BRANCHES, at, witness_key};
use tacet_fuzz::Script;
use tacet_tlog::{Checkpoint, MAX_COSIGNATURE_AGE, Note, NoteSignature, Policy, VerifierKey};

const NOW: u64 = 1_800_000_000;

/// The target: edits of cosigned checkpoints, or bytes as they are.
pub fn run(data: &[u8]) {
    let witness = witness_key(2);
    let genuine: Vec<String> = (0..2)
        .map(|branch| {
            let mut note = BRANCHES.note(branch, 9);
            let checkpoint = Checkpoint::parse(note.text()).unwrap();
            note.add(witness.cosign(&checkpoint, at(NOW))).unwrap();
            note.to_string()
        })
        .collect();
    let genuine: Vec<&[u8]> = genuine.iter().map(String::as_bytes).collect();
    let edited = Script(data).edit(&genuine);
    let log = BRANCHES.log.verifier();
    let policy = format!("log {log}\nwitness a {}\nquorum a\n", witness.verifier());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    for bytes in [data, &edited] {
        if let Ok(text) = std::str::from_utf8(bytes) {
            if let Ok(key) = text.parse::<VerifierKey>() {
                assert_eq!(key.to_string().to_ascii_lowercase(), text.to_ascii_lowercase());
            }
            if let Ok(checkpoint) = Checkpoint::parse(text) {
                assert_eq!(checkpoint.to_string(), text);
            }
            if let Ok(signature) = NoteSignature::parse(text) {
                assert_eq!(signature.to_string(), format!("{text}\n"));
            }
        }
        let Ok(note) = Note::parse(bytes) else { continue };
        assert_eq!(note.to_string().as_bytes(), bytes);
        if let Ok(verified) = policy.verify(&note, at(NOW), MAX_COSIGNATURE_AGE) {
            let checkpoint = verified.checkpoint();
            assert!(
                BRANCHES.branch_of(9, checkpoint.root()).is_some() && checkpoint.size() == 9,
                "a forged checkpoint"
            );
            assert_eq!(verified.quorum_time(), Some(at(NOW)));
        }
    }
}
