//! One hostile guest in a room of eight, over real sockets: it floods with messages of each type, and comes again when it is
//! closed. What the others send to each other still arrives, and soon.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use support::{Client, Received, Server, config};
use tacet_proto::{
    ClientMessage, MessageType, ParticipantId, Role, Seat, ServerMessage, TrackId,
    binary::{self, BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES, ChatId, ChatKind, ServerBinary},
    bytes::Fixed,
    client::{
        Ack, Assign, ClientTransport, Empty, Encoding, Hand, Layers, Lock, Ping, Publish, SlotsReady, Speech,
        Subscribe, Target, TrackRef, Unsubscribe,
    },
    media::{ClientIce, Codec, Dtls, Kind, SlotContent, Source},
};
use tokio::{
    sync::watch,
    time::{interval, timeout},
};

/// How long each guest floods.
const FLOOD: Duration = Duration::from_secs(4);
/// Maximum 99th percentile. The room itself is held to 200 ms in virtual time; here 24 rooms and 200 clients share what
/// this machine has left.
const GOAL: Duration = Duration::from_millis(1_000);
/// Maximum wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

type Waits = BTreeMap<&'static str, Vec<Duration>>;

fn publish(source: Source) -> ClientMessage {
    let (kind, codec) = match source {
        Source::Microphone | Source::ScreenAudio => (Kind::Audio, Codec::Opus),
        Source::Camera | Source::Screen => (Kind::Video, Codec::Vp8),
    };
    let (cid, mid) = ("c".to_owned(), "m".to_owned());
    let encodings = Encoding::single(7, None);
    ClientMessage::Publish(Publish { cid, kind, source, codec, mid, encodings, muted: false })
}

fn wanted(seat: Seat) -> Vec<u8> {
    [&[7; 16][..], &(u64::from(seat.0) << 6).to_be_bytes()].concat()
}

/// What the hostile guest sends as its nth message.
async fn hostile(client: &mut Client, kind: MessageType, n: u32, track: TrackId, server: &Server) {
    let track = TrackRef { track };
    let message = match kind {
        MessageType::Hello => server.hello(support::ACCESS),
        MessageType::Join => support::join(7),
        MessageType::Announce => client.renewal(),
        MessageType::Transport => ClientMessage::Transport(ClientTransport {
            ice: ClientIce { ufrag: "user".to_owned(), pwd: "p".repeat(24) },
            dtls: Dtls { fingerprint: Fixed([6; 32]) },
        }),
        MessageType::Publish => publish(if n.is_multiple_of(2) { Source::Camera } else { Source::Microphone }),
        MessageType::Unpublish => ClientMessage::Unpublish(track),
        MessageType::Mute => ClientMessage::Mute(track),
        MessageType::Unmute => ClientMessage::Unmute(track),
        MessageType::Speech => ClientMessage::Speech(Speech { track: track.track, speaking: n.is_multiple_of(2) }),
        MessageType::Subscribe => ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] }),
        MessageType::Unsubscribe => ClientMessage::Unsubscribe(Unsubscribe { tracks: vec![] }),
        MessageType::Layers => ClientMessage::Layers(Layers::default()),
        MessageType::SlotsReady => ClientMessage::SlotsReady(SlotsReady { rev: 0 }),
        MessageType::Resync => ClientMessage::Resync(Empty {}),
        MessageType::Ack => ClientMessage::Ack(Ack { seq: 0 }),
        MessageType::Heartbeat => ClientMessage::Heartbeat(Empty {}),
        MessageType::Away => ClientMessage::Away(Empty {}),
        MessageType::IceRestart => ClientMessage::IceRestart(Empty {}),
        MessageType::Hand => ClientMessage::Hand(Hand { raised: n.is_multiple_of(2) }),
        MessageType::MuteRequest => ClientMessage::MuteRequest(Target { participant: ParticipantId(n) }),
        MessageType::Kick => ClientMessage::Kick(Target { participant: ParticipantId(n) }),
        MessageType::Ban => ClientMessage::Ban(Target { participant: ParticipantId(n) }),
        MessageType::Lock => ClientMessage::Lock(Lock { locked: n.is_multiple_of(2) }),
        MessageType::Role => ClientMessage::Role(Assign { participant: ParticipantId(n), role: Role::Host }),
        MessageType::End => ClientMessage::End(Empty {}),
        MessageType::Ping => ClientMessage::Ping(Ping { ms: 1 }),
        MessageType::Leave => ClientMessage::Leave(Empty {}),
        MessageType::KeyBatch => {
            let seats: Vec<u16> = (0..8).collect();
            return client.try_binary(client.key_batch(n, 200, &seats)).await;
        }
        MessageType::KeyRequest => {
            let own = client.seat;
            let others = (0..8).map(Seat).filter(|seat| *seat != own);
            return client.try_binary(binary::key_request(n, &others.flat_map(wanted).collect::<Vec<_>>())).await;
        }
        MessageType::Chat | MessageType::Reaction => {
            let chat = if kind == MessageType::Chat { ChatKind::Message } else { ChatKind::Reaction };
            return client.try_binary(binary::chat(n, ChatId::new(chat, n.into()), b"sealed")).await;
        }
    };
    client.try_send(n, message).await;
}

/// Floods with 29 messages a second, of these types in turn, and comes again whenever it was closed.
async fn flood(server: &Server, kinds: &[MessageType], end: watch::Receiver<bool>) {
    let mut n = 10;
    // One address makes ten connections a second.
    let mut again = interval(Duration::from_millis(100));
    while !*end.borrow() {
        again.tick().await;
        let mut client = server.member().await;
        client.send(3, publish(Source::Microphone)).await;
        let ServerMessage::Published(published) = client.answer(3).await else { panic!("not published") };
        let mut pace = interval(Duration::from_millis(1_000 / 29));
        while !*end.borrow() {
            tokio::select! {
                _ = pace.tick() => {
                    let kind = kinds[n as usize % kinds.len()];
                    hostile(&mut client, kind, n, published.track, server).await;
                    n += 1;
                }
                received = client.receive() => {
                    if matches!(received, Received::Close(_) | Received::End) {
                        break;
                    }
                }
            }
        }
    }
}

/// Waits until the listener has received something.
async fn heard(listener: &mut Client, since: Instant, what: &str, fits: impl Fn(&Received) -> bool) -> Duration {
    timeout(PATIENCE, listener.until(fits)).await.unwrap_or_else(|_| panic!("{what}: nothing in {PATIENCE:?}"));
    since.elapsed()
}

fn is_key(received: &Received, mark: u8) -> bool {
    let Received::Binary(bytes) = received else { return false };
    let Ok((_, ServerBinary::Keys(keys))) = binary::parse_server(bytes) else { return false };
    keys.chunks_exact(BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES).any(|key| key.last() == Some(&mark))
}

fn is_request_of(received: &Received, seat: Seat) -> bool {
    let Received::Binary(bytes) = received else { return false };
    matches!(binary::parse_server(bytes), Ok((_, ServerBinary::KeyRequest { requester, .. })) if requester == seat)
}

/// A room of eight with one hostile guest, and how long each class of messages took between the others.
async fn room_of_eight(kinds: Vec<MessageType>) -> Waits {
    let server = Server::start(config());
    let mut listener = server.member().await;
    listener.send(3, ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] })).await;
    let (mut ada, mut bo, mut cy) = (server.member().await, server.member().await, server.member().await);
    ada.send(3, publish(Source::Microphone)).await;
    let ServerMessage::Published(muted) = ada.answer(3).await else { panic!("not published") };
    let (ended, end) = watch::channel(false);
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let mut member = server.member().await;
        let mut end = end.clone();
        others.spawn(async move {
            tokio::select! {
                _ = end.wait_for(|end| *end) => {}
                () = async { while !matches!(member.receive().await, Received::End) {} } => {}
            }
        });
    }

    let mut waits = Waits::new();
    let measuring = async {
        let mut pace = interval(Duration::from_millis(200));
        let begun = Instant::now();
        let mut mark = 0;
        while begun.elapsed() < FLOOD {
            pace.tick().await;
            mark += 1;
            let id = 100 + u32::from(mark);
            let since = Instant::now();
            ada.binary(ada.key_batch(id, mark, &[listener.seat.0])).await;
            let wait = heard(&mut listener, since, "key", |received| is_key(received, mark)).await;
            waits.entry("key").or_default().push(wait);
            assert!(matches!(ada.answer(id).await, ServerMessage::Ok(_)));

            let (track, since) = (TrackRef { track: muted.track }, Instant::now());
            let mute = mark % 2 == 1;
            ada.send(id, if mute { ClientMessage::Mute(track) } else { ClientMessage::Unmute(track) }).await;
            let changed = |received: &Received| {
                matches!(received, Received::Message(_, ServerMessage::Tracks(tracks))
                    if tracks.add.iter().chain(&tracks.upd).any(|track| (track.track, track.muted) == (muted.track, mute)))
            };
            waits.entry("track").or_default().push(heard(&mut listener, since, "track", changed).await);
            assert!(matches!(ada.answer(id).await, ServerMessage::Ok(_)));

            // Requests have the lowest rate: two in a second.
            if mark % 3 == 0 {
                let since = Instant::now();
                bo.binary(binary::key_request(id, &wanted(listener.seat))).await;
                let seat = bo.seat;
                let wait = heard(&mut listener, since, "request", |received| is_request_of(received, seat)).await;
                waits.entry("key request").or_default().push(wait);
                assert!(matches!(bo.answer(id).await, ServerMessage::Ok(_)));

                let since = Instant::now();
                cy.send(id, publish(Source::Camera)).await;
                let ServerMessage::Published(published) = cy.answer(id).await else { panic!("not published") };
                let shown = |received: &Received| {
                    matches!(received, Received::Message(_, ServerMessage::Slots(slots)) if slots.set.iter()
                        .any(|set| set.source.and_then(SlotContent::track).is_some_and(|source| source.track == published.track)))
                };
                waits.entry("slot").or_default().push(heard(&mut listener, since, "slot", shown).await);
                cy.send(id, ClientMessage::Unpublish(TrackRef { track: published.track })).await;
                assert!(matches!(cy.answer(id).await, ServerMessage::Ok(_)));
            }
        }
        let _ = ended.send(true);
    };
    tokio::join!(measuring, flood(&server, &kinds, end));
    while others.join_next().await.is_some() {}
    server.stop().await;
    waits
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_guest_delays_no_one() {
    use MessageType::{KeyBatch, KeyRequest, Mute, Publish, Unmute, Unpublish};
    let alone = MessageType::ALL.iter().map(|kind| vec![*kind]);
    let mixtures = [
        vec![Mute, Unmute],
        vec![Publish, Unpublish],
        vec![KeyBatch, KeyRequest, Mute, Publish, Unmute, Unpublish],
        MessageType::ALL.iter().copied().filter(|kind| *kind != MessageType::Leave).collect(),
    ];
    let mut rooms = tokio::task::JoinSet::new();
    for kinds in alone.chain(mixtures) {
        rooms.spawn(async move {
            let waits = room_of_eight(kinds.clone()).await;
            (kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "), waits)
        });
    }
    let mut all = Waits::new();
    while let Some(room) = rooms.join_next().await {
        let (kinds, waits) = room.unwrap();
        for (class, mut found) in waits {
            found.sort_unstable();
            println!("{kinds}: {class}: median {:?}, longest {:?}", found[found.len() / 2], found[found.len() - 1]);
            all.entry(class).or_default().append(&mut found);
        }
    }
    assert_eq!(all.len(), 4);
    for (class, mut waits) in all {
        waits.sort_unstable();
        let p99 = waits[waits.len() * 99 / 100];
        println!("{class}: {} messages, median {:?}, 99th percentile {p99:?}", waits.len(), waits[waits.len() / 2]);
        assert!(p99 < GOAL, "{class}: {p99:?}");
    }
}
