//! The log at `debug` tells what became of each connection, and holds no secret, name or full address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::Value;
use sfu_api::{Event, TransportState, event::Limit};
use signaling::{Config, config::ApiKey};
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};
use support::{ACCESS, Server, config, join};
use tacet_proto::{
    ClientMessage, ParticipantId, ServerMessage,
    bytes::{Base64, Fixed},
    client::{ClientTransport, Empty, SlotsReady},
    media::{ClientIce, Dtls},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Collects what is logged.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn log_explains_each_connection_without_secrets() {
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_env_filter("signaling=debug")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let server = Server::start(config());

    let mut stranger = server.connect().await;
    stranger.send(1, server.hello([8; 32])).await;
    stranger.closed().await;

    let mut ada = server.connect().await;
    ada.send(1, server.hello(ACCESS)).await;
    let ServerMessage::Welcome(welcome) = ada.answer(1).await else { panic!("no welcome") };
    let participant = welcome.participant;
    ada.send(2, join(0x5a)).await;
    assert!(matches!(ada.answer(2).await, ServerMessage::Joined(_)));
    let pwd = "verysecretpassword012345";
    let ice = ClientIce { ufrag: "user".to_owned(), pwd: pwd.to_owned() };
    let dtls = Dtls { fingerprint: Fixed([6; 32]) };
    ada.until(|message| matches!(message, support::Received::Message(_, ServerMessage::Transport(_)))).await;
    ada.send(3, ClientMessage::Transport(ClientTransport { ice, dtls })).await;
    assert!(matches!(ada.answer(3).await, ServerMessage::Ok(_)));
    ada.send(4, ClientMessage::SlotsReady(SlotsReady { rev: 99 })).await;
    assert!(matches!(ada.answer(4).await, ServerMessage::Error(_)));
    server.media.event(Event::LimitExceeded { participant, limit: Limit::Datagrams });
    server.media.event(Event::TransportState { participant, state: TransportState::Connected });
    ada.until(|message| matches!(message, support::Received::Message(_, ServerMessage::TransportState(_)))).await;
    ada.send(5, ClientMessage::Leave(Empty {})).await;
    ada.closed().await;
    server.stop().await;
    let api = api_secrets().await;

    let log = captured.text();
    let ParticipantId(number) = participant;
    for state in [
        "connected",
        "hello refused cause=wrong credential",
        "hello accepted room=1",
        &format!("joined participant={number} seat=0"),
        "request refused",
        &format!("limit exceeded participant={number} limit=Datagrams"),
        &format!("left participant={number}"),
        &format!("media transport changed participant={number} state=Connected"),
        "closed code=4401",
        "closed code=1000",
    ] {
        assert!(log.contains(state), "{state} is not in\n{log}");
    }
    assert!(log.contains(&format!("connection{{connection=2 participant={number}}}")), "no span in\n{log}");
    let display = serde_json::to_string(&Base64(vec![0x5a; 40])).unwrap();
    let secrets =
        [&Fixed(ACCESS).encode(), &Fixed([8; 32]).encode(), pwd, "user", display.trim_matches('"'), "127.0.0.1"];
    for secret in secrets.into_iter().chain(api.iter().map(String::as_str)) {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}

/// What a program sends and receives over HTTP that no one else may read.
async fn api_secrets() -> Vec<String> {
    const KEY: &str = "correct horse battery";
    let server = Server::start(Config { api_key: Some(ApiKey::new(KEY).unwrap()), ..config() });
    let ask = async |request: &str, key: &str, body: &str| {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nIdempotency-Key: idem-4711");
        let text = format!("{head}\r\nAuthorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        tcp.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        serde_json::from_str::<Value>(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_default()
    };
    let text = |answer: &Value, field: &str| answer[field].as_str().unwrap().to_owned();
    let key = text(&ask("POST /v1/keys", KEY, r#"{"name":"shopkeeper","scopes":["rooms:write"]}"#).await, "key");
    let webhook = ask("POST /v1/webhooks", KEY, r#"{"url":"https://shop.example/hook?secret=hidden"}"#).await;
    let hash = "h45h".repeat(10) + "AAA";
    assert!(ask("POST /v1/rooms", &key, &format!(r#"{{"access_hash":"{hash}"}}"#)).await["room"].is_string());
    let token =
        ask(&format!("POST /v1/rooms/{}/tokens", server.room), KEY, r#"{"role":"host","identity":"ada.l"}"#).await;
    let link = format!("https://127.0.0.1/r/x#{}", "l1nk".repeat(11));
    ask("POST /v1/rooms", &key, &format!(r#"{{"access_hash":"{link}"}}"#)).await;
    ask("GET /v1/rooms", "wrong horse battery", "").await;
    server.stop().await;
    let (secret, token) = (text(&webhook, "secret"), text(&token, "token"));
    let made = [key, secret, token, hash];
    let sent = [KEY, "wrong horse", "l1nkl1nk", "idem-4711", "hidden", "shop.example", "shopkeeper", "ada.l"];
    made.into_iter().chain(sent.map(str::to_owned)).collect()
}
