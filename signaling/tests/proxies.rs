//! Behind a reverse proxy: which client a request is from, and which pages may connect.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use signaling::Config;
use support::{Client, Server, config};
use tacet_proto::{ErrorCode, SUBPROTOCOL, ServerMessage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A server whose proxy is on this machine.
fn behind_a_proxy() -> Config {
    Config { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], connections_per_address: Some(1), ..config() }
}

/// Connects as the proxy does for a client.
async fn forward(server: &Server, headers: &[(&'static str, &str)]) -> Client {
    let headers = [&[("sec-websocket-protocol", SUBPROTOCOL)], headers].concat();
    server.try_connect(&headers).await.unwrap()
}

async fn is_admitted(client: &mut Client) -> bool {
    match client.message().await {
        ServerMessage::Challenge(_) => true,
        ServerMessage::Error(error) => {
            assert!(matches!(error.code, ErrorCode::RateLimited | ErrorCode::Forbidden));
            false
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn limits_count_the_clients_of_a_proxy_and_not_the_proxy() {
    let server = Server::start(behind_a_proxy());
    let mut connected = Vec::new();
    for number in 1..=45 {
        let mut client = forward(&server, &[("x-forwarded-for", &format!("192.0.2.{number}"))]).await;
        assert!(is_admitted(&mut client).await, "client {number}");
        connected.push(client);
    }
    let mut again = forward(&server, &[("x-forwarded-for", "192.0.2.7")]).await;
    assert!(!is_admitted(&mut again).await, "one connection for each address");
    let mut claimed = forward(&server, &[("x-forwarded-for", "203.0.113.1, 192.0.2.7")]).await;
    assert!(!is_admitted(&mut claimed).await, "a client cannot claim another address");
}

#[tokio::test]
async fn forwarded_addresses_of_strangers_are_ignored() {
    let server = Server::start(Config { trusted_proxies: vec!["192.0.2.1/32".parse().unwrap()], ..behind_a_proxy() });
    let mut first = forward(&server, &[("x-forwarded-for", "192.0.2.7")]).await;
    assert!(is_admitted(&mut first).await);
    let mut second = forward(&server, &[("x-forwarded-for", "192.0.2.8")]).await;
    assert!(!is_admitted(&mut second).await, "the second connection of this address");
}

#[tokio::test]
async fn own_page_connects_through_a_proxy_that_changes_the_host() {
    let page = [("origin", "https://call.example.org")];
    let plain = Server::start(config());
    assert!(!is_admitted(&mut forward(&plain, &page).await).await, "nothing is known of the proxy");

    let named = Server::start(Config { public_url: Some("https://call.example.org/".parse().unwrap()), ..config() });
    assert!(is_admitted(&mut forward(&named, &page).await).await);
    assert!(!is_admitted(&mut forward(&named, &[("origin", "https://evil.example")]).await).await);

    let trusting = Server::start(Config { connections_per_address: None, ..behind_a_proxy() });
    let host = [page[0], ("x-forwarded-host", "call.example.org")];
    assert!(is_admitted(&mut forward(&trusting, &host).await).await);
    assert!(!is_admitted(&mut forward(&trusting, &page).await).await, "the proxy does not say the host");
}

/// Sends a request, and returns head and body of the answer.
async fn request(server: &Server, request: &str, headers: &str) -> (String, String) {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let text = format!("{request} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n", server.address);
    tcp.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn page_may_connect_to_every_name_of_the_server() {
    let config = Config { public_url: Some("https://call.example.org".parse().unwrap()), ..config() };
    let server = Server::start(config);
    let (head, _) = request(&server, "GET /healthz", "").await;
    for host in ["wss://call.example.org", &format!("ws://{}", server.address)] {
        assert!(head.contains(host), "{head}");
    }
}

#[tokio::test]
async fn refusals_over_http_are_typed() {
    let limited = Config { open_rooms: true, handshakes_per_second: Some(1), ..config() };
    let server =
        Server::start(Config { room: signaling::config::RoomLimits { participants: 1, ..limited.room }, ..limited });
    let (head, body) =
        request(&server, "POST /v1/rooms", "Origin: https://evil.example\r\nContent-Length: 0\r\n").await;
    assert!(head.starts_with("http/1.1 403") && body.contains(r#""code":"origin_not_allowed""#), "{head} {body}");
    loop {
        let (head, body) = request(&server, "POST /v1/rooms", "Content-Length: 0\r\n").await;
        if head.starts_with("http/1.1 429") {
            assert!(head.contains("retry-after: 1"), "{head}");
            assert!(body.contains(r#""code":"too_many_attempts","retry_ms":"#), "{body}");
            break;
        }
        assert!(head.starts_with("http/1.1 400") && body.contains(r#""code":"bad_request""#), "{head} {body}");
    }
}
