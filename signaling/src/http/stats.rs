//! `GET /v1/stats`: numbers of the whole server.

use super::{
    Problem, Server,
    authorization::{self, Permitted},
};
use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use utoipa::ToSchema;

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/stats", get(read_stats))
}

/// Numbers of the whole server, at this moment.
#[derive(Serialize, ToSchema)]
pub(super) struct Stats {
    /// Rooms, whether or not anyone is in them.
    rooms: usize,
    /// Maximum number of rooms.
    most_rooms: usize,
    /// Participants that have entered a room.
    participants: usize,
    /// Open WebSockets.
    connections: u64,
    /// Seconds since the server started.
    uptime: u64,
}

/// Read numbers of the whole server
#[utoipa::path(
    get, path = "/v1/stats", operation_id = "readStats", tag = "server", security(("key" = ["stats"])),
    responses(
        (status = 200, description = "The numbers", body = Stats),
        (status = 401, description = "No key, or a wrong one", body = Problem),
        (status = 403, description = "A scope is missing", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
    )
)]
pub(super) async fn read_stats(_: Permitted<authorization::Stats>, State(server): State<Server>) -> Json<Stats> {
    Json(Stats {
        rooms: server.rooms.count(),
        most_rooms: server.config.rooms,
        participants: server.rooms.participants(),
        connections: server.metrics.open_connections(),
        uptime: server.started.elapsed().as_secs(),
    })
}
