//! The rooms of a running server: creating one, and for the operator listing and ending them. The secret of a new room's link is
//! drawn here and is not sent: the server receives the hash of an access token that is derived from it.

use crate::{
    http::{self, HttpError, Request},
    link::{Origin, RoomLink},
    tls::{self, Trust},
};
use serde_json::{Value, json};
use tacet_proto::{RoomId, bytes::Fixed};

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The HTTP request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server refused.
    #[error("the server refused (HTTP status {status}): {reason}")]
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
    let (_, answer) = ask(origin, trust, &request)?;
    let room = room_id(&answer).ok_or(RoomError::Answer)?;
    Ok(RoomLink::new(origin.is_secure(), origin.authority(), room, invite))
}

/// A room as its operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomState {
    /// The room.
    pub room: RoomId,
    /// Participants that have entered.
    pub participants: u64,
    /// When a call in the room last began or ended, or when the room was created: seconds since 1970.
    pub used: u64,
}

/// Rooms of a page of the list.
const PAGE: usize = 1_000;
/// More pages than any server has rooms for.
const MAX_PAGES: usize = 1_000;

/// All rooms of a server, in the order of their ids. Blocks until the server has answered.
///
/// # Errors
/// [`RoomError`].
pub fn list(origin: &Origin, trust: Trust, api_key: Option<&str>) -> Result<Vec<RoomState>, RoomError> {
    let mut rooms: Vec<RoomState> = Vec::new();
    let mut path = format!("/v1/rooms?limit={PAGE}");
    for _ in 0..MAX_PAGES {
        let (_, answer) = ask(origin, trust, &Request { method: "GET", path: &path, bearer: api_key, body: "" })?;
        let page = answer["rooms"].as_array().filter(|page| page.len() <= PAGE).ok_or(RoomError::Answer)?;
        for entry in page {
            let room = state(entry).ok_or(RoomError::Answer)?;
            if rooms.last().is_some_and(|last| last.room >= room.room) {
                return Err(RoomError::Answer);
            }
            rooms.push(room);
        }
        let Some(next) = answer["next"].as_str() else { return Ok(rooms) };
        let next: RoomId = next.parse().map_err(|_| RoomError::Answer)?;
        if rooms.last().is_none_or(|last| last.room != next) {
            return Err(RoomError::Answer);
        }
        path = format!("/v1/rooms?limit={PAGE}&after={next}");
    }
    Err(RoomError::Answer)
}

/// Ends a room for all. Blocks until the server has answered.
///
/// # Errors
/// [`RoomError`].
pub fn end(origin: &Origin, trust: Trust, api_key: Option<&str>, room: RoomId) -> Result<(), RoomError> {
    let path = format!("/v1/rooms/{room}");
    match ask(origin, trust, &Request { method: "DELETE", path: &path, bearer: api_key, body: "" })? {
        (204, _) => Ok(()),
        _ => Err(RoomError::Answer),
    }
}

/// Sends a request; returns status and JSON of the answer, `null` if that has none.
fn ask(origin: &Origin, trust: Trust, request: &Request<'_>) -> Result<(u16, Value), RoomError> {
    let (status, answer) = http::request(origin, trust, request)?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    if (200..300).contains(&status) {
        return Ok((status, answer));
    }
    let reason = answer["error"].as_str().unwrap_or("no reason given").to_owned();
    Err(RoomError::Refused { status, reason })
}

fn room_id(entry: &Value) -> Option<RoomId> {
    entry["room"].as_str().and_then(Fixed::decode).map(RoomId)
}

fn state(entry: &Value) -> Option<RoomState> {
    let number = |field: &str| entry[field].as_u64();
    Some(RoomState { room: room_id(entry)?, participants: number("participants")?, used: number("used")? })
}
