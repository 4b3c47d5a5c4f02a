//! Error codes of the `error` message, and close codes of the WebSocket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Why a request was refused. None of them ends the connection by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A known message with missing, malformed or unknown fields, or a malformed binary message.
    BadMessage,
    /// A message whose `t`, or binary type, this server does not know.
    UnknownType,
    /// A request before `hello`.
    Unauthenticated,
    /// The room token was right once, and has expired.
    TokenExpired,
    /// A capability that the client does not have.
    Forbidden,
    /// The client, or its device, was banned from the room.
    Banned,
    /// The room is locked: newcomers are not let in.
    RoomLocked,
    /// There is no such room.
    NoRoom,
    /// The room has its maximum number of participants.
    RoomFull,
    /// A request before `join`.
    NotMember,
    /// There is no such participant in the call.
    NoParticipant,
    /// There is no such track, or another participant publishes it.
    NoTrack,
    /// The server forwards no such codec, or not for this kind.
    CodecUnsupported,
    /// The participant publishes, or subscribes to, the maximum number of tracks.
    LimitTracks,
    /// A field in which the client names itself, such as its seat, is not what the server knows of it.
    NotYours,
    /// More than 30 messages in one second, or more of one type than [`crate::limits::type_rate`] allows; the message
    /// was not processed.
    RateLimited,
    /// The request does not fit earlier ones, such as a second `join`.
    OutOfOrder,
    /// The session cannot be continued: it is over, or the token is not valid here. A client enters without it.
    NotResumable,
    /// The server has no capacity left.
    ServerBusy,
    /// A fault of the server, logged there.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: &[Self] = &[
        Self::BadMessage,
        Self::UnknownType,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::Forbidden,
        Self::Banned,
        Self::RoomLocked,
        Self::NoRoom,
        Self::RoomFull,
        Self::NotMember,
        Self::NoParticipant,
        Self::NoTrack,
        Self::CodecUnsupported,
        Self::LimitTracks,
        Self::NotYours,
        Self::RateLimited,
        Self::OutOfOrder,
        Self::NotResumable,
        Self::ServerBusy,
        Self::Internal,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadMessage => "bad_message",
            Self::UnknownType => "unknown_type",
            Self::Unauthenticated => "unauthenticated",
            Self::TokenExpired => "token_expired",
            Self::Forbidden => "forbidden",
            Self::Banned => "banned",
            Self::RoomLocked => "room_locked",
            Self::NoRoom => "no_room",
            Self::RoomFull => "room_full",
            Self::NotMember => "not_member",
            Self::NoParticipant => "no_participant",
            Self::NoTrack => "no_track",
            Self::CodecUnsupported => "codec_unsupported",
            Self::LimitTracks => "limit_tracks",
            Self::NotYours => "not_yours",
            Self::RateLimited => "rate_limited",
            Self::OutOfOrder => "out_of_order",
            Self::NotResumable => "not_resumable",
            Self::ServerBusy => "server_busy",
            Self::Internal => "internal",
        }
    }
}

/// WebSocket close codes (RFC 6455 section 7.4) that the server uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[repr(u16)]
pub enum CloseCode {
    /// The connection has served its purpose.
    Normal = 1000,
    /// The server is stopping for good.
    GoingAway = 1001,
    /// Frames that are not WebSocket frames of a client (RFC 6455 section 5).
    Protocol = 1002,
    /// Text that is not UTF-8 or not a JSON object.
    NotJson = 1007,
    /// Too many control frames.
    Policy = 1008,
    /// A message of more than 16,384 bytes.
    TooLarge = 1009,
    /// A fault of the server.
    Internal = 1011,
    /// The server is stopping, and may start again.
    Restart = 1012,
    /// The server has no capacity left right now.
    TryLater = 1013,
    /// Repeated malformed messages.
    BadMessages = 4400,
    /// No `hello` in time, or a wrong credential.
    Authentication = 4401,
    /// A moderator removed or banned the participant.
    Removed = 4403,
    /// The room has ended.
    RoomEnded = 4404,
    /// Silence, a client that does not read, or one that does not join in time.
    IdleOrSlow = 4408,
    /// The same session was continued on another connection.
    Replaced = 4409,
    /// The session cannot be continued.
    NotResumable = 4410,
    /// A flood of messages, or of bytes that become none.
    Rate = 4429,
}

impl CloseCode {
    /// Every code.
    pub const ALL: &[Self] = &[
        Self::Normal,
        Self::GoingAway,
        Self::Protocol,
        Self::NotJson,
        Self::Policy,
        Self::TooLarge,
        Self::Internal,
        Self::Restart,
        Self::TryLater,
        Self::BadMessages,
        Self::Authentication,
        Self::Removed,
        Self::RoomEnded,
        Self::IdleOrSlow,
        Self::Replaced,
        Self::NotResumable,
        Self::Rate,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn error_names_are_those_of_the_wire() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }
}
