//! Calls over real WebSockets, with a media plane that records its commands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use signaling::{Config, PageFile, SecurityContact, config::ApiKey};
use std::{borrow::Cow, sync::Arc};
use support::{ACCESS, Received, Server, config, join};
use tacet_proto::{
    ClientMessage, ErrorCode, SUBPROTOCOL, ServerMessage, binary,
    bytes::Fixed,
    client::{ClientTransport, Empty, Encoding, Layers, Ping, Publish, SlotsReady, Subscribe},
    media::{ClientIce, Codec, Dtls, Kind, SlotContent, Source},
    server::Pong,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn mic() -> ClientMessage {
    ClientMessage::Publish(Publish {
        cid: "microphone".to_owned(),
        kind: Kind::Audio,
        source: Source::Microphone,
        codec: Codec::Opus,
        mid: "sa".to_owned(),
        encodings: Encoding::single(11, None),
        muted: false,
    })
}

fn transport() -> ClientMessage {
    ClientMessage::Transport(ClientTransport {
        ice: ClientIce { ufrag: "abcd".to_owned(), pwd: "0123456789abcdef01234567".to_owned() },
        dtls: Dtls { fingerprint: Fixed([6; 32]) },
    })
}

/// One HTTP request; status and body.
async fn http(server: &Server, request: &str, headers: &str, body: &str) -> (u16, String) {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let (host, length) = (server.address, body.len());
    let text = format!(
        "{request} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    tcp.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("content-security-policy: default-src 'self'"), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn two_participants_meet_and_one_leaves() {
    let server = Server::start(config());
    let mut ada = server.member().await;
    ada.send(3, transport()).await;
    assert!(matches!(ada.answer(3).await, ServerMessage::Ok(_)));
    ada.send(4, mic()).await;
    assert!(matches!(ada.answer(4).await, ServerMessage::Published(_)));

    // A joiner sends everything at once that it can, without waiting for answers.
    let mut bo = server.guest().await;
    bo.send(2, join(2)).await;
    bo.send(3, ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] })).await;
    let ServerMessage::Joined(joined) = bo.answer(2).await else { panic!() };
    assert_eq!((joined.roster.len(), joined.tracks.len()), (1, 1));
    let received = bo.until(|r| matches!(r, Received::Message(_, ServerMessage::Slots(_)))).await;
    let Received::Message(_, ServerMessage::Slots(slots)) = received else { panic!() };
    assert!(slots.set.iter().any(|set| {
        set.source.and_then(SlotContent::track).is_some_and(|source| source.track == joined.tracks[0].track)
    }));
    bo.send(4, ClientMessage::SlotsReady(SlotsReady { rev: slots.rev })).await;
    assert!(matches!(bo.answer(4).await, ServerMessage::Ok(_)));
    assert_eq!(ada.announced().await.len(), 1);

    bo.send(5, ClientMessage::Leave(Empty {})).await;
    assert!(matches!(bo.answer(5).await, ServerMessage::Bye(_)));
    assert_eq!(bo.closed().await.1, 1000);
    let gone = |r: &Received| matches!(r, Received::Message(_, ServerMessage::Roster(roster)) if roster.del.len() == 1);
    ada.until(gone).await;
    let commands = server.media.commands.lock().unwrap();
    assert!(commands.iter().any(|c| matches!(c, sfu_api::Command::ActivateSlot { .. })));
    assert!(matches!(commands.last(), Some(sfu_api::Command::RemoveParticipant { .. })));
}

#[tokio::test]
async fn messages_before_hello_are_refused_without_closing() {
    let server = Server::start(config());
    let mut client = server.connect().await;
    let messages = [
        join(1),
        transport(),
        mic(),
        ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] }),
        ClientMessage::Layers(Layers::default()),
        ClientMessage::SlotsReady(SlotsReady { rev: 0 }),
        ClientMessage::Resync(Empty {}),
        ClientMessage::Ping(Ping { ms: 1 }),
        ClientMessage::Leave(Empty {}),
    ];
    for (id, message) in (1..).zip(messages) {
        client.send(id, message).await;
        let ServerMessage::Error(error) = client.answer(id).await else { panic!("accepted {id}") };
        assert_eq!(error.code, ErrorCode::Unauthenticated);
    }
    client.binary(binary::key_request(50, &[0; 24])).await;
    assert!(matches!(client.answer(50).await, ServerMessage::Error(error) if error.code == ErrorCode::Unauthenticated));
    client.send(60, server.hello(ACCESS)).await;
    assert!(matches!(client.answer(60).await, ServerMessage::Welcome(_)));
}

#[tokio::test]
async fn key_traffic_reaches_its_recipient_only() {
    let server = Server::start(config());
    let (mut ada, mut bo) = (server.member().await, server.member().await);
    let batch = ada.key_batch(7, 7, &[bo.seat.0]);
    ada.binary(batch.clone()).await;
    assert!(matches!(ada.answer(7).await, ServerMessage::Ok(_)));
    let received = bo.until(|r| matches!(r, Received::Binary(bytes) if bytes[0] == 2)).await;
    let Received::Binary(bytes) = received else { panic!() };
    assert_eq!(bytes[6..], batch[5..]);
}

#[tokio::test]
async fn hostile_messages_end_no_other_call() {
    let server = Server::start(config());
    let mut ada = server.member().await;
    let nasty: [&[u8]; 6] = [b"\x01", b"\x02\0\0\0\0\x01", b"\x04\0\0\0\0\xff", &[0; 16_384], &[1; 200], b""];
    for message in nasty {
        let mut eve = server.member().await;
        eve.binary(message.to_vec()).await;
        for text in [r#"{"t":"join","announce":"","display":""}"#, r#"{"t":"publish"}"#, r#"{"t":1}"#, "{}"] {
            eve.text(text).await;
        }
        eve.text("\u{0}").await;
        assert_eq!(eve.closed().await.1, 1007);
    }
    ada.send(99, ClientMessage::Ping(Ping { ms: 5 })).await;
    assert!(matches!(ada.answer(99).await, ServerMessage::Pong(Pong { ms: 5, .. })));
}

#[tokio::test]
async fn room_creation_requires_permission() {
    let hash = format!(r#"{{"access_hash":"{}"}}"#, Fixed([1; 32]).encode());
    let closed =
        Server::start(Config { api_key: Some(ApiKey::new("correct horse battery").unwrap()), rooms: 2, ..config() });
    assert_eq!(http(&closed, "POST /v1/rooms", "", &hash).await.0, 403);
    assert_eq!(http(&closed, "POST /v1/rooms", "Authorization: Bearer nope\r\n", &hash).await.0, 401);
    let (status, body) =
        http(&closed, "POST /v1/rooms", "Authorization: Bearer correct horse battery\r\n", &hash).await;
    assert_eq!(status, 201);
    assert!(body.starts_with(r#"{"room":""#) && body.len() == 22 + 11, "{body}");
    let (status, body) =
        http(&closed, "POST /v1/rooms", "Authorization: Bearer correct horse battery\r\n", &hash).await;
    assert_eq!(status, 503, "the limit is two rooms: {body}");

    let open = Server::start(Config { open_rooms: true, ..config() });
    assert_eq!(http(&open, "POST /v1/rooms", "", &hash).await.0, 201);
    assert_eq!(http(&open, "POST /v1/rooms", "Origin: https://evil.example\r\n", &hash).await.0, 403);
    for malformed in ["", "{}", r#"{"access_hash":"AA"}"#, "[1]"] {
        assert_eq!(http(&open, "POST /v1/rooms", "", malformed).await.0, 400, "{malformed}");
    }
    let (status, body) = http(&open, "GET /v1/server", "", "").await;
    assert_eq!((status, body), (200, format!(r#"{{"protocols":["{SUBPROTOCOL}"],"open_rooms":true}}"#)));
}

#[tokio::test]
async fn anyone_creates_a_bounded_number_of_rooms_and_hinders_no_other() {
    let hash = format!(r#"{{"access_hash":"{}"}}"#, Fixed([1; 32]).encode());
    let proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let key = Some(ApiKey::new(&"k3y".repeat(8)).unwrap());
    let open = Config { open_rooms: true, trusted_proxies: proxies, api_key: key, rooms: 30, ..config() };
    let server = Server::start(open);
    let create = async |headers: &str| http(&server, "POST /v1/rooms", headers, &hash).await;
    for number in 0..20 {
        // All of one /56.
        let from = format!("X-Forwarded-For: 2001:db8:0:{number:x}::1\r\n");
        assert_eq!(create(&from).await.0, 201, "room {number}");
    }
    let (status, body) = create("X-Forwarded-For: 2001:db8:0:99::1\r\n").await;
    assert_eq!(status, 429, "{body}");
    assert!(body.contains(r#""code":"too_many_rooms""#) && body.contains("retry_ms"), "{body}");
    // The stock is full with the first of these, and rooms go that no one has entered.
    for number in 1..=40 {
        let from = format!("X-Forwarded-For: 192.0.2.{number}\r\n");
        assert_eq!(create(&from).await.0, 201, "address {number}");
    }
    assert_eq!(create(&format!("Authorization: Bearer {}\r\n", "k3y".repeat(8))).await.0, 201);
    // The operator's own room is still there.
    server.guest().await;
}

#[tokio::test]
async fn security_txt_names_the_operators_contact() {
    let contact = SecurityContact::new("mailto:security@example.org", "2027-12-31T00:00:00Z").unwrap();
    let server = Server::start(Config { security_contact: Some(contact), ..config() });
    let text = "Contact: mailto:security@example.org\nExpires: 2027-12-31T00:00:00Z\n";
    assert_eq!(http(&server, "GET /.well-known/security.txt", "", "").await, (200, text.to_owned()));
    let without = Server::start(config());
    assert_eq!(http(&without, "GET /.well-known/security.txt", "", "").await.0, 404);
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let server = Server::start(Config { open_rooms: true, ..config() });
    assert_eq!(http(&server, "POST /v1/rooms", "", &" ".repeat(16_384)).await.0, 400, "read, and not JSON");
    assert_eq!(http(&server, "POST /v1/rooms", "", &" ".repeat(16_385)).await.0, 413);
}

#[tokio::test]
async fn page_is_served_for_every_room_if_there_is_one() {
    let page = |path: &str| {
        let bytes = match path {
            "index.html" => "<title>call</title>",
            "assets/app.js" => "run()",
            _ => return None,
        };
        Some(PageFile { mime: Cow::Borrowed("text/html"), bytes: Cow::Borrowed(bytes.as_bytes()) })
    };
    let server = Server::start_with_page(config(), Some(Arc::new(page)));
    for path in ["/", "/r/AAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(http(&server, &format!("GET {path}"), "", "").await, (200, "<title>call</title>".to_owned()));
    }
    assert_eq!(http(&server, "GET /assets/app.js", "", "").await, (200, "run()".to_owned()));
    for path in ["/assets/none.js", "/none", "/assets/../index.html", "/r/a/b"] {
        assert_eq!(http(&server, &format!("GET {path}"), "", "").await.0, 404, "{path}");
    }
    assert_eq!(http(&server, "GET /healthz", "", "").await, (200, "ok\n".to_owned()));

    let without = Server::start(config());
    assert_eq!(http(&without, "GET /", "", "").await.0, 404);
}
