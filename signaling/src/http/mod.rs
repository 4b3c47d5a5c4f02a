//! The HTTP surface: one module for each group of routes.
//!
//! | path                         | answer                                                             | module         |
//! |------------------------------|--------------------------------------------------------------------|----------------|
//! | `GET /v1/ws`                 | the WebSocket, subprotocol `tacet.v1.json`                           | `web_socket`   |
//! | `POST /v1/rooms`             | creates a room: `{"access_hash": base64url}` gets 201 `{"room": id}` | `rooms`        |
//! | `GET /v1/server`             | `{"protocols": [..], "open_rooms": bool}`                            | `description`  |
//! | `GET /healthz`               | 200 while the server runs                                          | `health`       |
//! | `/.well-known/security.txt`  | the operator's contact (RFC 9116), or 404                          | `security_txt` |
//! | `/`, `/r/{room}`, `/assets/` | the page; the room's secret is in the link's fragment and not sent | `page`         |

mod description;
mod health;
mod origin;
mod page;
mod rooms;
mod security_headers;
mod security_txt;
mod web_socket;

pub use page::{PageFile, PageSource};

use crate::{admission::Admission, config::Config, metrics::Metrics, rooms::Rooms};
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::{
        HeaderMap, StatusCode,
        header::{HOST, ORIGIN},
    },
    middleware,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::sync::Arc;
use tacet_proto::limits::MAX_MESSAGE_BYTES;
use tokio::sync::{mpsc, watch};

/// State of every handler.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) config: Arc<Config>,
    pub(crate) rooms: Rooms,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) page: Option<Arc<dyn PageSource>>,
    pub(crate) stop: watch::Receiver<bool>,
    /// Held by every connection, so that the server knows when the last one has ended.
    pub(crate) alive: mpsc::Sender<()>,
}

impl Server {
    /// Whether a web page of the request's origin may use this server.
    fn allows_origin(&self, headers: &HeaderMap) -> bool {
        // A value that is not text is neither an allowed origin nor an absent one.
        let origin = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or("?"));
        let host = headers.get(HOST).and_then(|value| value.to_str().ok());
        origin::is_allowed(origin, host, &self.config.allowed_origins)
    }
}

/// All routes.
pub(crate) fn router(server: Server) -> Router {
    let mut router = Router::new()
        .merge(web_socket::routes())
        .merge(rooms::routes())
        .merge(description::routes())
        .merge(health::routes())
        .merge(security_txt::routes());
    if server.page.is_some() {
        router = router.merge(page::routes());
    }
    router
        .layer(DefaultBodyLimit::max(MAX_MESSAGE_BYTES))
        .layer(middleware::from_fn(security_headers::add))
        .with_state(server)
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

/// An error as JSON.
fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(Problem { error })).into_response()
}
