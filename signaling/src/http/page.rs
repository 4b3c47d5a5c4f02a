//! The call page, whose files the embedder provides.

use super::{Server, problem};
use crate::sha256::sha256;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use data_encoding::BASE64URL_NOPAD;
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
    /// The file at a path relative to the page's root, such as `index.html` or `assets/app.js`. Its compressed forms, if there
    /// are any, are at the same path with `.br` (RFC 7932) or `.gz` (RFC 1952) behind it.
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

/// How long a browser may keep a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caching {
    /// For good: its name has a hash of its contents.
    Immutable,
    /// Until it asks whether the file has changed.
    Revalidated,
}

async fn index(State(server): State<Server>, request: Request) -> Response {
    serve(&server, "index.html", Caching::Revalidated, request.headers())
}

async fn asset(State(server): State<Server>, Path(path): Path<String>, request: Request) -> Response {
    if request.uri().path().starts_with("/assets/") {
        serve(&server, &format!("assets/{path}"), Caching::Immutable, request.headers())
    } else {
        serve(&server, &path, Caching::Revalidated, request.headers())
    }
}

fn serve(server: &Server, path: &str, caching: Caching, request: &HeaderMap) -> Response {
    let file = |path: &str| server.page.as_ref().and_then(|page| page.file(path));
    // A compressed form is not a page by itself.
    let is_form = CODINGS.iter().any(|(_, extension)| path.ends_with(&format!(".{extension}")));
    let Some(PageFile { mime, bytes }) = file(path).filter(|_| !is_form) else {
        return problem(StatusCode::NOT_FOUND, "no_page", "no such page");
    };
    let compressed = CODINGS.into_iter().filter(|(coding, _)| accepts(request, coding));
    let mut compressed =
        compressed.filter_map(|(coding, extension)| Some((coding, file(&format!("{path}.{extension}"))?)));
    let (coding, bytes) = compressed.next().map_or((None, bytes), |(coding, file)| (Some(coding), file.bytes));

    let mime = HeaderValue::from_str(&mime).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, mime), (VARY, HeaderValue::from_static("accept-encoding"))]);
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    match caching {
        Caching::Immutable => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        }
        Caching::Revalidated => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            let tag = entity_tag(&bytes);
            let is_known = is_one_of(&tag, request);
            headers.insert(ETAG, tag);
            if is_known {
                return (StatusCode::NOT_MODIFIED, headers).into_response();
            }
        }
    }
    let bytes = match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    (headers, bytes).into_response()
}

/// Content codings (RFC 9110 section 8.4.1), the best first, and the extensions of their files.
const CODINGS: [(&str, &str); 2] = [("br", "br"), ("gzip", "gz")];

/// Whether a request accepts a content coding (RFC 9110 section 12.5.3) by its name.
fn accepts(request: &HeaderMap, coding: &str) -> bool {
    let listed = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|one| {
        let mut parameters = one.split(';').map(str::trim);
        let is_named = parameters.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let mut weights = parameters.filter_map(|parameter| parameter.split_once('='));
        let weight = weights.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        is_named && weight.is_none_or(|(_, weight)| weight.trim().parse().unwrap_or(0.0) > 0.0)
    })
}

/// Whether a tag is one of those that the client has, by weak comparison (RFC 9110 section 13.1.2).
fn is_one_of(tag: &HeaderValue, request: &HeaderMap) -> bool {
    let listed = request.get_all(IF_NONE_MATCH).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut listed = listed.map(<[u8]>::trim_ascii);
    listed.any(|one| one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes())
}

/// The entity tag (RFC 9110 section 8.8.3) of a body. Another coding is another body.
fn entity_tag(bytes: &[u8]) -> HeaderValue {
    let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(&sha256(bytes)));
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_accepted_by_name_unless_their_weight_is_zero() {
        let accept = |value| HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        for value in ["br", "gzip, deflate, br, zstd", "gzip;q=0.5, BR ; q=0.1", "br;q=1"] {
            assert!(accepts(&accept(value), "br"), "{value}");
        }
        for value in ["", "gzip", "br;q=0", "br;Q=0", "br;;q=0", "br ; q = 0", "br;q=x", "brotli", "*"] {
            assert!(!accepts(&accept(value), "br"), "{value}");
        }
        assert!(!accepts(&HeaderMap::new(), "gzip"));
    }
}
