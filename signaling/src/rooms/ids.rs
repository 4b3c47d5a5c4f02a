//! Allocation of ids: counters that all rooms share, so that no id is used twice while the server runs.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
use tacet_proto::ParticipantId;

/// The next ids.
#[derive(Debug)]
pub(super) struct Ids {
    participants: AtomicU32,
    tracks: Arc<AtomicU32>,
    rooms: AtomicU64,
}

impl Default for Ids {
    fn default() -> Self {
        Self { participants: AtomicU32::new(1), tracks: Arc::new(AtomicU32::new(1)), rooms: AtomicU64::new(1) }
    }
}

impl Ids {
    /// A new participant.
    pub(super) fn participant(&self) -> ParticipantId {
        ParticipantId(self.participants.fetch_add(1, Ordering::Relaxed))
    }

    /// A new room, as the media plane numbers it.
    pub(super) fn room(&self) -> sfu_api::RoomId {
        sfu_api::RoomId(self.rooms.fetch_add(1, Ordering::Relaxed))
    }

    /// The counter from which rooms number their tracks.
    pub(super) fn tracks(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.tracks)
    }
}
