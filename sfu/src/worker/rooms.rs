//! The worker's rooms, by key, and when each wants its turn.

use crate::{event::Event, id_map::IdMap, ids::RoomId, metrics::Counters, room::Room};
use slab::Slab;
use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Rooms {
    entries: Slab<Entry>,
    by_id: IdMap<RoomId, usize>,
    /// Not later than the earliest deadline of all rooms.
    deadline: Option<Instant>,
    /// What rooms that have ended had counted, until it is taken.
    counted: Counters,
}

#[derive(Debug)]
struct Entry {
    id: RoomId,
    room: Room,
    participants: usize,
    deadline: Option<Instant>,
}

impl Rooms {
    /// The key of the room, which is made if there is none.
    pub(super) fn enter(&mut self, id: RoomId) -> usize {
        *self
            .by_id
            .entry(id)
            .or_insert_with(|| self.entries.insert(Entry { id, room: Room::new(id), participants: 0, deadline: None }))
    }

    /// One participant more.
    pub(super) fn joined(&mut self, key: usize) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.participants += 1;
        }
    }

    /// One participant less; the room goes with the last.
    pub(super) fn left(&mut self, key: usize) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.participants = entry.participants.saturating_sub(1);
        }
        self.leave_if_empty(key);
    }

    /// Drops the room if nobody is in it.
    pub(super) fn leave_if_empty(&mut self, key: usize) {
        if self.entries.get(key).is_some_and(|entry| entry.participants == 0) {
            self.remove(key);
        }
    }

    /// Drops the room.
    pub(super) fn remove(&mut self, key: usize) -> Option<(RoomId, Room)> {
        let mut entry = self.entries.try_remove(key)?;
        self.by_id.remove(&entry.id);
        entry.room.take_stats().count_in(&mut self.counted);
        Some((entry.id, entry.room))
    }

    /// Number of rooms, and of tracks in them.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.entries.iter().map(|(_, entry)| entry.room.tracks()).sum())
    }

    /// What all rooms have counted since this was last asked, those that have ended too.
    pub(super) fn take_counted(&mut self) -> Counters {
        for (_, entry) in &mut self.entries {
            entry.room.take_stats().count_in(&mut self.counted);
        }
        std::mem::take(&mut self.counted)
    }

    /// Gives the room its turn, then takes its events and its next deadline.
    pub(super) fn turn<T>(
        &mut self,
        key: usize,
        turn: impl FnOnce(&mut Room) -> T,
        mut events: impl FnMut(Event),
    ) -> Option<T> {
        let entry = self.entries.get_mut(key)?;
        let result = turn(&mut entry.room);
        while let Some(event) = entry.room.poll_event() {
            events(event);
        }
        entry.deadline = entry.room.next_timer();
        self.deadline = [self.deadline, entry.deadline].into_iter().flatten().min();
        Some(result)
    }

    /// When a room may want its turn.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Moves the keys of all rooms that want their turn by now to `due`.
    pub(super) fn collect_due(&mut self, now: Instant, due: &mut Vec<usize>) {
        if self.deadline.is_none_or(|at| at > now) {
            return;
        }
        self.deadline = None;
        for (key, entry) in &mut self.entries {
            match entry.deadline {
                // Its turn gives it a new one.
                Some(at) if at <= now => {
                    entry.deadline = None;
                    due.push(key);
                }
                Some(at) => self.deadline = Some(self.deadline.map_or(at, |earliest| earliest.min(at))),
                None => {}
            }
        }
    }
}
