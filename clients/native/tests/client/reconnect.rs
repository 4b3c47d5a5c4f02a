//! A lost connection is made anew: with new keys, and with what was published before.

use crate::{
    PATIENCE,
    detour::Detour,
    listener::Listener,
    proxy::Proxy,
    recorder::Recorder,
    server::Server,
    sound::{is_heard, play},
};
use std::{collections::HashSet, time::Duration};
use tacet_native::client::{AudioOptions, ClientEvent, ClientOptions, ConnectionState, EndReason, Loss, Reconnect};
use tokio::time::timeout;

fn hears(listener: &Listener, hertz: f32) -> Option<()> {
    is_heard(listener.sound.iter().map(|block| block.samples.as_slice()), hertz).then_some(())
}

/// Lets a client's events pass until the test ends.
fn read_on(mut listener: Listener) -> tokio::task::JoinHandle<Vec<ClientEvent>> {
    tokio::spawn(async move {
        while listener.step().await {}
        listener.told
    })
}

fn states(told: &[ClientEvent]) -> Vec<&'static str> {
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
    told.iter().filter_map(name).collect()
}

#[tokio::test]
async fn a_cut_of_signaling_is_survived_with_new_keys_and_the_same_publication() {
    let server = Server::start();
    let proxy = Proxy::to(server.address).await;
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
    bob.sound.clear();
    bob.until("Bob hears 660 Hz again", |bob| hears(bob, 660.0)).await;
    let after = bob.sees("Ada").await;
    assert_ne!(after.id, before.id, "another device to everyone");

    ada.until("Ada is connected again", |ada| {
        (states(&ada.told) == ["joined", "connected", "reconnecting", "joined", "connected"]).then_some(())
    })
    .await;
    ada.sees("Bob").await;
    assert!(ada.was_told(|event| matches!(event, ClientEvent::ParticipantLeft(p) if p.name == "Bob")), "out of sight");

    // Nothing of the first path is used by the second.
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
async fn a_media_path_that_goes_silent_is_made_anew() {
    let server = Server::start();
    let detour = Detour::to(server.media_port).await;
    let recorder = Recorder { detour: Some(detour.address), ..Recorder::default() };
    let impatient = ClientOptions { media_patience: Duration::from_millis(200), ..ClientOptions::new("Ada") };
    let (client, events) = recorder.join(&server.link(), impatient).await;
    let microphone = client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 660.0);
    let mut ada = Listener::of(client, events);
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    bob.until("Bob hears 660 Hz", |bob| hears(bob, 660.0)).await;

    detour.set_open(false);
    let cause = ada.event("a silent path is given up", |event| match event {
        ClientEvent::Connection(ConnectionState::Reconnecting { cause, .. }) => Some(cause.clone()),
        _ => None,
    });
    assert_eq!(cause.await, Loss::Silent);
    assert!(ada.was_told(|event| *event == ClientEvent::Connection(ConnectionState::Interrupted)));
    detour.set_open(true);
    let reading = read_on(ada);
    bob.sound.clear();
    bob.until("Bob hears 660 Hz again", |bob| hears(bob, 660.0)).await;
    assert!(recorder.paths().len() >= 2);
    playing.abort();
    reading.abort();
}

#[tokio::test]
async fn a_server_that_stays_away_is_given_up_after_the_time_that_was_said() {
    let server = Server::start();
    let proxy = Proxy::to(server.address).await;
    let reconnect = Reconnect {
        first: Duration::from_millis(10),
        longest: Duration::from_millis(50),
        give_up_after: Duration::from_millis(400),
    };
    let options = ClientOptions { reconnect, ..ClientOptions::new("Ada") };
    let ada = Listener::join(&server.link_through(proxy.address), options).await;
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    let reading = read_on(ada);
    proxy.redirect(None);
    let told = timeout(PATIENCE, reading).await.unwrap().unwrap();
    let Some(ClientEvent::Ended(EndReason::GaveUp { lost, last })) = told.last() else { panic!("{told:#?}") };
    assert!(*lost >= Duration::from_millis(400), "{lost:?}");
    assert!(matches!(last, Loss::Signaling(_)), "{last:?}");
    let attempts: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Connection(ConnectionState::Reconnecting { attempt, .. }) => Some(*attempt),
            _ => None,
        })
        .collect();
    assert!(attempts.len() > 1 && attempts.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{attempts:?}");
    assert!(timeout(PATIENCE, microphone.live()).await.unwrap().is_err(), "the publication ends with the client");
}

#[tokio::test]
async fn a_room_that_is_gone_is_not_asked_for_again() {
    let (server, other) = (Server::start(), Server::start());
    let proxy = Proxy::to(server.address).await;
    let ada = Listener::join(&server.link_through(proxy.address), ClientOptions::new("Ada")).await;
    let reading = read_on(ada);
    proxy.redirect(Some(other.address));
    let told = timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert_eq!(told.last(), Some(&ClientEvent::Ended(EndReason::RoomEnded)));
    assert_eq!(states(&told).iter().filter(|state| **state == "reconnecting").count(), 1, "one attempt");
}

#[tokio::test]
async fn who_does_not_want_to_come_back_ends_at_once() {
    let server = Server::start();
    let proxy = Proxy::to(server.address).await;
    let options = ClientOptions { reconnect: Reconnect::NEVER, ..ClientOptions::new("Ada") };
    let reading = read_on(Listener::join(&server.link_through(proxy.address), options).await);
    proxy.cut();
    let told = timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert!(matches!(told.last(), Some(ClientEvent::Ended(EndReason::GaveUp { .. }))), "{told:#?}");
    assert!(!states(&told).contains(&"reconnecting"));
}
