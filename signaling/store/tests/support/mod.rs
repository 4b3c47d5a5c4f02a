//! A store on a machine that may fail at any step.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, reason = "each test uses a part of it")]

#[cfg(unix)]
pub(crate) mod server;

use e2ee_core::Random;
use std::{
    io,
    sync::{Arc, Mutex},
};
use tacet_store::{
    Parts, Store, StoreError, Time,
    database::{Abort, Database, DatabaseError, Kind, MemoryDatabase, Space, Table, Tx, read},
    deletion::{MemoryLog, Tombstone, TombstoneLog},
    master::MasterKeys,
    wrap::{MemoryFiles, WrapFiles},
};

/// Monday, 6 July 2026, noon.
pub(crate) const NOW: Time = Time::from_secs(1_783_339_200);
pub(crate) const DAY: u64 = 86_400;

/// Deterministic random bytes: splitmix64.
pub(crate) fn random(seed: u64) -> impl Random {
    let mut state = seed;
    move |buffer: &mut [u8]| {
        for byte in buffer {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed ^ (mixed >> 31)) as u8;
        }
    }
}

/// When the machine fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Before the step is done.
    Before,
    /// When it is done, before the program knows.
    After,
}

#[derive(Default)]
struct Plan {
    /// Steps that still succeed.
    left: Option<(u32, Fault)>,
    is_down: bool,
}

/// Decides which durable step is the last one.
#[derive(Clone, Default)]
pub(crate) struct Power(Arc<Mutex<Plan>>);

struct Down;

impl Power {
    pub(crate) fn fail_at(&self, step: u32, fault: Fault) {
        self.0.lock().unwrap().left = Some((step, fault));
    }

    /// Switches the machine on again. Returns whether it was down.
    pub(crate) fn restore(&self) -> bool {
        std::mem::take(&mut *self.0.lock().unwrap()).is_down
    }

    fn is_down(&self) -> bool {
        self.0.lock().unwrap().is_down
    }

    fn step<T>(&self, work: impl FnOnce() -> T) -> Result<T, Down> {
        let failing = {
            let mut plan = self.0.lock().unwrap();
            if plan.is_down {
                return Err(Down);
            }
            match &mut plan.left {
                Some((0, fault)) => Some(*fault),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            }
        };
        let Some(fault) = failing else { return Ok(work()) };
        if fault == Fault::After {
            work();
        }
        self.0.lock().unwrap().is_down = true;
        Err(Down)
    }
}

struct FailingDatabase {
    inner: Arc<dyn Database>,
    power: Power,
}

impl Database for FailingDatabase {
    fn space(&self) -> Space {
        self.inner.space()
    }

    fn transact(
        &self,
        kind: Kind,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Abort>,
    ) -> Result<(), DatabaseError> {
        let failed = || DatabaseError::failed("the machine is down");
        match kind {
            Kind::Read if self.power.is_down() => Err(failed()),
            Kind::Read => self.inner.transact(kind, work),
            Kind::Write => self.power.step(|| self.inner.transact(kind, work)).unwrap_or_else(|Down| Err(failed())),
        }
    }

    fn scrub(&self) -> Result<bool, DatabaseError> {
        self.inner.scrub()
    }
}

struct FailingFiles {
    inner: Arc<MemoryFiles>,
    power: Power,
}

impl FailingFiles {
    fn step(&self, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.power.step(work).unwrap_or_else(|Down| Err(io::Error::other("the machine is down")))
    }
}

impl WrapFiles for FailingFiles {
    fn read_all(&self) -> io::Result<Vec<(u32, Vec<u8>)>> {
        self.inner.read_all()
    }

    fn write(&self, number: u32, contents: &[u8]) -> io::Result<()> {
        self.step(|| self.inner.write(number, contents))
    }

    fn destroy(&self, number: u32) -> io::Result<()> {
        self.step(|| self.inner.destroy(number))
    }
}

struct FailingLog {
    inner: Arc<MemoryLog>,
    power: Power,
}

impl TombstoneLog for FailingLog {
    fn append(&self, tombstone: &Tombstone) -> io::Result<()> {
        let done = self.power.step(|| self.inner.append(tombstone));
        done.unwrap_or_else(|Down| Err(io::Error::other("the machine is down")))
    }

    fn read_all(&self) -> io::Result<Vec<Tombstone>> {
        self.inner.read_all()
    }
}

/// What outlives a process: databases, files, and the operator's key.
pub(crate) struct Machine {
    pub(crate) keys: Arc<dyn Database>,
    pub(crate) vault: Arc<dyn Database>,
    pub(crate) files: Arc<MemoryFiles>,
    pub(crate) tombstones: Arc<MemoryLog>,
    pub(crate) master: String,
    pub(crate) power: Power,
    starts: Mutex<u64>,
}

impl Default for Machine {
    fn default() -> Self {
        Self::with(Arc::new(MemoryDatabase::new(Space::Keys)), Arc::new(MemoryDatabase::new(Space::Vault)))
    }
}

impl Machine {
    pub(crate) fn with(keys: Arc<dyn Database>, vault: Arc<dyn Database>) -> Self {
        let master = MasterKeys::generate(&mut random(1)).to_text().to_string();
        Self {
            keys,
            vault,
            files: Arc::default(),
            tombstones: Arc::default(),
            master,
            power: Power::default(),
            starts: Mutex::default(),
        }
    }

    pub(crate) fn master(&self) -> MasterKeys {
        MasterKeys::parse(&self.master).unwrap()
    }

    pub(crate) fn parts(&self) -> Parts {
        let mut starts = self.starts.lock().unwrap();
        *starts += 1;
        let database = |inner: &Arc<dyn Database>| -> Arc<dyn Database> {
            Arc::new(FailingDatabase { inner: Arc::clone(inner), power: self.power.clone() })
        };
        Parts {
            keys: database(&self.keys),
            vault: database(&self.vault),
            wrap_files: Arc::new(FailingFiles { inner: Arc::clone(&self.files), power: self.power.clone() }),
            tombstones: vec![Arc::new(FailingLog { inner: Arc::clone(&self.tombstones), power: self.power.clone() })],
            master: Box::new(self.master()),
            random: Box::new(random(*starts << 32)),
            region: "eu-de".to_owned(),
        }
    }

    pub(crate) fn create(&self) -> Store {
        Store::create(self.parts(), NOW).unwrap()
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.parts(), NOW).unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(self.parts(), NOW)
    }

    /// Records of a table, beneath all sealing.
    pub(crate) fn records(&self, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
        let database = if table.space() == Space::Keys { &self.keys } else { &self.vault };
        read(&**database, |tx| tx.range(table, &[], None, usize::MAX)).unwrap()
    }
}
