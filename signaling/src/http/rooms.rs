//! `/v1/rooms`: creating a room, and for the operator listing and ending them.

use super::{Client, Server, problem, refusal};
use crate::{
    access_hash::AccessHash,
    api_key::bearer,
    metrics::Refusal,
    network::network,
    rooms::{CreateError, stock::Maker},
};
use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{FromRequestParts, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use std::{
    error::Error,
    time::{Duration, Instant, SystemTime},
};
use tacet_proto::{RoomId, bytes::Fixed};
use tokio::task::spawn_blocking;

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/rooms", post(create).get(list)).route("/v1/rooms/{room}", get(describe).delete(end))
}

/// Rooms of a page of the list, unless the request says how many.
const PAGE: usize = 100;
/// Maximum number of rooms of a page.
const MAX_PAGE: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRoom {
    /// SHA-256 of the access token that the room's link yields.
    access_hash: Fixed<32>,
}

#[derive(Serialize)]
struct CreatedRoom {
    room: RoomId,
}

/// A room as the operator sees it.
#[derive(Serialize)]
struct DescribedRoom {
    room: RoomId,
    /// Participants that have entered.
    participants: usize,
    /// When a call in the room last began or ended, or when the room was created: seconds since 1970.
    used: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The last room of the page before.
    after: Option<RoomId>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct RoomList {
    rooms: Vec<DescribedRoom>,
    /// `after` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<RoomId>,
}

/// A request of the operator.
struct Operator;

impl FromRequestParts<Server> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Response> {
        let Some(client) = parts.extensions.get::<Client>() else {
            return Err(problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the client is not known"));
        };
        match authorize(server, client, &parts.headers) {
            Ok(true) => Ok(Self),
            Ok(false) if server.config.api_key.is_none() => Err(problem(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "this server has no API key: it is set by TACET_API_KEY",
            )),
            Ok(false) => Err(problem(StatusCode::UNAUTHORIZED, "unauthorized", "this needs the operator's API key")),
            Err(wait) => Err(too_many_guesses(server, wait)),
        }
    }
}

fn too_many_guesses(server: &Server, wait: Duration) -> Response {
    server.refusals.refused(Refusal::ApiKeyGuesses);
    refusal::answer(Refusal::ApiKeyGuesses, Some(wait))
}

/// Whether the request carries the operator's key. A wrong one is counted.
///
/// # Errors
/// Too many wrong keys came from the client's address, and this one was not looked at: the time until the next one is.
fn authorize(server: &Server, client: &Client, headers: &HeaderMap) -> Result<bool, Duration> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (Some(right), Some(key)) = (&server.config.api_key, authorization.and_then(bearer)) else { return Ok(false) };
    let is_right = server.guesses.hear(client.address, Instant::now(), || right.is(key))?;
    if !is_right {
        server.refusals.refused(Refusal::ApiKey);
    }
    Ok(is_right)
}

async fn create(
    State(server): State<Server>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorized = match authorize(&server, &client, &headers) {
        Ok(authorized) => authorized,
        Err(wait) => return too_many_guesses(&server, wait),
    };
    if !authorized {
        if !server.config.open_rooms {
            return problem(StatusCode::FORBIDDEN, "rooms_closed", "only the operator of this server creates rooms");
        }
        if !server.allows_origin(&headers, &client) {
            server.refusals.refused(Refusal::Origin);
            return refusal::answer(Refusal::Origin, None);
        }
        if let Err(wait) = server.admission.may_try(client.address) {
            server.refusals.refused(Refusal::Rate);
            return refusal::answer(Refusal::Rate, Some(wait));
        }
    }
    let Ok(CreateRoom { access_hash }) = serde_json::from_slice(&body) else {
        return problem(StatusCode::BAD_REQUEST, "bad_request", "expected {\"access_hash\": 32 bytes of base64url}");
    };
    // The room is written to the registry before it is answered, which may wait for a disk.
    let rooms = server.rooms.clone();
    let maker = if authorized { Maker::Operator } else { Maker::Anyone(network(client.address)) };
    match spawn_blocking(move || rooms.create_by(AccessHash(access_hash.0), maker)).await {
        Ok(Ok(room)) => (StatusCode::CREATED, Json(CreatedRoom { room })).into_response(),
        Ok(Err(error @ (CreateError::TooMany | CreateError::NoRandomness))) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "server_full", &error.to_string())
        }
        Ok(Err(CreateError::TooManyOfNetwork(wait))) => {
            server.refusals.refused(Refusal::Rooms);
            refusal::answer(Refusal::Rooms, Some(wait))
        }
        Ok(Err(error @ CreateError::Storage(_))) => {
            let cause: &(dyn Error + 'static) = &error;
            tracing::error!(error = cause, "a new room was refused");
            problem(StatusCode::INSUFFICIENT_STORAGE, "storage", &error.to_string())
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to create the room"),
    }
}

async fn list(_: Operator, State(server): State<Server>, page: Result<Query<Page>, QueryRejection>) -> Response {
    let Ok(Query(Page { after, limit })) = page else {
        return problem(StatusCode::BAD_REQUEST, "bad_request", "expected after=ROOM and limit=NUMBER, or neither");
    };
    let limit = limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return problem(StatusCode::BAD_REQUEST, "bad_request", "limit must be 1 to 1000");
    }
    let listed = server.rooms.list(after, limit);
    let next = listed.last().copied().filter(|_| listed.len() == limit);
    let mut rooms = Vec::with_capacity(listed.len());
    for room in listed {
        rooms.extend(described(&server, room).await);
    }
    Json(RoomList { rooms, next }).into_response()
}

async fn describe(_: Operator, State(server): State<Server>, Path(room): Path<String>) -> Response {
    match room.parse() {
        Ok(room) => described(&server, room).await.map_or_else(no_room, |room| Json(room).into_response()),
        Err(_) => no_room(),
    }
}

async fn described(server: &Server, room: RoomId) -> Option<DescribedRoom> {
    let description = server.rooms.describe(room).await?;
    let used = description.used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Some(DescribedRoom { room, participants: description.participants, used })
}

async fn end(_: Operator, State(server): State<Server>, Path(room): Path<String>) -> Response {
    let Ok(room) = room.parse() else { return no_room() };
    let rooms = server.rooms.clone();
    // That it has ended is written before it is answered, which may wait for a disk.
    match spawn_blocking(move || rooms.end(room)).await {
        Ok(Ok(true)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(false)) => no_room(),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &(dyn Error + 'static), "the end of a room was not stored");
            problem(StatusCode::INSUFFICIENT_STORAGE, "storage", &error.to_string())
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to end the room"),
    }
}

fn no_room() -> Response {
    problem(StatusCode::NOT_FOUND, "no_room", "there is no such room")
}
