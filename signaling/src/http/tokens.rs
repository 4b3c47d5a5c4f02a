//! `/v1/rooms/{room}/tokens`: making room tokens.

use super::{
    Problem, Server,
    authorization::{Permitted, Tokens},
    body,
    in_path::InPath,
    problem,
    rooms::no_room,
};
use crate::{
    room_token::{IssueError, MAX_LIFETIME, TokenRequest},
    rooms::TokenRefused,
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use tacet_proto::{Capabilities, Capability, Role, RoomId};
use utoipa::{
    ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, Schema, Type, schema::SchemaType},
};

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/rooms/{room}/tokens", post(create_token))
}

/// For how many seconds a token is good unless the request says so.
const LIFETIME: u64 = 12 * 3_600;

/// A room token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateToken {
    /// What its holder is in the room: `listener`, `speaker`, `moderator` or `host`.
    #[schema(value_type = String, pattern = "^(listener|speaker|moderator|host)$")]
    role: Role,
    /// What the holder may do at most, such as `subscribe` and `chat`; everything that the role may, if absent.
    #[serde(default)]
    #[schema(schema_with = capabilities)]
    capabilities: Option<Capabilities>,
    /// Who the holder is, in words of the maker's own: a ban concerns all tokens of an identity. Visible ASCII characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, pattern = "^[!-~]{1,64}$")]
    identity: Option<String>,
    /// For how many seconds it is good from now on; 43,200 if absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2_592_000)]
    lifetime: Option<u64>,
    /// From when on it is good, in seconds since 1970; at once if absent.
    #[serde(default)]
    not_before: Option<u64>,
}

/// A list without repetitions, or nothing.
fn capabilities() -> Schema {
    let names = Capability::ALL.iter().filter_map(|capability| serde_json::to_value(capability).ok());
    let name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(name)
        .unique_items(true)
        .into()
}

/// A room token.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedToken {
    /// What a client shows on entering.
    token: String,
    /// Until when it is good, in seconds since 1970.
    expires: u64,
}

/// Make a room token
///
/// It admits anyone who has it to the room, in its role and until it ends. It opens no frame: its holder needs the link, too.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/tokens", operation_id = "createToken", tag = "rooms", security(("key" = ["tokens"])),
    params(("room" = String, Path, description = "Its id", pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = CreateToken,
    responses(
        (status = 201, description = "The token", body = CreatedToken),
        (status = 400, description = "Malformed, or no token may say this", body = Problem),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such room", body = Problem),
        (status = 409, description = "It would have ended before it is good", body = Problem),
        (status = 413, description = "The body is longer than 16,384 bytes", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
    )
)]
pub(super) async fn create_token(
    _: Permitted<Tokens>,
    State(server): State<Server>,
    InPath(room): InPath<RoomId>,
    body: Bytes,
) -> Response {
    let Some(room) = room else { return no_room() };
    let CreateToken { role, capabilities, identity, lifetime, not_before } = match body::read(&body) {
        Ok(asked) => asked,
        Err(refused) => return *refused,
    };
    let lifetime = lifetime.unwrap_or(LIFETIME);
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    // A time that the system cannot express is behind any end.
    let after_now = |time: u64| Duration::from_secs(time.saturating_sub(since_1970).min(lifetime));
    let not_before = not_before.map(|time| SystemTime::now() + after_now(time));
    let lifetime = Duration::from_secs(lifetime);
    let request = TokenRequest { room, role, capabilities, identity, not_before, lifetime };
    match server.rooms.issue_token(&request) {
        Ok(token) => {
            let expires = since_1970.saturating_add(lifetime.as_secs());
            (StatusCode::CREATED, Json(CreatedToken { token, expires })).into_response()
        }
        Err(TokenRefused::NoRoom) => no_room(),
        Err(TokenRefused::Issue(IssueError::Lifetime))
            if (1..=MAX_LIFETIME.as_secs()).contains(&lifetime.as_secs()) =>
        {
            problem(StatusCode::CONFLICT, "never_good", "not_before: the token would have ended before it is good")
        }
        Err(TokenRefused::Issue(error)) => problem(StatusCode::BAD_REQUEST, "bad_request", &error.to_string()),
        Err(error @ TokenRefused::NoRandomness) => {
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string())
        }
    }
}
