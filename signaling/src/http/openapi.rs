//! `GET /v1/openapi.json`: the API as a document of OpenAPI 3.1, put together from the types and handlers. A copy of it is
//! committed as `docs/openapi.json`.

use super::{Problem, Server, description, keys, participants, rooms, stats, tokens, webhooks};
use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    routing::get,
};
use std::sync::LazyLock;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "tacet",
        description = "Rooms, keys and numbers of a tacet server. The secret of a room's link is drawn by the caller and is never \
                       sent: the server takes the hash of an access token that is derived from it.\n\n\
                       Requests carry a key as `Authorization: Bearer KEY`. Bodies are JSON of at most 16,384 bytes. Errors have \
                       the form of `Problem`; one that may be repeated says after how many milliseconds in `retry_ms`, and in \
                       whole seconds in `Retry-After`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        rooms::create_room, rooms::list_rooms, rooms::describe_room, rooms::change_room, rooms::end_room,
        tokens::create_token, participants::list_participants, participants::remove_participant,
        keys::create_key, keys::list_keys, keys::revoke_key,
        webhooks::add_webhook, webhooks::list_webhooks, webhooks::remove_webhook, webhooks::list_failed, webhooks::send_again,
        stats::read_stats, description::describe_server,
    ),
    components(schemas(Problem)),
    tags(
        (name = "rooms", description = "Creating, listing and ending rooms, and admitting to them"),
        (name = "webhooks", description = "Messages about rooms, signed as Standard Webhooks describes it"),
        (name = "keys", description = "Keys of this API"),
        (name = "server", description = "The server as a whole"),
    ),
    modifiers(&Security),
)]
struct Api;

/// Keys are bearer tokens.
struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A key of `tacet key create`, or the operator's own, which has all scopes."))
            .build();
        let components = openapi.components.get_or_insert_with(Components::new);
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The document.
pub(crate) static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut text = Api::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
});

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/v1/openapi.json", get(serve))
}

async fn serve() -> ([(axum::http::HeaderName, &'static str); 2], &'static str) {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], DOCUMENT.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{env, fs, path::Path};

    /// `make types` writes it again.
    #[test]
    fn committed_document_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, DOCUMENT.as_str()).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap() == *DOCUMENT, "docs/openapi.json is stale: make types");
    }
}
