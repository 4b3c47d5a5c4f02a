//! Making a room on a running server. The link's secret is made here and stays here: the server gets the hash of a token
//! that is derived from it.

use crate::{
    http::{self, HttpError, Request},
    link::{Origin, RoomLink},
    tls::{self, Trust},
};
use serde_json::{Value, json};
use tacet_proto::{RoomId, bytes::Fixed};

/// Why there is no room.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The request.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server's answer.
    #[error("the server made no room (HTTP status {status}): {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// For people.
        reason: String,
    },
    /// What answers is no server of tacet.
    #[error("the server's answer is not that of tacet")]
    Answer,
    /// The system has no randomness to give.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// Makes a room; gives its link. Blocks until the server has answered.
///
/// # Errors
/// [`RoomError`].
pub fn make(origin: &Origin, trust: Trust, api_key: Option<&str>) -> Result<RoomLink, RoomError> {
    let mut invite = [0; 32];
    getrandom::fill(&mut invite).map_err(|_| RoomError::NoRandomness)?;
    let hash = tls::sha256(&e2ee_frames::access_token(&invite)).ok_or(RoomError::NoRandomness)?;
    let body = json!({ "access_hash": Fixed(hash).encode() }).to_string();
    let request = Request { method: "POST", path: "/v1/rooms", bearer: api_key, body: &body };
    let (status, answer) = http::request(origin, trust, &request)?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let text = |field: &str| answer.get(field).and_then(Value::as_str);
    if status != 201 {
        let reason = text("error").unwrap_or("no reason given").to_owned();
        return Err(RoomError::Refused { status, reason });
    }
    let room = text("room").and_then(Fixed::decode).map(RoomId).ok_or(RoomError::Answer)?;
    Ok(RoomLink::new(origin.is_secure(), origin.authority(), room, invite))
}
