//! `POST /v1/rooms`: creating a room.

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
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use std::{
    error::Error,
    time::{Duration, Instant},
};
use tacet_proto::{RoomId, bytes::Fixed};
use tokio::task::spawn_blocking;

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/rooms", post(create))
}

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
        Err(wait) => {
            server.refusals.refused(Refusal::ApiKeyGuesses);
            return refusal::answer(Refusal::ApiKeyGuesses, Some(wait));
        }
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
