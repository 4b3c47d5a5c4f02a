//! What is lost is repaired by the cheapest step that helps, and the others notice no more of it than they must.

use crate::{
    TIMEOUT,
    listener::Listener,
    recorder::Recorder,
    server::Server,
    tcp_proxy::TcpProxy,
    tone::{is_heard, play},
    udp_relay::UdpRelay,
};
use e2ee_frames::Ended;
use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};
use tacet_native::{
    call::{Admission, Call, CallEvent, Continues, JoinOptions},
    client::{
        AudioOptions, ClientEvent, ClientOptions, ConnectionState, DisconnectReason, EndReason, ReconnectPolicy,
        Recovery,
    },
    tls::Trust,
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

/// The states of the connection, without repeated ones.
fn states(seen: &[ClientEvent]) -> Vec<&'static str> {
    let name = |event: &ClientEvent| {
        Some(match event {
            ClientEvent::Connection(ConnectionState::Joined) => "joined",
            ClientEvent::Connection(ConnectionState::Connected) => "connected",
            ClientEvent::Connection(ConnectionState::Reconnecting { .. }) => "reconnecting",
            ClientEvent::Ended(_) => "ended",
            _ => return None,
        })
    };
    let mut states: Vec<_> = seen.iter().filter_map(name).collect();
    states.dedup();
    states
}

fn recovery(event: &ClientEvent) -> Option<Recovery> {
    match event {
        ClientEvent::Reconnected(how) => Some(*how),
        _ => None,
    }
}

fn cause(event: &ClientEvent) -> Option<DisconnectReason> {
    match event {
        ClientEvent::Connection(ConnectionState::Reconnecting { cause, .. }) => Some(cause.clone()),
        _ => None,
    }
}

/// Number of new keys of this client.
fn generations(listener: &Listener) -> usize {
    listener.events_seen.iter().filter(|event| matches!(event, ClientEvent::Generation { .. })).count()
}

/// Waits for the first key of this client. Returns the number of keys.
async fn has_keys(listener: &mut Listener) -> usize {
    listener.until("a key", |listener| (generations(listener) > 0).then(|| generations(listener))).await
}

fn saw_a_leave(listener: &Listener) -> bool {
    listener.saw(|event| matches!(event, ClientEvent::ParticipantLeft(_)))
}

/// Waits until a listener hears a tone that was not in what it heard before.
async fn hears_again(listener: &mut Listener, hertz: f32) {
    listener.audio.clear();
    listener.until("the tone again", |listener| hears(listener, hertz)).await;
}

#[tokio::test]
async fn lost_signaling_is_resumed_and_no_one_notices() {
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
    let keys = (has_keys(&mut ada).await, has_keys(&mut bob).await);

    for _ in 0..3 {
        proxy.cut();
        assert_eq!(ada.event("a repair", recovery).await, Recovery::SessionResumed);
        hears_again(&mut bob, 660.0).await;
    }
    // A request that needs signaling works, too.
    let carol = Listener::join(&server.link(), ClientOptions::new("Carol")).await;
    ada.sees("Carol").await;
    bob.sees("Carol").await;
    assert_eq!(bob.sees("Ada").await, before);
    assert!(!saw_a_leave(&ada) && !saw_a_leave(&bob));
    assert!(generations(&ada) - keys.0 <= 1 && generations(&bob) - keys.1 <= 1, "only Carol's join changes keys");
    assert_eq!(recorder.paths().len(), 1, "the media path is the same");
    assert_eq!(recorder.paths()[0].restarts, 0);
    drop(carol);
    playing.abort();
}

#[tokio::test]
async fn tracks_that_change_without_signaling_are_published_then() {
    let server = Server::start();
    let proxy = TcpProxy::to(server.address).await;
    let mut ada = Listener::join(&server.link_through(proxy.address), ClientOptions::new("Ada")).await;
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    ada.until("Ada is connected", |ada| states(&ada.events_seen).contains(&"connected").then_some(())).await;
    bob.sees("Ada").await;
    proxy.redirect(None);
    ada.event("a loss", cause).await;
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 550.0);
    proxy.redirect(Some(server.address));
    assert_eq!(ada.event("a repair", recovery).await, Recovery::SessionResumed);
    let reading = read_on(ada);
    hears_again(&mut bob, 550.0).await;
    assert!(!saw_a_leave(&bob));
    playing.abort();
    reading.abort();
}

#[tokio::test]
async fn silent_media_path_restarts_ice() {
    let server = Server::start();
    let relay = UdpRelay::to(server.media_port).await;
    let recorder = Recorder { relay: Some(relay.address), ..Recorder::default() };
    let (client, events) = recorder.join(&server.link(), ClientOptions::new("Ada")).await;
    let microphone = client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 660.0);
    let mut ada = Listener::of(client, events);
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    bob.until("Bob hears 660 Hz", |bob| hears(bob, 660.0)).await;
    let before = bob.sees("Ada").await;
    ada.sees("Bob").await;

    relay.set_open(false);
    assert_eq!(ada.event("a silent path", cause).await, DisconnectReason::MediaSilent);
    ada.until("a restart", |_| (recorder.paths()[0].restarts > 0).then_some(())).await;
    relay.set_open(true);
    assert_eq!(ada.event("a repair", recovery).await, Recovery::IceRestarted);
    let reading = read_on(ada);
    hears_again(&mut bob, 660.0).await;
    assert_eq!(bob.sees("Ada").await, before);
    assert!(!saw_a_leave(&bob));
    assert_eq!(recorder.paths().len(), 1, "the same transport and keys");
    playing.abort();
    reading.abort();
}

/// The server stands still, as a stopped process does, and then reads everything at once: the old connection with its request
/// for an ICE restart, and those that the client has opened since.
#[tokio::test]
async fn server_that_stood_still_is_no_reason_to_join_again() {
    let server = Server::start();
    let (proxy, relay) = (TcpProxy::to(server.address).await, UdpRelay::to(server.media_port).await);
    let recorder = Recorder { relay: Some(relay.address), ..Recorder::default() };
    let (client, events) = recorder.join(&server.link_through(proxy.address), ClientOptions::new("Ada")).await;
    let microphone = client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 660.0);
    let mut ada = Listener::of(client, events);
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    bob.until("Bob hears 660 Hz", |bob| hears(bob, 660.0)).await;
    ada.sees("Bob").await;

    let stand_still = |still| {
        proxy.set_frozen(still);
        relay.set_open(!still);
    };
    stand_still(true);
    let lost = |event: &ClientEvent| cause(event).filter(|cause| matches!(cause, DisconnectReason::Signaling(_)));
    ada.event("signaling counts as lost", lost).await;
    stand_still(false);
    assert_eq!(ada.event("a repair", recovery).await, Recovery::SessionResumed);
    hears_again(&mut bob, 660.0).await;
    assert!(!saw_a_leave(&ada) && !saw_a_leave(&bob));
    assert_eq!(recorder.paths().len(), 1, "the same transport and keys");
    playing.abort();
}

/// The server is gone, and its successor knows the room and the key that seals tokens, as after a restart.
#[tokio::test]
async fn restarted_server_continues_the_call() {
    let mut server = Server::start();
    let proxy = TcpProxy::to(server.address).await;
    let recorder = Recorder::default();
    let (client, events) = recorder.join(&server.link_through(proxy.address), ClientOptions::new("Ada")).await;
    let microphone = client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 660.0);
    let mut ada = Listener::of(client, events);
    let mut bob = Listener::join(&server.link_through(proxy.address), ClientOptions::new("Bob")).await;
    bob.until("Bob hears 660 Hz", |bob| hears(bob, 660.0)).await;
    let before = (ada.sees("Bob").await, bob.sees("Ada").await);
    let keys = (has_keys(&mut ada).await, has_keys(&mut bob).await);

    proxy.redirect(None);
    server = server.restart().await;
    proxy.redirect(Some(server.address));
    assert_eq!(ada.event("Ada's repair", recovery).await, Recovery::SeatRenewed);
    bob.until("Bob's repair", |bob| bob.events_seen.iter().find_map(recovery)).await;
    hears_again(&mut bob, 660.0).await;
    assert_eq!((ada.sees("Bob").await, bob.sees("Ada").await), before);
    assert!(!saw_a_leave(&ada) && !saw_a_leave(&bob));
    assert_eq!((generations(&ada), generations(&bob)), keys, "no key is new");

    // The second path reuses nothing of the first, and no frame is sealed twice.
    let paths = recorder.paths();
    assert_eq!(paths.len(), 2);
    let of = |n: usize| (&paths[n].local.dtls.fingerprint.0, &paths[n].local.ice.pwd);
    assert!(of(0).0 != of(1).0 && of(0).1 != of(1).1);
    let payloads: HashSet<_> = paths[0].sent.iter().map(|(_, packet)| packet.payload.clone()).collect();
    assert!(paths[1].sent.iter().all(|(_, packet)| !payloads.contains(&packet.payload)));
    playing.abort();
}

/// A session whose keys are erased is followed by another one: same id, one leave and one join.
#[tokio::test]
async fn successor_of_a_session_keeps_its_participant_id() {
    let server = Server::start();
    let link = server.link();
    let mut bob = Listener::join(&link, ClientOptions::new("Bob")).await;
    let mut ada = timeout(TIMEOUT, Call::join(&link, &JoinOptions::new("Ada"))).await.unwrap().unwrap();
    let before = bob.sees("Ada").await;
    ada.detach();
    let succession = Admission::open_successor(&link, Trust::default(), ada.ticket());
    let admission = timeout(TIMEOUT, succession).await.unwrap().unwrap();
    assert_eq!(admission.continues(), Continues::Participant);
    let options = JoinOptions::new("Ada");
    let joining = Call::join_admitted(admission, &link, &options);
    let ada = timeout(TIMEOUT, joining).await.unwrap().unwrap();
    assert_eq!(ada.welcome().participant, before.id);
    let again = bob.event("Ada again", |event| match event {
        ClientEvent::ParticipantJoined(participant) => Some(participant.clone()),
        _ => None,
    });
    assert_eq!(again.await, before);
    assert!(saw_a_leave(&bob), "its keys are gone");
    ada.leave().await;
}

/// Nothing drives the call of a frozen process, so it sends no signs of life.
#[tokio::test]
async fn frozen_participant_is_away_until_it_thaws() {
    let server = Server::start();
    let mut ada = timeout(TIMEOUT, Call::join(&server.link(), &JoinOptions::new("Ada"))).await.unwrap().unwrap();
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    let joined = async { while !matches!(ada.next().await, Ok(CallEvent::Verified { .. })) {} };
    timeout(TIMEOUT, joined).await.unwrap();
    let before = bob.sees("Ada").await;
    let away = bob.event("Ada is away", |event| match event {
        ClientEvent::ParticipantAway(participant) => Some(participant.clone()),
        _ => None,
    });
    assert_eq!(away.await, before);
    let thawed = tokio::spawn(async move { while ada.next().await.is_ok() {} });
    let back = bob.event("Ada is back", |event| match event {
        ClientEvent::ParticipantBack(participant) => Some(participant.clone()),
        _ => None,
    });
    assert_eq!(back.await, before);
    assert!(!saw_a_leave(&bob));
    thawed.abort();
}

/// Seconds by which the clock of [`jumping_clock`] is ahead.
static JUMP: AtomicU64 = AtomicU64::new(0);

fn jumping_clock() -> SystemTime {
    SystemTime::now() + Duration::from_secs(JUMP.load(Ordering::Relaxed))
}

#[tokio::test]
async fn machine_that_slept_joins_again_as_the_same_participant() {
    let server = Server::start();
    let options = ClientOptions { wall_clock: jumping_clock, ..ClientOptions::new("Ada") };
    let mut ada = Listener::join(&server.link(), options).await;
    let playing = play(ada.client.publish_audio(AudioOptions::default()).await.unwrap(), 660.0);
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    bob.until("Bob hears 660 Hz", |bob| hears(bob, 660.0)).await;
    let before = (ada.sees("Bob").await, bob.sees("Ada").await);

    JUMP.store(60, Ordering::Relaxed);
    assert_eq!(ada.event("a cause", cause).await, DisconnectReason::KeysEnded(Ended::ClockJumped));
    assert_eq!(ada.event("a repair", recovery).await, Recovery::JoinedAgain);
    let reading = read_on(ada);
    hears_again(&mut bob, 660.0).await;
    assert_eq!(bob.sees("Ada").await, before.1);
    playing.abort();
    reading.abort();
}

#[tokio::test]
async fn goodbye_without_signaling_is_said_if_the_server_can_be_reached() {
    let server = Server::start();
    let proxy = TcpProxy::to(server.address).await;
    let patient = ReconnectPolicy { initial_delay: Duration::from_secs(3_600), ..ReconnectPolicy::default() };
    let options = ClientOptions { reconnect: patient, ..ClientOptions::new("Ada") };
    let mut ada = Listener::join(&server.link_through(proxy.address), options).await;
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    let before = bob.sees("Ada").await;
    ada.sees("Bob").await;
    proxy.cut();
    ada.event("a loss", cause).await;
    ada.client.leave().await;
    let left = bob.event("a leave", |event| match event {
        ClientEvent::ParticipantLeft(participant) => Some(participant.clone()),
        _ => None,
    });
    assert_eq!(left.await, before);
}

#[tokio::test]
async fn goodbye_is_a_leave_at_once() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), ClientOptions::new("Ada")).await;
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    let before = bob.sees("Ada").await;
    ada.client.leave().await;
    let left = bob.event("a leave", |event| match event {
        ClientEvent::ParticipantLeft(participant) => Some(participant.clone()),
        _ => None,
    });
    assert_eq!(left.await, before);
    assert!(!bob.saw(|event| matches!(event, ClientEvent::ParticipantAway(_))));
}

#[tokio::test]
async fn unreachable_server_is_given_up_after_the_limit() {
    let server = Server::start();
    let proxy = TcpProxy::to(server.address).await;
    let reconnect = ReconnectPolicy {
        initial_delay: Duration::from_millis(10),
        max_delay: Duration::from_millis(50),
        give_up_after: Some(Duration::from_millis(400)),
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
}
