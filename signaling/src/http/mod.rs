//! The HTTP surface: one module for each group of routes.
//!
//! | path                                       | answer                                                             | module         |
//! |--------------------------------------------|--------------------------------------------------------------------|----------------|
//! | `/v1/ws`                                   | the WebSocket, subprotocol `tacet.v1.json`                           | `web_socket`   |
//! | `/v1/rooms`, `/v1/rooms/{room}`            | creating, listing, describing and ending rooms                     | `rooms`        |
//! | `/v1/rooms/{room}/participants`, `…/{participant}` | listing and removing participants                    | `participants` |
//! | `/v1/rooms/{room}/tokens`                   | making room tokens                                                 | `tokens`       |
//! | `/v1/keys`, `/v1/keys/{key}`               | creating, listing and revoking keys                                | `keys`         |
//! | `/v1/webhooks`, `/v1/webhooks/{webhook}`, … | adding, listing and removing webhooks; what they did not receive | `webhooks`     |
//! | `/v1/stats`                                | numbers of the whole server                                        | `stats`        |
//! | `/v1/server`                               | `{"protocols": [..], "open_rooms": bool}`                            | `description`  |
//! | `/v1/openapi.json`, `/v1/docs`             | all of this but the WebSocket, for programs and for people         | `openapi`, `reference` |
//! | `/healthz`, `/readyz`                      | 200 while the server runs, and while it takes new calls            | `health`       |
//! | `/.well-known/security.txt`                | the operator's contact (RFC 9116), or 404                          | `security_txt` |
//! | `/`, `/r/{room}`, `/assets/`               | the page; the room's secret is in the link's fragment and not sent | `page`         |
//!
//! Every error is JSON: a [`Problem`].

pub(crate) mod authorization;
mod body;
mod client;
mod description;
mod forwarded;
mod health;
pub(crate) mod hosts;
mod in_path;
mod keys;
pub(crate) mod openapi;
mod origin;
mod page;
mod participants;
mod reference;
mod refusal;
mod rooms;
mod security_headers;
mod security_txt;
mod stats;
mod tokens;
mod web_access;
mod web_socket;
mod webhooks;

pub(crate) use authorization::KeyRates;
pub(crate) use client::Client;
pub use hosts::Hosts;
pub use page::{PageFile, PageSource};
pub(crate) use refusal::Refusals;

use crate::{
    admission::Admission,
    api::{ApiRecords, Scope},
    config::Config,
    guesses::Guesses,
    metrics::Metrics,
    public_url::PublicUrl,
    resume::origin::Origins,
    rooms::Rooms,
};
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, StatusCode, header::ORIGIN},
    middleware,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{error::Error, sync::Arc, time::Instant};
use tacet_proto::limits::MAX_MESSAGE_BYTES;
use tokio::sync::{mpsc, watch};
use utoipa::ToSchema;

/// State of every handler.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) config: Arc<Config>,
    pub(crate) rooms: Rooms,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) guesses: Arc<Guesses>,
    pub(crate) api: Arc<ApiRecords>,
    pub(crate) key_rates: Arc<KeyRates>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) page: Option<Arc<dyn PageSource>>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) started: Instant,
    /// Held by every connection, so that the server knows when the last one has ended.
    pub(crate) alive: mpsc::Sender<()>,
}

impl Server {
    /// Whether a web page of the request's origin may use this server.
    fn allows_origin(&self, headers: &HeaderMap, client: &Client) -> bool {
        // A value that is not text is neither an allowed origin nor an absent one.
        let origin = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or("?"));
        let public = self.config.public_url.as_ref().map(PublicUrl::origin);
        let listed = self.config.allowed_origins.iter().map(String::as_str).chain(public);
        origin::is_allowed(origin, &client.hosts, listed)
    }

    /// The origins under which a client may have reached this server.
    fn origins(&self, client: &Client) -> Origins {
        match &self.config.public_url {
            Some(public) => Origins::named(public.origin()),
            None => Origins::of_hosts(client.hosts.iter().map(String::as_str)),
        }
    }
}

/// All routes.
pub(crate) fn router(server: Server) -> Router {
    let mut router = Router::new()
        .merge(web_socket::routes())
        .merge(rooms::routes())
        .merge(keys::routes())
        .merge(webhooks::routes())
        .merge(stats::routes())
        .merge(openapi::routes())
        .merge(reference::routes())
        .merge(tokens::routes())
        .merge(participants::routes())
        .merge(description::routes())
        .merge(health::routes())
        .merge(security_txt::routes());
    if server.page.is_some() {
        router = router.merge(page::routes());
    }
    router
        .fallback(async || problem(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path has other methods; see Allow")
        })
        .layer(DefaultBodyLimit::max(MAX_MESSAGE_BYTES))
        .layer(middleware::from_fn_with_state(server.clone(), web_access::check))
        .layer(middleware::from_fn_with_state(server.clone(), client::identify))
        // Outermost, so that refusals have them too.
        .layer(middleware::from_fn_with_state(server.clone(), security_headers::add))
        .with_state(server)
}

/// An error.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// For people.
    error: String,
    /// For programs: one word for each cause.
    code: &'static str,
    /// After how many milliseconds the request may be repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_ms: Option<u32>,
    /// The scope that the key lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
}

/// What a client reads of a change that was not stored.
const NOT_STORED: &str = "the change cannot be stored";

/// The answer to a change that the disk did not take. `change` is what the log calls it, `text` what the client reads.
fn not_stored(error: &(dyn Error + 'static), change: &str, text: &str) -> Response {
    tracing::error!(error, "{change} was not stored");
    problem(StatusCode::INSUFFICIENT_STORAGE, "storage", text)
}

/// An error that repeating the request does not mend by itself.
fn problem(status: StatusCode, code: &'static str, error: &str) -> Response {
    (status, Json(Problem { error: error.to_owned(), code, retry_ms: None, scope: None })).into_response()
}
