//! Allocation of ids. Participants have random ids, so that one who returns to a server that has restarted cannot meet
//! another who was given its id meanwhile; no two live participants share one.

use crate::random::random;
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tacet_proto::ParticipantId;

/// The ids in use.
#[derive(Debug)]
pub(super) struct Ids {
    participants: Arc<Mutex<HashSet<ParticipantId>>>,
    rooms: AtomicU64,
}

impl Default for Ids {
    fn default() -> Self {
        Self { participants: Arc::default(), rooms: AtomicU64::new(1) }
    }
}

/// A participant's id, in use as long as this is held.
#[derive(Debug)]
pub(super) struct ClaimedId {
    id: ParticipantId,
    live: Arc<Mutex<HashSet<ParticipantId>>>,
}

impl ClaimedId {
    pub(super) fn id(&self) -> ParticipantId {
        self.id
    }
}

impl Drop for ClaimedId {
    fn drop(&mut self) {
        lock(&self.live).remove(&self.id);
    }
}

impl Ids {
    /// The id of a new participant.
    pub(super) fn participant(&self) -> Result<ClaimedId, getrandom::Error> {
        loop {
            if let Some(claimed) = self.claim(ParticipantId(id()?)) {
                return Ok(claimed);
            }
        }
    }

    /// The id of a participant that returns; `None` if another one has it.
    pub(super) fn claim(&self, id: ParticipantId) -> Option<ClaimedId> {
        lock(&self.participants).insert(id).then(|| ClaimedId { id, live: Arc::clone(&self.participants) })
    }

    /// A new room, as the media plane numbers it.
    pub(super) fn room(&self) -> sfu_api::RoomId {
        sfu_api::RoomId(self.rooms.fetch_add(1, Ordering::Relaxed))
    }
}

/// A random id: neither 0 nor the largest number.
pub(super) fn id() -> Result<u32, getrandom::Error> {
    loop {
        let id = u32::from_be_bytes(random()?);
        if id != 0 && id != u32::MAX {
            return Ok(id);
        }
    }
}

fn lock(live: &Mutex<HashSet<ParticipantId>>) -> MutexGuard<'_, HashSet<ParticipantId>> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn id_is_claimed_once_at_a_time() {
        let ids = Ids::default();
        let first = ids.participant().unwrap();
        assert!(ids.claim(first.id()).is_none());
        let id = first.id();
        drop(first);
        assert_eq!(ids.claim(id).unwrap().id(), id);
    }
}
