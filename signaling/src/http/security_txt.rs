//! `/.well-known/security.txt` (RFC 9116): the contact for vulnerabilities of this server.

use super::{Server, problem};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/.well-known/security.txt", get(serve))
}

async fn serve(State(server): State<Server>) -> Response {
    match &server.config.security_contact {
        // RFC 9116 section 3: plain text in UTF-8.
        Some(contact) => ([(CONTENT_TYPE, "text/plain; charset=utf-8")], contact.to_string()).into_response(),
        None => problem(StatusCode::NOT_FOUND, "no_contact", "this server names no contact"),
    }
}
