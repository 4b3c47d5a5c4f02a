//! What clients show, over real WebSockets: the media plane is sent wishes, and what it makes of them comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use sfu_api::{Command, Event, LayerReason, Mid, SlotSource, Wish};
use support::{Client, Place, Received, Server, config};
use tacet_proto::{
    ClientMessage, ErrorCode, ParticipantId, ServerMessage, TrackId,
    client::{Encoding, Layers, Publish, Subscribe, Tile},
    layers::{self, SlotLayer, TrackWant},
    media::{Codec, Kind, SlotContent, Source},
    resume::Continues,
    server::{Slots, Tracks},
};

fn camera() -> ClientMessage {
    let encoding = |rid: &str| Encoding { rid: Some(rid.to_owned()), ..Encoding::default() };
    ClientMessage::Publish(Publish {
        cid: "camera".to_owned(),
        kind: Kind::Video,
        source: Source::Camera,
        codec: Codec::Vp8,
        mid: "sv".to_owned(),
        encodings: vec![encoding("q"), encoding("h"), encoding("f")],
        muted: false,
    })
}

fn show(tracks: &[(TrackId, u16)]) -> ClientMessage {
    let tile = |&(track, height): &(TrackId, u16)| Tile { track, height, pinned: false, paused: false };
    ClientMessage::Layers(Layers { tiles: tracks.iter().map(tile).collect(), downlink: false })
}

fn everything() -> ClientMessage {
    ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] })
}

async fn publish(client: &mut Client, id: u32) -> TrackId {
    client.send(id, camera()).await;
    match client.answer(id).await {
        ServerMessage::Published(published) => published.track,
        other => panic!("{other:?}"),
    }
}

/// Sends a request that is done at once.
async fn done(client: &mut Client, id: u32, message: ClientMessage) {
    client.send(id, message).await;
    let answer = client.answer(id).await;
    assert!(matches!(answer, ServerMessage::Ok(_)), "{answer:?}");
}

/// The slot into which a track is put.
async fn slot_of(client: &mut Client, track: TrackId) -> Mid {
    let holds = |slots: &Slots| {
        let mut set = slots.set.iter();
        let slot = set.find(|set| set.source.and_then(SlotContent::track).is_some_and(|held| held.track == track));
        slot.map(|slot| slot.mid.clone())
    };
    let received = client
        .until(|r| matches!(r, Received::Message(_, ServerMessage::Slots(slots)) if holds(slots).is_some()))
        .await;
    let Received::Message(_, ServerMessage::Slots(slots)) = received else { panic!() };
    Mid::new(&holds(&slots).unwrap()).unwrap()
}

/// The wishes that the media plane was sent for a participant, in order.
fn wishes(server: &Server, of: ParticipantId) -> Vec<Wish> {
    let wishes = |command: &Command| match command {
        Command::SetWishes { participant, wishes } if *participant == of => Some(wishes.clone()),
        _ => None,
    };
    server.media.commands.lock().unwrap().iter().filter_map(wishes).flatten().collect()
}

#[tokio::test]
async fn wish_reaches_the_media_plane_and_its_layer_comes_back() {
    let server = Server::start(config());
    let ((mut ada, of_ada), (mut bo, of_bo)) = (server.join(1).await, server.join(2).await);
    done(&mut bo, 3, show(&[])).await;
    done(&mut bo, 4, everything()).await;
    let track = publish(&mut ada, 3).await;
    bo.until(|r| matches!(r, Received::Message(_, ServerMessage::Tracks(_)))).await;

    bo.send(5, show(&[(track, 360), (TrackId(0xdead), 1)])).await;
    let mid = slot_of(&mut bo, track).await;
    let (participant, wish) = (of_bo.welcome.participant, Wish { mid, height: 360, pinned: false, paused: false });
    assert_eq!(wishes(&server, participant), [wish]);
    let source = Some(SlotSource::Track(track));
    assert!(server.media.commands.lock().unwrap().contains(&Command::SetSlot { participant, mid, source }));

    let (height, temporal) = (Some(360), Some(2));
    server.media.event(Event::Layer { participant, mid, height, temporal, reason: LayerReason::Wish });
    let received = bo.until(|r| matches!(r, Received::Message(_, ServerMessage::Layer(_)))).await;
    let Received::Message(_, ServerMessage::Layer(layer)) = received else { panic!() };
    let mid = mid.as_str().to_owned();
    assert_eq!(layer.slots, [SlotLayer { mid, height, temporal, reason: layers::LayerReason::Wish }]);

    let (participant, active) = (of_ada.welcome.participant, vec![true, true, false]);
    server.media.event(Event::LayersWanted { participant, track, active: active.clone(), height: 360 });
    let received = ada.until(|r| matches!(r, Received::Message(_, ServerMessage::Want(_)))).await;
    let Received::Message(_, ServerMessage::Want(want)) = received else { panic!() };
    assert_eq!(want.tracks, [TrackWant { track, active, height: 360 }]);
}

/// A participant is back on its seat after a restart.
async fn rejoin(server: &Server, place: &Place, other: &Place) -> Client {
    let (mut client, answer) = server.resume(place, 0).await;
    assert!(matches!(answer, ServerMessage::Welcome(welcome) if welcome.continues == Continues::Seat));
    client.send(2, place.join(vec![other.expected()])).await;
    client.seq = 0;
    assert!(matches!(client.answer(2).await, ServerMessage::Joined(_)));
    client
}

/// A connection that is lost takes nothing along. A server that restarts knows of no tiles until the client sends them again.
#[tokio::test]
async fn tiles_outlive_the_connection_and_not_the_server() {
    let server = Server::start(config());
    let ((mut ada, of_ada), (mut bo, of_bo)) = (server.join(1).await, server.join(2).await);
    let track = publish(&mut ada, 3).await;
    done(&mut bo, 3, show(&[])).await;
    done(&mut bo, 4, everything()).await;
    let seen = bo.seq;
    bo.close().await;
    let (mut bo, answer) = server.resume(&of_bo, seen).await;
    assert!(matches!(answer, ServerMessage::Welcome(w) if w.continues == Continues::Session));
    let participant = of_bo.welcome.participant;
    let filled = |server: &Server| {
        let commands = server.media.commands.lock().unwrap();
        commands.iter().filter(|c| matches!(c, Command::SetSlot { participant: of, .. } if *of == participant)).count()
    };
    let other = publish(&mut ada, 4).await;
    let adds = |tracks: &Tracks, track: TrackId| tracks.add.iter().any(|added| added.track == track);
    bo.until(|r| matches!(r, Received::Message(_, ServerMessage::Tracks(tracks)) if adds(tracks, other))).await;
    assert_eq!(filled(&server), 0, "it still shows nothing");

    let closed = tokio::spawn(async move { (ada.closed().await, bo.closed().await) });
    let server = server.restart().await;
    closed.await.unwrap();
    let (mut ada, mut bo) = (rejoin(&server, &of_ada, &of_bo).await, rejoin(&server, &of_bo, &of_ada).await);
    let track_again = publish(&mut ada, 5).await;
    done(&mut bo, 5, everything()).await;
    let mid = slot_of(&mut bo, track_again).await;
    assert_eq!(wishes(&server, participant), [], "as large as it comes");
    done(&mut bo, 6, show(&[(track_again, 90), (track, 90)])).await;
    assert_eq!(wishes(&server, participant), [Wish { mid, height: 90, pinned: false, paused: false }]);
}

#[tokio::test]
async fn flood_of_layers_is_limited_and_hostile_tiles_are_refused() {
    let server = Server::start(config());
    let mut ada = server.member().await;
    let absurd: Vec<_> = (0..50).map(|track| (TrackId(track), u16::MAX)).collect();
    for id in 3..11 {
        ada.send(id, show(&absurd)).await;
    }
    ada.send(11, show(&[])).await;
    let answers = ada.answers(3..=11).await;
    let (last, done) = answers.split_last().unwrap();
    assert!(done.iter().all(|answer| matches!(answer, ServerMessage::Ok(_))), "{done:?}");
    let ServerMessage::Error(error) = last else { panic!("{last:?}") };
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert!(error.retry_ms.is_some_and(|ms| ms <= 200), "{error:?}");

    let mut bo = server.member().await;
    for (id, tiles) in [(3, [absurd.as_slice(), &[(TrackId(50), 1)]].concat()), (4, vec![(TrackId(1), 1); 2])] {
        bo.send(id, show(&tiles)).await;
        let answer = bo.answer(id).await;
        assert!(matches!(&answer, ServerMessage::Error(error) if error.code == ErrorCode::BadMessage), "{answer:?}");
    }
    bo.text(r#"{"t":"layers","id":5,"tiles":[{"track":1,"height":65536}]}"#).await;
    let answer = bo.answer(5).await;
    assert!(matches!(&answer, ServerMessage::Error(error) if error.code == ErrorCode::BadMessage), "{answer:?}");
}
