//! Policy files: whatever is read accepts no note without a known log, and with fewer cosignatures never more.

use crate::branches::{BRANCHES, at, witness_key};
use tacet_fuzz::Script;
use tacet_tlog::{Checkpoint, MAX_COSIGNATURE_AGE, Policy};

const NOW: u64 = 1_800_000_000;

/// The target: edits of policy files.
pub fn run(data: &[u8]) {
    let keys = [2, 3, 4].map(witness_key);
    let [a, b, c] = [0, 1, 2].map(|index: usize| keys[index].verifier().to_string());
    let log = BRANCHES.log.verifier();
    let genuine = [
        format!("log {log}\nquorum none\n"),
        format!("# comment\nlog {log} https://call.example/\nwitness a {a} https://a.example/\nquorum a\n"),
        format!("log {log}\nwitness a {a}\nwitness b {b}\nwitness c {c}\ngroup g 2 a b\ngroup h all g c\nquorum h\n"),
    ];
    let genuine: Vec<&[u8]> = genuine.iter().map(String::as_bytes).collect();
    let edited = Script(data).edit(&genuine);
    for file in [data, &edited] {
        let Ok(policy) = Policy::parse(file) else { continue };
        let mut note = BRANCHES.note(0, 9);
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        // Each cosignature may be what the quorum asked for, and never the reason to refuse.
        let mut before = false;
        for key in [None, Some(&keys[0]), Some(&keys[1]), Some(&keys[2])] {
            if let Some(key) = key {
                note.add(key.cosign(&checkpoint, at(NOW))).unwrap();
            }
            let verified = policy.verify(&note, at(NOW), MAX_COSIGNATURE_AGE);
            assert!(verified.is_ok() || !before, "a cosignature takes trust away");
            before = verified.is_ok();
            if let Ok(verified) = verified {
                assert_eq!(policy.logs()[verified.log()].key.public(), log.public(), "an unknown log");
                assert_eq!(verified.quorum_time().is_none(), policy.is_unwatched());
                assert!(verified.cosigned().len() <= policy.witnesses().len());
            }
        }
        let stranger = tacet_tlog::LogKey::from_seed("call.example/directory", &[9; 32]).unwrap();
        let note = stranger.sign(&checkpoint).unwrap();
        assert!(policy.verify(&note, at(NOW), MAX_COSIGNATURE_AGE).is_err(), "a log that no one listed");
    }
}
