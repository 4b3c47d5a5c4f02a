//! Why a connection was lost, why a call ends, and which of the two an error means.

use crate::{call::CallError, media::MediaError};
use e2ee_frames::Ended;
use std::time::Duration;
use tacet_proto::{CloseCode, ErrorCode};

/// Close codes of the protocol that the server does not send yet.
const REMOVED: u16 = 4403;
const REPLACED: u16 = 4409;

/// Why a connection was lost. The client then reconnects with new keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisconnectReason {
    /// The server is unreachable, closed the connection, or refused something that it may grant later.
    #[error("{0}")]
    Signaling(String),
    /// The session erased its keys: the machine slept, its clock jumped, or the process was forked.
    #[error("the session keys were erased: {0:?}")]
    KeysEnded(Ended),
    /// The media engine returned an error.
    #[error("{0}")]
    MediaEngine(String),
    /// ICE or DTLS did not complete.
    #[error("media cannot connect: UDP to the server, or back from it, is blocked")]
    MediaNeverConnected,
    /// The media path was up and then silent for too long.
    #[error("media has stopped arriving")]
    MediaSilent,
    /// The media path failed and will not recover.
    #[error("the media path failed")]
    MediaFailed,
}

/// Why the call is over for this client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The application left.
    #[error("left")]
    Left,
    /// The room does not exist, or was closed.
    #[error("the room does not exist: it was closed, or the server was restarted")]
    RoomEnded,
    /// This client was removed from the room.
    #[error("removed from the room")]
    Removed,
    /// Another connection replaced this one.
    #[error("replaced by another connection")]
    Replaced,
    /// The server rejected this client.
    #[error("the server rejected this client: {0}")]
    Refused(String),
    /// The connection was lost and could not be restored.
    #[error("could not reconnect within {} s: {last}", after.as_secs())]
    GaveUp {
        /// How long the client tried.
        after: Duration,
        /// Why the last attempt failed.
        last: DisconnectReason,
    },
    /// The application did not read its events.
    #[error("the application did not read its events")]
    EventsUnread,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// It was lost; reconnecting may succeed.
    Reconnect(DisconnectReason),
    /// The call is over; reconnecting would fail in the same way.
    Final(EndReason),
}

impl From<DisconnectReason> for ConnectionEnd {
    fn from(reason: DisconnectReason) -> Self {
        Self::Reconnect(reason)
    }
}

impl From<MediaError> for ConnectionEnd {
    fn from(error: MediaError) -> Self {
        Self::Reconnect(DisconnectReason::MediaEngine(error.to_string()))
    }
}

impl From<CallError> for ConnectionEnd {
    fn from(error: CallError) -> Self {
        let text = error.to_string();
        let end = match error {
            CallError::Ended(ended) => return Self::Reconnect(DisconnectReason::KeysEnded(ended)),
            CallError::Closed { code, .. } => match code {
                code if code == CloseCode::RoomEnded.code() => Some(EndReason::RoomEnded),
                code if code == CloseCode::Authentication.code() => Some(EndReason::Refused(text.clone())),
                REMOVED => Some(EndReason::Removed),
                REPLACED => Some(EndReason::Replaced),
                _ => None,
            },
            CallError::Refused { code, detail } => match code {
                ErrorCode::NoRoom => Some(EndReason::RoomEnded),
                ErrorCode::Unauthenticated | ErrorCode::Forbidden => Some(EndReason::Refused(detail)),
                // A full room may still count this client's previous connection, so another attempt may succeed.
                _ => None,
            },
            // The name is too long and will stay so.
            CallError::Session(_) => Some(EndReason::Refused(text.clone())),
            CallError::Signaling(_) | CallError::Event(_) => None,
        };
        end.map_or(Self::Reconnect(DisconnectReason::Signaling(text)), Self::Final)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16) -> ConnectionEnd {
        CallError::Closed { code, reason: String::new() }.into()
    }

    fn refused(code: ErrorCode) -> ConnectionEnd {
        CallError::Refused { code, detail: "no".to_owned() }.into()
    }

    #[test]
    fn closed_room_and_removed_client_are_final() {
        assert_eq!(closed(4404), ConnectionEnd::Final(EndReason::RoomEnded));
        assert_eq!(closed(4403), ConnectionEnd::Final(EndReason::Removed));
        assert_eq!(closed(4409), ConnectionEnd::Final(EndReason::Replaced));
        assert!(matches!(closed(4401), ConnectionEnd::Final(EndReason::Refused(_))));
        assert_eq!(refused(ErrorCode::NoRoom), ConnectionEnd::Final(EndReason::RoomEnded));
        assert_eq!(refused(ErrorCode::Unauthenticated), ConnectionEnd::Final(EndReason::Refused("no".to_owned())));
    }

    #[test]
    fn transient_errors_reconnect() {
        for code in [1001, 1006, 1011, 1012, 1013, 4408, 4429] {
            assert!(matches!(closed(code), ConnectionEnd::Reconnect(_)), "{code}");
        }
        for code in [ErrorCode::RoomFull, ErrorCode::ServerBusy, ErrorCode::RateLimited, ErrorCode::Internal] {
            assert!(matches!(refused(code), ConnectionEnd::Reconnect(_)), "{code:?}");
        }
        let slept = Ended::ClockJumped;
        assert_eq!(
            ConnectionEnd::from(CallError::Ended(slept)),
            ConnectionEnd::Reconnect(DisconnectReason::KeysEnded(slept))
        );
    }
}
