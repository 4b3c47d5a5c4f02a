//! A store in memory with rows of two owners.

use std::sync::Arc;
use tacet_store::{
    Owner, Parts, Store, Time,
    database::{Database, MemoryDatabase, Record, Space, Table, read, write},
    deletion::MemoryLog,
    master::MasterKeys,
    wrap::{MemoryFiles, WrapFiles},
};

pub(crate) const NOW: Time = Time::from_secs(1_783_339_200);
pub(crate) const OWNERS: [Owner; 2] = [Owner::from_id([1; 16]), Owner::from_id([2; 16])];
pub(crate) const VALUE: &[u8] = b"what was written";

pub(crate) struct Machine {
    keys: Arc<MemoryDatabase>,
    vault: Arc<MemoryDatabase>,
    pub(crate) files: Arc<MemoryFiles>,
}

fn counting() -> impl FnMut(&mut [u8]) + Send {
    let mut next = 0_u8;
    move |buffer: &mut [u8]| {
        buffer.fill_with(|| {
            next = next.wrapping_mul(5).wrapping_add(113);
            next
        });
    }
}

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self {
            keys: Arc::new(MemoryDatabase::new(Space::Keys)),
            vault: Arc::new(MemoryDatabase::new(Space::Vault)),
            files: Arc::default(),
        };
        let store = Store::create(machine.parts(), NOW).unwrap();
        for owner in OWNERS {
            store.create_owner(owner, NOW).unwrap();
            store.write(Space::Vault, NOW, |tx| tx.put(Table::Content, owner, b"row", VALUE)).unwrap();
        }
        machine
    }

    fn parts(&self) -> Parts {
        Parts {
            keys: Arc::clone(&self.keys) as Arc<dyn Database>,
            vault: Arc::clone(&self.vault) as Arc<dyn Database>,
            wrap_files: Arc::clone(&self.files) as Arc<dyn WrapFiles>,
            tombstones: vec![Arc::new(MemoryLog::default())],
            master: Box::new(MasterKeys::generate(&mut counting())),
            random: Box::new(counting()),
            region: String::new(),
        }
    }

    /// A process that has cached nothing.
    pub(crate) fn open(&self) -> Option<Store> {
        Store::open(self.parts(), NOW).ok()
    }

    fn database(&self, table: Table) -> &MemoryDatabase {
        if table.space() == Space::Keys { &self.keys } else { &self.vault }
    }

    pub(crate) fn records(&self, table: Table) -> Vec<Record> {
        read(self.database(table), |tx| tx.range(table, &[], None, usize::MAX)).unwrap()
    }

    pub(crate) fn put(&self, table: Table, key: &[u8], value: &[u8]) {
        write(self.database(table), |tx| tx.put(table, key, value)).unwrap();
    }
}
