//! The rooms of a running server: creating one, and for the operator listing and ending them. The secret of a new room's link is
//! drawn here and is not sent: the server receives the hash of an access token that is derived from it.

use crate::{
    http::{self, HttpError, Request},
    link::{Origin, RoomLink},
    tls::{self, Trust},
};
use serde_json::{Value, json};
use std::time::Duration;
use tacet_proto::{Capabilities, Role, RoomId, bytes::Fixed};

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
    let (mut rooms, mut last) = (Vec::new(), None);
    let mut path = format!("/v1/rooms?limit={PAGE}");
    for _ in 0..MAX_PAGES {
        let (_, answer) = ask(origin, trust, &Request { method: "GET", path: &path, bearer: api_key, body: "" })?;
        let page = answer["rooms"].as_array().filter(|page| page.len() <= PAGE).ok_or(RoomError::Answer)?;
        for entry in page {
            let room = state(entry).ok_or(RoomError::Answer)?;
            if last >= Some(room.room) {
                return Err(RoomError::Answer);
            }
            last = Some(room.room);
            rooms.push(room);
        }
        let Some(next) = answer["next"].as_str() else { return Ok(rooms) };
        let next: RoomId = next.parse().map_err(|_| RoomError::Answer)?;
        // It may have been ended while the page was written: then it is behind the last one of it.
        if last > Some(next) || page.is_empty() && last == Some(next) {
            return Err(RoomError::Answer);
        }
        last = Some(next);
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

/// A room token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The room.
    pub room: RoomId,
    /// The role of its holder.
    pub role: Role,
    /// What the holder may do at most; everything that the role may, if `None`.
    pub capabilities: Option<Capabilities>,
    /// Who the holder is, for bans.
    pub identity: Option<String>,
    /// For how long it is good from now on.
    pub lifetime: Duration,
}

/// Lets the server make a token that admits to a room. Blocks until the server has answered.
///
/// # Errors
/// [`RoomError`].
pub fn token(
    origin: &Origin,
    trust: Trust,
    api_key: Option<&str>,
    request: &TokenRequest,
) -> Result<String, RoomError> {
    let TokenRequest { room, role, capabilities, identity, lifetime } = request;
    let mut body = json!({ "role": role, "lifetime": lifetime.as_secs() });
    if let Some(capabilities) = capabilities {
        body["capabilities"] = json!(capabilities);
    }
    if let Some(identity) = identity {
        body["identity"] = json!(identity);
    }
    let path = format!("/v1/rooms/{room}/tokens");
    let request = Request { method: "POST", path: &path, bearer: api_key, body: &body.to_string() };
    let (_, answer) = ask(origin, trust, &request)?;
    answer["token"].as_str().map(str::to_owned).ok_or(RoomError::Answer)
}

/// Ids and roles of the participants of a room. Blocks until the server has answered.
///
/// # Errors
/// [`RoomError`].
pub fn participants(
    origin: &Origin,
    trust: Trust,
    api_key: Option<&str>,
    room: RoomId,
) -> Result<Vec<(u32, Role)>, RoomError> {
    let path = format!("/v1/rooms/{room}/participants");
    let (_, answer) = ask(origin, trust, &Request { method: "GET", path: &path, bearer: api_key, body: "" })?;
    let list = answer["participants"].as_array().ok_or(RoomError::Answer)?;
    let participant = |entry: &Value| {
        let id = entry["participant"].as_u64().and_then(|id| u32::try_from(id).ok())?;
        Some((id, entry["role"].as_str()?.parse().ok()?))
    };
    list.iter().map(participant).collect::<Option<_>>().ok_or(RoomError::Answer)
}

/// Removes a participant from a room, and bans it if so asked. Blocks until the server has answered.
///
/// # Errors
/// [`RoomError`].
pub fn kick(
    origin: &Origin,
    trust: Trust,
    api_key: Option<&str>,
    room: RoomId,
    participant: u32,
    ban: bool,
) -> Result<(), RoomError> {
    let path = format!("/v1/rooms/{room}/participants/{participant}?ban={ban}");
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    fn id(number: u8) -> RoomId {
        RoomId(Fixed([number; 16]))
    }

    /// A page with these rooms, and the next one behind that.
    fn page(rooms: &[u8], next: Option<u8>) -> String {
        let rooms: Vec<_> = rooms.iter().map(|room| json!({"room": id(*room), "participants": 0, "used": 7})).collect();
        json!({"rooms": rooms, "next": next.map(id)}).to_string()
    }

    /// Lists the rooms of a server that answers with these pages.
    fn listed(pages: Vec<String>) -> Result<Vec<RoomId>, RoomError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let server = thread::spawn(move || {
            for page in pages {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4_096]).unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
                stream.write_all((head + &page).as_bytes()).unwrap();
            }
        });
        let rooms = list(&origin, Trust::PublicAuthorities, None);
        server.join().unwrap();
        Ok(rooms?.into_iter().map(|room| room.room).collect())
    }

    #[test]
    fn room_that_was_ended_meanwhile_is_left_out() {
        let pages = vec![page(&[1, 2], Some(3)), page(&[], Some(5)), page(&[6], None)];
        assert_eq!(listed(pages).unwrap(), [1, 2, 6].map(id));
    }

    #[test]
    fn list_that_does_not_go_on_is_refused() {
        for last in [page(&[], Some(2)), page(&[2], None), page(&[4, 3], None), page(&[3], Some(1))] {
            let refused = listed(vec![page(&[1, 2], Some(2)), last.clone()]);
            assert!(matches!(refused, Err(RoomError::Answer)), "{last}: {refused:?}");
        }
    }
}
