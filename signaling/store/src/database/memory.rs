//! The model: a map in memory, one transaction at a time.

use super::{Abort, Database, DatabaseError, Kind, Record, Space, Table, Tx, admit, end};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Where a value lies.
type Place = (Table, Vec<u8>);
type Map = BTreeMap<Place, Vec<u8>>;

/// A database in memory, for tests and examples. What the other backends do is compared with it.
pub struct MemoryDatabase {
    space: Space,
    map: Mutex<Map>,
}

impl MemoryDatabase {
    /// An empty database.
    #[must_use]
    pub fn new(space: Space) -> Self {
        Self { space, map: Mutex::default() }
    }
}

impl Database for MemoryDatabase {
    fn space(&self) -> Space {
        self.space
    }

    fn transact(
        &self,
        kind: Kind,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Abort>,
    ) -> Result<(), DatabaseError> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tx = Transaction { space: self.space, kind, map: &mut map, undo: Vec::new(), failed: None };
        let done = work(&mut tx);
        end(tx.failed.take(), done)?;
        tx.undo.clear();
        Ok(())
    }

    fn scrub(&self) -> Result<bool, DatabaseError> {
        Ok(true)
    }
}

struct Transaction<'a> {
    space: Space,
    kind: Kind,
    map: &'a mut Map,
    /// Values before the changes, oldest first.
    undo: Vec<(Place, Option<Vec<u8>>)>,
    failed: Option<DatabaseError>,
}

impl Transaction<'_> {
    fn admit(&mut self, table: Table, changes: bool) -> Result<(), DatabaseError> {
        admit(self.space, self.kind, table, changes).map_err(|error| {
            self.failed.get_or_insert(error);
            DatabaseError::Aborted
        })
    }
}

/// Also runs if `work` panics.
impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        while let Some((key, value)) = self.undo.pop() {
            match value {
                Some(value) => self.map.insert(key, value),
                None => self.map.remove(&key),
            };
        }
    }
}

impl Tx for Transaction<'_> {
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.admit(table, false)?;
        Ok(self.map.get(&(table, key.to_vec())).cloned())
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DatabaseError> {
        self.admit(table, true)?;
        let key = (table, key.to_vec());
        let before = self.map.insert(key.clone(), value.to_vec());
        self.undo.push((key, before));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), DatabaseError> {
        self.admit(table, true)?;
        let key = (table, key.to_vec());
        let before = self.map.remove(&key);
        self.undo.push((key, before));
        Ok(())
    }

    fn range(
        &mut self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, DatabaseError> {
        self.admit(table, false)?;
        let is_before_end = |key: &[u8]| to.is_none_or(|to| key < to);
        Ok(self
            .map
            .range((table, from.to_vec())..)
            .take_while(|((of, key), _)| *of == table && is_before_end(key))
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }
}
