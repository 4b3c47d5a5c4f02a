//! Entering with a room token, over a socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use signaling::{
    Config,
    config::ApiKey,
    room_token::{TokenRequest, issue},
};
use std::time::{Duration, SystemTime};
use support::{Client, Server, config};
use tacet_proto::{
    Capabilities, Capability, ClientMessage, CloseCode, ErrorCode, Role, RoomId, ServerMessage, bytes::Fixed,
    client::Credential,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const KEY: &str = "correct horse battery";

fn request(server: &Server, role: Role) -> TokenRequest {
    TokenRequest {
        room: server.room,
        role,
        capabilities: None,
        identity: None,
        not_before: None,
        lifetime: Duration::from_secs(60),
    }
}

fn token_at(server: &Server, request: &TokenRequest, time: SystemTime) -> String {
    issue(&server.token_keys, request, [7; 16], time).unwrap()
}

/// A connection that has shown a token, and how that was answered.
async fn show(server: &Server, token: String) -> (Client, ServerMessage) {
    let mut client = server.connect().await;
    let ClientMessage::Hello(mut hello) = server.hello([0; 32]) else { unreachable!() };
    hello.credential = Credential::RoomToken { token };
    client.send(1, ClientMessage::Hello(hello)).await;
    let answer = client.answer(1).await;
    (client, answer)
}

/// Code and close code with which a token is refused.
async fn refused(server: &Server, token: String) -> (ErrorCode, u16) {
    let (mut client, answer) = show(server, token).await;
    let ServerMessage::Error(error) = answer else { panic!("{answer:?}") };
    (error.code, client.closed().await.1)
}

/// Status and JSON of the answer to a request for a token.
async fn ask(server: &Server, key: &str, room: &str, body: &str) -> (u16, Value) {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let fields = format!("Host: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nConnection: close");
    let length = body.len();
    let request =
        format!("POST /v1/rooms/{room}/tokens HTTP/1.1\r\n{fields}\r\nContent-Length: {length}\r\n\r\n{body}");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn token_admits_in_its_role() {
    let server = Server::start(config());
    for role in Role::ALL {
        let (_client, answer) = show(&server, token_at(&server, &request(&server, *role), SystemTime::now())).await;
        let ServerMessage::Welcome(welcome) = answer else { panic!("{answer:?}") };
        assert_eq!((welcome.role, welcome.capabilities), (*role, role.capabilities()));
    }
    let narrow = Capabilities::of(&[Capability::Subscribe, Capability::Moderate]);
    let narrow = TokenRequest { capabilities: Some(narrow), ..request(&server, Role::Speaker) };
    let (_client, answer) = show(&server, token_at(&server, &narrow, SystemTime::now())).await;
    let ServerMessage::Welcome(welcome) = answer else { panic!("{answer:?}") };
    assert_eq!(welcome.capabilities, Capabilities::of(&[Capability::Subscribe]), "what both allow");
}

#[tokio::test]
async fn guest_by_link_is_a_speaker() {
    let server = Server::start(config());
    let (_client, place) = server.join(1).await;
    assert_eq!(place.welcome.role, Role::Speaker);
}

#[tokio::test]
async fn token_that_is_not_valid_ends_the_connection() {
    let server = Server::start(config());
    let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    let expired = token_at(&server, &request(&server, Role::Host), hour_ago);
    let closed = CloseCode::Authentication.code();
    assert_eq!(refused(&server, expired).await, (ErrorCode::TokenExpired, closed));
    let elsewhere = TokenRequest { room: RoomId(Fixed([1; 16])), ..request(&server, Role::Host) };
    let elsewhere = token_at(&server, &elsewhere, SystemTime::now());
    assert_eq!(refused(&server, elsewhere).await, (ErrorCode::Unauthenticated, closed));
    let other = Server::start(config());
    let of_other = TokenRequest { room: server.room, ..request(&other, Role::Host) };
    let of_other = token_at(&other, &of_other, SystemTime::now());
    assert_eq!(refused(&server, of_other).await, (ErrorCode::Unauthenticated, closed));
    assert_eq!(refused(&server, "a".repeat(10_000)).await, (ErrorCode::Unauthenticated, closed));
}

#[tokio::test]
async fn token_outlives_a_restart() {
    let server = Server::start(config());
    let token = token_at(&server, &request(&server, Role::Moderator), SystemTime::now());
    let server = server.restart().await;
    let (_client, answer) = show(&server, token).await;
    assert!(matches!(answer, ServerMessage::Welcome(welcome) if welcome.role == Role::Moderator));
}

#[tokio::test]
async fn operator_is_given_tokens() {
    let server = Server::start(Config { api_key: Some(ApiKey::new(KEY).unwrap()), ..config() });
    let room = server.room.to_string();
    let body = json!({"role": "moderator", "identity": "ada", "lifetime": 60}).to_string();
    let (status, answer) = ask(&server, KEY, &room, &body).await;
    assert_eq!(status, 201, "{answer}");
    let (_client, welcome) = show(&server, answer["token"].as_str().unwrap().to_owned()).await;
    assert!(matches!(welcome, ServerMessage::Welcome(welcome) if welcome.role == Role::Moderator));

    assert_eq!(ask(&server, "another horse battery", &room, &body).await.0, 401);
    assert_eq!(ask(&server, KEY, &"A".repeat(22), &body).await.0, 404);
    for wrong in [
        json!({}),
        json!({"role": "owner"}),
        json!({"role": "host", "lifetime": 0}),
        json!({"role": "host", "lifetime": 2_592_001}),
        json!({"role": "host", "identity": "Ada Lovelace"}),
        json!({"role": "host", "capabilities": ["fly"]}),
        json!({"role": "host", "secret": "x"}),
    ] {
        assert_eq!(ask(&server, KEY, &room, &wrong.to_string()).await.0, 400, "{wrong}");
    }
}
