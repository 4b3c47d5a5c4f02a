//! A witness whose machine fails: at every step of every write, with every outcome that a disk allows.
//!
//! The log is hostile: it signs two branches. Whatever fails, all cosignatures that were ever given out must be over one
//! history. A store that forgets to flush shows that the tests would notice.

#![allow(clippy::unwrap_used)]

mod crashes {
    pub(crate) mod disk;
    pub(crate) mod store;
}

use crashes::{
    disk::{Content, Disk, Fault, Outcome, Step},
    store::{Care, FileStore},
};
use tacet_tlog::{
    Checkpoint, LogKey, NoteSignature, Timestamp, Tree, Witness, WitnessKey,
    tree::leaf_hash,
    witness::{AddCheckpoint, Refusal},
};

/// Leaves that the two branches of the log have in common.
const COMMON: u64 = 3;
const LEAVES: u64 = 60;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds).unwrap()
}

/// A log that shows two trees.
struct Log {
    key: LogKey,
    branches: [Tree; 2],
}

impl Log {
    fn new() -> Self {
        let branch = |number: u8| {
            let mut tree = Tree::new();
            for index in 0..LEAVES {
                tree.append(leaf_hash(&[index as u8, if index < COMMON { 0 } else { number }]));
            }
            tree
        };
        Self { key: LogKey::from_seed("call.example/directory", &[1; 32]).unwrap(), branches: [branch(1), branch(2)] }
    }

    /// A request to go from the head of `old` leaves to that of `size` leaves of a branch.
    fn request(&self, branch: usize, old: u64, size: u64) -> Vec<u8> {
        let tree = &self.branches[branch];
        let checkpoint = Checkpoint::new(self.key.name(), size, tree.root_of(size).unwrap()).unwrap();
        let proof = tree.prove_consistency(old.min(size), size).unwrap();
        let note = self.key.sign(&checkpoint).unwrap();
        AddCheckpoint::new(old, proof, note).unwrap().to_string().into_bytes()
    }
}

/// A process on the disk.
fn start(log: &Log, disk: &Disk, care: Care) -> Witness<FileStore> {
    let key = WitnessKey::from_seed("witness.example/a", &[2; 32]).unwrap();
    let mut witness = Witness::new(key, FileStore::open(disk.clone(), care));
    witness.trust_log(log.key.verifier().clone()).unwrap();
    witness
}

/// What the witness has given out, in order: branch, size, time; and whether a restart found a state that it cannot read.
#[derive(Default)]
struct Given(Vec<(usize, u64, u64)>, bool);

impl Given {
    fn record(&mut self, branch: usize, size: u64, signature: &NoteSignature) {
        let time = u64::from_be_bytes(signature.bytes()[..8].try_into().unwrap());
        self.0.push((branch, size, time));
    }

    /// Whether each head extends the one before, at no earlier time.
    fn is_one_history(&self) -> bool {
        // The branch that the history has taken, once past the common leaves.
        let mut taken = None;
        self.0.windows(2).all(|pair| pair[0].1 <= pair[1].1 && pair[0].2 <= pair[1].2)
            && self
                .0
                .iter()
                .filter(|(_, size, _)| *size > COMMON)
                .all(|(branch, ..)| taken.replace(*branch).is_none_or(|before| before == *branch))
    }

    fn is_good(&self) -> bool {
        self.is_one_history() && !self.1
    }
}

/// One request is cut short at one step in one way, then the machine restarts, and the log tries the other branch.
/// Returns what was given out.
fn cut_short(step: u32, fault: Fault, outcome: Outcome, care: Care) -> (Given, bool) {
    let (log, disk, mut given) = (Log::new(), Disk::default(), Given::default());
    let mut witness = start(&log, &disk, care);
    given.record(0, 2, &witness.add_checkpoint(&log.request(0, 0, 2), at(10)).unwrap());

    disk.fail_at(step, fault);
    let answered = witness.add_checkpoint(&log.request(0, 2, 9), at(11));
    if let Ok(signature) = &answered {
        given.record(0, 9, signature);
    }
    // Without a crash the same process goes on first.
    if fault == Fault::ErrorOnly {
        for (branch, old, size) in [(1, 2, 9), (1, 2, 7), (0, 9, 11)] {
            if let Ok(signature) = witness.add_checkpoint(&log.request(branch, old, size), at(12)) {
                given.record(branch, size, &signature);
            }
        }
    }
    let failed = disk.has_failed();
    drop(witness);
    disk.restart(outcome);

    let mut witness = start(&log, &disk, care);
    for (branch, old, size) in
        [(1, 2, 9), (1, 2, 12), (1, 0, 9), (1, 9, 12), (0, 2, 9), (0, 9, 12), (0, 9, 9), (1, 12, 13)]
    {
        match witness.add_checkpoint(&log.request(branch, old, size), at(20)) {
            Ok(signature) => given.record(branch, size, &signature),
            Err(Refusal::Store(_)) => given.1 = true,
            Err(_) => {}
        }
    }
    (given, failed)
}

fn all_cases() -> impl Iterator<Item = (u32, Fault, Outcome)> {
    (0..Step::ALL.len() as u32).flat_map(|step| {
        Fault::ALL
            .into_iter()
            .flat_map(move |fault| Outcome::ALL.into_iter().map(move |outcome| (step, fault, outcome)))
    })
}

#[test]
fn crash_at_every_step_leaves_one_history() {
    for (step, fault, outcome) in all_cases() {
        let (given, failed) = cut_short(step, fault, outcome, Care::Full);
        let case = (Step::ALL[step as usize], fault, outcome);
        assert!(failed, "{case:?} was not reached");
        assert!(given.is_good(), "{case:?}: {:?}", given.0);
        // It goes on: the log's requests for the branch that it is on have been answered.
        assert!(given.0.len() >= 2, "{case:?}: {:?}", given.0);
    }
    for outcome in Outcome::ALL {
        assert!(crash_after_answer(outcome, Care::Full).is_good(), "{outcome:?}");
    }
}

/// The test above finds a fault where there is one.
#[test]
fn careless_stores_are_caught() {
    for care in [Care::NoFlushOfFile, Care::NoFlushOfFolder, Care::DamagedIsNone] {
        let caught = Outcome::ALL.into_iter().any(|outcome| !crash_after_answer(outcome, care).is_good());
        assert!(caught, "{care:?} is not noticed");
    }
    // Taking a damaged record for none is what makes two histories.
    let lost = Outcome { names_are_kept: true, content: Content::Cut };
    assert!(!crash_after_answer(lost, Care::DamagedIsNone).is_one_history());
}

/// The machine fails right after the answer.
fn crash_after_answer(outcome: Outcome, care: Care) -> Given {
    let (log, disk, mut given) = (Log::new(), Disk::default(), Given::default());
    let mut witness = start(&log, &disk, care);
    for (old, size) in [(0, 2), (2, 9)] {
        given.record(0, size, &witness.add_checkpoint(&log.request(0, old, size), at(10)).unwrap());
    }
    drop(witness);
    disk.restart(outcome);
    let mut witness = start(&log, &disk, care);
    for (old, size) in [(2, 9), (2, 12), (0, 9)] {
        match witness.add_checkpoint(&log.request(1, old, size), at(20)) {
            Ok(signature) => given.record(1, size, &signature),
            Err(Refusal::Store(_)) => given.1 = true,
            Err(_) => {}
        }
    }
    given
}

/// Deterministic random numbers: splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Three hundred failures of one machine, under requests for both branches in any order.
#[test]
fn three_hundred_crashes_under_load_leave_one_history() {
    let (log, mut random) = (Log::new(), Random(7));
    let (mut crashes, mut answers, mut seed) = (0, 0, 0);
    // A log is soon at its end, so there are several; each has its disk and its failures.
    while crashes < 300 {
        seed += 1;
        let (disk, mut given, mut now) = (Disk::default(), Given::default(), 100);
        for _ in 0..8 {
            let mut witness = start(&log, &disk, Care::Full);
            // Each request has four steps, and reading has none.
            disk.fail_at(random.below(20) as u32, Fault::ALL[random.below(3) as usize]);
            let mut known = 0;
            for _ in 0..12 {
                let (branch, old) =
                    (random.below(2) as usize, if random.below(4) == 0 { random.below(LEAVES) } else { known });
                let size = (old + random.below(4)).min(LEAVES);
                now += random.below(2);
                match witness.add_checkpoint(&log.request(branch, old, size), at(now)) {
                    Ok(signature) => {
                        given.record(branch, size, &signature);
                        (known, answers) = (size, answers + 1);
                    }
                    Err(Refusal::Conflict { size }) => known = size,
                    Err(_) => {}
                }
            }
            crashes += u32::from(disk.has_failed());
            drop(witness);
            disk.restart(Outcome::ALL[random.below(Outcome::ALL.len() as u64) as usize]);
        }
        assert!(given.is_one_history(), "log {seed}: {:?}", given.0);
    }
    assert!(answers > 300, "only {answers} requests were answered");
}

/// Two processes on one disk, as a store must prevent: the second is refused.
#[test]
fn second_process_is_refused() {
    let (log, disk) = (Log::new(), Disk::default());
    let mut first = start(&log, &disk, Care::Full);
    let mut second = start(&log, &disk, Care::Full);
    assert!(first.add_checkpoint(&log.request(0, 0, 9), at(10)).is_ok());
    assert!(matches!(second.add_checkpoint(&log.request(1, 0, 9), at(10)), Err(Refusal::Store(_))));
}
