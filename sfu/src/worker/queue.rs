//! Rooms that hold received packets until they are forwarded together.

use super::rooms::RoomKey;
use std::time::Instant;

/// The rooms with packets to forward, in the order of their first packet; those whose fan-out was interrupted come last.
#[derive(Debug, Default)]
pub(super) struct ForwardQueue {
    rooms: Vec<RoomKey>,
    packets: usize,
    since: Option<Instant>,
    interrupted: bool,
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

    /// Number of packets queued since [`Self::take`], over all rooms.
    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    /// When the first packet was queued that is not forwarded.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether there are packets whose forwarding was interrupted.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Moves the rooms to `rooms`, which must be empty and whose buffer is used for those to come.
    pub(super) fn take(&mut self, rooms: &mut Vec<RoomKey>) {
        self.packets = 0;
        self.since = None;
        self.interrupted = false;
        std::mem::swap(&mut self.rooms, rooms);
    }

    /// Puts a room back whose packets, the first of them queued at `since`, were not all forwarded.
    pub(super) fn put_back(&mut self, room: RoomKey, since: Option<Instant>) {
        self.rooms.push(room);
        self.since = self.since.into_iter().chain(since).min();
        self.interrupted = true;
    }
}
