//! `POST /v1/rooms`: creating a room.

use super::{Server, problem};
use crate::{access_hash::AccessHash, rooms::CreateError};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
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

async fn create(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let authorized = server.config.api_key.as_ref().is_some_and(|key| key.authorizes(authorization));
    if !authorized {
        if !server.config.open_rooms {
            return problem(StatusCode::FORBIDDEN, "only the operator of this server creates rooms");
        }
        if !server.allows_origin(&headers) {
            return problem(StatusCode::FORBIDDEN, "this origin may not create rooms");
        }
        if !server.admission.may_try(peer.ip()) {
            return problem(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        }
    }
    let Ok(CreateRoom { access_hash }) = serde_json::from_slice(&body) else {
        return problem(StatusCode::BAD_REQUEST, "expected {\"access_hash\": 32 bytes of base64url}");
    };
    // The room is written to the registry before it is answered, which may wait for a disk.
    let rooms = server.rooms.clone();
    match spawn_blocking(move || rooms.create(AccessHash(access_hash.0))).await {
        Ok(Ok(room)) => (StatusCode::CREATED, Json(CreatedRoom { room })).into_response(),
        Ok(Err(error @ (CreateError::TooMany | CreateError::NoRandomness))) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
        Ok(Err(error @ CreateError::Storage(_))) => {
            tracing::error!(%error, "a new room was refused");
            problem(StatusCode::INSUFFICIENT_STORAGE, &error.to_string())
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the server failed to create the room"),
    }
}
