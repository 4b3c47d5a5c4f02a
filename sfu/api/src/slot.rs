//! What a receiver gets in a slot: the source, the size that it asks for, and the layer that it is sent.

use crate::ids::{Mid, TrackId};
use serde::{Deserialize, Serialize};

/// Number of a room's speakers that its other participants hear at once, if it is not configured.
pub const SPEAKERS: u8 = 6;

/// What is forwarded into a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SlotSource {
    /// A track.
    Track(TrackId),
    /// The participant that holds this position among the room's loudest speakers. Position 0 is not the loudest: who
    /// speaks keeps a position. Below the number of speakers that the SFU is configured for: [`SPEAKERS`], if it is not.
    Speaker(u8),
}

impl From<TrackId> for SlotSource {
    fn from(track: TrackId) -> Self {
        Self::Track(track)
    }
}

/// How a receiver shows the video of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The slot.
    pub mid: Mid,
    /// Height on the screen, in device pixels.
    pub height: u16,
    /// Goes before slots that are not pinned.
    pub pinned: bool,
    /// Shows nothing: no layer is sent.
    pub paused: bool,
}

/// Why a slot gets the layer that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LayerReason {
    /// It is what the receiver asked for.
    Wish,
    /// The bitrate that is set for all video of a receiver does not hold more.
    Bandwidth,
    /// The path to the receiver is measured, and carries no more.
    Network,
    /// The SFU is overloaded, and can send no more.
    Server,
    /// The publisher does not send more.
    Sender,
    /// The receiver paused the slot.
    Pause,
}
