//! `/v1/rooms/{room}/participants`: who is in a room, and removing them.

use super::{
    Problem, Server,
    authorization::{Permitted, RoomsRead, RoomsWrite},
    in_path::InPath,
    problem,
    rooms::no_room,
};
use crate::rooms::KickError;
use axum::{
    Json, Router,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use serde::{Deserialize, Serialize};
use tacet_proto::{ParticipantId, RoomId};
use utoipa::{IntoParams, ToSchema};

pub(super) fn routes() -> Router<Server> {
    Router::new()
        .route("/v1/rooms/{room}/participants", get(list_participants))
        .route("/v1/rooms/{room}/participants/{participant}", delete(remove_participant))
}

/// A participant. The server knows no name.
#[derive(Serialize, ToSchema)]
pub(super) struct PresentParticipant {
    /// Its id, random for the call.
    participant: u32,
    /// `listener`, `speaker`, `moderator` or `host`.
    role: &'static str,
    /// Whether it has joined the call; it has only entered otherwise.
    joined: bool,
}

/// Those who are in a room.
#[derive(Serialize, ToSchema)]
pub(super) struct ParticipantList {
    /// In the order of their ids.
    participants: Vec<PresentParticipant>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Removal {
    /// Whether its device, its token and tokens of its identity are refused from then on. The room is locked then, if guests come in
    /// by link.
    #[serde(default)]
    ban: bool,
}

/// List participants
#[utoipa::path(
    get, path = "/v1/rooms/{room}/participants", operation_id = "listParticipants", tag = "rooms",
    security(("key" = ["rooms:read"])),
    params(("room" = String, Path, description = "The room's id", pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    responses(
        (status = 200, description = "Those who are in the room", body = ParticipantList),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such room", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
    )
)]
pub(super) async fn list_participants(
    _: Permitted<RoomsRead>,
    State(server): State<Server>,
    InPath(room): InPath<RoomId>,
) -> Response {
    let Some(room) = room else { return no_room() };
    let Some(present) = server.rooms.participants_of(room).await else { return no_room() };
    let participants = present.into_iter().map(|present| PresentParticipant {
        participant: present.participant.0,
        role: present.role.name(),
        joined: present.joined,
    });
    Json(ParticipantList { participants: participants.collect() }).into_response()
}

/// Remove a participant
///
/// Its connection is closed, and it does not return to the call. This is written before it is answered.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}/participants/{participant}", operation_id = "removeParticipant", tag = "rooms",
    security(("key" = ["rooms:write"])),
    params(
        ("room" = String, Path, description = "The room's id", pattern = "^[A-Za-z0-9_-]{21}[AQgw]$"),
        ("participant" = u32, Path, description = "The participant's id"),
        Removal,
    ),
    responses(
        (status = 204, description = "It is removed"),
        (status = 400, description = "Malformed parameters", body = Problem),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such participant", body = Problem),
        (status = 409, description = "The room has as many bans as it may; the participant is there still", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
        (status = 507, description = "It is removed, but the disk is full: a restart of the server may undo it", body = Problem),
    )
)]
pub(super) async fn remove_participant(
    _: Permitted<RoomsWrite>,
    State(server): State<Server>,
    named: Result<Path<(String, String)>, PathRejection>,
    removal: Result<Query<Removal>, QueryRejection>,
) -> Response {
    let Ok(Query(Removal { ban })) = removal else {
        return problem(StatusCode::BAD_REQUEST, "bad_request", "expected ban=true, ban=false or neither");
    };
    let named = named.ok().and_then(|Path((room, participant))| Some((room.parse().ok()?, participant.parse().ok()?)));
    let Some((room, participant)) = named else { return no_participant() };
    match server.rooms.kick(room, ParticipantId(participant), ban).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(KickError::NoParticipant) => no_participant(),
        Err(error @ KickError::BansFull) => problem(StatusCode::CONFLICT, "bans_full", &error.to_string()),
        Err(error @ KickError::NotWritten) => problem(StatusCode::INSUFFICIENT_STORAGE, "storage", &error.to_string()),
    }
}

fn no_participant() -> Response {
    problem(StatusCode::NOT_FOUND, "no_participant", "there is no such participant")
}
