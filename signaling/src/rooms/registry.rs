//! The registry: what the server keeps of its rooms, apart from the tasks that run them.
//!
//! A room's record says who may enter, which call goes on, and who has left that call for good. A server that starts
//! with the records of another one lets the participants of those calls return to their places.

use crate::{
    access_hash::AccessHash,
    room::{Admittance, Ban, RoomPolicy},
};
use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};
use tacet_proto::{CallId, ParticipantId, Role, RoomId, SessionId};

/// What the server keeps of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// Admits guests.
    pub access_hash: AccessHash,
    /// The call, from the first participant's arrival until the last one has left.
    pub call: Option<CallRecord>,
    /// When a call in the room last began or ended, or when the room was created.
    pub used: SystemTime,
    /// Who may come in.
    pub policy: RoomPolicy,
    /// What the room refuses.
    pub bans: BTreeSet<Ban>,
    /// Whose room it is, as long as no one has entered it and it may have to go.
    pub unentered: Option<Unentered>,
}

/// A room that no one has entered, and that was not made by the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unentered {
    /// The server made it when it started.
    OfStart,
    /// Anyone may have made it.
    OfAnyone,
}

/// What the server keeps of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The call.
    pub id: CallId,
    /// Participants that said goodbye. None of them returns to this call.
    pub gone: Vec<ParticipantId>,
    /// Sessions that ended without a goodbye. Their participants may return, but not to the seats and keys of before.
    pub departed: Vec<SessionId>,
    /// Roles that participants were given in it.
    pub roles: Vec<(ParticipantId, Role)>,
}

impl CallRecord {
    /// A call that no participant has left.
    #[must_use]
    pub fn new(id: CallId) -> Self {
        Self { id, gone: Vec::new(), departed: Vec::new(), roles: Vec::new() }
    }
}

impl RoomRecord {
    /// A room of the operator without a call, created now.
    #[must_use]
    pub fn new(access_hash: AccessHash) -> Self {
        Self {
            access_hash,
            call: None,
            used: SystemTime::now(),
            policy: RoomPolicy::default(),
            bans: BTreeSet::new(),
            unentered: None,
        }
    }

    /// What the room has to know of who may come in.
    #[must_use]
    pub fn admittance(&self) -> Admittance {
        Admittance { policy: self.policy, bans: self.bans.clone() }
    }

    /// A call begins.
    pub fn enter(&mut self, call: CallRecord) {
        self.call = Some(call);
        self.used = SystemTime::now();
        self.unentered = None;
    }
}

/// Why the registry refuses a change.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The maximum number of rooms exists.
    #[error("the registry is full")]
    Full,
    /// The record cannot be written. What was written before is unchanged.
    #[error("the record of a room cannot be written")]
    Storage(#[source] Box<dyn Error + Send + Sync>),
}

/// All rooms of a server. A change that has returned survives the process, if the registry survives it at all. Methods may
/// block until a disk has written; async code calls them on a thread that may wait.
pub trait Registry: Send + Sync {
    /// Adds a room.
    ///
    /// # Errors
    /// The maximum number of rooms exists, or the record cannot be written.
    fn insert(&self, room: RoomId, record: RoomRecord) -> Result<(), RegistryError>;

    /// Looks a room up. Does not block on a disk.
    fn get(&self, room: RoomId) -> Option<RoomRecord>;

    /// Changes a record. Changes of one room happen one after the other; a room that does not exist is left alone.
    ///
    /// # Errors
    /// The record cannot be written.
    fn update(&self, room: RoomId, change: &mut dyn FnMut(&mut RoomRecord)) -> Result<(), RegistryError>;

    /// Removes a room.
    ///
    /// # Errors
    /// The removal cannot be written.
    fn remove(&self, room: RoomId) -> Result<(), RegistryError>;

    /// Removes a room unless a call goes on in it. Returns whether it did.
    ///
    /// # Errors
    /// The removal cannot be written.
    fn remove_idle(&self, room: RoomId) -> Result<bool, RegistryError>;

    /// Removes the longest unused of the rooms that no one has entered, and returns it.
    ///
    /// # Errors
    /// The removal cannot be written.
    fn evict(&self) -> Result<Option<RoomId>, RegistryError>;

    /// Maximum number of rooms.
    fn capacity(&self) -> usize;

    /// All rooms, in no particular order.
    fn rooms(&self) -> Vec<RoomId>;

    /// Number of rooms.
    fn count(&self) -> usize;
}

/// The longest unused of the rooms that no one has entered.
pub(super) fn oldest_unentered(rooms: &HashMap<RoomId, RoomRecord>) -> Option<RoomId> {
    let unentered = rooms.iter().filter(|(_, record)| record.unentered.is_some());
    unentered.min_by_key(|(_, record)| record.used).map(|(room, _)| *room)
}

impl fmt::Debug for dyn Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// A registry that ends with the process.
#[derive(Debug)]
pub struct MemoryRegistry {
    capacity: usize,
    rooms: Mutex<HashMap<RoomId, RoomRecord>>,
}

impl MemoryRegistry {
    /// An empty registry of at most `capacity` rooms.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, rooms: Mutex::default() }
    }

    fn records(&self) -> MutexGuard<'_, HashMap<RoomId, RoomRecord>> {
        // Every critical section leaves the map whole, so a panic in one is no reason to stop.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for MemoryRegistry {
    fn insert(&self, room: RoomId, record: RoomRecord) -> Result<(), RegistryError> {
        let mut rooms = self.records();
        if rooms.len() >= self.capacity {
            return Err(RegistryError::Full);
        }
        rooms.insert(room, record);
        Ok(())
    }

    fn get(&self, room: RoomId) -> Option<RoomRecord> {
        self.records().get(&room).cloned()
    }

    fn update(&self, room: RoomId, change: &mut dyn FnMut(&mut RoomRecord)) -> Result<(), RegistryError> {
        if let Some(record) = self.records().get_mut(&room) {
            change(record);
        }
        Ok(())
    }

    fn remove(&self, room: RoomId) -> Result<(), RegistryError> {
        self.records().remove(&room);
        Ok(())
    }

    fn remove_idle(&self, room: RoomId) -> Result<bool, RegistryError> {
        let mut rooms = self.records();
        let idle = rooms.get(&room).is_some_and(|record| record.call.is_none());
        if idle {
            rooms.remove(&room);
        }
        Ok(idle)
    }

    fn evict(&self) -> Result<Option<RoomId>, RegistryError> {
        let mut rooms = self.records();
        let oldest = oldest_unentered(&rooms);
        if let Some(oldest) = oldest {
            rooms.remove(&oldest);
        }
        Ok(oldest)
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn rooms(&self) -> Vec<RoomId> {
        self.records().keys().copied().collect()
    }

    fn count(&self) -> usize {
        self.records().len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::bytes::Fixed;

    #[test]
    fn memory_registry_is_bounded_and_forgets_removed_rooms() {
        let registry = MemoryRegistry::new(1);
        let [first, second] = [1, 2].map(|id| RoomId(Fixed([id; 16])));
        let record = RoomRecord::new(AccessHash::of(&[7; 32]));
        registry.insert(first, record.clone()).unwrap();
        assert!(matches!(registry.insert(second, record.clone()), Err(RegistryError::Full)));
        assert_eq!((registry.get(first), registry.get(second)), (Some(record.clone()), None));
        registry.remove(first).unwrap();
        assert_eq!((registry.get(first), registry.count()), (None, 0));
        registry.insert(second, record).unwrap();
        assert_eq!(registry.rooms(), [second]);
    }

    #[test]
    fn update_changes_the_record_of_its_room_only() {
        let registry = MemoryRegistry::new(2);
        let [room, other, unknown] = [1, 2, 3].map(|id| RoomId(Fixed([id; 16])));
        let record = RoomRecord::new(AccessHash::of(&[7; 32]));
        for room in [room, other] {
            registry.insert(room, record.clone()).unwrap();
        }
        let call = CallRecord { gone: vec![ParticipantId(9)], ..CallRecord::new(CallId(Fixed([5; 16]))) };
        registry.update(room, &mut |record| record.call = Some(call.clone())).unwrap();
        registry.update(unknown, &mut |_| panic!("there is no such room")).unwrap();
        assert_eq!(registry.get(room).unwrap().call, Some(call));
        assert_eq!(registry.get(other), Some(record));
    }
}
