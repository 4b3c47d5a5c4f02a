//! `/v1/keys`: keys of the API.

use super::{
    NOT_STORED, Problem, Server,
    authorization::{self, Permitted},
    body,
    in_path::InPath,
    not_stored, problem,
};
use crate::api::{KeyDescription, KeyError, KeyId, Scope, keys::seconds};
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, post},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::SystemTime};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/keys", post(create_key).get(list_keys)).route("/v1/keys/{key}", delete(revoke_key))
}

/// A century: more than any key should last.
const MAX_DAYS: u32 = 36_500;

/// A key to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateKey {
    /// What to call it, for those who list keys. Printable.
    #[schema(min_length = 1, max_length = 64, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,64}$")]
    name: String,
    /// What it allows: nothing that the key of this request does not.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// How many days it lasts. It does not end by itself otherwise.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 36500)]
    days: Option<u32>,
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    /// Names it.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    id: String,
    /// What its maker calls it.
    name: String,
    /// What it allows.
    scopes: Vec<Scope>,
    /// When it was created, in seconds since 1970.
    created: u64,
    /// When it ends, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    /// The hour in which it was last used, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
}

/// A key that was created.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedKey {
    /// The key itself, which is shown this once.
    key: String,
    #[serde(flatten)]
    about: Key,
}

/// All keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyList {
    /// In the order of their ids.
    keys: Vec<Key>,
}

impl From<KeyDescription> for Key {
    fn from(KeyDescription { id, name, scopes, created, expires, used }: KeyDescription) -> Self {
        Self { id: id.to_string(), name, scopes, created, expires, used }
    }
}

/// Create a key
#[utoipa::path(
    post, path = "/v1/keys", operation_id = "createKey", tag = "keys", security(("key" = ["keys"])),
    request_body = CreateKey,
    responses(
        (status = 201, description = "The key, which is shown this once", body = CreatedKey),
        (status = 400, description = "Malformed, or without a scope", body = Problem),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 413, description = "The body is longer than 16,384 bytes", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
        (status = 503, description = "There are too many keys", body = Problem),
        (status = 507, description = "The disk is full", body = Problem),
    )
)]
pub(super) async fn create_key(
    permitted: Permitted<authorization::Keys>,
    State(server): State<Server>,
    body: Bytes,
) -> Response {
    let CreateKey { name, scopes, days } = match body::read(&body) {
        Ok(key) => key,
        Err(refused) => return *refused,
    };
    if let Some(scope) = scopes.iter().find(|scope| !permitted.scopes.contains(scope)) {
        return authorization::missing_scope(*scope);
    }
    if days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        return problem(StatusCode::BAD_REQUEST, "bad_request", "days: expected 1 to 36500");
    }
    let now = SystemTime::now();
    let expires = days.map(|days| seconds(now) + u64::from(days) * 86_400);
    let api = Arc::clone(&server.api);
    let created = spawn_blocking(move || api.keys.create(&name, scopes, expires, now)).await;
    match created {
        Ok(Ok((about, key))) => (StatusCode::CREATED, Json(CreatedKey { key, about: about.into() })).into_response(),
        Ok(Err(error @ (KeyError::Name | KeyError::NoScope | KeyError::Expired))) => {
            problem(StatusCode::BAD_REQUEST, "bad_request", &error.to_string())
        }
        Ok(Err(error @ (KeyError::TooMany | KeyError::NoRandomness))) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "server_full", &error.to_string())
        }
        Ok(Err(error @ KeyError::Storage(_))) => not_stored(&error, "a change of the API keys", NOT_STORED),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to create the key"),
    }
}

/// List all keys
#[utoipa::path(
    get, path = "/v1/keys", operation_id = "listKeys", tag = "keys", security(("key" = ["keys"])),
    responses(
        (status = 200, description = "All keys, without their secrets", body = KeyList),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
    )
)]
pub(super) async fn list_keys(_: Permitted<authorization::Keys>, State(server): State<Server>) -> Json<KeyList> {
    Json(KeyList { keys: server.api.keys.list().into_iter().map(Key::from).collect() })
}

/// Revoke a key
#[utoipa::path(
    delete, path = "/v1/keys/{key}", operation_id = "revokeKey", tag = "keys", security(("key" = ["keys"])),
    params(("key" = String, Path, description = "Its id", pattern = "^[0-9a-f]{16}$")),
    responses(
        (status = 204, description = "It opens nothing any more"),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such key", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
        (status = 507, description = "The disk is full", body = Problem),
    )
)]
pub(super) async fn revoke_key(
    _: Permitted<authorization::Keys>,
    State(server): State<Server>,
    InPath(key): InPath<KeyId>,
) -> Response {
    let Some(id) = key else { return no_key() };
    let api = Arc::clone(&server.api);
    match spawn_blocking(move || api.keys.revoke(id)).await {
        Ok(Ok(true)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(false)) => no_key(),
        Ok(Err(error)) => not_stored(&error, "a change of the API keys", NOT_STORED),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to revoke the key"),
    }
}

fn no_key() -> Response {
    problem(StatusCode::NOT_FOUND, "no_key", "there is no such key")
}
