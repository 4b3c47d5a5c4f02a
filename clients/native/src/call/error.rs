//! Why a call failed.

use crate::{outbox::OutboxError, signaling::SignalingError};
use e2ee_frames::{Ended, EventError, SessionError};
use std::time::Duration;
use tacet_proto::{ErrorCode, server::ErrorMessage};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The signaling connection failed.
    #[error(transparent)]
    Signaling(#[from] SignalingError),
    /// A request cannot be kept until the server answers.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The session cannot be made: the name is too long.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// An event does not fit the state of the session.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The session has ended: join again.
    #[error("the session has ended: {0:?}")]
    Ended(Ended),
    /// The server refused a request.
    #[error("the server refused: {code:?}: {detail}")]
    Refused {
        /// Error code.
        code: ErrorCode,
        /// Human-readable explanation.
        detail: String,
        /// When the server may grant it.
        retry_after: Option<Duration>,
    },
    /// The server closed the connection.
    #[error("the server closed the connection with {code}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Closed {
        /// WebSocket close code.
        code: u16,
        /// Human-readable explanation.
        reason: String,
    },
    /// The server is about to restart and will continue the call.
    #[error("the server restarts")]
    Restarting,
    /// A message without a meaning in the state of the call.
    #[error("the server sent {0} out of order")]
    OutOfOrder(&'static str),
}

impl CallError {
    /// How long to wait before another attempt, if the server has said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The refusal of a request without which there is no call.
impl From<ErrorMessage> for CallError {
    fn from(ErrorMessage { code, retry_ms, detail }: ErrorMessage) -> Self {
        Self::Refused { code, detail, retry_after: retry_ms.map(|ms| Duration::from_millis(ms.into())) }
    }
}
