//! The limits of a connection, message by message and byte by byte, with a real WebSocket client on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use signaling::{Config, config::Timing, metrics::Kind};
use std::time::{Duration, Instant};
use support::{ACCESS, Client, Received, Server, config};
use tacet_proto::{
    ClientMessage, ErrorCode, SUBPROTOCOL, ServerMessage, binary,
    client::Ping,
    limits::{RATE_ANSWERS_PER_SECOND, STRIKES_PER_WINDOW},
    server::{ByeReason, Pong},
};
use tokio_tungstenite::tungstenite::http::StatusCode;

/// A well-formed ping of exactly this many bytes.
fn ping_of(bytes: usize) -> String {
    let empty = r#"{"t":"ping","id":7,"ms":1,"ext":""}"#;
    let text = empty.replace(r#""ext":"""#, &format!(r#""ext":"{}""#, "x".repeat(bytes - empty.len())));
    assert_eq!(text.len(), bytes);
    text
}

async fn close_code(server: &Server, text: String) -> u16 {
    let mut client = server.guest().await;
    client.text(text).await;
    client.closed().await.1
}

#[tokio::test]
async fn message_over_16384_bytes_closes_with_1009() {
    let server = Server::start(config());
    let mut client = server.guest().await;
    client.text(ping_of(16_384)).await;
    assert!(matches!(client.answer(7).await, ServerMessage::Pong(_)));
    client.text(ping_of(16_385)).await;
    assert_eq!(client.closed().await.1, 1009);
    assert_eq!(close_code(&server, ping_of(60_000)).await, 1009);
}

#[tokio::test]
async fn size_is_counted_after_reassembly() {
    let server = Server::start(config());
    let mut client = server.guest().await;
    let whole = ping_of(16_384);
    client.fragments(&[&whole[..8_192], &whole[8_192..]]).await;
    assert!(matches!(client.answer(7).await, ServerMessage::Pong(_)));
    let whole = ping_of(2 * 8_193);
    client.fragments(&[&whole[..8_193], &whole[8_193..]]).await;
    assert_eq!(client.closed().await.1, 1009);
}

#[tokio::test]
async fn large_binary_message_closes_with_1009() {
    let server = Server::start(config());
    let mut client = server.guest().await;
    client.binary(vec![1; 16_385]).await;
    assert_eq!(client.closed().await.1, 1009);
}

#[tokio::test]
async fn thirty_first_message_is_refused_without_closing() {
    let server = Server::start(config());
    let (mut client, answers) = within_a_second(async || {
        let mut client = server.guest().await;
        // hello was the first of the thirty.
        for id in 2..=31 {
            client.send(id, ClientMessage::Ping(Ping { ms: u64::from(id) })).await;
        }
        let answers = client.answers(2..=31).await;
        (client, answers)
    })
    .await;
    let Some((ServerMessage::Error(error), accepted)) = answers.split_last() else { panic!("accepted the 31st") };
    for (id, answer) in (2..).zip(accepted) {
        assert_eq!(*answer, ServerMessage::Pong(Pong { ms: id, tokens: None }));
    }
    assert_eq!(error.code, ErrorCode::RateLimited);
    let wait = error.retry_ms.unwrap();
    assert!((1..=1_000).contains(&wait), "{wait}");
    tokio::time::sleep(Duration::from_millis(u64::from(wait))).await;
    client.send(40, ClientMessage::Ping(Ping { ms: 40 })).await;
    assert_eq!(
        client.answer(40).await,
        ServerMessage::Pong(Pong { ms: 40, tokens: None }),
        "accepted after the announced wait"
    );
}

/// Does something until it was done within one second: on a machine that stalls, a flood may be spread over more than
/// the window, and then shows nothing.
async fn within_a_second<T>(mut act: impl AsyncFnMut() -> T) -> T {
    for _ in 0..50 {
        let begun = Instant::now();
        let outcome = act().await;
        if begun.elapsed() < Duration::from_secs(1) {
            return outcome;
        }
    }
    panic!("this machine never had a second for the test");
}

async fn flood(server: &Server, mut send: impl AsyncFnMut(&mut Client, u32)) {
    let (before, code) = within_a_second(async || {
        let mut client = server.guest().await;
        for id in 100..300 {
            send(&mut client, id).await;
        }
        client.closed().await
    })
    .await;
    assert_eq!(code, 4429, "the Close frame arrives");
    let answers = |limited: bool| {
        before
            .iter()
            .filter(|received| match received {
                Received::Message(Some(_), ServerMessage::Error(error)) => {
                    (error.code == ErrorCode::RateLimited) == limited
                }
                Received::Message(Some(_), _) => !limited,
                _ => false,
            })
            .count()
    };
    assert_eq!(answers(false), 29, "all good answers arrive; hello was the first of the thirty");
    assert_eq!(answers(true), RATE_ANSWERS_PER_SECOND, "no more refusals are answered");
}

/// A request over the rate that gets no answer is not processed later either.
#[tokio::test]
async fn requests_beyond_the_answered_refusals_get_no_answer() {
    const { assert!(RATE_ANSWERS_PER_SECOND + 5 < STRIKES_PER_WINDOW) };
    let server = Server::start(config());
    let last = 30 + RATE_ANSWERS_PER_SECOND as u32 + 5;
    let (mut client, answers) = within_a_second(async || {
        let mut client = server.guest().await;
        for id in 2..=last {
            client.send(id, ClientMessage::Ping(Ping { ms: u64::from(id) })).await;
        }
        let answers = client.answers(2..=30 + RATE_ANSWERS_PER_SECOND as u32).await;
        (client, answers)
    })
    .await;
    let Some(ServerMessage::Error(refusal)) = answers.last() else { panic!("accepted the last one") };
    tokio::time::sleep(Duration::from_millis(refusal.retry_ms.unwrap().into())).await;
    client.send(100, ClientMessage::Ping(Ping { ms: 100 })).await;
    let next = loop {
        if let Received::Message(Some(re), _) = client.receive().await {
            break re;
        }
    };
    assert_eq!(next, 100, "the first answer since");
}

/// The page for authors of clients has the same number.
#[test]
fn document_says_how_many_refusals_are_answered() {
    let document = include_str!("../../docs/signaling.md");
    let said = format!("At most {RATE_ANSWERS_PER_SECOND} messages over a rate are answered in any second");
    assert!(document.contains(&said), "docs/signaling.md should say: {said}");
}

#[tokio::test]
async fn text_flood_closes_with_4429_after_all_good_answers() {
    let server = Server::start(config());
    flood(&server, async |client, id| client.send(id, ClientMessage::Ping(Ping { ms: 1 })).await).await;
}

#[tokio::test]
async fn binary_flood_closes_with_4429() {
    let server = Server::start(config());
    let mut batch = vec![7; binary::BATCH_HEADER_BYTES - 2];
    batch.extend_from_slice(&1u16.to_be_bytes());
    batch.extend_from_slice(&[0; binary::BATCH_ENTRY_BYTES]);
    flood(&server, async |client, id| client.binary(binary::key_batch(id, &batch)).await).await;
}

#[tokio::test]
async fn control_frame_flood_closes_with_1008() {
    use futures_util::SinkExt;
    use tokio_tungstenite::tungstenite::Message;
    let server = Server::start(config());
    let (_, code) = within_a_second(async || {
        let mut client = server.guest().await;
        for _ in 0..11 {
            client.socket.send(Message::Ping("x".into())).await.unwrap();
        }
        client.closed().await
    })
    .await;
    assert_eq!(code, 1008);
}

#[tokio::test]
async fn invalid_json_closes_with_1007() {
    let server = Server::start(config());
    for text in ["nonsense", "[1,2]", "", "{"] {
        assert_eq!(close_code(&server, text.to_owned()).await, 1007, "{text:?}");
    }
}

#[tokio::test]
async fn invalid_utf8_closes_with_1007() {
    use futures_util::SinkExt;
    use tokio_tungstenite::tungstenite::{
        Message,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    };
    let server = Server::start(config());
    let mut client = server.guest().await;
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    client.socket.send(Message::Frame(frame)).await.unwrap();
    assert_eq!(client.closed().await.1, 1007);
}

#[tokio::test]
async fn unknown_type_is_refused_without_closing() {
    let server = Server::start(config());
    let mut client = server.guest().await;
    client.text(r#"{"t":"dance","id":5}"#).await;
    assert!(matches!(client.answer(5).await, ServerMessage::Error(error) if error.code == ErrorCode::UnknownType));
    client.text(r#"{"t":"ping","id":6,"ms":"soon"}"#).await;
    assert!(matches!(client.answer(6).await, ServerMessage::Error(error) if error.code == ErrorCode::BadMessage));
    client.send(7, ClientMessage::Ping(Ping { ms: 1 })).await;
    assert!(matches!(client.answer(7).await, ServerMessage::Pong(_)));
}

#[tokio::test]
async fn twenty_malformed_messages_close_with_4400() {
    let server = Server::start(config());
    let mut client = server.guest().await;
    for id in 2..22 {
        client.text(format!(r#"{{"t":"ping","id":{id}}}"#)).await;
    }
    let (before, code) = client.closed().await;
    assert_eq!((before.len(), code), (20, 4400), "each is answered");
}

#[tokio::test]
async fn malformed_binary_is_answered_and_concerns_no_one_else() {
    let server = Server::start(config());
    let (mut ada, mut eve) = (server.member().await, server.member().await);
    let mut batch = vec![7; binary::BATCH_HEADER_BYTES - 2];
    batch.extend_from_slice(&1u16.to_be_bytes());
    batch.extend_from_slice(&[0; binary::BATCH_ENTRY_BYTES]);
    let batch = binary::key_batch(9, &batch);
    let mut malformed: Vec<_> = (0..batch.len()).step_by(18).map(|length| batch[..length].to_vec()).collect();
    malformed.push(vec![9; 40]);
    for message in &malformed {
        eve.binary(message.clone()).await;
    }
    eve.send(99, ClientMessage::Ping(Ping { ms: 1 })).await;
    let mut refused = 0;
    loop {
        match eve.receive().await {
            Received::Message(_, ServerMessage::Error(_)) => refused += 1,
            Received::Message(Some(99), _) => break,
            Received::Message(..) | Received::Binary(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, malformed.len(), "each is answered");
    ada.send(99, ClientMessage::Ping(Ping { ms: 1 })).await;
    loop {
        match ada.receive().await {
            Received::Binary(bytes) => assert_ne!(bytes[0], binary::BinaryType::Keys as u8),
            Received::Message(Some(99), _) => break,
            Received::Message(..) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn missing_hello_closes_with_4401() {
    let timing = Timing { hello: Duration::from_millis(20), ..Timing::default() };
    let server = Server::start(Config { timing, ..config() });
    let mut client = server.connect().await;
    assert_eq!(client.closed().await.1, 4401);
}

#[tokio::test]
async fn silent_client_is_closed_with_4408() {
    let timing = Timing { dead: Duration::from_millis(20), ..config().timing };
    let server = Server::start(Config { timing, ..config() });
    let mut client = server.guest().await;
    assert_eq!(client.closed().await.1, 4408);
}

#[tokio::test]
async fn wrong_credential_closes_with_4401() {
    let server = Server::start(config());
    let mut client = server.connect().await;
    client.send(1, server.hello([8; 32])).await;
    assert!(matches!(client.answer(1).await, ServerMessage::Error(error) if error.code == ErrorCode::Unauthenticated));
    assert_eq!(client.closed().await.1, 4401);

    let mut client = server.connect().await;
    let ClientMessage::Hello(mut hello) = server.hello(ACCESS) else { panic!() };
    hello.room.0.0[0] ^= 1;
    client.send(1, ClientMessage::Hello(hello)).await;
    assert!(matches!(client.answer(1).await, ServerMessage::Error(error) if error.code == ErrorCode::NoRoom));
    assert_eq!(client.closed().await.1, 4404);
}

#[tokio::test]
async fn subprotocol_and_origin_are_checked() {
    let server = Server::start(config());
    let own = format!("http://{}", server.address);
    assert_eq!(server.try_connect(&[]).await.err(), Some(StatusCode::UPGRADE_REQUIRED));
    let protocol = ("sec-websocket-protocol", SUBPROTOCOL);
    assert_eq!(
        server.try_connect(&[("sec-websocket-protocol", "tacet.v9.json")]).await.err(),
        Some(StatusCode::UPGRADE_REQUIRED)
    );
    assert!(server.try_connect(&[protocol, ("origin", &own)]).await.is_ok());
    assert!(server.try_connect(&[("sec-websocket-protocol", "tacet.v9.json, tacet.v1.json")]).await.is_ok());
    let mut evil = server.try_connect(&[protocol, ("origin", "https://evil.example")]).await.unwrap();
    assert!(matches!(evil.message().await, ServerMessage::Error(error) if error.code == ErrorCode::Forbidden));
    assert_eq!(evil.closed().await.1, 1008);
}

#[tokio::test]
async fn connections_of_an_address_are_limited() {
    let server = Server::start(Config { connections_per_address: Some(1), ..config() });
    let first = server.guest().await;
    // Browsers hide the status of a refused upgrade from the page, so the refusal comes over the WebSocket.
    let mut second = server.try_connect(&[("sec-websocket-protocol", SUBPROTOCOL)]).await.unwrap();
    let ServerMessage::Error(error) = second.message().await else { panic!("accepted the second") };
    assert_eq!((error.code, error.retry_ms), (ErrorCode::RateLimited, Some(5_000)));
    assert_eq!(second.closed().await.1, 1013);
    first.close().await;
    loop {
        let mut next = server.try_connect(&[("sec-websocket-protocol", SUBPROTOCOL)]).await.unwrap();
        if matches!(next.message().await, ServerMessage::Challenge(_)) {
            break;
        }
    }
}

/// Refusing in a way that a page can explain holds a socket for a moment. Only 64 at a time are spent on that.
#[tokio::test]
async fn flood_of_refused_connections_gets_the_http_status() {
    let server = Server::start(Config { connections_per_address: Some(0), ..config() });
    let mut held = Vec::new();
    let status = loop {
        match server.try_connect(&[("sec-websocket-protocol", SUBPROTOCOL)]).await {
            Ok(client) => held.push(client),
            Err(status) => break status,
        }
    };
    assert_eq!((held.len(), status), (64, StatusCode::TOO_MANY_REQUESTS));
}

#[tokio::test]
async fn stopping_says_so_and_closes_every_connection_with_1012() {
    let server = Server::start(config());
    let (mut stranger, mut guest, mut member) = (server.connect().await, server.guest().await, server.member().await);
    let closed = tokio::spawn(async move {
        [stranger.closed().await, guest.closed().await, member.closed().await].map(|(before, code)| {
            let Some(Received::Message(None, ServerMessage::Bye(bye))) = before.last() else { panic!("{before:?}") };
            (bye.reason, code)
        })
    });
    server.stop().await;
    assert_eq!(closed.await.unwrap(), [(ByeReason::Restart, 1012); 3]);
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let server = Server::start(Config { connections_per_address: Some(1), ..config() });
    assert_eq!(server.try_connect(&[]).await.err(), Some(StatusCode::UPGRADE_REQUIRED));
    let mut client = server.guest().await;
    assert!(server.try_connect(&[("sec-websocket-protocol", SUBPROTOCOL)]).await.is_ok(), "to be refused");
    client.text(r#"{"t":"dance","id":3}"#.to_owned()).await;
    assert!(matches!(client.answer(3).await, ServerMessage::Error(_)));
    client.text("not JSON".to_owned()).await;
    assert_eq!(client.closed().await.1, 1007);

    let metrics = &server.metrics;
    let counted = [
        metrics.refusals.read().map(|(kind, count)| (kind.label(), count)).collect::<Vec<_>>(),
        metrics.errors.read().map(|(kind, count)| (kind.label(), count)).collect(),
        metrics.closes.read().map(|(kind, count)| (kind.label(), count)).collect(),
        metrics.received.read().map(|(kind, count)| (kind.label(), count)).collect(),
        metrics.sent.read().map(|(kind, count)| (kind.label(), count)).collect(),
    ];
    let counted: Vec<(String, u64)> = counted.concat().into_iter().filter(|(_, count)| *count > 0).collect();
    let expected = [("protocol", 1), ("connections", 1), ("unknown_type", 1), ("1007", 1), ("text", 3), ("text", 3)];
    assert_eq!(counted, expected.map(|(label, count)| (label.to_owned(), count)));
    assert_eq!(metrics.open_connections(), 0);
}
