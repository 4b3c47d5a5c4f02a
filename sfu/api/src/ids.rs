//! Identifiers. Signaling chooses all of them except SSRCs of slots.

pub use media_types::{Mid, ParticipantId, Rid, Ssrc, TrackId};
use serde::{Deserialize, Serialize};

/// A room, unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoomId(pub u64);

/// Correlates a command with the event that answers or refuses it. The sender of commands chooses it; the SFU only
/// repeats it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommandId(pub u64);

impl CommandId {
    /// The id of a command whose sender does not correlate answers.
    pub const UNTRACKED: Self = Self(0);
}
