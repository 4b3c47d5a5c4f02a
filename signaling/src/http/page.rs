//! The call page, whose files the embedder provides.

use super::{Server, problem};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use std::borrow::Cow;

/// A file of the page.
#[derive(Clone, Debug)]
pub struct PageFile {
    /// Its media type.
    pub mime: Cow<'static, str>,
    /// Its contents.
    pub bytes: Cow<'static, [u8]>,
}

/// Where the page's files come from.
pub trait PageSource: Send + Sync {
    /// The file at a path relative to the page's root, such as `index.html` or `assets/app.js`.
    fn file(&self, path: &str) -> Option<PageFile>;
}

impl<F: Fn(&str) -> Option<PageFile> + Send + Sync> PageSource for F {
    fn file(&self, path: &str) -> Option<PageFile> {
        self(path)
    }
}

pub(super) fn routes() -> Router<Server> {
    Router::new()
        .route("/", get(index))
        .route("/r/{room}", get(index))
        .route("/assets/{*path}", get(asset))
        .route("/{file}", get(asset))
}

async fn index(State(server): State<Server>) -> Response {
    serve(&server, "index.html", "no-cache")
}

async fn asset(State(server): State<Server>, Path(path): Path<String>, request: Request) -> Response {
    // Names below assets/ carry a hash of their contents; other files may change under their name.
    if request.uri().path().starts_with("/assets/") {
        serve(&server, &format!("assets/{path}"), "public, max-age=31536000, immutable")
    } else {
        serve(&server, &path, "no-cache")
    }
}

fn serve(server: &Server, path: &str, cache: &'static str) -> Response {
    let Some(file) = server.page.as_ref().and_then(|page| page.file(path)) else {
        return problem(StatusCode::NOT_FOUND, "no_page", "no such page");
    };
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mime = HeaderValue::from_str(&file.mime).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    ([(CONTENT_TYPE, mime), (CACHE_CONTROL, HeaderValue::from_static(cache))], bytes).into_response()
}
