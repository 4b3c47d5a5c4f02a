//! The HTTP surface: the WebSocket, rooms, health, and the page.
//!
//! | path             | answer                                                                         |
//! |------------------|--------------------------------------------------------------------------------|
//! | `GET /v1/ws`     | the WebSocket, subprotocol [`SUBPROTOCOL`]                                       |
//! | `POST /v1/rooms` | makes a room: `{"access_hash": base64url}` gives 201 `{"room": id}`              |
//! | `GET /v1/server` | `{"protocols": [..], "open_rooms": bool}`                                        |
//! | `GET /healthz`   | 200 while the server runs                                                      |
//! | `/`, `/r/{room}` | the page; the room's secret is in the link's fragment, which is not sent        |

use crate::{
    access_hash::AccessHash,
    admission::Admission,
    config::Config,
    connection, headers,
    metrics::{Metrics, Refusal},
    origin,
    page::PageSource,
    rooms::{CreateError, Rooms},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State, WebSocketUpgrade},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, UPGRADE},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, net::SocketAddr, sync::Arc};
use tacet_proto::{RoomId, SUBPROTOCOL, bytes::Fixed, limits::MAX_MESSAGE_BYTES};
use tokio::sync::{mpsc, watch};

/// What the codec refuses by itself. Messages between this and [`MAX_MESSAGE_BYTES`] are read and closed with 1009 in
/// good order: a codec that refuses leaves bytes unread, and then the Close frame may be lost to a TCP reset.
const CODEC_BYTES: usize = 65_536;

/// What every handler knows.
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

/// All routes.
pub(crate) fn router(server: Server) -> Router {
    let mut router = Router::new()
        .route("/v1/ws", get(web_socket))
        .route("/v1/rooms", post(make_room))
        .route("/v1/server", get(describe))
        .route("/healthz", get(|| async { "ok\n" }));
    if server.page.is_some() {
        router = router
            .route("/", get(index))
            .route("/r/{room}", get(index))
            .route("/assets/{*path}", get(asset))
            .route("/{file}", get(asset));
    }
    router
        .layer(DefaultBodyLimit::max(MAX_MESSAGE_BYTES))
        .layer(middleware::from_fn(security_headers))
        .with_state(server)
}

async fn security_headers(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).cloned();
    let mut response = next.run(request).await;
    headers::secure(response.headers_mut(), host.as_ref().and_then(|host| host.to_str().ok()));
    response
}

async fn web_socket(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let refused = |refusal| server.metrics.refusals.count(refusal);
    if !allowed_origin(&server, &headers) {
        refused(Refusal::Origin);
        return problem(StatusCode::FORBIDDEN, "this origin may not connect");
    }
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(4 << 10)
        .write_buffer_size(4 << 10)
        .max_write_buffer_size(256 << 10)
        .max_message_size(CODEC_BYTES)
        .max_frame_size(CODEC_BYTES);
    if upgrade.selected_protocol().is_none() {
        refused(Refusal::Protocol);
        let mut response = Json(Supported { protocols: [SUBPROTOCOL] }).into_response();
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        return response;
    }
    if !server.admission.may_try(peer.ip()) {
        refused(Refusal::Rate);
        return problem(StatusCode::TOO_MANY_REQUESTS, "too many connections a second");
    }
    let Some(place) = server.admission.place(peer.ip()) else {
        refused(Refusal::Connections);
        return problem(StatusCode::TOO_MANY_REQUESTS, "too many connections");
    };
    let Server { config, rooms, metrics, stop, alive, .. } = server;
    upgrade.on_upgrade(move |socket| async move {
        connection::serve(socket, rooms, metrics, config.timing, stop).await;
        drop((place, alive));
    })
}

#[derive(Serialize)]
struct Supported {
    protocols: [&'static str; 1],
}

#[derive(Serialize)]
struct Description {
    protocols: [&'static str; 1],
    open_rooms: bool,
}

async fn describe(State(server): State<Server>) -> Response {
    Json(Description { protocols: [SUBPROTOCOL], open_rooms: server.config.open_rooms }).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MakeRoom {
    /// SHA-256 of the access token that the room's link gives its guests.
    access_hash: Fixed<32>,
}

#[derive(Serialize)]
struct MadeRoom {
    room: RoomId,
}

async fn make_room(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let keyed = server.config.api_key.as_ref().is_some_and(|key| key.authorizes(authorization));
    if !keyed {
        if !server.config.open_rooms {
            return problem(StatusCode::FORBIDDEN, "rooms are made by the operator of this server");
        }
        if !allowed_origin(&server, &headers) {
            return problem(StatusCode::FORBIDDEN, "this origin may not make rooms");
        }
        if !server.admission.may_try(peer.ip()) {
            return problem(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        }
    }
    let Ok(MakeRoom { access_hash }) = serde_json::from_slice(&body) else {
        return problem(StatusCode::BAD_REQUEST, "expected {\"access_hash\": 32 bytes of base64url}");
    };
    match server.rooms.create(AccessHash(access_hash.0)) {
        Ok(room) => (StatusCode::CREATED, Json(MadeRoom { room })).into_response(),
        Err(error @ (CreateError::TooMany | CreateError::NoRandomness)) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
    }
}

fn allowed_origin(server: &Server, headers: &HeaderMap) -> bool {
    // A value that is not text is no allowed origin, and not an absent one either.
    let origin = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or("?"));
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    origin::is_allowed(origin, host, &server.config.allowed_origins)
}

async fn index(State(server): State<Server>) -> Response {
    serve_file(&server, "index.html", "no-cache")
}

async fn asset(State(server): State<Server>, Path(path): Path<String>, request: Request) -> Response {
    // Names below assets/ carry a hash of their contents; other files may change under their name.
    if request.uri().path().starts_with("/assets/") {
        serve_file(&server, &format!("assets/{path}"), "public, max-age=31536000, immutable")
    } else {
        serve_file(&server, &path, "no-cache")
    }
}

fn serve_file(server: &Server, path: &str, cache: &'static str) -> Response {
    let Some(file) = server.page.as_ref().and_then(|page| page.file(path)) else {
        return problem(StatusCode::NOT_FOUND, "no such page");
    };
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mime = HeaderValue::from_str(&file.mime).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    ([(CONTENT_TYPE, mime), (CACHE_CONTROL, HeaderValue::from_static(cache))], bytes).into_response()
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(Problem { error })).into_response()
}
