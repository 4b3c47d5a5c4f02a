//! What strangers may send over HTTP, byte by byte: which hosts they may name, how long a head may be, how often they may
//! guess the API key, and what every answer tells a browser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use signaling::{
    Config, PageFile,
    config::{ApiKey, Hosts},
    metrics::Kind,
};
use std::sync::Arc;
use support::{Server, config};
use tacet_proto::SUBPROTOCOL;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const KEY: &str = "correct horse battery";

/// What the server answers to these bytes, until it closes the connection.
async fn answer(server: &Server, request: &[u8]) -> String {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    // The server may close before it has read everything.
    let _ = tcp.write_all(request).await;
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap().to_ascii_lowercase()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer:?}"))
}

/// The status of the answer to a request, whether the server closes the connection or not.
async fn answered(server: &Server, request: &str) -> u16 {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    tcp.read_exact(&mut head).await.unwrap();
    status(std::str::from_utf8(&head).unwrap())
}

fn counted(server: &Server, reason: &str) -> u64 {
    server.metrics.refusals.read().find(|(kind, _)| kind.label() == reason).unwrap().1
}

fn local() -> Config {
    Config { hosts: Hosts::Loopback(Vec::new()), open_rooms: true, ..config() }
}

fn page() -> Option<Arc<dyn signaling::PageSource>> {
    let page = |path: &str| {
        (path == "index.html").then(|| PageFile { mime: "text/html".into(), bytes: b"<p>call".to_vec().into() })
    };
    Some(Arc::new(page))
}

/// A page of any site can let its name lead to 127.0.0.1, and would share an origin with the server (DNS rebinding).
#[tokio::test]
async fn rebound_name_reaches_nothing() {
    let server = Server::start_with_page(local(), page());
    let upgrade = format!(
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"
    );
    let body = format!("{{\"access_hash\":\"{}\"}}", "A".repeat(43));
    let room = format!("Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let requests = [
        ("GET /", 200, "Connection: close\r\n\r\n".to_owned()),
        ("GET /v1/server", 200, "Connection: close\r\n\r\n".to_owned()),
        ("POST /v1/rooms", 201, room),
        ("GET /v1/ws", 101, format!("{upgrade}\r\n")),
    ];
    for (request, good, rest) in requests {
        let of = async |host: &str| {
            answered(&server, &format!("{request} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n{rest}")).await
        };
        let port = server.address.port();
        for own in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
            assert_eq!(of(&own).await, good, "{request} of {own}");
        }
        for other in [format!("evil.example:{port}"), "evil.example".to_owned(), "192.168.1.5".to_owned()] {
            assert_eq!(of(&other).await, 421, "{request} of {other}");
        }
        let target = request.replace(" /", " http://evil.example/");
        let text = format!("{target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{rest}");
        assert_eq!(answered(&server, &text).await, 421, "{target}");
    }
    assert_eq!(counted(&server, "host"), 16);
    for headers in ["", "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"] {
        let text = format!("GET / HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        assert_ne!(status(&answer(&server, text.as_bytes()).await), 200, "{headers:?}");
    }
    assert_eq!(status(&answer(&server, b"GET / HTTP/1.0\r\n\r\n").await), 200);
    let health = b"GET /healthz HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&answer(&server, health).await), 200, "a health check says nothing");
}

#[tokio::test]
async fn proxy_names_the_host_unless_the_operator_does() {
    let of = async |server: &Server, hosts: &str| {
        status(&answer(server, format!("GET /v1/server HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n").as_bytes()).await)
    };
    let behind = || Config { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..config() };
    let server = Server::start(behind());
    assert_eq!(of(&server, "Host: call.example.org\r\n").await, 200, "the proxy's business");
    let public = Some("https://call.example.org".parse().unwrap());
    let server = Server::start(Config { public_url: public, ..behind() });
    assert_eq!(of(&server, "Host: call.example.org\r\n").await, 200);
    assert_eq!(of(&server, "Host: upstream\r\nX-Forwarded-Host: call.example.org\r\n").await, 200);
    assert_eq!(of(&server, "Host: evil.example\r\n").await, 421);
}

/// HTTP/2 has other limits, which are not kept here.
#[tokio::test]
async fn http_2_is_not_spoken() {
    let server = Server::start(config());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let said = answer(&server, preface).await;
    assert!(said.is_empty() || said.starts_with("http/1.1 4"), "{said}");
}

#[tokio::test]
async fn head_of_a_request_is_bounded() {
    let server = Server::start(config());
    let with =
        |fields: String| format!("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{fields}\r\n");
    let long = |bytes: usize| with(format!("X-Long: {}\r\n", "x".repeat(bytes)));
    assert_eq!(status(&answer(&server, long(12_000).as_bytes()).await), 200);
    assert_eq!(status(&answer(&server, long(17_000).as_bytes()).await), 431);
    let many = |fields: usize| with((0..fields).map(|field| format!("X-{field}: x\r\n")).collect());
    assert_eq!(status(&answer(&server, many(80).as_bytes()).await), 200);
    assert_eq!(status(&answer(&server, many(120).as_bytes()).await), 431);
}

#[tokio::test]
async fn body_of_a_request_is_bounded() {
    let server = Server::start(Config { open_rooms: true, ..config() });
    let of = |bytes: usize| {
        let body = "x".repeat(bytes);
        format!(
            "POST /v1/rooms HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n{body}"
        )
    };
    assert_eq!(status(&answer(&server, of(16_384).as_bytes()).await), 400);
    assert_eq!(status(&answer(&server, of(16_385).as_bytes()).await), 413);
}

#[tokio::test]
async fn guesses_of_the_api_key_are_few_and_counted() {
    let server = Server::start(Config { api_key: Some(ApiKey::new(KEY).unwrap()), ..config() });
    let body = format!("{{\"access_hash\":\"{}\"}}", "A".repeat(43));
    let with = |key: &str| {
        format!(
            "POST /v1/rooms HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert_eq!(status(&answer(&server, with(KEY).as_bytes()).await), 201);
    let begun = std::time::Instant::now();
    let (mut heard, mut refused) = (0, 0);
    for guess in 0..100 {
        match status(&answer(&server, with(&format!("guess number {guess:10}")).as_bytes()).await) {
            401 => heard += 1,
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    // Three in any second, however long the machine took.
    let most = 3 * (begun.elapsed().as_secs() + 1);
    assert!((3..=most).contains(&heard), "{heard} of {most}");
    assert_eq!((counted(&server, "api_key"), counted(&server, "api_key_guesses")), (heard, refused));
    assert_eq!(status(&answer(&server, with(KEY).as_bytes()).await), 201, "the right one is not locked out by others");
}

/// Headers that the page relies on, on answers of every kind.
#[tokio::test]
async fn every_answer_has_its_security_headers() {
    let server = Server::start_with_page(Config { strict_transport: true, ..config() }, page());
    for path in ["/", "/r/AAAAAAAAAAAAAAAAAAAAAA", "/v1/server", "/v1/docs", "/healthz", "/nothing", "/v1/rooms"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let answer = answer(&server, request.as_bytes()).await;
        for header in [
            "strict-transport-security: max-age=31536000\r\n",
            "referrer-policy: no-referrer\r\n",
            "x-content-type-options: nosniff\r\n",
            "x-frame-options: deny\r\n",
            "cross-origin-opener-policy: same-origin\r\n",
            "cross-origin-resource-policy: same-origin\r\n",
            "content-security-policy: default-src 'self'; script-src 'self' 'wasm-unsafe-eval';",
            "permissions-policy: autoplay=(self), camera=(self)",
            "frame-ancestors 'none'",
        ] {
            assert!(answer.contains(header), "{path}: {header} is missing in {answer}");
        }
    }
    let refused = answer(&server, b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert!(status(&refused) == 421 && refused.contains("content-security-policy: default-src 'self'"), "{refused}");
    let plain = Server::start(config());
    let head = answer(&plain, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
    assert!(!head.contains("strict-transport-security"), "{head}");
}
