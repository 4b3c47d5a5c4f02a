//! A process that is killed at random, on SQLite: no row is lost, none needs a key that is gone, no event is lost or doubled.
//!
//! KILLS=500 for more than the short round.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod support;

use e2ee_core::Random;
use std::{
    env,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use support::{DAY, NOW, random};
use tacet_store::{
    Owner, Parts, Store,
    audit::{Entry, EventKind},
    database::{Purpose, Space, SqliteDatabase, Table, read},
    deletion::{FileLog, TombstoneLog},
    master::MasterKeys,
    outbox::Event,
    wrap::FolderFiles,
};

/// Where the child finds the store.
const FOLDER: &str = "TACET_STORE_KILLED";
const KEPT: Owner = Owner::from_id([1; 16]);
const ROWS: u16 = 60;
/// Longest life of a child, from the moment at which its store is open.
const LONGEST: Duration = Duration::from_millis(40);
/// How long a child may take to open its store, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn parts(folder: &Path, seed: u64) -> Parts {
    let database = |space| Arc::new(SqliteDatabase::open(folder, space).unwrap());
    Parts {
        keys: database(Space::Keys),
        vault: database(Space::Vault),
        wrap_files: Arc::new(FolderFiles::open(&folder.join("wrap")).unwrap()),
        tombstones: vec![Arc::new(FileLog::open(&folder.join("tombstones")).unwrap())],
        master: Box::new(MasterKeys::generate(&mut random(1))),
        random: Box::new(random(seed)),
        region: String::new(),
    }
}

fn count(store: &Store) -> u16 {
    let count = store.read(Space::Keys, NOW, |tx| Ok(tx.get(Table::Account, KEPT, b"count")?.unwrap().to_vec()));
    u16::from_be_bytes(count.unwrap().try_into().unwrap())
}

/// Counts, and posts an event that says so, in one transaction.
fn count_on(store: &Store) {
    let next = count(store) + 1;
    let entry = Entry { day: NOW.day(), kind: EventKind(next), subject: [0; 16], actor: [0; 16], details: Vec::new() };
    store
        .write(Space::Keys, NOW, |tx| {
            tx.put(Table::Account, KEPT, b"count", &next.to_be_bytes())?;
            tx.post(&Event::Audited(entry.clone()))
        })
        .unwrap();
    store.settle(NOW).unwrap();
}

fn populate(store: &Store) {
    store.create_owner(KEPT, NOW).unwrap();
    store.write(Space::Keys, NOW, |tx| tx.put(Table::Account, KEPT, b"count", &[0, 0])).unwrap();
    store
        .write(Space::Vault, NOW, |tx| {
            (0..ROWS).try_for_each(|row| tx.put(Table::Content, KEPT, &row.to_be_bytes(), &row.to_be_bytes()))
        })
        .unwrap();
}

/// What the child does until it is killed.
#[test]
#[ignore = "is started by the test below"]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let mut seed = [0; 8];
    aws_lc_rs::rand::fill(&mut seed).unwrap();
    let store = Store::open(parts(Path::new(&folder), u64::from_be_bytes(seed)), NOW).unwrap();
    std::fs::write(Path::new(&folder).join("ready"), []).unwrap();
    let mut random = random(u64::from_be_bytes(seed) ^ 1);
    loop {
        let doomed = Owner::from_id(random.array());
        store.create_owner(doomed, NOW).unwrap();
        store.write(Space::Vault, NOW, |tx| tx.put(Table::Content, doomed, b"row", b"value")).unwrap();
        count_on(&store);
        store.rotate_data_key(KEPT, Purpose::Content, NOW).unwrap();
        store.delete_owner(doomed, NOW).unwrap();
        store.rotate_data_key(KEPT, Purpose::Identity, NOW).unwrap();
        store.rotate_wrap_keys(NOW.plus_seconds(DAY)).unwrap();
    }
}

fn run_and_kill(folder: &Path, life: Duration) {
    let ready = folder.join("ready");
    let _ = std::fs::remove_file(&ready);
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !ready.exists() {
        assert!(child.try_wait().unwrap().is_none(), "the child cannot open its store");
        assert!(started.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(life);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it ended by itself");
}

fn assert_whole(store: &Store, folder: &Path) {
    let rows = store.read(Space::Vault, NOW, |tx| tx.page(Table::Content, KEPT, b"", None, usize::MAX)).unwrap();
    assert_eq!(rows.len(), usize::from(ROWS));
    for (name, row) in rows {
        assert_eq!(*row.unwrap(), name[..]);
    }
    let kinds: Vec<u16> = store.audit_entries(NOW.day(), NOW).unwrap().iter().map(|entry| entry.kind.0).collect();
    assert_eq!(kinds, (1..=count(store)).collect::<Vec<_>>(), "each event once, in order");
    assert!(store.verify_audit(None, NOW).unwrap().is_ok());
    let wraps = std::fs::read_dir(folder.join("wrap")).unwrap().count();
    assert!(wraps <= 3, "{wraps} wrap keys: a rotation that was interrupted has been finished");
    // All that were noted are deleted, with their rows.
    let noted = FileLog::open(&folder.join("tombstones")).unwrap().read_all().unwrap();
    let keys = store.database(Space::Keys);
    for tombstone in noted {
        assert!(read(keys, |tx| tx.get(Table::Tombstone, &tombstone.mac)).unwrap().is_some());
    }
}

#[test]
fn killed_process_loses_nothing() {
    let kills = env::var("KILLS").map_or(40, |kills| kills.parse().unwrap());
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    populate(&Store::create(parts(folder.path(), 2), NOW).unwrap());
    let mut random = random(3);
    for kill in 0..kills {
        let [fraction] = random.array();
        run_and_kill(folder.path(), LONGEST * u32::from(fraction) / 256);
        let store = Store::open(parts(folder.path(), 1_000 + kill), NOW).unwrap();
        assert_whole(&store, folder.path());
    }
}
