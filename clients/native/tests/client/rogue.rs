//! What a client makes of a server that does not keep to the protocol, or is late.

use crate::{
    TIMEOUT,
    listener::Listener,
    rogue_server::{Client as Connection, RogueServer, number, transport, welcome},
};
use std::time::{Duration, Instant};
use tacet_native::{
    call::{Call, CallEvent, JoinOptions},
    client::{Client, ClientEvent, ClientOptions, EndReason, ErrorCode, TrackState, VideoOptions},
};
use tacet_proto::{
    ServerMessage, TrackId,
    client::ClientTransport,
    media::{Codec, Kind, Slot},
    server::{ServerTransport, Slots, Welcome},
};
use tokio::time::timeout;

/// The client as the server of a test sees it, and as its application does.
async fn join(server: &RogueServer, welcome: Welcome) -> (Connection, Listener) {
    let link = server.link();
    let joining = Client::join(&link, ClientOptions::new("Ada"));
    let (connection, joined) = timeout(TIMEOUT, async { tokio::join!(server.admit(welcome), joining) }).await.unwrap();
    let (client, events) = joined.unwrap();
    (connection, Listener::of(client, events))
}

/// The reason for which a client ends the call.
async fn end(mut ada: Listener) -> EndReason {
    ada.event("the end", |event| match event {
        ClientEvent::Ended(reason) => Some(reason.clone()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn server_that_writes_into_the_offer_is_named() {
    let server = RogueServer::start().await;
    let injected = || {
        let mut transport = transport("srvufrag");
        transport.ice.pwd.push_str("\r\na=injected:1");
        transport
    };
    let mut capture_time = welcome();
    capture_time.hdrext[0].uri = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time".to_owned();
    for (welcome, transport, expected) in [
        (welcome(), injected(), "the server sent an invalid ICE password"),
        (capture_time, transport("srvufrag"), "the server sent an invalid header extension"),
    ] {
        let (mut connection, ada) = join(&server, welcome).await;
        connection.send(None, ServerMessage::Transport(transport)).await;
        let reason = end(ada).await;
        assert!(matches!(reason, EndReason::ServerMisbehaved(_)), "{reason}");
        assert!(reason.to_string().starts_with(expected), "{reason}");
    }
    let (mut connection, ada) = join(&server, welcome()).await;
    connection.send(None, ServerMessage::Transport(transport("srvufrag"))).await;
    connection.expect("transport").await;
    let mid = "r0\r\na=injected:1".to_owned();
    let slot = Slot { mid, kind: Kind::Audio, codec: Codec::Opus, ssrc: 7, rtx: None };
    connection.send(None, ServerMessage::Slots(Slots { rev: 1, add: vec![slot], set: Vec::new() })).await;
    assert!(end(ada).await.to_string().starts_with("the server sent an invalid MID"));
}

/// A track that the server does not forward is refused, and costs neither the session nor its keys.
#[tokio::test]
async fn codec_that_the_server_lacks_is_a_refused_track() {
    let server = RogueServer::start().await;
    let (mut connection, mut ada) = join(&server, welcome()).await;
    let camera = ada.client.publish_video(VideoOptions::camera(Codec::Av1)).await.unwrap();
    connection.send(None, ServerMessage::Transport(transport("srvufrag"))).await;
    connection.expect("transport").await;
    let refused = |event: &ClientEvent| match event {
        ClientEvent::PublicationRefused { code, .. } => Some(*code),
        _ => None,
    };
    let code = ada.until("a refusal", |ada| ada.events_seen.iter().find_map(refused)).await;
    assert_eq!(code, ErrorCode::CodecUnsupported);
    assert_eq!(camera.state(), TrackState::Refused(ErrorCode::CodecUnsupported));
}

/// A call without media, driven while a test talks to it as its server.
async fn call(server: &RogueServer) -> (Connection, Call) {
    let link = server.link();
    let options = JoinOptions::new("Ada");
    let joining = Call::join(&link, &options);
    let (connection, call) = timeout(TIMEOUT, async { tokio::join!(server.admit(welcome()), joining) }).await.unwrap();
    (connection, call.unwrap())
}

/// The next half of the transport that the client is to answer.
async fn next_transport(call: &mut Call) -> ServerTransport {
    let waiting = async {
        loop {
            if let CallEvent::Transport(transport) = call.next().await.unwrap() {
                return transport;
            }
        }
    };
    timeout(TIMEOUT, waiting).await.unwrap()
}

fn client_half() -> ClientTransport {
    let ice = tacet_proto::media::ClientIce { ufrag: "mine".to_owned(), pwd: "aPasswordOfTheClient22".to_owned() };
    ClientTransport { ice, dtls: transport("srvufrag").dtls }
}

#[tokio::test]
async fn half_of_the_transport_before_an_unanswered_restart_is_not_answered() {
    let server = RogueServer::start().await;
    let (mut connection, mut call) = call(&server).await;
    connection.send(None, ServerMessage::Transport(transport("first"))).await;
    assert_eq!(next_transport(&mut call).await.ice.ufrag, "first");
    call.transport(client_half()).unwrap();
    call.restart_ice().unwrap();
    let answering = async {
        connection.expect("transport").await;
        let restart = connection.expect("ice.restart").await;
        // The answer to a restart that the client asked for over an earlier connection.
        connection.send(None, ServerMessage::Transport(transport("outdated"))).await;
        connection.send(number(&restart), ServerMessage::Transport(transport("second"))).await;
        connection
    };
    let (_connection, next) = tokio::join!(answering, next_transport(&mut call));
    assert_eq!(next.ice.ufrag, "second");
}

#[tokio::test]
async fn request_over_the_rate_is_repeated_when_the_server_says() {
    const RETRY: Duration = Duration::from_millis(700);
    let server = RogueServer::start().await;
    let (mut connection, mut call) = call(&server).await;
    call.subscribe(&[TrackId(5)]).unwrap();
    let answering = async {
        let first = loop {
            let request = connection.expect("subscribe").await;
            if request["tracks"] == serde_json::json!([5]) {
                break request;
            }
        };
        let refused = Instant::now();
        connection.refuse(number(&first), ErrorCode::RateLimited, Some(RETRY.as_millis() as u32)).await;
        let second = connection.expect("subscribe").await;
        assert_eq!(second, first);
        assert!(refused.elapsed() >= RETRY, "after {:?}", refused.elapsed());
        connection.send(number(&second), ServerMessage::Ok(tacet_proto::server::Ok {})).await;
    };
    tokio::select! {
        () = answering => {}
        () = async { loop { call.next().await.unwrap(); } } => {}
    }
}

#[tokio::test]
async fn refusal_before_hello_says_when_to_try_again() {
    const RETRY: Duration = Duration::from_millis(1_500);
    let server = RogueServer::start().await;
    let (connection, mut ada) = join(&server, welcome()).await;
    drop(connection);
    let answering = async {
        server.accept().await.refuse(None, ErrorCode::RateLimited, Some(RETRY.as_millis() as u32)).await;
        let refused = Instant::now();
        server.accept().await;
        assert!(refused.elapsed() >= RETRY, "after {:?}", refused.elapsed());
    };
    tokio::select! {
        () = answering => {}
        () = async { while ada.step().await {} } => {}
    }
}
