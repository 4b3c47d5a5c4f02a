//! Requests that may be repeated. A caller that got no answer sends its request again with the same `Idempotency-Key`, and gets
//! the room that the first one created, also after a restart: they are in the table `repeats` of the data folder.
//!
//! The id of the room is drawn and written down before the room is created, so that a server which stops in between creates
//! that room when it is asked again, and no second one.

use super::keys::KeyId;
use crate::{api::keys::seconds, lock::lock, random::random, sha256::sha256};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tacet_data::{DataDirectory, StorageError, Table};
use tacet_proto::{RoomId, bytes::Fixed};

/// How long a request may be repeated.
pub const REPEATABLE: Duration = Duration::from_secs(24 * 3_600);
/// Maximum number of requests that are remembered. The oldest are forgotten first.
pub const MAX_REPEATABLE: usize = 10_000;
/// Maximum length of an `Idempotency-Key`, in characters.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;
/// Maximum number of expired requests that are forgotten when another one comes.
const FORGOTTEN_AT_ONCE: usize = 16;

/// A request, by who sends it and its `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 32]);

impl RequestId {
    /// A request of a key, or of the operator's own. `None` unless the idempotency key is 1 to 255 visible characters.
    #[must_use]
    pub fn new(holder: Option<KeyId>, idempotency_key: &str) -> Option<Self> {
        let is_plain = idempotency_key.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if idempotency_key.is_empty() || idempotency_key.len() > MAX_IDEMPOTENCY_KEY || !is_plain {
            return None;
        }
        let holder = holder.map_or_else(|| "operator".to_owned(), |id| id.to_string());
        Some(Self(sha256(format!("{holder} {idempotency_key}").as_bytes())))
    }

    fn record(self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

/// What is to be done about a request.
#[derive(Debug)]
pub enum Begun<'a> {
    /// It creates this room, and then says so: [`InFlight::done`].
    Create(RoomId, InFlight<'a>),
    /// It has created this room.
    Done(RoomId),
    /// It is being answered on another connection.
    Busy,
    /// Another request had this key.
    Differs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredRequest {
    /// SHA-256 of its body.
    body: Fixed<32>,
    room: RoomId,
    /// When it came first, in seconds since 1970.
    at: u64,
    /// Whether the room was created.
    done: bool,
}

/// Requests that may be repeated.
#[derive(Default)]
pub struct Repeats {
    requests: Mutex<HashMap<RequestId, StoredRequest>>,
    in_flight: Mutex<HashSet<RequestId>>,
    table: Option<Table<StoredRequest>>,
}

impl fmt::Debug for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeats").finish_non_exhaustive()
    }
}

/// Why a request cannot be remembered.
#[derive(Debug, thiserror::Error)]
pub enum RepeatError {
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness,
    /// The record cannot be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A request that is being answered. Dropping it lets the next one try.
#[derive(Debug)]
pub struct InFlight<'a> {
    repeats: &'a Repeats,
    id: RequestId,
}

impl Repeats {
    /// The requests of a data folder.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn open(data: &DataDirectory) -> Result<Self, StorageError> {
        let (table, records) = data.table("repeats")?;
        let requests = records.into_iter().filter_map(|(key, request)| {
            let id = HEXLOWER.decode(key.as_bytes()).ok()?;
            Some((RequestId(id.try_into().ok()?), request))
        });
        Ok(Self { requests: Mutex::new(requests.collect()), in_flight: Mutex::default(), table: Some(table) })
    }

    /// Looks a request up, and remembers it if it is new. May block until that is stored.
    ///
    /// # Errors
    /// See [`RepeatError`].
    pub fn begin(&self, id: RequestId, body: &[u8], now: SystemTime) -> Result<Begun<'_>, RepeatError> {
        let body = Fixed(sha256(body));
        if !lock(&self.in_flight).insert(id) {
            return Ok(Begun::Busy);
        }
        let in_flight = InFlight { repeats: self, id };
        let known = self.requests().get(&id).copied().filter(|request| !is_over(request, now));
        match known {
            Some(request) if request.body != body => Ok(Begun::Differs),
            Some(StoredRequest { room, done: true, .. }) => Ok(Begun::Done(room)),
            Some(StoredRequest { room, .. }) => Ok(Begun::Create(room, in_flight)),
            None => {
                self.forget(now)?;
                let room = RoomId(Fixed(random().map_err(|_| RepeatError::NoRandomness)?));
                self.write(id, StoredRequest { body, room, at: seconds(now), done: false })?;
                Ok(Begun::Create(room, in_flight))
            }
        }
    }

    /// Forgets some requests that can no longer be repeated, and the oldest one if there are too many.
    fn forget(&self, now: SystemTime) -> Result<(), StorageError> {
        let forgotten: Vec<_> = {
            let requests = self.requests();
            let over = requests.iter().filter(|(_, request)| is_over(request, now)).map(|(id, _)| *id);
            let mut forgotten: Vec<_> = over.take(FORGOTTEN_AT_ONCE).collect();
            if forgotten.is_empty() && requests.len() >= MAX_REPEATABLE {
                forgotten.extend(requests.iter().min_by_key(|(_, request)| request.at).map(|(id, _)| *id));
            }
            forgotten
        };
        for id in forgotten {
            if let Some(table) = &self.table {
                table.remove(&id.record())?;
            }
            self.requests().remove(&id);
        }
        Ok(())
    }

    fn write(&self, id: RequestId, request: StoredRequest) -> Result<(), StorageError> {
        if let Some(table) = &self.table {
            table.put(&id.record(), &request)?;
        }
        self.requests().insert(id, request);
        Ok(())
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<RequestId, StoredRequest>> {
        lock(&self.requests)
    }
}

impl InFlight<'_> {
    /// The room was created. May block until that is stored; if it cannot be, a repetition after a restart finds the room itself.
    pub fn done(self) {
        let request = self.repeats.requests().get(&self.id).copied();
        let Some(request) = request else { return };
        if let Err(error) = self.repeats.write(self.id, StoredRequest { done: true, ..request }) {
            tracing::warn!(%error, "an answered request was not recorded");
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        lock(&self.repeats.in_flight).remove(&self.id);
    }
}

fn is_over(request: &StoredRequest, now: SystemTime) -> bool {
    seconds(now).saturating_sub(request.at) >= REPEATABLE.as_secs()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn id(key: &str) -> RequestId {
        RequestId::new(None, key).unwrap()
    }

    fn created(repeats: &Repeats, key: &str, seconds: u64) -> RoomId {
        let Begun::Create(room, in_flight) = repeats.begin(id(key), b"{}", at(seconds)).unwrap() else {
            panic!("{key}")
        };
        in_flight.done();
        room
    }

    #[test]
    fn repetition_has_the_same_room_for_a_day() {
        let repeats = Repeats::default();
        let room = created(&repeats, "a", 0);
        assert!(matches!(repeats.begin(id("a"), b"{}", at(86_399)).unwrap(), Begun::Done(same) if same == room));
        assert!(matches!(repeats.begin(id("a"), b"{} ", at(1)).unwrap(), Begun::Differs));
        assert_ne!(created(&repeats, "b", 0), room);
        assert_ne!(created(&repeats, "a", 86_400), room, "a day later it is another request");
        assert_eq!(repeats.requests().len(), 1, "the other one is forgotten");
    }

    #[test]
    fn request_that_is_being_answered_is_not_answered_twice() {
        let repeats = Repeats::default();
        let Begun::Create(room, first) = repeats.begin(id("a"), b"{}", at(0)).unwrap() else { panic!() };
        assert!(matches!(repeats.begin(id("a"), b"{}", at(0)).unwrap(), Begun::Busy));
        drop(first);
        assert!(
            matches!(repeats.begin(id("a"), b"{}", at(0)).unwrap(), Begun::Create(same, _) if same == room),
            "it failed"
        );
    }

    #[test]
    fn requests_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Repeats::open(&DataDirectory::open(folder.path()).unwrap()).unwrap();
        let repeats = open();
        let done = created(&repeats, "done", 0);
        let Begun::Create(interrupted, in_flight) = repeats.begin(id("interrupted"), b"{}", at(0)).unwrap() else {
            panic!()
        };
        drop(in_flight);
        drop(repeats);
        let repeats = open();
        assert!(matches!(repeats.begin(id("done"), b"{}", at(1)).unwrap(), Begun::Done(room) if room == done));
        assert!(
            matches!(repeats.begin(id("interrupted"), b"{}", at(1)).unwrap(), Begun::Create(room, _) if room == interrupted)
        );
    }

    #[test]
    fn requests_are_bounded_and_belong_to_a_key() {
        let repeats = Repeats::default();
        for number in 0..MAX_REPEATABLE as u64 + 10 {
            created(&repeats, &number.to_string(), number / 1_000);
        }
        assert_eq!(repeats.requests().len(), MAX_REPEATABLE);
        let other: KeyId = "00000000000000aa".parse().unwrap();
        assert_ne!(RequestId::new(Some(other), "a"), RequestId::new(None, "a"));
        for wrong in ["", "a b", "ä", &"a".repeat(256)] {
            assert_eq!(RequestId::new(None, wrong), None, "{wrong}");
        }
    }
}
