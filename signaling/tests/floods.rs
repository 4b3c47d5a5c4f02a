//! What floods of the control plane cost a call. Prints the table of docs/operating.md:
//!
//! ```sh
//! cargo test -p tacet-signaling --test floods -- --ignored --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use signaling::Config;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use support::{Received, Server, config};
use tacet_proto::{
    ClientMessage, ServerMessage,
    bytes::Fixed,
    client::{Encoding, Publish, Subscribe, TrackRef, Unsubscribe},
    media::{Codec, Kind, Source},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::interval,
};

/// How long each flood lasts.
const FLOOD: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
enum Flood {
    None,
    /// Rooms from many addresses, as fast as four connections can.
    Rooms,
    /// The same from one address.
    RoomsOfOneAddress,
    /// Connections that are opened and dropped, as fast as four can.
    Connections,
    /// Seven guests who subscribe and unsubscribe 29 times a second.
    Subscriptions,
}

/// Makes requests for rooms until it is ended.
async fn create_rooms(server: &Server, address: impl Fn() -> String, count: &AtomicUsize) {
    let body = format!(r#"{{"access_hash":"{}"}}"#, Fixed([1; 32]).encode());
    loop {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "POST /v1/rooms HTTP/1.1\r\nHost: {}\r\nX-Forwarded-For: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            server.address,
            address(),
            body.len()
        );
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).await.unwrap();
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Subscribes and unsubscribes until it is ended, and comes again when it is closed.
async fn flap(server: &Server, count: &AtomicUsize) {
    loop {
        let mut client = server.member().await;
        let mut pace = interval(Duration::from_millis(1_000 / 29));
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    let id = u32::try_from(count.fetch_add(1, Ordering::Relaxed)).unwrap() + 10;
                    let message = if id.is_multiple_of(2) {
                        ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] })
                    } else {
                        ClientMessage::Unsubscribe(Unsubscribe { tracks: vec![] })
                    };
                    client.try_send(id, message).await;
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

/// Time that this process has spent on processors.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

async fn measure(flood: Flood) {
    let proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let server = Arc::new(Server::start(Config { open_rooms: true, trusted_proxies: proxies, ..config() }));
    let (mut ada, mut bo) = (server.member().await, server.member().await);
    let publish = Publish {
        cid: "c".to_owned(),
        kind: Kind::Audio,
        source: Source::Microphone,
        codec: Codec::Opus,
        mid: "m".to_owned(),
        encodings: Encoding::single(7, None),
        muted: false,
    };
    ada.send(3, ClientMessage::Publish(publish)).await;
    let ServerMessage::Published(published) = ada.answer(3).await else { panic!("not published") };

    let (count, addresses) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU32::new(0)));
    let mut flooders = JoinSet::new();
    let number = match flood {
        Flood::None => 0,
        Flood::Subscriptions => 7,
        _ => 4,
    };
    for _ in 0..number {
        let (server, count, addresses) = (Arc::clone(&server), Arc::clone(&count), Arc::clone(&addresses));
        flooders.spawn(async move {
            match flood {
                Flood::None => {}
                Flood::Rooms => {
                    let next = || addresses.fetch_add(1, Ordering::Relaxed);
                    let address = || std::net::Ipv4Addr::from(0x0a00_0000 + next()).to_string();
                    create_rooms(&server, address, &count).await;
                }
                Flood::RoomsOfOneAddress => create_rooms(&server, || "192.0.2.1".to_owned(), &count).await,
                Flood::Connections => loop {
                    drop(server.connect().await);
                    count.fetch_add(1, Ordering::Relaxed);
                },
                Flood::Subscriptions => flap(&server, &count).await,
            }
        });
    }
    let (begun, spent) = (Instant::now(), processor_time());
    let (mut waits, mut pace, mut mute) = (Vec::new(), interval(Duration::from_millis(210)), false);
    while begun.elapsed() < FLOOD {
        pace.tick().await;
        mute = !mute;
        let (track, since) = (TrackRef { track: published.track }, Instant::now());
        ada.send(4, if mute { ClientMessage::Mute(track) } else { ClientMessage::Unmute(track) }).await;
        let changed = |received: &Received| {
            matches!(received, Received::Message(_, ServerMessage::Tracks(tracks))
                if tracks.add.iter().chain(&tracks.upd).any(|track| track.muted == mute))
        };
        bo.until(changed).await;
        waits.push(since.elapsed());
        assert!(matches!(ada.answer(4).await, ServerMessage::Ok(_)));
    }
    let (time, spent) = (begun.elapsed(), processor_time().saturating_sub(spent));
    flooders.shutdown().await;
    waits.sort_unstable();
    let milliseconds = |wait: Duration| wait.as_secs_f64() * 1_000.0;
    println!(
        "| {flood:?} | {:.0} | {:.1} | {:.1} | {:.0} % |",
        count.load(Ordering::Relaxed) as f64 / time.as_secs_f64(),
        milliseconds(waits[waits.len() / 2]),
        milliseconds(waits[waits.len() * 99 / 100]),
        100.0 * spent.as_secs_f64() / time.as_secs_f64(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints a table"]
async fn cost_of_floods() {
    println!("| flood | a second | change of a track, median ms | 99th percentile ms | of a core, with the clients |");
    println!("|---|---|---|---|---|");
    for flood in [Flood::None, Flood::Rooms, Flood::RoomsOfOneAddress, Flood::Connections, Flood::Subscriptions] {
        measure(flood).await;
    }
}
