//! `GET /v1/server`: what a client must know before it connects.

use super::Server;
use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use tacet_proto::SUBPROTOCOL;
use utoipa::ToSchema;

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/server", get(describe_server))
}

/// What a client must know before it connects.
#[derive(Serialize, ToSchema)]
pub(super) struct Description {
    /// WebSocket subprotocols that the server speaks.
    protocols: Vec<&'static str>,
    /// Whether anyone may create a room.
    open_rooms: bool,
}

/// Describe the server
#[utoipa::path(
    get, path = "/v1/server", operation_id = "describeServer", tag = "server", security(()),
    responses((status = 200, description = "What a client must know before it connects", body = Description))
)]
pub(super) async fn describe_server(State(server): State<Server>) -> Json<Description> {
    Json(Description { protocols: vec![SUBPROTOCOL], open_rooms: server.config.open_rooms })
}
