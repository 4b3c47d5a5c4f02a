//! Which web pages may use the API. A request of a page of another origin is refused, whatever key it carries; one of an origin
//! that the operator lists is answered in a way that its browser lets the page read (CORS).

use super::{Client, Server, refusal};
use crate::metrics::Refusal;
use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Where the API is. The WebSocket below it says itself why it refuses.
const API: &str = "/v1/";
const WEB_SOCKET: &str = "/v1/ws";

/// Middleware that checks the origin of requests to the API.
pub(super) async fn check(State(server): State<Server>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let origin = request.headers().get(ORIGIN).cloned();
    let Some(origin) = origin.filter(|_| path.starts_with(API) && path != WEB_SOCKET) else {
        return next.run(request).await;
    };
    let allowed =
        request.extensions().get::<Client>().is_some_and(|client| server.allows_origin(request.headers(), client));
    if !allowed {
        server.refusals.refused(Refusal::Origin);
        return refusal::answer(Refusal::Origin, None);
    }
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    permit(response.headers_mut(), origin, is_preflight);
    response
}

/// Lets a page of this origin read the answer.
fn permit(headers: &mut HeaderMap, origin: HeaderValue, is_preflight: bool) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(VARY, HeaderValue::from_static("origin"));
    let fixed: &[_] = if is_preflight {
        &[
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE"),
            (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, idempotency-key"),
            (ACCESS_CONTROL_MAX_AGE, "600"),
        ]
    } else {
        &[(ACCESS_CONTROL_EXPOSE_HEADERS, "retry-after, www-authenticate")]
    };
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
