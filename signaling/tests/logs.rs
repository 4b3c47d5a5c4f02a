//! The log at `debug` tells what became of each connection, and holds no secret, name or full address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use sfu_api::{Event, TransportState, event::Limit};
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

/// Collects what is logged.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
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
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}
