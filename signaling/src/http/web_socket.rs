//! `GET /v1/ws`: the upgrade to the WebSocket, and everything that refuses it.

use super::{Client, Server, problem, refusal};
use crate::{
    connection::{self, Peer},
    metrics::Refusal,
    sockets::Ticket,
    wire_limit::Metered,
};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::{
    Extension, Json, Router,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use data_encoding::BASE64;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::time::Instant;
use tacet_proto::SUBPROTOCOL;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::{Role, WebSocketConfig};

/// Size at which the WebSocket codec refuses a message. Messages between
/// [`MAX_MESSAGE_BYTES`](tacet_proto::limits::MAX_MESSAGE_BYTES) and this are read and closed with 1009 in good order: a
/// codec that refuses leaves bytes unread, and then the Close frame may be lost to a TCP reset.
const CODEC_BYTES: usize = 65_536;

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/ws", get(upgrade))
}

#[derive(Serialize)]
struct Supported {
    error: &'static str,
    code: &'static str,
    protocols: [&'static str; 1],
}

async fn upgrade(
    State(server): State<Server>,
    Extension(client): Extension<Client>,
    Extension(ticket): Extension<Ticket>,
    upgraded: Option<Extension<OnUpgrade>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let (Some(Extension(upgraded)), Ok(upgrade)) = (upgraded, upgrade) else {
        return problem(StatusCode::BAD_REQUEST, "no_web_socket", "this path is for WebSockets (RFC 6455)");
    };
    let refused = |refusal: Refusal| {
        tracing::debug!(?refusal, peer = %connection::shortened(client.address), "connection refused");
        server.refusals.refused(refusal);
    };
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        refused(Refusal::Protocol);
        let mut response = Json(Supported {
            error: "the server speaks none of these protocols",
            code: "unsupported_protocol",
            protocols: [SUBPROTOCOL],
        })
        .into_response();
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
    ticket.upgraded(Instant::now());
    let peer = Peer { address: client.address, origins: server.origins(&client), ticket };
    let Server { config, rooms, metrics, stop, alive, .. } = server;
    drop(upgrade);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            // Not axum's own, which would hide the bytes that become no message.
            let metered = Metered::new(TokioIo::new(upgraded));
            let socket = WebSocketStream::from_raw_socket(metered, Role::Server, Some(codec())).await;
            connection::serve(socket, peer, rooms, metrics, config.timing, stop).await;
        }
        drop((place, alive));
    });
    accepted(&headers)
}

fn codec() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(4 << 10)
        .max_write_buffer_size(256 << 10)
        .max_message_size(Some(CODEC_BYTES))
        .max_frame_size(Some(CODEC_BYTES))
}

/// The answer to an opening handshake that was checked (RFC 6455 section 4.2.2).
fn accepted(headers: &HeaderMap) -> Response {
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let keyed = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let accept = BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &keyed).as_ref());
    let Ok(accept) = HeaderValue::from_str(&accept) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let fields = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
        (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL)),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, fields).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    #[test]
    fn handshake_is_accepted_with_the_key_of_the_client() {
        let headers = HeaderMap::from_iter([(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="))]);
        let response = accepted(&headers);
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers().get(SEC_WEBSOCKET_ACCEPT).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
