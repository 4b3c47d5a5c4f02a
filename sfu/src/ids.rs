//! Identifiers. Signaling chooses those of rooms, participants and tracks.

pub use media_types::{Mid, ParticipantId, Ssrc, TrackId};

/// A room, unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(pub u64);
