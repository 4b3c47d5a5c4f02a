//! Kicks, bans and locks over sockets, and across a restart of the server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use signaling::room_token::{TokenRequest, issue};
use std::time::{Duration, SystemTime};
use support::{ACCESS, Client, Place, Server, config};
use tacet_proto::{
    ClientMessage, CloseCode, ErrorCode, ParticipantId, Role, ServerMessage,
    client::{Credential, Empty, Lock, Target},
};

fn credential(server: &Server, role: Role) -> Credential {
    let request = TokenRequest {
        room: server.room,
        role,
        capabilities: None,
        identity: Some(role.name().to_owned()),
        not_before: None,
        lifetime: Duration::from_secs(600),
    };
    Credential::RoomToken { token: issue(&server.token_keys, &request, [role as u8; 16], SystemTime::now()).unwrap() }
}

/// A connection that has shown this credential, and how that was answered.
async fn show(server: &Server, credential: Credential) -> (Client, ServerMessage) {
    let mut client = server.connect().await;
    let ClientMessage::Hello(mut hello) = server.hello(ACCESS) else { unreachable!() };
    hello.credential = credential;
    client.send(1, ClientMessage::Hello(hello)).await;
    let answer = client.answer(1).await;
    (client, answer)
}

async fn host(server: &Server) -> Client {
    let (mut client, answer) = show(server, credential(server, Role::Host)).await;
    let ServerMessage::Welcome(welcome) = answer else { panic!("{answer:?}") };
    let place = Place { seed: 77, welcome, seat: tacet_proto::Seat(0) };
    client.send(2, place.join(vec![])).await;
    assert!(matches!(client.answer(2).await, ServerMessage::Joined(_)));
    client
}

fn target(place: &Place) -> Target {
    Target { participant: place.welcome.participant }
}

fn code(answer: ServerMessage) -> ErrorCode {
    match answer {
        ServerMessage::Error(error) => error.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn kick_is_written_before_it_is_answered_and_the_place_is_gone() {
    let server = Server::start(config());
    let mut host = host(&server).await;
    let (mut bob, place) = server.join(2).await;
    host.send(3, ClientMessage::Kick(target(&place))).await;
    assert!(matches!(host.answer(3).await, ServerMessage::Ok(_)));
    let gone = server.registry.get(server.room).unwrap().call.unwrap().gone;
    assert_eq!(gone, [place.welcome.participant]);
    assert_eq!(bob.closed().await.1, CloseCode::Removed.code());

    let (mut again, answer) = server.resume(&place, 0).await;
    assert_eq!(code(answer), ErrorCode::NotResumable);
    assert_eq!(again.closed().await.1, CloseCode::NotResumable.code());
    let server = server.restart().await;
    let (_again, answer) = server.resume(&place, 0).await;
    assert_eq!(code(answer), ErrorCode::NotResumable, "also on a server that has restarted");
    let (_guest, _) = server.join(3).await;
}

#[tokio::test]
async fn ban_and_lock_survive_a_restart() {
    let server = Server::start(config());
    let mut first = host(&server).await;
    let (mut bob, answer) = show(&server, credential(&server, Role::Speaker)).await;
    let ServerMessage::Welcome(welcome) = answer else { panic!("{answer:?}") };
    let place = Place { seed: 5, welcome, seat: tacet_proto::Seat(0) };
    bob.send(2, place.join(vec![])).await;
    assert!(matches!(bob.answer(2).await, ServerMessage::Joined(_)));
    first.send(3, ClientMessage::Ban(target(&place))).await;
    assert!(matches!(first.answer(3).await, ServerMessage::Ok(_)));
    let (code_of_close, reason) = {
        let closed = bob.closed().await;
        (closed.1, closed)
    };
    assert_eq!(code_of_close, CloseCode::Removed.code(), "{reason:?}");

    let server = server.restart().await;
    let (mut banned, answer) = show(&server, credential(&server, Role::Speaker)).await;
    assert_eq!(code(answer), ErrorCode::Banned);
    assert_eq!(banned.closed().await.1, CloseCode::Removed.code());
    let mut guest = server.connect().await;
    guest.send(1, server.hello(ACCESS)).await;
    assert_eq!(code(guest.answer(1).await), ErrorCode::RoomLocked);
    assert_eq!(guest.closed().await.1, CloseCode::TryLater.code());

    let mut host = host(&server).await;
    host.send(3, ClientMessage::Lock(Lock { locked: false })).await;
    assert!(matches!(host.answer(3).await, ServerMessage::Ok(_)));
    // The device of the ban comes as a guest.
    let mut client = server.guest().await;
    client.send(2, place.join(vec![])).await;
    assert_eq!(code(client.answer(2).await), ErrorCode::Banned);
}

#[tokio::test]
async fn host_ends_the_room_for_all() {
    let server = Server::start(config());
    let mut host = host(&server).await;
    let mut guest = server.member().await;
    guest.send(9, ClientMessage::End(Empty {})).await;
    assert_eq!(code(guest.answer(9).await), ErrorCode::Forbidden);
    host.send(3, ClientMessage::End(Empty {})).await;
    for client in [&mut guest, &mut host] {
        assert_eq!(client.closed().await.1, CloseCode::RoomEnded.code());
    }
    assert!(server.registry.get(server.room).is_none());
}

#[tokio::test]
async fn no_one_is_removed_who_is_not_there() {
    let server = Server::start(config());
    let mut host = host(&server).await;
    host.send(3, ClientMessage::Kick(Target { participant: ParticipantId(12) })).await;
    assert_eq!(code(host.answer(3).await), ErrorCode::NoParticipant);
}
