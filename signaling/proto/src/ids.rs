//! Identifiers that cross the wire.

use crate::bytes::Fixed;
pub use media_types::{ParticipantId, Seat, TrackId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A room: 16 random bytes, the path of its link (`/r/ROOM`), and the `room16` that every key is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[ts(type = "string")]
pub struct RoomId(pub Fixed<16>);

/// One call in a room: from the first participant's arrival until the last one leaves. A label; security does not rest
/// on its freshness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[ts(type = "string")]
pub struct CallId(pub Fixed<16>);

/// A participant's session with the server: 16 random bytes that outlive its connections. It names; it admits to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[ts(type = "string")]
pub struct SessionId(pub Fixed<16>);

impl std::fmt::Display for RoomId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.encode())
    }
}

impl std::str::FromStr for RoomId {
    type Err = InvalidRoomId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Fixed::decode(text).map(Self).ok_or(InvalidRoomId)
    }
}

/// A text is not a room id: 22 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a room id is 22 characters of base64url (16 bytes)")]
pub struct InvalidRoomId;
