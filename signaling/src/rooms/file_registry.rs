//! A registry that outlives the process, in the table `rooms` of the data folder.

use super::registry::{CallRecord, Registry, RegistryError, RoomRecord, Unentered, oldest_unentered};
use crate::{
    access_hash::AccessHash,
    room::{Ban, RoomPolicy},
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tacet_data::{DataDirectory, StorageError, Table};
use tacet_proto::{CallId, ParticipantId, Role, RoomId, SessionId, bytes::Fixed};

/// Rooms that are kept in the data folder. Reading never waits for the disk.
#[derive(Debug)]
pub struct FileRegistry {
    capacity: usize,
    table: Table<StoredRoom>,
    /// What is on the disk.
    rooms: Mutex<HashMap<RoomId, RoomRecord>>,
    /// Held from reading a record to writing its successor.
    changing: Mutex<()>,
}

/// A record on the disk.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRoom {
    access_hash: Fixed<32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<StoredCall>,
    /// Seconds since 1970.
    used: u64,
    #[serde(default, skip_serializing_if = "StoredPolicy::is_usual")]
    policy: StoredPolicy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bans: Vec<StoredBan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unentered: Option<StoredUnentered>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct StoredPolicy {
    guests: Option<Role>,
    locked: bool,
}

impl Default for StoredPolicy {
    fn default() -> Self {
        Self::from(RoomPolicy::default())
    }
}

impl From<RoomPolicy> for StoredPolicy {
    fn from(RoomPolicy { guests, locked }: RoomPolicy) -> Self {
        Self { guests, locked }
    }
}

impl StoredPolicy {
    fn is_usual(&self) -> bool {
        RoomPolicy { guests: self.guests, locked: self.locked } == RoomPolicy::default()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredBan {
    Device(Fixed<32>),
    Token(Fixed<16>),
    Identity(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredUnentered {
    Start,
    Anyone,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredCall {
    id: CallId,
    gone: Vec<ParticipantId>,
    #[serde(default)]
    departed: Vec<SessionId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<(ParticipantId, Role)>,
}

impl FileRegistry {
    /// The rooms of a data folder, to which rooms can be added while there are fewer than `capacity`.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn open(data: &DataDirectory, capacity: usize) -> Result<Self, StorageError> {
        let (table, records) = data.table("rooms")?;
        let mut rooms = HashMap::new();
        for (key, record) in records {
            match room(&key) {
                Some(id) => {
                    rooms.insert(id, RoomRecord::from(record));
                }
                None => tracing::warn!(key, "a file in the data folder has no room's name: ignored"),
            }
        }
        Ok(Self { capacity, table, rooms: Mutex::new(rooms), changing: Mutex::default() })
    }

    fn records(&self) -> MutexGuard<'_, HashMap<RoomId, RoomRecord>> {
        // Every critical section leaves the map whole, so a panic in one is no reason to stop.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other change is under way.
    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a record, and only then shows it to readers.
    fn write(&self, room: RoomId, record: RoomRecord) -> Result<(), RegistryError> {
        self.table.put(&key(room), &StoredRoom::from(&record)).map_err(storage)?;
        self.records().insert(room, record);
        Ok(())
    }

    /// Removes a record. A change must be under way.
    fn erase(&self, room: RoomId) -> Result<(), RegistryError> {
        self.table.remove(&key(room)).map_err(storage)?;
        self.records().remove(&room);
        Ok(())
    }
}

impl Registry for FileRegistry {
    fn insert(&self, room: RoomId, record: RoomRecord) -> Result<(), RegistryError> {
        let _changing = self.change();
        if self.count() >= self.capacity {
            return Err(RegistryError::Full);
        }
        self.write(room, record)
    }

    fn get(&self, room: RoomId) -> Option<RoomRecord> {
        self.records().get(&room).cloned()
    }

    fn update(&self, room: RoomId, change: &mut dyn FnMut(&mut RoomRecord)) -> Result<(), RegistryError> {
        let _changing = self.change();
        let Some(before) = self.get(room) else { return Ok(()) };
        let mut after = before.clone();
        change(&mut after);
        if after == before { Ok(()) } else { self.write(room, after) }
    }

    fn remove(&self, room: RoomId) -> Result<(), RegistryError> {
        let _changing = self.change();
        self.erase(room)
    }

    fn remove_idle(&self, room: RoomId) -> Result<bool, RegistryError> {
        let _changing = self.change();
        let idle = self.records().get(&room).is_some_and(|record| record.call.is_none());
        if idle {
            self.erase(room)?;
        }
        Ok(idle)
    }

    fn evict(&self) -> Result<Option<RoomId>, RegistryError> {
        let _changing = self.change();
        let oldest = oldest_unentered(&self.records());
        if let Some(oldest) = oldest {
            self.erase(oldest)?;
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

impl From<&RoomRecord> for StoredRoom {
    fn from(record: &RoomRecord) -> Self {
        let RoomRecord { access_hash, call, used, policy, bans, unentered } = record;
        Self {
            access_hash: Fixed(access_hash.0),
            call: call.as_ref().map(|call| StoredCall {
                id: call.id,
                gone: call.gone.clone(),
                departed: call.departed.clone(),
                roles: call.roles.clone(),
            }),
            used: used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
            policy: StoredPolicy::from(*policy),
            bans: bans.iter().map(StoredBan::from).collect(),
            unentered: unentered.map(|unentered| match unentered {
                Unentered::OfStart => StoredUnentered::Start,
                Unentered::OfAnyone => StoredUnentered::Anyone,
            }),
        }
    }
}

impl From<StoredRoom> for RoomRecord {
    fn from(StoredRoom { access_hash, call, used, policy, bans, unentered }: StoredRoom) -> Self {
        Self {
            access_hash: AccessHash(access_hash.0),
            call: call.map(|StoredCall { id, gone, departed, roles }| CallRecord { id, gone, departed, roles }),
            // A time that the system cannot express is none that a server wrote.
            used: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(used)).unwrap_or(SystemTime::UNIX_EPOCH),
            policy: RoomPolicy { guests: policy.guests, locked: policy.locked },
            bans: bans.into_iter().map(Ban::from).collect(),
            unentered: unentered.map(|unentered| match unentered {
                StoredUnentered::Start => Unentered::OfStart,
                StoredUnentered::Anyone => Unentered::OfAnyone,
            }),
        }
    }
}

impl From<&Ban> for StoredBan {
    fn from(ban: &Ban) -> Self {
        match ban {
            Ban::Device(key) => Self::Device(Fixed(*key)),
            Ban::Token(id) => Self::Token(Fixed(*id)),
            Ban::Identity(name) => Self::Identity(name.clone()),
        }
    }
}

impl From<StoredBan> for Ban {
    fn from(ban: StoredBan) -> Self {
        match ban {
            StoredBan::Device(Fixed(key)) => Self::Device(key),
            StoredBan::Token(Fixed(id)) => Self::Token(id),
            StoredBan::Identity(name) => Self::Identity(name),
        }
    }
}

/// Hexadecimal: room ids in their usual form differ in case only, which some file systems ignore.
fn key(room: RoomId) -> String {
    HEXLOWER.encode(&room.0.0)
}

fn room(key: &str) -> Option<RoomId> {
    let bytes = HEXLOWER.decode(key.as_bytes()).ok()?;
    Some(RoomId(Fixed(bytes.try_into().ok()?)))
}

fn storage(error: StorageError) -> RegistryError {
    RegistryError::Storage(Box::new(error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    fn open(folder: &Path) -> FileRegistry {
        FileRegistry::open(&DataDirectory::open(folder).unwrap(), 2).unwrap()
    }

    fn id(byte: u8) -> RoomId {
        RoomId(Fixed([byte; 16]))
    }

    fn record(byte: u8) -> RoomRecord {
        // Whole seconds are kept.
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + u64::from(byte));
        RoomRecord { used, ..RoomRecord::new(AccessHash::of(&[byte; 32])) }
    }

    #[test]
    fn rooms_and_their_calls_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(folder.path());
        registry.insert(id(1), record(1)).unwrap();
        registry.insert(id(2), record(2)).unwrap();
        let call = CallRecord {
            id: CallId(Fixed([5; 16])),
            gone: vec![ParticipantId(9), ParticipantId(7)],
            departed: vec![SessionId(Fixed([6; 16]))],
            roles: vec![(ParticipantId(7), Role::Moderator)],
        };
        let policy = RoomPolicy { guests: None, locked: true };
        let bans = [Ban::Device([3; 32]), Ban::Token([4; 16]), Ban::Identity("ada".to_owned())];
        let change = |room: &mut RoomRecord| {
            room.call = Some(call.clone());
            room.policy = policy;
            room.bans.extend(bans.clone());
        };
        registry.update(id(1), &mut |room| change(room)).unwrap();
        registry.update(id(3), &mut |_| panic!("there is no such room")).unwrap();
        registry.remove(id(2)).unwrap();
        drop(registry);

        let registry = open(folder.path());
        assert_eq!(registry.rooms(), [id(1)]);
        let bans = bans.into_iter().collect();
        assert_eq!(registry.get(id(1)), Some(RoomRecord { call: Some(call), policy, bans, ..record(1) }));
        assert_eq!(registry.get(id(2)), None);
    }

    #[test]
    fn unentered_room_is_known_after_a_restart_and_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(folder.path());
        let unentered = Some(Unentered::OfAnyone);
        registry.insert(id(1), record(1)).unwrap();
        registry.insert(id(2), RoomRecord { unentered, ..record(2) }).unwrap();
        drop(registry);

        let registry = open(folder.path());
        assert_eq!(registry.get(id(2)).unwrap().unentered, unentered);
        assert_eq!((registry.evict().unwrap(), registry.evict().unwrap()), (Some(id(2)), None));
        registry.update(id(1), &mut |room| room.enter(CallRecord::new(CallId(Fixed([5; 16]))))).unwrap();
        assert!(!registry.remove_idle(id(1)).unwrap(), "a call goes on");
        drop(registry);
        assert_eq!(open(folder.path()).rooms(), [id(1)]);
    }

    #[test]
    fn file_registry_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(folder.path());
        registry.insert(id(1), record(1)).unwrap();
        registry.insert(id(2), record(2)).unwrap();
        assert!(matches!(registry.insert(id(3), record(3)), Err(RegistryError::Full)));
        registry.remove(id(1)).unwrap();
        registry.insert(id(3), record(3)).unwrap();
    }

    /// As on a full disk: files in the table's place make every write fail.
    #[test]
    fn change_that_cannot_be_written_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(folder.path());
        registry.insert(id(1), record(1)).unwrap();
        let (table, aside) = (folder.path().join("rooms"), folder.path().join("aside"));
        fs::rename(&table, &aside).unwrap();
        let failed = |result| matches!(result, Err(RegistryError::Storage(_)));
        assert!(failed(registry.insert(id(2), record(2))));
        assert!(failed(registry.update(id(1), &mut |room| room.access_hash = AccessHash([0; 32]))));
        assert_eq!((registry.get(id(1)), registry.get(id(2)), registry.count()), (Some(record(1)), None, 1));
        fs::rename(&aside, &table).unwrap();
        registry.insert(id(2), record(2)).unwrap();
    }

    #[test]
    fn foreign_file_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).insert(id(1), record(1)).unwrap();
        let room = folder.path().join("rooms").join(format!("{}.json", key(id(1))));
        fs::copy(&room, folder.path().join("rooms/notes.json")).unwrap();
        assert_eq!(open(folder.path()).rooms(), [id(1)]);
    }
}
