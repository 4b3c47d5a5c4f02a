//! The exit status of `tacet call`: why the call ended, for scripts.
//!
//! | status | the call ended because |
//! |---|---|
//! | 0 | this client left |
//! | 1 | of something else, such as a file |
//! | 2 | the arguments are wrong |
//! | 3 | the room does not exist, or was closed |
//! | 4 | this client was removed, or replaced by another connection |
//! | 5 | the server rejected this client: the link's secret is wrong, or its room token |
//! | 6 | the server cannot be reached |
//! | 7 | the room is full, or the server is busy |
//! | 8 | the room is locked |

use tacet_native::{
    call::CallError,
    client::{EndReason, ErrorCode},
};

const OTHER: u8 = 1;
const ROOM_ENDED: u8 = 3;
const REMOVED: u8 = 4;
const REFUSED: u8 = 5;
const UNREACHABLE: u8 = 6;
const BUSY: u8 = 7;
const LOCKED: u8 = 8;

/// The exit status for an error of the command.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(reason) = cause.downcast_ref::<EndReason>() {
            return of_end(reason);
        }
        if let Some(error) = cause.downcast_ref::<CallError>() {
            return of_join(error);
        }
    }
    OTHER
}

fn of_end(reason: &EndReason) -> u8 {
    match reason {
        EndReason::Left => 0,
        EndReason::RoomEnded => ROOM_ENDED,
        EndReason::Removed(_) | EndReason::Replaced => REMOVED,
        EndReason::Locked => LOCKED,
        EndReason::Refused(_) => REFUSED,
        EndReason::GaveUp { .. } => UNREACHABLE,
        EndReason::ServerMisbehaved(_) | EndReason::EventsUnread => OTHER,
    }
}

fn of_join(error: &CallError) -> u8 {
    match error {
        CallError::Signaling(_) | CallError::Restarting => UNREACHABLE,
        CallError::Refused { code: ErrorCode::RoomFull | ErrorCode::ServerBusy | ErrorCode::RateLimited, .. } => BUSY,
        error => error.end_reason().map_or(OTHER, |reason| of_end(&reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tacet_native::{client::DisconnectReason, signaling::SignalingError};

    fn refused(code: ErrorCode) -> anyhow::Error {
        anyhow::Error::from(CallError::Refused { code, detail: "no".to_owned(), retry_after: None })
            .context("cannot join")
    }

    #[test]
    fn status_says_why_the_call_ended() {
        let last = DisconnectReason::MediaFailed;
        for (error, status) in [
            (EndReason::RoomEnded.into(), 3),
            (EndReason::Removed(String::new()).into(), 4),
            (refused(ErrorCode::Banned), 4),
            (refused(ErrorCode::RoomLocked), 8),
            (refused(ErrorCode::TokenExpired), 5),
            (EndReason::Replaced.into(), 4),
            (EndReason::GaveUp { after: std::time::Duration::ZERO, last }.into(), 6),
            (refused(ErrorCode::NoRoom), 3),
            (refused(ErrorCode::Unauthenticated), 5),
            (refused(ErrorCode::RoomFull), 7),
            (CallError::from(SignalingError::Ended).into(), 6),
            (CallError::Closed { code: 4401, reason: String::new() }.into(), 5),
            (anyhow::anyhow!("the disk is full"), 1),
        ] {
            assert_eq!(exit_code(&error), status, "{error:#}");
        }
    }
}
