//! Rooms that hold received packets until they are forwarded together.

use super::rooms::RoomKey;
use std::time::Instant;

/// The rooms with queued packets, in the order of their first packet.
#[derive(Debug, Default)]
pub(super) struct ForwardQueue {
    rooms: Vec<RoomKey>,
    packets: usize,
    since: Option<Instant>,
}

impl ForwardQueue {
    /// Adds a packet that a room has queued; `first` if it is the room's first.
    pub(super) fn push(&mut self, now: Instant, room: RoomKey, first: bool) {
        if first {
            self.rooms.push(room);
        }
        self.packets += 1;
        self.since.get_or_insert(now);
    }

    /// Number of queued packets, over all rooms.
    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    /// When the first packet was queued.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Moves the rooms to `rooms`, which must be empty and whose buffer is used for those to come.
    pub(super) fn take(&mut self, rooms: &mut Vec<RoomKey>) {
        self.packets = 0;
        self.since = None;
        std::mem::swap(&mut self.rooms, rooms);
    }
}
