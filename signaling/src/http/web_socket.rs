//! `GET /v1/ws`: the upgrade to the WebSocket, and everything that refuses it.

use super::{Client, Server, refusal};
use crate::{
    connection::{self, Peer},
    metrics::Refusal,
};
use axum::{
    Extension, Json, Router,
    extract::{State, WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, StatusCode, header::UPGRADE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tacet_proto::SUBPROTOCOL;

/// Size at which the WebSocket codec refuses a message. Messages between
/// [`MAX_MESSAGE_BYTES`](tacet_proto::limits::MAX_MESSAGE_BYTES) and this are read and closed with 1009 in good order: a
/// codec that refuses leaves bytes unread, and then the Close frame may be lost to a TCP reset.
const CODEC_BYTES: usize = 65_536;

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/ws", get(upgrade))
}

#[derive(Serialize)]
struct Supported {
    protocols: [&'static str; 1],
}

async fn upgrade(
    State(server): State<Server>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let refused = |refusal: Refusal| {
        tracing::debug!(?refusal, peer = %connection::shortened(client.address), "connection refused");
        server.refusals.refused(refusal);
    };
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
    if !server.allows_origin(&headers, &client) {
        refused(Refusal::Origin);
        return refusal::refuse(server, upgrade, Refusal::Origin, None);
    }
    if let Err(wait) = server.admission.may_try(client.address) {
        refused(Refusal::Rate);
        return refusal::refuse(server, upgrade, Refusal::Rate, Some(wait));
    }
    let Some(place) = server.admission.place(client.address) else {
        refused(Refusal::Connections);
        return refusal::refuse(server, upgrade, Refusal::Connections, None);
    };
    let peer = Peer { address: client.address, origins: server.origins(&client) };
    let Server { config, rooms, metrics, stop, alive, .. } = server;
    upgrade.on_upgrade(move |socket| async move {
        connection::serve(socket, peer, rooms, metrics, config.timing, stop).await;
        drop((place, alive));
    })
}
