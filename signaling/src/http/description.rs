//! `GET /v1/server`: what a client must know before it connects.

use super::Server;
use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use serde::Serialize;
use tacet_proto::SUBPROTOCOL;

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/server", get(describe))
}

#[derive(Serialize)]
struct Description {
    protocols: [&'static str; 1],
    open_rooms: bool,
}

async fn describe(State(server): State<Server>) -> impl IntoResponse {
    Json(Description { protocols: [SUBPROTOCOL], open_rooms: server.config.open_rooms })
}
