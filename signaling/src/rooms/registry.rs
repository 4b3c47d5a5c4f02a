//! The registry: what the server keeps of its rooms, apart from the tasks that run them.

use crate::access_hash::AccessHash;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tacet_proto::RoomId;

/// What the server keeps of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoomRecord {
    /// Admits guests.
    pub(crate) access_hash: AccessHash,
}

/// The maximum number of rooms exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry is full")]
pub(crate) struct RegistryFull;

/// All rooms of a server.
pub(crate) trait Registry: Send + Sync {
    /// Adds a room.
    ///
    /// # Errors
    /// The maximum number of rooms exists.
    fn insert(&self, room: RoomId, record: RoomRecord) -> Result<(), RegistryFull>;

    /// Looks a room up.
    fn get(&self, room: RoomId) -> Option<RoomRecord>;

    /// Removes a room.
    fn remove(&self, room: RoomId);

    /// Number of rooms.
    fn count(&self) -> usize;
}

/// A registry that ends with the process.
#[derive(Debug)]
pub(crate) struct MemoryRegistry {
    capacity: usize,
    rooms: Mutex<HashMap<RoomId, RoomRecord>>,
}

impl MemoryRegistry {
    /// An empty registry of at most `capacity` rooms.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, rooms: Mutex::default() }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomId, RoomRecord>> {
        // Every critical section leaves the map whole, so a panic in one is no reason to stop.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for MemoryRegistry {
    fn insert(&self, room: RoomId, record: RoomRecord) -> Result<(), RegistryFull> {
        let mut rooms = self.rooms();
        if rooms.len() >= self.capacity {
            return Err(RegistryFull);
        }
        rooms.insert(room, record);
        Ok(())
    }

    fn get(&self, room: RoomId) -> Option<RoomRecord> {
        self.rooms().get(&room).copied()
    }

    fn remove(&self, room: RoomId) {
        self.rooms().remove(&room);
    }

    fn count(&self) -> usize {
        self.rooms().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tacet_proto::bytes::Fixed;

    #[test]
    fn memory_registry_is_bounded_and_forgets_removed_rooms() {
        let registry = MemoryRegistry::new(1);
        let [first, second] = [1, 2].map(|id| RoomId(Fixed([id; 16])));
        let record = RoomRecord { access_hash: AccessHash::of(&[7; 32]) };
        assert_eq!(registry.insert(first, record), Ok(()));
        assert_eq!(registry.insert(second, record), Err(RegistryFull));
        assert_eq!((registry.get(first), registry.get(second)), (Some(record), None));
        registry.remove(first);
        assert_eq!((registry.get(first), registry.count()), (None, 0));
        assert_eq!(registry.insert(second, record), Ok(()));
    }
}
