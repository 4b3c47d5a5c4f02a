//! Why a connection was lost, why a call ends, and which of the two it is.

use crate::{call::CallError, media::MediaError};
use e2ee_frames::Ended;
use std::time::Duration;
use tacet_proto::{CloseCode, ErrorCode};

/// Close codes of the protocol that this version of the server does not send yet.
const REMOVED: u16 = 4403;
const REPLACED: u16 = 4409;

/// Why a connection was lost. It is made anew, with new keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The server cannot be reached, or closed the connection, or refused what may be granted later.
    #[error("{0}")]
    Signaling(String),
    /// The keys are erased: this machine slept, its clock jumped, or the process was forked.
    #[error("the keys are gone: {0:?}")]
    KeysEnded(Ended),
    /// The media engine refuses.
    #[error("{0}")]
    Engine(String),
    /// The media path did not come up.
    #[error("no way through for media: UDP does not reach the server or its answers do not come back")]
    NeverConnected,
    /// The media path came up, and went silent.
    #[error("media has stopped arriving")]
    Silent,
    /// The media path is broken for good.
    #[error("the media path failed")]
    Failed,
}

/// Why the call is over for this client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The application left.
    #[error("left")]
    Left,
    /// The room is closed, or there is none.
    #[error("there is no such room: it is closed, or the server has restarted")]
    RoomEnded,
    /// This client was removed from the room.
    #[error("removed from the room")]
    Removed,
    /// Another connection took this one's place.
    #[error("another connection took this one's place")]
    Replaced,
    /// The server does not let this client in.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// The connection was lost, and did not come back.
    #[error("not connected for {} s: {last}", lost.as_secs())]
    GaveUp {
        /// How long it was tried.
        lost: Duration,
        /// What went wrong last.
        last: Loss,
    },
    /// The application did not read its events.
    #[error("the application does not read its events")]
    EventsUnread,
}

/// What follows from an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Another attempt is worth making.
    Again(Loss),
    /// It would meet the same.
    End(EndReason),
}

impl From<Loss> for Fate {
    fn from(loss: Loss) -> Self {
        Self::Again(loss)
    }
}

impl From<MediaError> for Fate {
    fn from(error: MediaError) -> Self {
        Self::Again(Loss::Engine(error.to_string()))
    }
}

impl From<CallError> for Fate {
    fn from(error: CallError) -> Self {
        let text = error.to_string();
        let end = match error {
            CallError::Ended(ended) => return Self::Again(Loss::KeysEnded(ended)),
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
                // A full room may be full of this client's former self, whose connection the server still holds.
                _ => None,
            },
            // The name is too long, and stays so.
            CallError::Session(_) => Some(EndReason::Refused(text.clone())),
            CallError::Signaling(_) | CallError::Event(_) => None,
        };
        end.map_or(Self::Again(Loss::Signaling(text)), Self::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16) -> Fate {
        CallError::Closed { code, reason: String::new() }.into()
    }

    fn refused(code: ErrorCode) -> Fate {
        CallError::Refused { code, detail: "no".to_owned() }.into()
    }

    #[test]
    fn a_room_that_ended_or_a_client_that_was_removed_is_final() {
        assert_eq!(closed(4404), Fate::End(EndReason::RoomEnded));
        assert_eq!(closed(4403), Fate::End(EndReason::Removed));
        assert_eq!(closed(4409), Fate::End(EndReason::Replaced));
        assert!(matches!(closed(4401), Fate::End(EndReason::Refused(_))));
        assert_eq!(refused(ErrorCode::NoRoom), Fate::End(EndReason::RoomEnded));
        assert_eq!(refused(ErrorCode::Unauthenticated), Fate::End(EndReason::Refused("no".to_owned())));
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for code in [1001, 1006, 1011, 1012, 1013, 4408, 4429] {
            assert!(matches!(closed(code), Fate::Again(_)), "{code}");
        }
        for code in [ErrorCode::RoomFull, ErrorCode::ServerBusy, ErrorCode::RateLimited, ErrorCode::Internal] {
            assert!(matches!(refused(code), Fate::Again(_)), "{code:?}");
        }
        let slept = Ended::ClockJumped;
        assert_eq!(Fate::from(CallError::Ended(slept)), Fate::Again(Loss::KeysEnded(slept)));
    }
}
