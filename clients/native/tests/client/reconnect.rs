//! A client that lost its connection reconnects with new keys and publishes its tracks again.

use crate::{
    TIMEOUT,
    listener::Listener,
    recorder::Recorder,
    server::Server,
    tcp_proxy::TcpProxy,
    tone::{is_heard, play},
    udp_relay::UdpRelay,
};
use std::{collections::HashSet, time::Duration};
use tacet_native::client::{
    AudioOptions, ClientEvent, ClientOptions, ConnectionState, DisconnectReason, EndReason, ReconnectPolicy,
};
use tokio::time::timeout;

fn hears(listener: &Listener, hertz: f32) -> Option<()> {
    is_heard(listener.audio.iter().map(|block| block.samples.as_slice()), hertz).then_some(())
}

/// Reads a client's events until the test ends.
fn read_on(mut listener: Listener) -> tokio::task::JoinHandle<Vec<ClientEvent>> {
    tokio::spawn(async move {
        while listener.step().await {}
        listener.events_seen
    })
}

fn states(seen: &[ClientEvent]) -> Vec<&'static str> {
    let name = |event: &ClientEvent| {
        Some(match event {
            ClientEvent::Connection(ConnectionState::Joined) => "joined",
            ClientEvent::Connection(ConnectionState::Connected) => "connected",
            ClientEvent::Connection(ConnectionState::Interrupted) => "interrupted",
            ClientEvent::Connection(ConnectionState::Reconnecting { .. }) => "reconnecting",
            ClientEvent::Ended(_) => "ended",
            _ => return None,
        })
    };
    seen.iter().filter_map(name).collect()
}

#[tokio::test]
async fn signaling_loss_reconnects_with_new_keys() {
    let server = Server::start();
    let proxy = TcpProxy::to(server.address).await;
    let recorder = Recorder::default();
    let (client, events) = recorder.join(&server.link_through(proxy.address), ClientOptions::new("Ada")).await;
    let microphone = client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 660.0);
    let mut ada = Listener::of(client, events);

    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    bob.until("Bob hears 660 Hz", |bob| hears(bob, 660.0)).await;
    let before = bob.sees("Ada").await;
    ada.sees("Bob").await;

    proxy.cut();
    let gone = bob.event("Ada is gone", |event| match event {
        ClientEvent::ParticipantLeft(participant) => Some(participant.clone()),
        _ => None,
    });
    assert_eq!(gone.await, before);
    bob.audio.clear();
    bob.until("Bob hears 660 Hz again", |bob| hears(bob, 660.0)).await;
    let after = bob.sees("Ada").await;
    assert_ne!(after.id, before.id, "another device to everyone");

    ada.until("Ada is connected again", |ada| {
        (states(&ada.events_seen) == ["joined", "connected", "reconnecting", "joined", "connected"]).then_some(())
    })
    .await;
    ada.sees("Bob").await;
    assert!(ada.saw(|event| matches!(event, ClientEvent::ParticipantLeft(p) if p.name == "Bob")), "out of sight");

    // The second path reuses nothing of the first.
    let paths = recorder.paths();
    assert_eq!(paths.len(), 2);
    let of = |n: usize| (&paths[n].local.dtls.fingerprint.0, &paths[n].local.ice.pwd, paths[n].streams[0].ssrc);
    let (first, second) = (of(0), of(1));
    assert!(first.0 != second.0 && first.1 != second.1 && first.2 != second.2);
    let payloads: HashSet<_> = paths[0].sent.iter().map(|(_, packet)| packet.payload.clone()).collect();
    assert!(paths[1].sent.iter().all(|(_, packet)| !payloads.contains(&packet.payload)));
    playing.abort();
}

#[tokio::test]
async fn silent_media_path_reconnects() {
    let server = Server::start();
    let relay = UdpRelay::to(server.media_port).await;
    let recorder = Recorder { relay: Some(relay.address), ..Recorder::default() };
    let impatient = ClientOptions { media_timeout: Duration::from_millis(200), ..ClientOptions::new("Ada") };
    let (client, events) = recorder.join(&server.link(), impatient).await;
    let microphone = client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 660.0);
    let mut ada = Listener::of(client, events);
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    bob.until("Bob hears 660 Hz", |bob| hears(bob, 660.0)).await;

    relay.set_open(false);
    let cause = ada.event("a silent path is given up", |event| match event {
        ClientEvent::Connection(ConnectionState::Reconnecting { cause, .. }) => Some(cause.clone()),
        _ => None,
    });
    assert_eq!(cause.await, DisconnectReason::MediaSilent);
    assert!(ada.saw(|event| *event == ClientEvent::Connection(ConnectionState::Interrupted)));
    relay.set_open(true);
    let reading = read_on(ada);
    bob.audio.clear();
    bob.until("Bob hears 660 Hz again", |bob| hears(bob, 660.0)).await;
    assert!(recorder.paths().len() >= 2);
    playing.abort();
    reading.abort();
}

#[tokio::test]
async fn unreachable_server_is_given_up_after_the_limit() {
    let server = Server::start();
    let proxy = TcpProxy::to(server.address).await;
    let reconnect = ReconnectPolicy {
        initial_delay: Duration::from_millis(10),
        max_delay: Duration::from_millis(50),
        give_up_after: Duration::from_millis(400),
    };
    let options = ClientOptions { reconnect, ..ClientOptions::new("Ada") };
    let ada = Listener::join(&server.link_through(proxy.address), options).await;
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    let reading = read_on(ada);
    proxy.redirect(None);
    let seen = timeout(TIMEOUT, reading).await.unwrap().unwrap();
    let Some(ClientEvent::Ended(EndReason::GaveUp { after, last })) = seen.last() else { panic!("{seen:#?}") };
    assert!(*after >= Duration::from_millis(400), "{after:?}");
    assert!(matches!(last, DisconnectReason::Signaling(_)), "{last:?}");
    let attempts: Vec<_> = seen
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Connection(ConnectionState::Reconnecting { attempt, .. }) => Some(*attempt),
            _ => None,
        })
        .collect();
    assert!(attempts.len() > 1 && attempts.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{attempts:?}");
    assert!(timeout(TIMEOUT, microphone.live()).await.unwrap().is_err(), "the track ends with the client");
}

#[tokio::test]
async fn closed_room_ends_the_client() {
    let (server, other) = (Server::start(), Server::start());
    let proxy = TcpProxy::to(server.address).await;
    let ada = Listener::join(&server.link_through(proxy.address), ClientOptions::new("Ada")).await;
    let reading = read_on(ada);
    proxy.redirect(Some(other.address));
    let seen = timeout(TIMEOUT, reading).await.unwrap().unwrap();
    assert_eq!(seen.last(), Some(&ClientEvent::Ended(EndReason::RoomEnded)));
    assert_eq!(states(&seen).iter().filter(|state| **state == "reconnecting").count(), 1, "one attempt");
}

#[tokio::test]
async fn never_policy_ends_at_once() {
    let server = Server::start();
    let proxy = TcpProxy::to(server.address).await;
    let options = ClientOptions { reconnect: ReconnectPolicy::NEVER, ..ClientOptions::new("Ada") };
    let reading = read_on(Listener::join(&server.link_through(proxy.address), options).await);
    proxy.cut();
    let seen = timeout(TIMEOUT, reading).await.unwrap().unwrap();
    assert!(matches!(seen.last(), Some(ClientEvent::Ended(EndReason::GaveUp { .. }))), "{seen:#?}");
    assert!(!states(&seen).contains(&"reconnecting"));
}
