//! Routes events of the media plane to the rooms that they concern.
//!
//! ```text
//!   media worker ── send(event) ──► route of its participant or room ──► that room's own queue
//! ```
//!
//! There is no task and no queue in between: a worker's callback puts an event straight into the room's queue, so a room
//! that is slow holds back nothing but itself. Routes are spread over locks that are held for one look-up.

use sfu_api::{Event, ParticipantId, RoomId, event::Subject};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::mpsc;

/// Number of locks that the routes are spread over.
const SHARDS: usize = 16;

/// Where a room takes its events.
type Queue = mpsc::UnboundedSender<Event>;

/// Takes the media plane's events, from any thread and without blocking. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct MediaEvents(Arc<Routes>);

#[derive(Debug, Default)]
struct Routes {
    participants: Sharded<ParticipantId>,
    rooms: Sharded<RoomId>,
}

impl MediaEvents {
    /// Passes an event to its room. An event that concerns no room any more is dropped.
    pub fn send(&self, event: Event) {
        let queue = match event.subject() {
            Subject::Participant(participant) => self.0.participants.get(&participant),
            Subject::Room(room) => self.0.rooms.get(&room),
        };
        if let Some(queue) = queue {
            let _ = queue.send(event);
        }
    }

    /// Leads events about a participant to a room, until the route is dropped.
    pub(crate) fn route_participant(&self, participant: ParticipantId, queue: Queue) -> Route {
        self.0.participants.insert(participant, queue);
        Route { routes: Arc::clone(&self.0), subject: Subject::Participant(participant) }
    }

    /// Leads events about a room as a whole to it, until the route is dropped.
    pub(crate) fn route_room(&self, room: RoomId, queue: Queue) -> Route {
        self.0.rooms.insert(room, queue);
        Route { routes: Arc::clone(&self.0), subject: Subject::Room(room) }
    }
}

/// Leads events to a room; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Route {
    routes: Arc<Routes>,
    subject: Subject,
}

impl Drop for Route {
    fn drop(&mut self) {
        match &self.subject {
            Subject::Participant(participant) => self.routes.participants.remove(participant),
            Subject::Room(room) => self.routes.rooms.remove(room),
        }
    }
}

/// A map of queues over several locks.
#[derive(Debug)]
struct Sharded<K> {
    hasher: RandomState,
    shards: [RwLock<HashMap<K, Queue>>; SHARDS],
}

impl<K> Default for Sharded<K> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl<K: Copy + Eq + Hash> Sharded<K> {
    fn shard(&self, key: &K) -> Option<&RwLock<HashMap<K, Queue>>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).ok()?;
        self.shards.get(hash)
    }

    fn get(&self, key: &K) -> Option<Queue> {
        self.shard(key)?.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn insert(&self, key: K, queue: Queue) {
        if let Some(shard) = self.shard(&key) {
            shard.write().unwrap_or_else(PoisonError::into_inner).insert(key, queue);
        }
    }

    fn remove(&self, key: &K) {
        if let Some(shard) = self.shard(key) {
            shard.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sfu_api::TransportState;

    fn connected(participant: u32) -> Event {
        Event::TransportState { participant: ParticipantId(participant), state: TransportState::Connected }
    }

    #[test]
    fn event_reaches_its_room_until_the_route_ends() {
        let events = MediaEvents::default();
        let (queue, mut inbox) = mpsc::unbounded_channel();
        let routes: Vec<_> = (0..100).map(|id| events.route_participant(ParticipantId(id), queue.clone())).collect();
        let room = events.route_room(RoomId(7), queue);
        events.send(connected(42));
        assert_eq!(inbox.try_recv().unwrap(), connected(42));
        let speakers = Event::Speakers { room: RoomId(7), levels: vec![] };
        events.send(speakers.clone());
        assert_eq!(inbox.try_recv().unwrap(), speakers);
        events.send(connected(100));
        drop((routes, room));
        events.send(connected(42));
        events.send(speakers);
        assert!(inbox.try_recv().is_err(), "no route leads here");
    }

    /// A room that does not empty its queue delays no other room.
    #[test]
    fn slow_room_does_not_delay_others() {
        let events = MediaEvents::default();
        let ((slow, _unread), (quick, mut inbox)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let _slow = events.route_participant(ParticipantId(1), slow);
        let _quick = events.route_participant(ParticipantId(2), quick);
        for _ in 0..10_000 {
            events.send(connected(1));
        }
        events.send(connected(2));
        assert_eq!(inbox.try_recv().unwrap(), connected(2));
    }
}
