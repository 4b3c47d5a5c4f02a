//! What the operator does to rooms over HTTP, with the API key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::Value;
use signaling::{Config, config::ApiKey};
use std::collections::BTreeSet;
use support::{ACCESS, Server, config};
use tacet_proto::CloseCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const KEY: &str = "correct horse battery";

/// Status and body of the answer to a request with this key.
async fn operate(server: &Server, request: &str, key: &str) -> (u16, String) {
    operate_with(server, request, key, "").await
}

async fn operate_with(server: &Server, request: &str, key: &str, body: &str) -> (u16, String) {
    let fields = format!("Host: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nConnection: close");
    let length = body.len();
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\n{fields}\r\nContent-Length: {length}\r\n\r\n{body}");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Creates a room; returns the status.
async fn create(server: &Server) -> u16 {
    let body = format!("{{\"access_hash\":\"{}\"}}", "A".repeat(43));
    operate_with(server, "POST /v1/rooms", KEY, &body).await.0
}

#[tokio::test]
async fn operator_lists_rooms_page_by_page() {
    let server = Server::start(Config { api_key: Some(ApiKey::new(KEY).unwrap()), ..config() });
    for _ in 0..4 {
        assert_eq!(create(&server).await, 201);
    }
    let (mut found, mut path) = (Vec::new(), "GET /v1/rooms?limit=2".to_owned());
    loop {
        let (code, body) = operate(&server, &path, KEY).await;
        let page: Value = serde_json::from_str(&body).unwrap();
        assert!(code == 200 && page["rooms"].as_array().unwrap().len() <= 2, "{body}");
        found.extend(page["rooms"].as_array().unwrap().iter().map(|room| room["room"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("GET /v1/rooms?limit=2&after={next}");
    }
    let rooms: BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), rooms.len()), (5, 5), "each once, and the server's own");
    for wrong in ["limit=0", "limit=1001", "limit=x", "after=kitchen", "other=1"] {
        assert_eq!(operate(&server, &format!("GET /v1/rooms?{wrong}"), KEY).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn operator_ends_a_room_for_all() {
    let server = Server::start(Config { api_key: Some(ApiKey::new(KEY).unwrap()), ..config() });
    let (mut member, room) = (server.member().await, server.room);
    let (code, body) = operate(&server, &format!("GET /v1/rooms/{room}"), KEY).await;
    let described: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &described["participants"]), (200, &Value::from(1)), "{body}");
    for request in [format!("DELETE /v1/rooms/{room}"), format!("GET /v1/rooms/{room}"), "GET /v1/rooms".to_owned()] {
        assert_eq!(operate(&server, &request, "another horse battery").await.0, 401, "{request}");
    }
    // Wrong keys of an address are limited; right ones are not.
    let request = format!("DELETE /v1/rooms/{room}");
    assert_eq!(operate(&server, &request, KEY).await, (204, String::new()));
    assert_eq!(member.closed().await.1, CloseCode::RoomEnded.code());
    assert_eq!(operate(&server, &request, KEY).await.0, 404);
    assert_eq!(operate(&server, "GET /v1/rooms/kitchen", KEY).await.0, 404);
    let mut late = server.connect().await;
    late.send(1, server.hello(ACCESS)).await;
    assert_eq!(late.closed().await.1, CloseCode::RoomEnded.code());
}
