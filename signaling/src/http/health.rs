//! `GET /healthz`: 200 while the server runs.

use super::Server;
use axum::{Router, routing::get};

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/healthz", get(|| async { "ok\n" }))
}
