//! Sessions that outlive their connections, and servers that outlive themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use signaling::metrics::Kind;
use std::sync::atomic::Ordering;
use support::{Client, Place, Received, Server, config};
use tacet_proto::{
    ClientMessage, ErrorCode, ParticipantId, ServerMessage,
    client::{Ack, Empty, Ping},
    resume::Continues,
    server::{ByeReason, Roster, Welcome},
};

fn welcomed(answer: ServerMessage) -> Welcome {
    match answer {
        ServerMessage::Welcome(welcome) => welcome,
        other => panic!("not welcome: {other:?}"),
    }
}

async fn not_resumable((mut client, answer): (Client, ServerMessage)) {
    assert!(matches!(&answer, ServerMessage::Error(error) if error.code == ErrorCode::NotResumable), "{answer:?}");
    assert_eq!(client.closed().await.1, 4410);
}

async fn pong(client: &mut Client) {
    client.send(90, ClientMessage::Ping(Ping { ms: 1 })).await;
    assert!(matches!(client.answer(90).await, ServerMessage::Pong(_)));
}

/// The next change of the roster that fits.
async fn roster(client: &mut Client, fits: impl Fn(&Roster) -> bool) -> Roster {
    let wanted = |received: &Received| matches!(received, Received::Message(_, ServerMessage::Roster(r)) if fits(r));
    match client.until(wanted).await {
        Received::Message(_, ServerMessage::Roster(roster)) => roster,
        other => panic!("{other:?}"),
    }
}

fn count(server: &Server, label: &str) -> u64 {
    server.metrics.resumptions.read().find(|(kind, _)| kind.label() == label).unwrap().1
}

/// Reads until this many numbered messages have come.
async fn read(client: &mut Client, messages: usize) {
    while client.raw.len() < messages {
        client.receive().await;
    }
}

#[tokio::test]
async fn resumed_session_gets_what_it_lacks_once_and_in_order() {
    let server = Server::start(config());
    let (mut ada, place) = server.join(1).await;
    let mut bo = server.member().await;
    for mark in 0..3 {
        bo.binary(bo.key_batch(7, mark, &[0])).await;
        ada.until(|received| matches!(received, Received::Binary(bytes) if bytes[0] == 2)).await;
    }
    let (known, before) = (2, ada.raw.clone());
    assert!(before.iter().any(|message| message[0] == b'{') && before.iter().any(|message| message[0] == 2));
    drop(ada);
    bo.binary(bo.key_batch(7, 9, &[0])).await;
    assert!(matches!(bo.answer(7).await, ServerMessage::Ok(_)));

    let (mut ada, answer) = server.resume(&place, known).await;
    let welcome = welcomed(answer);
    assert_eq!((welcome.continues, welcome.participant), (Continues::Session, place.welcome.participant));
    assert_eq!((welcome.session, welcome.call), (place.welcome.session, place.welcome.call));
    read(&mut ada, before.len() - known as usize + 1).await;
    let (again, new) = ada.raw.split_at(before.len() - known as usize);
    assert_eq!(again, &before[known as usize..], "the same bytes, text and binary");
    assert!(new[0][6..].contains(&9), "and what was sent meanwhile");
    pong(&mut ada).await;
    assert_eq!(count(&server, "session"), 1);

    // What is acknowledged is not kept: the session ends, but not the participant.
    let seq = ada.seq;
    ada.send(91, ClientMessage::Ack(Ack { seq })).await;
    assert!(matches!(ada.answer(91).await, ServerMessage::Ok(_)));
    let (_ada, answer) = server.resume(&place, known).await;
    let welcome = welcomed(answer);
    assert_eq!((welcome.continues, welcome.participant), (Continues::Participant, place.welcome.participant));
    assert_ne!(welcome.session, place.welcome.session);
}

#[tokio::test]
async fn stolen_token_is_worth_nothing_without_the_key() {
    let server = Server::start(config());
    let (mut ada, place) = server.join(1).await;
    not_resumable(server.resume_with(&place, 2, 0).await).await;
    let mut garbled = place.clone();
    garbled.welcome.tokens.session.0[20] ^= 1;
    not_resumable(server.resume(&garbled, 0).await).await;
    // A reload token is no session token, though the proof is right.
    let mut mixed = place.clone();
    mixed.welcome.tokens.session = mixed.welcome.tokens.reload.clone();
    not_resumable(server.resume(&mixed, 0).await).await;
    pong(&mut ada).await;
    assert_eq!(count(&server, "invalid"), 3);
}

#[tokio::test]
async fn second_connection_replaces_the_first() {
    let server = Server::start(config());
    let (mut first, place) = server.join(1).await;
    let (mut second, answer) = server.resume(&place, 0).await;
    assert_eq!(welcomed(answer).continues, Continues::Session);
    assert_eq!(first.closed().await.1, 4409);
    pong(&mut second).await;
    let mut bo = server.member().await;
    roster(&mut second, |roster| roster.add.len() == 1).await;
    pong(&mut bo).await;
}

/// Tokens of `welcome`, before the device is known, are good for the session as long as it is held.
#[tokio::test]
async fn first_tokens_continue_the_session() {
    let server = Server::start(config());
    let mut client = server.connect().await;
    client.send(1, server.hello(support::ACCESS)).await;
    let mut place = Place { seed: 1, welcome: welcomed(client.answer(1).await), seat: tacet_proto::Seat(0) };
    client.send(2, place.join(vec![])).await;
    assert!(matches!(client.answer(2).await, ServerMessage::Joined(_)));
    drop(client);
    not_resumable(server.resume_with(&place, 2, 0).await).await;
    let (mut client, answer) = server.resume(&place, 0).await;
    place.welcome = welcomed(answer);
    assert_eq!(place.welcome.continues, Continues::Session);
    assert!(matches!(client.answer(2).await, ServerMessage::Joined(_)), "again");
}

#[tokio::test]
async fn reload_token_is_good_for_one_use() {
    let server = Server::start(config());
    let (mut ada, place) = server.join(1).await;
    let mut bo = server.member().await;
    ada.send(5, ClientMessage::Away(Empty {})).await;
    let ParticipantId(id) = place.welcome.participant;
    roster(&mut bo, |roster| roster.upd.iter().any(|entry| entry.participant.0 == id && entry.away)).await;

    let (mut again, answer) = server.reload(&place).await;
    let welcome = welcomed(answer);
    assert_eq!((welcome.continues, welcome.participant), (Continues::Participant, place.welcome.participant));
    assert_eq!(ada.closed().await.1, 4409, "its page is gone");
    again.send(2, Place { seed: 3, ..place.clone() }.join(vec![])).await;
    let ServerMessage::Joined(joined) = again.answer(2).await else { panic!("did not join") };
    assert_ne!(joined.seat, place.seat);
    roster(&mut bo, |roster| roster.del.contains(&place.welcome.participant)).await;
    not_resumable(server.reload(&place).await).await;
    not_resumable(server.resume(&place, 0).await).await;
    pong(&mut again).await;
}

#[tokio::test]
async fn goodbye_is_final() {
    let server = Server::start(config());
    let (mut ada, place) = server.join(1).await;
    let (_bo, _) = server.join(2).await;
    ada.send(5, ClientMessage::Leave(Empty {})).await;
    assert!(matches!(ada.answer(5).await, ServerMessage::Bye(bye) if bye.reason == ByeReason::Left));
    not_resumable(server.resume(&place, 0).await).await;
    not_resumable(server.reload(&place).await).await;
    let server = server.restart().await;
    not_resumable(server.resume(&place, 0).await).await;
    not_resumable(server.reload(&place).await).await;
}

#[tokio::test]
async fn restarted_server_grants_old_seats_and_no_one_has_left() {
    let server = Server::start(config());
    let (mut ada, ada_place) = server.join(1).await;
    let (mut bo, bo_place) = server.join(2).await;
    let (_, cy_place) = server.join(3).await;
    let closed = tokio::spawn(async move { [ada.closed().await.1, bo.closed().await.1] });
    let server = server.restart().await;
    assert_eq!(closed.await.unwrap(), [1012, 1012]);

    let others = |me: &Place| {
        let all = [&ada_place, &bo_place, &cy_place];
        all.into_iter().filter(|place| place.seat != me.seat).map(Place::expected).collect::<Vec<_>>()
    };
    let mut clients = Vec::new();
    for place in [&bo_place, &ada_place] {
        let (mut client, answer) = server.resume(place, 1).await;
        client.seq = 0;
        let welcome = welcomed(answer);
        assert_eq!((welcome.continues, welcome.session), (Continues::Seat, place.welcome.session));
        assert_eq!((welcome.participant, welcome.call), (place.welcome.participant, place.welcome.call));
        client.send(2, place.join(others(place))).await;
        let ServerMessage::Joined(joined) = client.answer(2).await else { panic!("did not join") };
        assert_eq!((joined.seat, joined.gathering), (place.seat, true));
        clients.push(client);
    }
    // A newcomer is served meanwhile, and far from the seats of those who are awaited.
    let (newcomer, new_place) = server.join(4).await;
    assert!(new_place.seat.0 > 4_000);
    // Cy's page was loaded again meanwhile.
    let (mut cy, answer) = server.reload(&cy_place).await;
    assert_eq!(welcomed(answer).continues, Continues::Participant);
    cy.send(2, cy_place.join(vec![])).await;
    assert!(matches!(cy.answer(2).await, ServerMessage::Joined(_)));
    clients.extend([newcomer, cy]);
    for client in &mut clients {
        let full = roster(client, |roster| {
            assert!(roster.full || roster.del.is_empty(), "no one has left");
            roster.full
        });
        assert_eq!(full.await.add.len(), 3);
    }
    assert_eq!((count(&server, "seat"), count(&server, "participant")), (2, 1));
}

/// Without a goodbye, a lost connection is not a leave.
#[tokio::test]
async fn participant_without_a_connection_is_away() {
    let server = Server::start(config());
    let (mut ada, _) = server.join(1).await;
    let (bo, place) = server.join(2).await;
    drop(bo);
    let away = roster(&mut ada, |roster| !roster.upd.is_empty()).await;
    assert_eq!((away.upd[0].participant, away.upd[0].away), (place.welcome.participant, true));
    assert!(away.del.is_empty());
    let (_bo, answer) = server.resume(&place, 0).await;
    assert_eq!(welcomed(answer).continues, Continues::Session);
    let back = roster(&mut ada, |roster| !roster.upd.is_empty()).await;
    assert!(!back.upd[0].away);
}

/// A fault of one room costs its participants a moment, and no key.
#[tokio::test]
async fn room_that_panicked_grants_old_seats() {
    let server = Server::start(config());
    let (mut ada, place) = server.join(1).await;
    server.media.breaks.store(true, Ordering::Relaxed);
    let mut newcomer = server.guest().await;
    newcomer.send(2, support::join(2)).await;
    assert_eq!((newcomer.closed().await.1, ada.closed().await.1), (1011, 1011));
    let welcome = loop {
        match server.resume(&place, 0).await.1 {
            ServerMessage::Welcome(welcome) => break welcome,
            // It opens again soon.
            ServerMessage::Error(error) => assert_eq!(error.code, ErrorCode::ServerBusy),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((welcome.continues, welcome.session), (Continues::Seat, place.welcome.session));
}
