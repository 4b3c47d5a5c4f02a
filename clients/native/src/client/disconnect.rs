//! Why a connection was lost, why a call ends, and which of the two an error means.

use crate::{call::CallError, media::MediaError, sdp::parameters::ParameterError};
use e2ee_frames::Ended;
use std::time::Duration;
use tacet_proto::{CloseCode, ErrorCode};

/// Why a client is refused that comes back after a ban.
const BANNED: &str = "banned by a moderator";

/// What was lost, and why. The client repairs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisconnectReason {
    /// The server is unreachable, closed the connection, or refused something that it may grant later.
    #[error("{0}")]
    Signaling(String),
    /// The server said that it restarts.
    #[error("the server restarts")]
    ServerRestarting,
    /// The session erased its keys: the machine slept, its clock jumped, or the process was forked.
    #[error("{}", ended_text(*.0))]
    KeysEnded(Ended),
    /// The media engine returned an error.
    #[error("{0}")]
    MediaEngine(String),
    /// ICE or DTLS did not complete.
    #[error("media cannot connect: UDP to the server, or back from it, is blocked")]
    MediaNeverConnected,
    /// The media path was up and is silent.
    #[error("media has stopped arriving: the network is interrupted")]
    MediaSilent,
    /// The media path failed and will not recover.
    #[error("the media path failed")]
    MediaFailed,
    /// Client and server disagree about the state of the call.
    #[error("client and server disagree about the call: {0}")]
    Inconsistent(String),
}

fn ended_text(ended: Ended) -> &'static str {
    match ended {
        Ended::ClockJumped => "this machine slept, or its clock was changed, so its keys were erased",
        _ => "the session erased its keys",
    }
}

/// Why the call is over for this client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The application left.
    #[error("left")]
    Left,
    /// The room does not exist, or was closed.
    #[error("the room does not exist: it was closed, or the server has forgotten it")]
    RoomEnded,
    /// A moderator removed this client, or banned it. Holds the server's words.
    #[error("removed from the room{}{}", if .0.is_empty() { "" } else { ": " }, .0)]
    Removed(String),
    /// The room is locked.
    #[error("the room is locked")]
    Locked,
    /// Another connection replaced this one.
    #[error("replaced by another connection")]
    Replaced,
    /// The server rejected this client.
    #[error("the server rejected this client: {0}")]
    Refused(String),
    /// The server sent something that does not belong into a call.
    #[error("{0}; this client does not use such a server")]
    ServerMisbehaved(ParameterError),
    /// The connection was lost and could not be restored in the time that the application allows.
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
        match error {
            MediaError::Server(error) => Self::Final(EndReason::ServerMisbehaved(error)),
            error => Self::Reconnect(DisconnectReason::MediaEngine(error.to_string())),
        }
    }
}

impl From<&CallError> for ConnectionEnd {
    fn from(error: &CallError) -> Self {
        let text = error.to_string();
        let reconnect = match error {
            CallError::Closed { code, .. } if *code == CloseCode::RoomEnded.code() => {
                return EndReason::RoomEnded.into();
            }
            CallError::Closed { code, .. } if *code == CloseCode::Authentication.code() => {
                return EndReason::Refused(text).into();
            }
            CallError::Closed { code, reason } if *code == CloseCode::Removed.code() => {
                return EndReason::Removed(reason.clone()).into();
            }
            CallError::Closed { code, .. } if *code == CloseCode::Replaced.code() => return EndReason::Replaced.into(),
            CallError::Closed { code, .. } if *code == CloseCode::Restart.code() => DisconnectReason::ServerRestarting,
            CallError::Refused { code: ErrorCode::NoRoom, .. } => return EndReason::RoomEnded.into(),
            CallError::Refused {
                code: ErrorCode::Unauthenticated | ErrorCode::Forbidden | ErrorCode::TokenExpired,
                detail,
                ..
            } => {
                return EndReason::Refused(detail.clone()).into();
            }
            CallError::Refused { code: ErrorCode::Banned, .. } => return EndReason::Removed(BANNED.to_owned()).into(),
            CallError::Refused { code: ErrorCode::RoomLocked, .. } => return EndReason::Locked.into(),
            // The name is too long and will stay so.
            CallError::Session(_) => return EndReason::Refused(text).into(),
            CallError::Ended(ended) => DisconnectReason::KeysEnded(*ended),
            CallError::Restarting => DisconnectReason::ServerRestarting,
            CallError::Event(_) | CallError::Outbox(_) | CallError::OutOfOrder(_) => {
                DisconnectReason::Inconsistent(text)
            }
            // A full room may still count this client's previous connection, so another attempt may succeed.
            CallError::Refused { .. } | CallError::Closed { .. } | CallError::Signaling(_) => {
                DisconnectReason::Signaling(text)
            }
        };
        Self::Reconnect(reconnect)
    }
}

impl From<EndReason> for ConnectionEnd {
    fn from(reason: EndReason) -> Self {
        Self::Final(reason)
    }
}

impl CallError {
    /// Why the call is over, if this error means that it is.
    #[must_use]
    pub fn end_reason(&self) -> Option<EndReason> {
        match ConnectionEnd::from(self) {
            ConnectionEnd::Final(reason) => Some(reason),
            ConnectionEnd::Reconnect(_) => None,
        }
    }
}

impl From<CallError> for ConnectionEnd {
    fn from(error: CallError) -> Self {
        Self::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16) -> ConnectionEnd {
        CallError::Closed { code, reason: String::new() }.into()
    }

    fn refused(code: ErrorCode) -> ConnectionEnd {
        CallError::Refused { code, detail: "no".to_owned(), retry_after: None }.into()
    }

    #[test]
    fn closed_room_and_removed_client_are_final() {
        assert_eq!(closed(4404), ConnectionEnd::Final(EndReason::RoomEnded));
        assert_eq!(closed(4403), ConnectionEnd::Final(EndReason::Removed(String::new())));
        assert_eq!(refused(ErrorCode::RoomLocked), ConnectionEnd::Final(EndReason::Locked));
        assert!(matches!(refused(ErrorCode::Banned), ConnectionEnd::Final(EndReason::Removed(_))));
        assert!(matches!(refused(ErrorCode::TokenExpired), ConnectionEnd::Final(EndReason::Refused(_))));
        assert_eq!(closed(4409), ConnectionEnd::Final(EndReason::Replaced));
        assert!(matches!(closed(4401), ConnectionEnd::Final(EndReason::Refused(_))));
        assert_eq!(refused(ErrorCode::NoRoom), ConnectionEnd::Final(EndReason::RoomEnded));
        assert_eq!(refused(ErrorCode::Unauthenticated), ConnectionEnd::Final(EndReason::Refused("no".to_owned())));
    }

    #[test]
    fn transient_errors_reconnect() {
        for code in [1001, 1006, 1011, 1012, 1013, 4408, 4410, 4429] {
            assert!(matches!(closed(code), ConnectionEnd::Reconnect(_)), "{code}");
        }
        for code in [ErrorCode::RoomFull, ErrorCode::ServerBusy, ErrorCode::RateLimited, ErrorCode::Internal] {
            assert!(matches!(refused(code), ConnectionEnd::Reconnect(_)), "{code:?}");
        }
        let restarting = ConnectionEnd::Reconnect(DisconnectReason::ServerRestarting);
        assert_eq!((closed(1012), ConnectionEnd::from(CallError::Restarting)), (restarting.clone(), restarting));
        let slept = Ended::ClockJumped;
        assert_eq!(
            ConnectionEnd::from(CallError::Ended(slept)),
            ConnectionEnd::Reconnect(DisconnectReason::KeysEnded(slept))
        );
    }
}
