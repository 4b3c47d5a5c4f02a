//! Vectors of every format, which `vectors/check.py` recomputes from their inputs. `UPDATE=1 cargo test -p tacet-tlog
//! --test vectors` writes them.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::path::Path;
use tacet_tlog::{
    Checkpoint, Hash, LogKey, MAX_COSIGNATURE_AGE, MemoryStore, Note, Policy, Timestamp, Tree, Witness, WitnessKey,
    tree::leaf_hash, witness::AddCheckpoint,
};

const LOG: &str = "call.example/directory";
const TREES: u64 = 33;
const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hashes(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(|hash| hex(hash)).collect()
}

fn log() -> LogKey {
    LogKey::from_seed(LOG, &[1; 32]).unwrap()
}

fn witness(seed: u8) -> WitnessKey {
    WitnessKey::from_seed(&format!("witness.example/{seed}"), &[seed; 32]).unwrap()
}

/// A tree whose entries are their numbers in decimal; from `fork` on, with an exclamation mark.
fn tree(size: u64, fork: u64) -> Tree {
    let mut tree = Tree::new();
    for index in 0..size {
        tree.append(leaf_hash(format!("{index}{}", if index < fork { "" } else { "!" }).as_bytes()));
    }
    tree
}

fn head(tree: &Tree) -> Checkpoint {
    Checkpoint::new(log().name(), tree.size(), tree.root()).unwrap()
}

fn trees() -> Value {
    let tree = tree(TREES, u64::MAX);
    let roots: Vec<_> = (0..=TREES).map(|size| hex(&tree.root_of(size).unwrap())).collect();
    let (mut inclusion, mut consistency) = (Vec::new(), Vec::new());
    for size in [1, 2, 3, 7, 8, 21, TREES] {
        for index in 0..size {
            let proof = tree.prove_inclusion(index, size).unwrap();
            inclusion.push(json!({ "index": index, "size": size, "proof": hashes(&proof) }));
        }
        for old in 0..=size {
            let proof = tree.prove_consistency(old, size).unwrap();
            consistency.push(json!({ "old": old, "new": size, "proof": hashes(&proof) }));
        }
    }
    json!({ "roots": roots, "inclusion": inclusion, "consistency": consistency })
}

fn keys() -> Value {
    let log = log();
    let mut keys = vec![
        json!({ "name": LOG, "type": 1, "seed": hex(&[1; 32]), "verifier": log.verifier().to_string(), "private": *log.to_text() }),
    ];
    for seed in 2..=4 {
        let key = witness(seed);
        let name = key.verifier().name().as_str();
        keys.push(json!({
            "name": name, "type": 4, "seed": hex(&[seed; 32]), "verifier": key.verifier().to_string(), "private": *key.to_text(),
        }));
    }
    Value::Array(keys)
}

fn notes() -> Value {
    let cases = [(0, vec![]), (1, vec![(2, NOW)]), (7, vec![(2, NOW - 1), (3, 0), (4, i64::MAX as u64)])];
    let notes = cases.map(|(size, cosigned)| {
        let head = head(&tree(size, u64::MAX));
        let mut note = log().sign(&head).unwrap();
        for (seed, time) in &cosigned {
            note.add(witness(*seed).cosign(&head, at(*time))).unwrap();
        }
        let cosigned: Vec<_> = cosigned.iter().map(|(seed, time)| json!([seed, time.to_string()])).collect();
        json!({ "size": size, "cosigned": cosigned, "note": note.to_string() })
    });
    json!(notes)
}

fn policies() -> Value {
    let [a, b, c] = [2, 3, 4].map(|seed| witness(seed).verifier().to_string());
    let (log_key, head) = (log(), head(&tree(7, u64::MAX)));
    let witnesses =
        format!("log {}\nwitness a {a}\nwitness b {b} https://b.example/\nwitness c {c}\n", log_key.verifier());
    let files = [
        format!("log {}\nquorum none\n", log_key.verifier()),
        format!("{witnesses}quorum b\n"),
        format!("# two of three\n{witnesses}\n \tgroup  g 2 a b c\nquorum g\n"),
        format!("{witnesses}group ab any a b\ngroup all all ab c\nquorum all\n"),
    ];
    let cosigned: [&[(u8, u64)]; 6] = [
        &[],
        &[(2, NOW)],
        &[(3, NOW - 86_400)],
        &[(2, NOW), (3, NOW - 86_401), (4, NOW - 60)],
        &[(2, NOW + 300), (3, NOW + 301)],
        &[(2, NOW - 7), (3, NOW - 8), (4, NOW - 9)],
    ];
    let mut cases = Vec::new();
    for file in &files {
        let policy = Policy::parse(file.as_bytes()).unwrap();
        for cosigned in cosigned {
            let mut note = log_key.sign(&head).unwrap();
            for (seed, time) in cosigned {
                note.add(witness(*seed).cosign(&head, at(*time))).unwrap();
            }
            let note = Note::parse(note.to_string().as_bytes()).unwrap();
            let verified = policy.verify(&note, at(NOW), MAX_COSIGNATURE_AGE);
            cases.push(json!({
                "file": file,
                "note": note.to_string(),
                "now": NOW,
                "trusted": verified.is_ok(),
                "quorum_time": verified.ok().and_then(|verified| verified.quorum_time()).map(Timestamp::as_secs),
            }));
        }
    }
    Value::Array(cases)
}

/// Requests to one witness, one after the other: branch, old size, new size.
fn requests() -> Value {
    let mut witness = Witness::new(witness(2), MemoryStore::default());
    witness.trust_log(log().verifier().clone()).unwrap();
    let straight = u64::MAX;
    let cases = [
        (straight, 0, 0),
        (straight, 0, 5),
        (straight, 0, 6),
        (straight, 5, 5),
        (4, 5, 5),
        (4, 5, 9),
        (straight, 5, 9),
        (straight, 9, 7),
        (straight, 7, 9),
        (8, 9, 20),
        (straight, 9, 20),
    ];
    let mut now = NOW;
    let cases = cases.map(|(fork, old, size)| {
        let tree = tree(size, fork);
        let proof = tree.prove_consistency(old.min(size), size).unwrap();
        let note = log().sign(&head(&tree)).unwrap();
        let request = AddCheckpoint::new(old, proof, note).unwrap().to_string();
        now += 1;
        let answer = witness.add_checkpoint(request.as_bytes(), at(now));
        let status = answer.as_ref().map_or_else(|refused| refused.status(), |_| 200);
        let body = answer.map(|signature| signature.to_string()).unwrap_or_default();
        json!({ "request": request, "now": now, "status": status, "body": body })
    });
    json!(cases)
}

#[test]
fn vectors_are_current() {
    let vectors = json!({
        "trees": trees(), "keys": keys(), "notes": notes(), "policies": policies(), "requests": requests(),
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/v1.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&vectors).unwrap() + "\n").unwrap();
    }
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(written == vectors, "vectors/v1.json differs from what the crate makes");
}
