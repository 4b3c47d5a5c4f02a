//! `/v1/webhooks`: who is informed of what happens in rooms, and what did not arrive.

use super::{
    NOT_STORED, Problem, Server,
    authorization::{self, Permitted},
    body,
    in_path::InPath,
    not_stored, problem,
};
use crate::webhooks::{EndpointDescription, EndpointError, EndpointId, EventKind, FailedDelivery};
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

pub(super) fn routes() -> Router<Server> {
    Router::new()
        .route("/v1/webhooks", post(add_webhook).get(list_webhooks))
        .route("/v1/webhooks/{webhook}", delete(remove_webhook))
        .route("/v1/webhooks/{webhook}/failed", get(list_failed))
        .route("/v1/webhooks/{webhook}/resend", post(send_again))
}

/// A webhook to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddWebhook {
    /// Where messages go: an `https` URL that leads to a public address.
    #[schema(pattern = "^https?://[!-~]{1,1990}$")]
    url: String,
    /// What it is informed of; everything otherwise.
    #[serde(default)]
    #[schema(min_items = 1)]
    events: Option<Vec<EventKind>>,
}

/// A webhook, without its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Webhook {
    /// Names it.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    id: String,
    /// Where messages go.
    url: String,
    /// What it is informed of.
    events: Vec<EventKind>,
    /// When it was added, in seconds since 1970.
    created: u64,
    /// Messages that wait for an attempt.
    waiting: usize,
    /// Messages that failed for the last time, and are kept.
    failed: usize,
    /// Messages that were let go because there were too many, since the server started.
    lost: u64,
}

/// A webhook that was added.
#[derive(Serialize, ToSchema)]
pub(super) struct AddedWebhook {
    /// The secret of its `v1` signatures, which is shown this once.
    secret: String,
    /// The public half of the server's key, for `v1a` signatures.
    public_key: String,
    #[serde(flatten)]
    about: Webhook,
}

/// All webhooks.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookList {
    /// In the order of their ids.
    webhooks: Vec<Webhook>,
    /// The public half of the server's key, for `v1a` signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

/// A message that failed for the last time.
#[derive(Serialize, ToSchema)]
pub(super) struct FailedMessage {
    /// Its `webhook-id`.
    id: String,
    /// Its body.
    body: String,
    /// When it happened, in seconds since 1970.
    at: u64,
    /// How often it was tried.
    attempts: u32,
    /// Why the last attempt failed: a word, or `status` and a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// What did not arrive.
#[derive(Serialize, ToSchema)]
pub(super) struct FailedList {
    /// The oldest first.
    failed: Vec<FailedMessage>,
}

/// What is sent again.
#[derive(Serialize, ToSchema)]
pub(super) struct SentAgain {
    /// How many messages.
    messages: usize,
}

impl From<EndpointDescription> for Webhook {
    fn from(EndpointDescription { id, url, events, created, waiting, failed, lost }: EndpointDescription) -> Self {
        Self { id: id.to_string(), url, events, created, waiting, failed, lost }
    }
}

impl From<FailedDelivery> for FailedMessage {
    fn from(FailedDelivery { message, body, at, attempts, failure }: FailedDelivery) -> Self {
        Self { id: message, body, at, attempts, failure: failure.map(|failure| failure.to_string()) }
    }
}

/// Add a webhook
///
/// Messages are signed as Standard Webhooks describes it: `webhook-signature` has a `v1` signature (HMAC-SHA256 under the secret) and a
/// `v1a` signature (Ed25519) of `webhook-id`, `webhook-timestamp` and the body, joined by points.
#[utoipa::path(
    post, path = "/v1/webhooks", operation_id = "addWebhook", tag = "webhooks", security(("key" = ["webhooks"])),
    request_body = AddWebhook,
    responses(
        (status = 201, description = "The webhook, and its secret, which is shown this once", body = AddedWebhook),
        (status = 400, description = "Malformed, or without an event", body = Problem),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing, or the server sends nothing to this URL", body = Problem),
        (status = 413, description = "The body is longer than 16,384 bytes", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
        (status = 503, description = "There are too many webhooks", body = Problem),
        (status = 507, description = "The disk is full", body = Problem),
    )
)]
pub(super) async fn add_webhook(
    _: Permitted<authorization::Webhooks>,
    State(server): State<Server>,
    body: Bytes,
) -> Response {
    let AddWebhook { url, events } = match body::read(&body) {
        Ok(webhook) => webhook,
        Err(refused) => return *refused,
    };
    let adding = server.clone();
    let added =
        spawn_blocking(move || adding.api.webhooks.add(&url, events, &adding.config.webhooks, SystemTime::now()));
    match added.await {
        Ok(Ok((about, secret))) => {
            let public_key = server.api.webhooks.public_key().unwrap_or_default();
            (StatusCode::CREATED, Json(AddedWebhook { secret, public_key, about: about.into() })).into_response()
        }
        Ok(Err(EndpointError::Target(error))) => problem(StatusCode::FORBIDDEN, "url_not_allowed", &error.to_string()),
        Ok(Err(error @ EndpointError::NoEvents)) => problem(StatusCode::BAD_REQUEST, "bad_request", &error.to_string()),
        Ok(Err(error @ (EndpointError::TooMany | EndpointError::NoRandomness))) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "server_full", &error.to_string())
        }
        Ok(Err(EndpointError::Storage(error))) => not_stored(&error, "a change of the webhooks", NOT_STORED),
        Err(_) => internal(),
    }
}

/// List all webhooks
#[utoipa::path(
    get, path = "/v1/webhooks", operation_id = "listWebhooks", tag = "webhooks", security(("key" = ["webhooks"])),
    responses(
        (status = 200, description = "All webhooks, without their secrets", body = WebhookList),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
    )
)]
pub(super) async fn list_webhooks(
    _: Permitted<authorization::Webhooks>,
    State(server): State<Server>,
) -> Json<WebhookList> {
    let webhooks = &server.api.webhooks;
    Json(WebhookList {
        webhooks: webhooks.list().into_iter().map(Webhook::from).collect(),
        public_key: webhooks.public_key(),
    })
}

/// Remove a webhook
///
/// What it has not received is let go.
#[utoipa::path(
    delete, path = "/v1/webhooks/{webhook}", operation_id = "removeWebhook", tag = "webhooks",
    security(("key" = ["webhooks"])),
    params(("webhook" = String, Path, description = "Its id", pattern = "^[0-9a-f]{16}$")),
    responses(
        (status = 204, description = "It is informed of nothing any more"),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such webhook", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
        (status = 507, description = "The disk is full", body = Problem),
    )
)]
pub(super) async fn remove_webhook(
    _: Permitted<authorization::Webhooks>,
    State(server): State<Server>,
    InPath(webhook): InPath<EndpointId>,
) -> Response {
    let Some(id) = webhook else { return no_webhook() };
    match spawn_blocking(move || server.api.webhooks.remove(id)).await {
        Ok(Ok(true)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(false)) => no_webhook(),
        Ok(Err(error)) => not_stored(&error, "a change of the webhooks", NOT_STORED),
        Err(_) => internal(),
    }
}

/// List what a webhook did not receive
///
/// Messages that failed for the last time, at most 1,000.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook}/failed", operation_id = "listFailed", tag = "webhooks",
    security(("key" = ["webhooks"])),
    params(("webhook" = String, Path, description = "Its id", pattern = "^[0-9a-f]{16}$")),
    responses(
        (status = 200, description = "The messages", body = FailedList),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such webhook", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
    )
)]
pub(super) async fn list_failed(
    _: Permitted<authorization::Webhooks>,
    State(server): State<Server>,
    InPath(webhook): InPath<EndpointId>,
) -> Response {
    let Some(failed) = webhook.and_then(|id| server.api.webhooks.failed(id)) else { return no_webhook() };
    Json(FailedList { failed: failed.into_iter().map(FailedMessage::from).collect() }).into_response()
}

/// Send again what a webhook did not receive
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook}/resend", operation_id = "sendAgain", tag = "webhooks",
    security(("key" = ["webhooks"])),
    params(("webhook" = String, Path, description = "Its id", pattern = "^[0-9a-f]{16}$")),
    responses(
        (status = 200, description = "How many messages are tried again", body = SentAgain),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 404, description = "There is no such webhook", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
        (status = 507, description = "The disk is full", body = Problem),
    )
)]
pub(super) async fn send_again(
    _: Permitted<authorization::Webhooks>,
    State(server): State<Server>,
    InPath(webhook): InPath<EndpointId>,
) -> Response {
    let Some(id) = webhook else { return no_webhook() };
    match spawn_blocking(move || server.api.webhooks.resend(id, SystemTime::now())).await {
        Ok(Ok(Some(messages))) => Json(SentAgain { messages }).into_response(),
        Ok(Ok(None)) => no_webhook(),
        Ok(Err(error)) => not_stored(&error, "a change of the webhooks", NOT_STORED),
        Err(_) => internal(),
    }
}

fn no_webhook() -> Response {
    problem(StatusCode::NOT_FOUND, "no_webhook", "there is no such webhook")
}

fn internal() -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to do this")
}
