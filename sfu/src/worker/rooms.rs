//! The worker's rooms, by key and by id, and when each is due.

use super::timers::Timers;
use crate::{
    id_map::IdMap, ids::RoomId, metrics::Counters, room::Room, subscriber::allocation::Sendable, units::Bitrate,
};
use slotmap::SlotMap;
use std::time::Instant;
use tracing::Span;

slotmap::new_key_type! {
    /// A room of one worker.
    pub(super) struct RoomKey;
}

#[derive(Debug)]
pub(super) struct Rooms {
    /// Maximum bitrate of all video to one receiver.
    video_rate: Bitrate,
    /// What can be sent of it at most, while the worker is overloaded.
    sendable: Option<Sendable>,
    /// Whether video to a receiver is kept to what its downlink is estimated to carry.
    adapt_video: bool,
    /// Number of speakers that participants hear.
    speakers: u8,
    entries: SlotMap<RoomKey, Entry>,
    by_id: IdMap<RoomId, RoomKey>,
    timers: Timers<RoomKey>,
    /// Counted by rooms that have ended, until it is taken.
    counted: Counters,
}

#[derive(Debug)]
pub(super) struct Entry {
    id: RoomId,
    pub(super) room: Room,
    participants: usize,
    /// Whether the room has packets in the forward queue.
    queued: bool,
    span: Span,
}

impl Rooms {
    /// No rooms. In those to come, a receiver gets at most this bitrate of video, and less if its downlink carries less and
    /// `adapt_video` is set. It hears this many speakers.
    pub(super) fn new(video_rate: Bitrate, adapt_video: bool, speakers: u8) -> Self {
        Self {
            video_rate,
            sendable: None,
            adapt_video,
            speakers,
            entries: SlotMap::default(),
            by_id: IdMap::default(),
            timers: Timers::default(),
            counted: Counters::default(),
        }
    }

    /// The room with this id, which is created if there is none.
    pub(super) fn enter(&mut self, id: RoomId) -> RoomKey {
        let Self { video_rate, sendable, adapt_video, speakers, entries, by_id, .. } = self;
        *by_id.entry(id).or_insert_with(|| {
            let span = tracing::debug_span!("room", id = id.0);
            tracing::debug!(parent: &span, "room created");
            let room = Room::new(id).with_video_rate(*video_rate).with_adaptation(*adapt_video);
            let room = room.with_speakers(*speakers).with_sendable(*sendable);
            entries.insert(Entry { id, room, participants: 0, queued: false, span })
        })
    }

    /// Sets what the worker can send of video to one receiver, in rooms to come. Returns those that there are.
    pub(super) fn set_sendable(&mut self, sendable: Option<Sendable>) -> Vec<RoomKey> {
        self.sendable = sendable;
        self.entries.keys().collect()
    }

    /// Number of slots to which nothing is sent because the worker is overloaded.
    pub(super) fn paused_by_overload(&self) -> usize {
        self.entries.values().map(|entry| entry.room.paused_by_overload()).sum()
    }

    /// Number of slots to which nothing is sent because the worker is overloaded, and of those that get a better layer than the
    /// lowest one.
    pub(super) fn limited(&self) -> [usize; 2] {
        let better = self.entries.values().map(|entry| entry.room.better_than_lowest()).sum();
        [self.paused_by_overload(), better]
    }

    pub(super) fn get_mut(&mut self, key: RoomKey) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// The span of the room's log lines.
    pub(super) fn span(&self, key: RoomKey) -> Option<&Span> {
        self.entries.get(key).map(|entry| &entry.span)
    }

    /// Counts one participant more.
    pub(super) fn joined(&mut self, key: RoomKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.participants += 1;
        }
    }

    /// Counts one participant less; the room is removed with the last.
    pub(super) fn left(&mut self, key: RoomKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.participants = entry.participants.saturating_sub(1);
        }
        self.remove_if_empty(key);
    }

    /// Removes the room if it has no participants.
    pub(super) fn remove_if_empty(&mut self, key: RoomKey) {
        if self.entries.get(key).is_some_and(|entry| entry.participants == 0)
            && let Some((_, _, span)) = self.remove(key)
        {
            tracing::debug!(parent: &span, "room ended");
        }
    }

    /// Removes the room.
    pub(super) fn remove(&mut self, key: RoomKey) -> Option<(RoomId, Room, Span)> {
        let mut entry = self.entries.remove(key)?;
        self.by_id.remove(&entry.id);
        self.timers.set(key, None);
        entry.room.take_stats().count_in(&mut self.counted);
        Some((entry.id, entry.room, entry.span))
    }

    /// Marks the room as queued for forwarding, or no longer; returns whether that changed.
    pub(super) fn set_queued(&mut self, key: RoomKey, queued: bool) -> bool {
        self.entries.get_mut(key).is_some_and(|entry| std::mem::replace(&mut entry.queued, queued) != queued)
    }

    /// Whether the room is queued for forwarding.
    pub(super) fn is_queued(&self, key: RoomKey) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.queued)
    }

    /// Number of rooms, and of tracks in them.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.entries.values().map(|entry| entry.room.tracks()).sum())
    }

    /// What all rooms have counted since the last call, including those that have ended.
    pub(super) fn take_counted(&mut self) -> Counters {
        for entry in self.entries.values_mut() {
            entry.room.take_stats().count_in(&mut self.counted);
        }
        std::mem::take(&mut self.counted)
    }

    /// Takes over the room's deadline after a step of it.
    pub(super) fn arm(&mut self, key: RoomKey, at: Option<Instant>) {
        self.timers.set(key, at);
    }

    /// When the first room is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Appends the rooms that are due to `due`.
    pub(super) fn take_due(&mut self, now: Instant, due: &mut Vec<RoomKey>) {
        self.timers.take_due(now, due);
    }

    #[cfg(test)]
    pub(super) fn id(&self, key: RoomKey) -> Option<RoomId> {
        self.entries.get(key).map(|entry| entry.id)
    }
}
