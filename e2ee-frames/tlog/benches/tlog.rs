//! What a log, a witness and a client of a directory with a million epochs do.

#![allow(missing_docs, reason = "criterion's macro makes an item without")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tacet_tlog::{
    Checkpoint, LogKey, MAX_COSIGNATURE_AGE, MemoryStore, Note, Policy, Timestamp, Tree, Witness, WitnessKey,
    tree::{leaf_hash, verify_consistency, verify_inclusion},
    witness::AddCheckpoint,
};

const EPOCHS: u64 = 1_000_000;
/// What a client that was away for a while has stored.
const STORED: u64 = EPOCHS - 12_345;

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000).unwrap()
}

fn witness_key(seed: u8) -> WitnessKey {
    WitnessKey::from_seed(&format!("witness.example/{seed}"), &[seed; 32]).unwrap()
}

fn tlog(c: &mut Criterion) {
    let mut tree = Tree::new();
    for epoch in 0..EPOCHS {
        tree.append(leaf_hash(&epoch.to_be_bytes()));
    }
    let (root, last) = (tree.root(), EPOCHS - 1);
    let leaf = leaf_hash(&last.to_be_bytes());

    let mut group = c.benchmark_group("tree of 1,000,000 leaves");
    let mut growing = tree.clone();
    group.bench_function("append and root", |b| {
        b.iter(|| {
            growing.append(black_box(leaf));
            growing.root()
        });
    });
    let inclusion = tree.prove_inclusion(last, EPOCHS).unwrap();
    group.bench_function("inclusion, made", |b| b.iter(|| tree.prove_inclusion(black_box(last), EPOCHS)));
    group.bench_function("inclusion, verified", |b| {
        b.iter(|| verify_inclusion(&leaf, last, EPOCHS, black_box(&inclusion), &root));
    });
    let (stored, consistency) = (tree.root_of(STORED).unwrap(), tree.prove_consistency(STORED, EPOCHS).unwrap());
    group.bench_function("consistency, made", |b| b.iter(|| tree.prove_consistency(black_box(STORED), EPOCHS)));
    group.bench_function("consistency, verified", |b| {
        b.iter(|| verify_consistency(STORED, &stored, EPOCHS, &root, black_box(&consistency)));
    });
    group.finish();

    let log = LogKey::from_seed("call.example/directory", &[1; 32]).unwrap();
    let head = Checkpoint::new(log.name(), EPOCHS, root).unwrap();
    let mut note = log.sign(&head).unwrap();
    let mut policy = format!("log {}\n", log.verifier());
    for seed in 2..=4 {
        note.add(witness_key(seed).cosign(&head, now())).unwrap();
        policy += &format!("witness w{seed} {}\n", witness_key(seed).verifier());
    }
    policy += "group g 2 w2 w3 w4\nquorum g\n";
    let (bytes, parsed) = (note.to_string(), Policy::parse(policy.as_bytes()).unwrap());
    eprintln!(
        "note with 3 cosignatures: {} bytes; inclusion: {} bytes; consistency: {} bytes",
        bytes.len(),
        inclusion.len() * 32,
        consistency.len() * 32
    );

    let mut group = c.benchmark_group("checkpoint with 3 cosignatures");
    group.bench_function("signed by the log", |b| b.iter(|| log.sign(black_box(&head))));
    group.bench_function("parsed", |b| b.iter(|| Note::parse(black_box(bytes.as_bytes()))));
    group.bench_function("policy parsed", |b| b.iter(|| Policy::parse(black_box(policy.as_bytes()))));
    group.bench_function("verified by a policy", |b| {
        b.iter(|| parsed.verify(&Note::parse(black_box(bytes.as_bytes())).unwrap(), now(), MAX_COSIGNATURE_AGE));
    });
    group.bench_function("with the inclusion of the last leaf", |b| {
        b.iter(|| {
            let note = Note::parse(black_box(bytes.as_bytes())).unwrap();
            let verified = parsed.verify(&note, now(), MAX_COSIGNATURE_AGE).unwrap();
            verify_inclusion(&leaf, last, EPOCHS, &inclusion, verified.checkpoint().root())
        });
    });
    group.finish();

    let first = Checkpoint::new(log.name(), STORED, stored).unwrap();
    let first = AddCheckpoint::new(0, Vec::new(), log.sign(&first).unwrap()).unwrap().to_string();
    let next = AddCheckpoint::new(STORED, consistency, log.sign(&head).unwrap()).unwrap().to_string();
    c.bench_function("witness: add-checkpoint, state in memory", |b| {
        b.iter_batched_ref(
            || {
                let mut witness = Witness::new(witness_key(2), MemoryStore::default());
                witness.trust_log(log.verifier().clone()).unwrap();
                witness.add_checkpoint(first.as_bytes(), now()).unwrap();
                witness
            },
            |witness| witness.add_checkpoint(next.as_bytes(), now()),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, tlog);
criterion_main!(benches);
