//! Costs of the store on SQLite: `cargo bench --package tacet-store`. Each figure is printed beside its limit.

#![allow(clippy::unwrap_used, missing_docs, clippy::print_stdout)]

use criterion::{Criterion, Throughput};
use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_store::{
    Owner, Parts, Store, Time,
    database::{MemoryDatabase, Purpose, Space, SqliteDatabase, Table},
    deletion::MemoryLog,
    master::MasterKeys,
    wrap::MemoryFiles,
};

const NOW: Time = Time::from_secs(1_783_339_200);
const OWNER: Owner = Owner::from_id([7; 16]);
/// Data keys that a rotation of wrap keys seals again.
const DATA_KEYS: u32 = 100_000;
/// Rows that a rotation of a data key moves.
const ROWS: u32 = 50_000;
const COMMITS: usize = 500;

fn random() -> impl FnMut(&mut [u8]) + Send {
    |buffer: &mut [u8]| aws_lc_rs::rand::fill(buffer).unwrap()
}

fn parts(folder: Option<&std::path::Path>) -> Parts {
    let database = |space| -> Arc<dyn tacet_store::database::Database> {
        match folder {
            Some(folder) => Arc::new(SqliteDatabase::open(folder, space).unwrap()),
            None => Arc::new(MemoryDatabase::new(space)),
        }
    };
    Parts {
        keys: database(Space::Keys),
        vault: database(Space::Vault),
        wrap_files: Arc::new(MemoryFiles::default()),
        tombstones: vec![Arc::new(MemoryLog::default())],
        master: Box::new(MasterKeys::generate(&mut random())),
        random: Box::new(random()),
        region: String::new(),
    }
}

/// In memory, so that sealing and opening is most of it.
fn rows(criterion: &mut Criterion) {
    let store = Store::create(parts(None), NOW).unwrap();
    store.create_owner(OWNER, NOW).unwrap();
    let mut group = criterion.benchmark_group("row");
    for size in [200, 2_048, 10_240] {
        let value = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("seal and put {size} B (limit for 2 kB: 5 us)"), |bencher| {
            bencher
                .iter(|| store.write(Space::Vault, NOW, |tx| tx.put(Table::Content, OWNER, b"row", &value)).unwrap());
        });
        group.bench_function(format!("get and open {size} B (limit for 2 kB: 5 us)"), |bencher| {
            let get = || store.read(Space::Vault, NOW, |tx| Ok(tx.get(Table::Content, OWNER, b"row")?.unwrap().len()));
            bencher.iter(|| black_box(get().unwrap()));
        });
    }
    group.finish();
}

fn print(what: &str, measured: &str, limit: &str) {
    println!("{what:<48} {measured:>16}   limit {limit}");
}

fn commits(store: &Store) {
    let mut times: Vec<Duration> = (0..COMMITS)
        .map(|row| {
            let began = Instant::now();
            store.write(Space::Vault, NOW, |tx| tx.put(Table::Content, OWNER, &row.to_be_bytes(), &[7; 300])).unwrap();
            began.elapsed()
        })
        .collect();
    times.sort();
    print("commit of one row, p50", &format!("{:?}", times[COMMITS / 2]), "none");
    print("commit of one row, p99", &format!("{:?}", times[COMMITS * 99 / 100]), "10 ms");
}

fn wrap_rotation(store: &Store) {
    for account in 0..DATA_KEYS / 2 {
        let mut id = [9; 16];
        id[..4].copy_from_slice(&account.to_be_bytes());
        store.create_owner(Owner::from_id(id), NOW).unwrap();
    }
    let began = Instant::now();
    store.rotate_wrap_keys(NOW).unwrap();
    let took = began.elapsed();
    print("rotation of wrap keys, 100,000 data keys", &format!("{took:?}"), "3 s");
    print("  of which one data key", &format!("{:?}", took / DATA_KEYS), "none");
}

fn data_key_rotation(store: &Store) {
    for batch in 0..ROWS / 1_000 {
        store
            .write(Space::Vault, NOW, |tx| {
                let mut rows = batch * 1_000..(batch + 1) * 1_000;
                rows.try_for_each(|row| tx.put(Table::Envelope, OWNER, &row.to_be_bytes(), &[7; 300]))
            })
            .unwrap();
    }
    let began = Instant::now();
    let moved = store.rotate_data_key(OWNER, Purpose::Content, NOW).unwrap();
    let rate = moved as f64 / began.elapsed().as_secs_f64();
    print("rotation of a data key", &format!("{rate:.0} rows/s"), "50,000 rows/s at least");
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    rows(&mut criterion);
    criterion.final_summary();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(parts(Some(folder.path())), NOW).unwrap();
    store.create_owner(OWNER, NOW).unwrap();
    commits(&store);
    data_key_rotation(&store);
    drop(store);
    // In memory of the machine: a commit for each of many accounts would wait for the disk, and is not what is measured.
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    wrap_rotation(&Store::create(parts(Some(folder.path())), NOW).unwrap());
}
