//! Creates a room on a running server. The link's secret is drawn here and is not sent: the server receives the hash
//! of an access token that is derived from it.

use crate::{
    http::{self, HttpError, Request},
    link::{Origin, RoomLink},
    tls::{self, Trust},
};
use serde_json::{Value, json};
use tacet_proto::{RoomId, bytes::Fixed};

/// Why a room could not be created.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The HTTP request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server refused.
    #[error("the server refused to create a room (HTTP status {status}): {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Human-readable reason.
        reason: String,
    },
    /// The response is not one of tacet.
    #[error("unexpected response: this is not a tacet server")]
    Answer,
    /// The system has no randomness.
    #[error("the system's random number generator failed")]
    NoRandomness,
}

/// Creates a room and returns its link. Blocks until the server has answered.
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
