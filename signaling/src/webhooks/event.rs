//! What a webhook is informed of.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tacet_proto::{CallId, ParticipantId, RoomId};
use utoipa::ToSchema;

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum EventKind {
    /// A call has begun: someone has entered an empty room.
    #[serde(rename = "room.started")]
    RoomStarted,
    /// The call has ended: everyone has left, or the room was ended.
    #[serde(rename = "room.ended")]
    RoomEnded,
    /// A participant is in the call.
    #[serde(rename = "participant.joined")]
    ParticipantJoined,
    /// A participant has left the call, and is not expected back.
    #[serde(rename = "participant.left")]
    ParticipantLeft,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::RoomStarted, Self::RoomEnded, Self::ParticipantJoined, Self::ParticipantLeft];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoomStarted => "room.started",
            Self::RoomEnded => "room.ended",
            Self::ParticipantJoined => "participant.joined",
            Self::ParticipantLeft => "participant.left",
        }
    }
}

/// An event in a room. The ids of call and participant are random for each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What has happened.
    pub kind: EventKind,
    /// The room.
    pub room: RoomId,
    /// The call.
    pub call: CallId,
    /// The participant, if it concerns one.
    pub participant: Option<ParticipantId>,
}

impl Event {
    /// The body of its message. `at` is in seconds since 1970.
    pub(super) fn body(&self, at: u64) -> String {
        let mut data = json!({ "room": self.room, "call": self.call });
        if let Some(participant) = self.participant {
            data["participant"] = participant.0.into();
        }
        json!({ "type": self.kind.name(), "timestamp": at, "data": data }).to_string()
    }
}
