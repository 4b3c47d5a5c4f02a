//! `GET /healthz`: 200 while the server runs. `GET /readyz`: 200 while it takes new connections, 503 once it stops.

use super::{Server, problem};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

async fn ready(State(server): State<Server>) -> Response {
    if *server.stop.borrow() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server stops, and may start again");
    }
    "ok\n".into_response()
}
