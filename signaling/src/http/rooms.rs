//! `/v1/rooms`: creating a room, and for the operator and programs listing and ending them.

use super::{
    Client, Problem, Server,
    authorization::{Permitted, RoomsRead, RoomsWrite},
    body,
    in_path::InPath,
    not_stored, problem, refusal,
};
use crate::{
    access_hash::AccessHash,
    api::idempotency::{Begun, RepeatError, RequestId},
    metrics::Refusal,
    network::network,
    random::random,
    room::RoomPolicy,
    rooms::{CreateError, stock::Maker},
};
use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use std::{error::Error, time::SystemTime};
use tacet_proto::{Role, RoomId, bytes::Fixed};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

pub(super) fn routes() -> Router<Server> {
    Router::new()
        .route("/v1/rooms", post(create_room).get(list_rooms))
        .route("/v1/rooms/{room}", get(describe_room).patch(change_room).delete(end_room))
}

/// Rooms of a page of the list, unless the request says how many.
const PAGE: usize = 100;
/// Maximum number of rooms of a page.
const MAX_PAGE: usize = 1_000;

/// A room to be created. The caller draws the secret of its link, and sends what the server needs to tell who has it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRoom {
    /// SHA-256 of the access token that the room's link yields, in base64url.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
    access_hash: Fixed<32>,
    /// What those who come by link are: `speaker` otherwise.
    #[serde(default)]
    guests: Option<Guests>,
    /// Whether newcomers are kept out.
    #[serde(default)]
    locked: Option<bool>,
}

/// What those who come into a room by its link alone are, or `none` if they do not come in.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Guests {
    None,
    Listener,
    Speaker,
    Moderator,
    Host,
}

impl Guests {
    fn role(self) -> Option<Role> {
        match self {
            Self::None => None,
            Self::Listener => Some(Role::Listener),
            Self::Speaker => Some(Role::Speaker),
            Self::Moderator => Some(Role::Moderator),
            Self::Host => Some(Role::Host),
        }
    }

    fn of(role: Option<Role>) -> Self {
        match role {
            None => Self::None,
            Some(Role::Listener) => Self::Listener,
            Some(Role::Speaker) => Self::Speaker,
            Some(Role::Moderator) => Self::Moderator,
            Some(Role::Host) => Self::Host,
        }
    }
}

/// What is to change of a room. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeRoom {
    /// What those who come by link are from now on. Those inside stay what they are.
    #[serde(default)]
    guests: Option<Guests>,
    /// Whether newcomers are kept out.
    #[serde(default)]
    locked: Option<bool>,
}

/// Changes a policy by what a request says.
fn change_policy(policy: &mut RoomPolicy, guests: Option<Guests>, locked: Option<bool>) {
    if let Some(guests) = guests {
        policy.guests = guests.role();
    }
    policy.locked = locked.unwrap_or(policy.locked);
}

/// A room that was created.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedRoom {
    /// Its id, in the path of its link.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    room: RoomId,
}

/// What the server knows of a room.
#[derive(Serialize, ToSchema)]
pub(super) struct DescribedRoom {
    /// Its id.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    room: RoomId,
    /// Participants that have entered.
    participants: usize,
    /// When a call in the room last began or ended, or when the room was created: seconds since 1970.
    used: u64,
    /// What those who come by link are.
    guests: Guests,
    /// Whether newcomers are kept out.
    locked: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// The last room of the page before.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    after: Option<RoomId>,
    /// Maximum number of rooms.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// A page of the list of rooms.
#[derive(Serialize, ToSchema)]
pub(super) struct RoomList {
    /// In the order of their ids.
    rooms: Vec<DescribedRoom>,
    /// `after` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    next: Option<RoomId>,
}

/// Create a room
///
/// Needs no key on a server that lets visitors create rooms. A request with a key and an `Idempotency-Key` may be repeated for a
/// day: it creates one room, and has the same answer.
#[utoipa::path(
    post, path = "/v1/rooms", operation_id = "createRoom", tag = "rooms", security(("key" = ["rooms:write"]), ()),
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the request, so that it may be repeated",
            pattern = "^[!-~]{1,255}$")),
    request_body = CreateRoom,
    responses(
        (status = 201, description = "The room", body = CreatedRoom),
        (status = 400, description = "Malformed, or with the link or its secret", body = Problem),
        (status = 401, description = "A wrong key", body = Problem),
        (status = 403, description = "A key or a scope is missing, or the page's origin is not allowed", body = Problem),
        (status = 409, description = "The same request is being answered, or another one had this `Idempotency-Key`", body = Problem),
        (status = 413, description = "The body is longer than 16,384 bytes", body = Problem),
        (status = 429, description = "Too many requests, or too many rooms that no one has entered", body = Problem),
        (status = 503, description = "There are too many rooms", body = Problem),
        (status = 507, description = "The disk is full", body = Problem),
    )
)]
pub(super) async fn create_room(
    permitted: Option<Permitted<RoomsWrite>>,
    State(server): State<Server>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if permitted.is_none() {
        if !server.config.open_rooms {
            return problem(StatusCode::FORBIDDEN, "rooms_closed", "only the operator of this server creates rooms");
        }
        if let Err(wait) = server.admission.may_try(client.address) {
            server.refusals.refused(Refusal::Rate);
            return refusal::answer(Refusal::Rate, Some(wait));
        }
    }
    let repeatable = match repeatable(&headers, permitted.as_ref()) {
        Ok(repeatable) => repeatable,
        Err(text) => return problem(StatusCode::BAD_REQUEST, "bad_request", text),
    };
    let CreateRoom { access_hash, guests, locked } = match body::read(&body) {
        Ok(room) => room,
        Err(refused) => return *refused,
    };
    let maker = if permitted.is_some() { Maker::Operator } else { Maker::Anyone(network(client.address)) };
    let mut policy = RoomPolicy::default();
    change_policy(&mut policy, guests, locked);
    let wanted = Wanted { access_hash: AccessHash(access_hash.0), maker, policy };
    // The room is written to the registry before it is answered, which may wait for a disk.
    let creating = server.clone();
    let created = spawn_blocking(move || create(&creating, wanted, repeatable, &body)).await;
    match created {
        Ok(Ok(room)) => (StatusCode::CREATED, Json(CreatedRoom { room })).into_response(),
        Ok(Err(not_created)) => not_created.answer(&server),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to create the room"),
    }
}

/// The request as it may be repeated, if its sender wants that.
fn repeatable(
    headers: &HeaderMap,
    permitted: Option<&Permitted<RoomsWrite>>,
) -> Result<Option<RequestId>, &'static str> {
    let mut named = headers.get_all("idempotency-key").iter();
    let Some(first) = named.next() else { return Ok(None) };
    let Some(permitted) = permitted else { return Err("Idempotency-Key needs an API key") };
    let request = first.to_str().ok().filter(|_| named.next().is_none());
    let request = request.and_then(|key| RequestId::new(permitted.holder, key));
    request.map(Some).ok_or("Idempotency-Key: expected one, of 1 to 255 visible characters")
}

/// Why there is no room.
enum NotCreated {
    Create(CreateError),
    Repeat(RepeatError),
    Busy,
    Differs,
}

/// A room that is to be created.
struct Wanted {
    access_hash: AccessHash,
    maker: Maker,
    policy: RoomPolicy,
}

/// Creates the room, or finds the one that the same request has created. May block until that is stored.
fn create(
    server: &Server,
    Wanted { access_hash, maker, policy }: Wanted,
    repeatable: Option<RequestId>,
    body: &[u8],
) -> Result<RoomId, NotCreated> {
    let Some(request) = repeatable else {
        let room = RoomId(Fixed(random().map_err(|_| NotCreated::Create(CreateError::NoRandomness))?));
        return server.rooms.create_as(room, access_hash, maker, policy).map(|()| room).map_err(NotCreated::Create);
    };
    match server.api.repeats.begin(request, body, SystemTime::now()).map_err(NotCreated::Repeat)? {
        Begun::Create(room, in_flight) => {
            server.rooms.create_as(room, access_hash, maker, policy).map_err(NotCreated::Create)?;
            in_flight.done();
            Ok(room)
        }
        Begun::Done(room) => Ok(room),
        Begun::Busy => Err(NotCreated::Busy),
        Begun::Differs => Err(NotCreated::Differs),
    }
}

impl NotCreated {
    fn answer(self, server: &Server) -> Response {
        match self {
            Self::Create(CreateError::TooManyOfNetwork(wait)) => {
                server.refusals.refused(Refusal::Rooms);
                refusal::answer(Refusal::Rooms, Some(wait))
            }
            Self::Create(error @ CreateError::Storage(_)) => room_not_stored(&error),
            Self::Create(error) => problem(StatusCode::SERVICE_UNAVAILABLE, "server_full", &error.to_string()),
            Self::Repeat(error @ RepeatError::Storage(_)) => room_not_stored(&error),
            Self::Repeat(error) => problem(StatusCode::SERVICE_UNAVAILABLE, "server_full", &error.to_string()),
            Self::Busy => problem(StatusCode::CONFLICT, "in_progress", "the same request is being answered"),
            Self::Differs => problem(
                StatusCode::CONFLICT,
                "idempotency_key_reused",
                "another request had this Idempotency-Key: draw a new one for each room",
            ),
        }
    }
}

fn room_not_stored(error: &(dyn Error + 'static)) -> Response {
    tracing::error!(error, "a new room was refused");
    problem(StatusCode::INSUFFICIENT_STORAGE, "storage", "the room cannot be stored")
}

/// List rooms
#[utoipa::path(
    get, path = "/v1/rooms", operation_id = "listRooms", tag = "rooms", security(("key" = ["rooms:read"])),
    params(Page),
    responses(
        (status = 200, description = "A page of the list", body = RoomList),
        (status = 400, description = "Malformed parameters", body = Problem),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
    )
)]
pub(super) async fn list_rooms(
    _: Permitted<RoomsRead>,
    State(server): State<Server>,
    page: Result<Query<Page>, QueryRejection>,
) -> Response {
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

/// Describe a room
#[utoipa::path(
    get, path = "/v1/rooms/{room}", operation_id = "describeRoom", tag = "rooms", security(("key" = ["rooms:read"])),
    params(("room" = String, Path, description = "Its id", pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    responses(
        (status = 200, description = "The room", body = DescribedRoom),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such room", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
    )
)]
pub(super) async fn describe_room(
    _: Permitted<RoomsRead>,
    State(server): State<Server>,
    InPath(room): InPath<RoomId>,
) -> Response {
    let Some(room) = room else { return no_room() };
    described(&server, room).await.map_or_else(no_room, |room| Json(room).into_response())
}

async fn described(server: &Server, room: RoomId) -> Option<DescribedRoom> {
    let description = server.rooms.describe(room).await?;
    let used = description.used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let RoomPolicy { guests, locked } = description.policy;
    Some(DescribedRoom { room, participants: description.participants, used, guests: Guests::of(guests), locked })
}

/// Change who may come into a room
#[utoipa::path(
    patch, path = "/v1/rooms/{room}", operation_id = "changeRoom", tag = "rooms", security(("key" = ["rooms:write"])),
    params(("room" = String, Path, description = "Its id", pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = ChangeRoom,
    responses(
        (status = 200, description = "The room", body = DescribedRoom),
        (status = 400, description = "Malformed", body = Problem),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such room", body = Problem),
        (status = 413, description = "The body is longer than 16,384 bytes", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
        (status = 507, description = "The disk is full", body = Problem),
    )
)]
pub(super) async fn change_room(
    _: Permitted<RoomsWrite>,
    State(server): State<Server>,
    InPath(room): InPath<RoomId>,
    body: Bytes,
) -> Response {
    let Some(room) = room else { return no_room() };
    let ChangeRoom { guests, locked } = match body::read(&body) {
        Ok(change) => change,
        Err(refused) => return *refused,
    };
    let rooms = server.rooms.clone();
    let changed =
        spawn_blocking(move || rooms.change_policy(room, |policy| change_policy(policy, guests, locked))).await;
    match changed {
        Ok(Ok(Some(_))) => described(&server, room).await.map_or_else(no_room, |room| Json(room).into_response()),
        Ok(Ok(None)) => no_room(),
        Ok(Err(error)) => not_stored(&error, "a change of a room", &error.to_string()),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to change the room"),
    }
}

/// End a room for all
///
/// Its link opens nothing any more, also after a restart.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}", operation_id = "endRoom", tag = "rooms", security(("key" = ["rooms:write"])),
    params(("room" = String, Path, description = "Its id", pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    responses(
        (status = 204, description = "It has ended"),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such room", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
        (status = 507, description = "The disk is full", body = Problem),
    )
)]
pub(super) async fn end_room(
    _: Permitted<RoomsWrite>,
    State(server): State<Server>,
    InPath(room): InPath<RoomId>,
) -> Response {
    let Some(room) = room else { return no_room() };
    let rooms = server.rooms.clone();
    // That it has ended is written before it is answered, which may wait for a disk.
    match spawn_blocking(move || rooms.end(room)).await {
        Ok(Ok(true)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(false)) => no_room(),
        Ok(Err(error)) => not_stored(&error, "the end of a room", &error.to_string()),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to end the room"),
    }
}

pub(super) fn no_room() -> Response {
    problem(StatusCode::NOT_FOUND, "no_room", "there is no such room")
}
