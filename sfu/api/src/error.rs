//! Why a command is refused.

use serde::{Deserialize, Serialize};

/// Why a command was refused. The worker's state is as it was before the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The worker has no such participant.
    #[error("no such participant")]
    NoParticipant,
    /// The room has no such track, or another participant publishes it.
    #[error("no such track")]
    NoTrack,
    /// The participant has no such slot.
    #[error("no such slot")]
    NoSlot,
    /// The participant, track, slot or SSRC exists already.
    #[error("exists already")]
    Exists,
    /// The track's codec differs from the slot's.
    #[error("the slot is for another codec")]
    CodecMismatch,
    /// The maximum number of participants, tracks or slots exists.
    #[error("limit reached")]
    Limit,
    /// Impossible parameters: an ICE password that is empty or very long, one SSRC in two roles, encodings that no RID
    /// tells apart.
    #[error("invalid parameters")]
    Invalid,
    /// The operating system provided no random numbers, or there is no such worker.
    #[error("unavailable")]
    Unavailable,
    /// The worker's command queue is full: try again later.
    #[error("overloaded")]
    Overloaded,
    /// The worker does not know this command.
    #[error("unsupported command")]
    Unsupported,
}
