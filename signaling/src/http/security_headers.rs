//! Headers of every response: what the page may load, and what may embed it.

use super::{Client, Server};
use crate::public_url::PublicUrl;
use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{
            CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::Response,
};

/// Features that the page uses, all of them by itself only.
const ALLOWED: &[&str] = &[
    "autoplay",
    "camera",
    "clipboard-write",
    "display-capture",
    "fullscreen",
    "microphone",
    "picture-in-picture",
    "screen-wake-lock",
    "speaker-selection",
];

/// Features that it does not use: every other one that browsers let a policy govern (the registry of the W3C's Permissions
/// Policy), so that code which finds its way into the page cannot use them either.
const DENIED: &[&str] = &[
    "accelerometer",
    "attribution-reporting",
    "bluetooth",
    "browsing-topics",
    "clipboard-read",
    "compute-pressure",
    "encrypted-media",
    "gamepad",
    "geolocation",
    "gyroscope",
    "hid",
    "identity-credentials-get",
    "idle-detection",
    "keyboard-map",
    "local-fonts",
    "magnetometer",
    "midi",
    "otp-credentials",
    "payment",
    "publickey-credentials-create",
    "publickey-credentials-get",
    "serial",
    "storage-access",
    "sync-xhr",
    "usb",
    "web-share",
    "window-management",
    "xr-spatial-tracking",
];

/// A year, for the server's own name. Not for names below it, which may be other machines.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Middleware that adds the headers.
pub(super) async fn add(State(server): State<Server>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let mut hosts = response.extensions().get::<Client>().map(|client| client.hosts.clone()).unwrap_or_default();
    hosts.extend(server.config.public_url.as_ref().map(PublicUrl::authority).map(str::to_owned));
    hosts.sort();
    hosts.dedup();
    secure(response.headers_mut(), &hosts);
    if server.config.strict_transport {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT));
    }
    response
}

/// Adds the headers. `hosts` are this server's, which the page may connect to.
fn secure(headers: &mut HeaderMap, hosts: &[String]) {
    let fixed = [
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let permissions_policy = HeaderName::from_static("permissions-policy");
    for (name, policy) in [(CONTENT_SECURITY_POLICY, content_policy(hosts)), (permissions_policy, permissions())] {
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(name, policy);
        }
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

fn permissions() -> String {
    let allowed = ALLOWED.iter().map(|feature| format!("{feature}=(self)"));
    let denied = DENIED.iter().map(|feature| format!("{feature}=()"));
    allowed.chain(denied).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_may_use_camera_and_microphone_and_no_device_else() {
        let permissions = permissions();
        for allowed in ["camera=(self)", "microphone=(self)", "display-capture=(self)", "speaker-selection=(self)"] {
            assert!(permissions.contains(allowed), "{permissions}");
        }
        for denied in
            ["midi=()", "serial=()", "hid=()", "usb=()", "bluetooth=()", "clipboard-read=()", "geolocation=()"]
        {
            assert!(permissions.contains(denied), "{permissions}");
        }
        assert!(!permissions.contains('*'));
        assert!(ALLOWED.iter().all(|feature| !DENIED.contains(feature)));
    }

    #[test]
    fn content_policy_allows_the_own_socket_only() {
        let policy = content_policy(&["127.0.0.1:8800".to_owned()]);
        assert!(policy.contains("connect-src 'self' ws://127.0.0.1:8800 wss://127.0.0.1:8800;"), "{policy}");
        for injected in ["evil; script-src *", "a b", "", "a'", "*"] {
            assert!(content_policy(&[injected.to_owned()]).contains("connect-src 'self';"), "{injected}");
        }
    }
}
