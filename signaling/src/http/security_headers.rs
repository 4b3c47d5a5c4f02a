//! Headers of every response: what the page may load, and what may embed it.

use super::{Client, Server};
use crate::public_url::PublicUrl;
use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
    },
    middleware::Next,
    response::Response,
};

const PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self), \
                           geolocation=(), payment=(), usb=()";

/// Middleware that adds the headers.
pub(super) async fn add(State(server): State<Server>, request: Request, next: Next) -> Response {
    let mut hosts = request.extensions().get::<Client>().map(|client| client.hosts.clone()).unwrap_or_default();
    hosts.extend(server.config.public_url.as_ref().map(PublicUrl::authority).map(str::to_owned));
    hosts.sort();
    hosts.dedup();
    let mut response = next.run(request).await;
    secure(response.headers_mut(), &hosts);
    response
}

/// Adds the headers. `hosts` are this server's, which the page may connect to.
fn secure(headers: &mut HeaderMap, hosts: &[String]) {
    let fixed = [
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&content_policy(hosts)) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
}

/// Allows scripts, workers and wasm from this server only, and WebSockets to this server only, which `'self'` does not
/// cover in every browser. `blob:` is where the page keeps the worker's script, so that a new worker needs no server.
fn content_policy(hosts: &[String]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    let named = hosts.iter().filter(|host| !host.is_empty() && host.bytes().all(plain));
    let sockets: String = named.map(|host| format!(" ws://{host} wss://{host}")).collect();
    format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; \
         connect-src 'self'{sockets}; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_policy_allows_the_own_socket_only() {
        let policy = content_policy(&["127.0.0.1:8800".to_owned()]);
        assert!(policy.contains("connect-src 'self' ws://127.0.0.1:8800 wss://127.0.0.1:8800;"), "{policy}");
        for injected in ["evil; script-src *", "a b", "", "a'", "*"] {
            assert!(content_policy(&[injected.to_owned()]).contains("connect-src 'self';"), "{injected}");
        }
    }
}
