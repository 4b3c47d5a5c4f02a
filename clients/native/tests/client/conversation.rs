//! Calls of two and more: what the clients receive, and the events that they emit.

use crate::{
    TIMEOUT,
    listener::Listener,
    server::Server,
    tone::{is_heard, play, tone},
};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};
use tacet_native::client::{
    AudioOptions, AudioOutput, ClientEvent, ClientOptions, ConnectionState, Encryption, EndReason, SubscribePolicy,
    TrackState, VideoOptions,
};
use tacet_proto::media::{Codec, Source};
use tokio::{
    task::JoinHandle,
    time::{interval, timeout},
};

fn options(name: &str) -> ClientOptions {
    ClientOptions::new(name)
}

fn hears(listener: &Listener, hertz: f32) -> Option<()> {
    is_heard(listener.audio.iter().map(|block| block.samples.as_slice()), hertz).then_some(())
}

#[tokio::test]
async fn audio_is_received_with_its_events() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 660.0);
    bob.until("Bob hears 660 Hz", |bob| hears(bob, 660.0)).await;

    let of = bob.sees("Ada").await;
    assert!(
        bob.saw(
            |e| matches!(e, ClientEvent::TrackAdded(t) if t.participant == of.id && t.source == Source::Microphone)
        )
    );
    assert!(bob.saw(|e| matches!(e, ClientEvent::AudioReady { participant, .. } if *participant == of.id)));
    assert!(bob.saw(|e| *e == ClientEvent::Encryption { participant: of.id, state: Encryption::Verified }));
    assert!(bob.saw(|e| *e == ClientEvent::KeyInstalled(of.id)));
    assert!(bob.saw(|e| *e == ClientEvent::Connection(ConnectionState::Connected)));
    let loud = bob.audio.last().unwrap().levels.first().copied();
    assert!(loud.is_some_and(|(who, level)| who == of.id && level.dbov() < 20), "{loud:?}");

    // The snapshot of Bob's client agrees with its events.
    let snapshot = bob.client.snapshot();
    assert_eq!(snapshot.connection, Some(ConnectionState::Connected));
    assert_eq!(snapshot.participants.len(), 1);
    assert_eq!(snapshot.participants[0].participant, of);
    assert!(snapshot.received.opened > 0 && snapshot.received.not_opened == 0, "{:?}", snapshot.received);

    playing.abort();
    ada.client.leave().await;
    let left = bob.event("Ada leaves", |event| match event {
        ClientEvent::ParticipantLeft(left) => Some(left.clone()),
        _ => None,
    });
    assert_eq!(left.await, of);
    bob.client.leave().await;
}

#[tokio::test]
async fn muted_track_sends_nothing_until_unmuted() {
    let server = Server::start();
    let mut ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    let mut blocks = tone(440.0);
    let mut pace = interval(Duration::from_millis(20));
    let muted = |event: &ClientEvent| match event {
        ClientEvent::TrackMuted(track) => Some(track.muted),
        _ => None,
    };
    let story = async {
        bob.until("Bob hears 440 Hz", |bob| hears(bob, 440.0)).await;
        microphone.set_muted(true);
        assert!(bob.event("a mute", muted).await);
        let silent =
            |bob: &Listener| bob.audio.iter().rev().take(10).all(|block| block.levels.is_empty()).then_some(());
        bob.until("silence", silent).await;
        let before = bob.client.snapshot().received.packets;
        bob.audio.clear();
        bob.until("a second of silence", |bob| (bob.audio.len() > 50).then_some(())).await;
        assert!(bob.audio.iter().all(|block| block.levels.is_empty()));
        assert_eq!(bob.client.snapshot().received.packets, before, "not even silence is sent");
        microphone.set_muted(false);
        assert!(!bob.event("an unmute", muted).await);
        bob.until("Bob hears 440 Hz again", |bob| hears(bob, 440.0)).await;
    };
    let writing = async {
        loop {
            pace.tick().await;
            microphone.write(&blocks.next().unwrap());
        }
    };
    tokio::select! {
        () = story => {}
        () = writing => {}
        () = async { while ada.step().await {} } => {}
    }
}

/// No packet says how loud it is. Ada's client says that she speaks, and that she no longer does.
#[tokio::test]
async fn active_speakers_are_known_without_levels_in_packets() {
    let server = Server::without_levels();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    let hidden = ClientOptions { send_audio_level: false, ..options("Eve") };
    let eve = Listener::join(&server.link(), hidden).await;
    let of = bob.sees("Ada").await;
    let speakers = |event: &ClientEvent| match event {
        ClientEvent::ActiveSpeakers(speakers) => Some(speakers.iter().map(|(id, _)| *id).collect::<Vec<_>>()),
        _ => None,
    };
    let mut playing = Vec::new();
    for listener in [&eve, &ada] {
        let microphone = listener.client.publish_audio(AudioOptions::default()).await.unwrap();
        timeout(TIMEOUT, microphone.live()).await.unwrap().unwrap();
        playing.push(play(microphone, 660.0));
    }
    assert_eq!(bob.event("Ada speaks", speakers).await, [of.id], "Eve does not say that she does");
    playing.iter().for_each(JoinHandle::abort);
    assert_eq!(bob.event("Ada is silent", speakers).await, []);
}

#[tokio::test]
async fn late_joiner_hears_audio() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    timeout(TIMEOUT, microphone.live()).await.unwrap().unwrap();
    let playing = play(microphone, 550.0);
    for name in ["Bob", "Carol"] {
        let separate = ClientOptions { audio_output: AudioOutput::PerParticipant, ..options(name) };
        let mut late = Listener::join(&server.link(), separate).await;
        let heard = |listener: &Listener| {
            let blocks = listener.events_seen.iter().filter_map(|event| match event {
                ClientEvent::ParticipantAudio(audio) => Some(audio.samples.as_slice()),
                _ => None,
            });
            is_heard(blocks, 550.0).then_some(())
        };
        late.until("550 Hz", heard).await;
        late.client.leave().await;
    }
    playing.abort();
}

/// A VP8 frame as far as its first byte goes: the lowest bit is 0 in key frames (RFC 6386 section 9.1).
fn video_frame(n: u32, key: bool, length: usize) -> Bytes {
    let noise = (0..length as u32).map(|i| ((i ^ n << 10).wrapping_mul(2_654_435_761) >> 13) as u8);
    let mut frame: Vec<u8> = noise.collect();
    frame[0] = frame[0] & !1 | u8::from(!key);
    frame.into()
}

#[tokio::test]
async fn video_arrives_in_order_from_a_key_frame() {
    let server = Server::start();
    let mut ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    let camera = ada.client.publish_video(VideoOptions::camera(Codec::Vp8)).await.unwrap();
    let mut written = BTreeMap::new();
    let mut pace = interval(Duration::from_millis(20));
    let mut n = 0u32;
    while bob.video.len() < 40 {
        tokio::select! {
            alive = bob.step() => assert!(alive),
            _ = pace.tick() => {
                let key = n == 0 || camera.key_frame_requested();
                let frame = video_frame(n, key, if key { 12_000 } else { 1_700 });
                written.insert(frame.clone(), n);
                camera.write(n * 1_800, frame);
                n += 1;
            }
            alive = ada.step() => assert!(alive),
        }
    }
    let numbers: Vec<_> = bob.video.iter().map(|frame| written[&frame.data]).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order, without a gap: {numbers:?}");
    assert!(bob.video[0].key && bob.video.iter().all(|frame| frame.source == Source::Camera));
    let steps: Vec<_> = bob.video.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp)).collect();
    assert!(steps.iter().all(|step| *step == 1_800), "{steps:?}");
    assert!(ada.saw(|event| *event == ClientEvent::KeyFrameRequested(Source::Camera)));
}

#[tokio::test]
async fn unmuted_camera_resumes_with_a_key_frame() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    let camera = ada.client.publish_video(VideoOptions::camera(Codec::Vp8)).await.unwrap();
    let filming = async {
        let mut pace = interval(Duration::from_millis(20));
        for n in 0.. {
            pace.tick().await;
            camera.write(n * 1_800, video_frame(n, camera.key_frame_requested(), 900));
        }
    };
    let story = async {
        bob.until("video", |bob| (bob.video.len() > 5).then_some(())).await;
        camera.set_muted(true);
        bob.event("a mute", |event| matches!(event, ClientEvent::TrackMuted(t) if t.muted).then_some(())).await;
        bob.video.clear();
        camera.set_muted(false);
        bob.until("video again", |bob| (bob.video.len() > 5).then_some(())).await;
    };
    tokio::select! { () = story => {}, () = filming => {} }
    assert!(bob.video[0].key, "nothing before it could be decoded");
}

#[tokio::test]
async fn audio_only_client_receives_video_after_subscribing() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let camera = ada.client.publish_video(VideoOptions::camera(Codec::Vp8)).await.unwrap();
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 500.0);
    let filming = tokio::spawn(async move {
        let mut pace = interval(Duration::from_millis(20));
        for n in 0.. {
            pace.tick().await;
            camera.write(n * 1_800, video_frame(n, camera.key_frame_requested(), 900));
        }
    });
    let mut bob =
        Listener::join(&server.link(), ClientOptions { subscribe: SubscribePolicy::AudioOnly, ..options("Bob") }).await;
    let track = bob.event("Ada's camera", |event| match event {
        ClientEvent::TrackAdded(track) if track.source == Source::Camera => Some(track.track),
        _ => None,
    });
    let track = track.await;
    bob.until("Bob hears 500 Hz", |bob| hears(bob, 500.0)).await;
    assert!(bob.video.is_empty());
    bob.client.subscribe(&[track]).await.unwrap();
    bob.until("a frame", |bob| (!bob.video.is_empty()).then_some(())).await;
    bob.client.unsubscribe(&[track]).await.unwrap();
    let quiet = |bob: &Listener| bob.audio.iter().rev().take(25).count() == 25;
    bob.audio.clear();
    bob.until("half a second", |bob| quiet(bob).then_some(())).await;
    bob.video.clear();
    bob.audio.clear();
    bob.until("half a second more", |bob| quiet(bob).then_some(())).await;
    assert!(bob.video.is_empty(), "unsubscribed");
    filming.abort();
    playing.abort();
}

#[tokio::test]
async fn track_is_published_while_its_handle_lives() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    for _ in 0..2 {
        let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
        let again = ada.client.publish_audio(AudioOptions::default()).await;
        assert!(again.is_err(), "one microphone at a time");
        timeout(TIMEOUT, microphone.live()).await.unwrap().unwrap();
        bob.event("a track", |event| matches!(event, ClientEvent::TrackAdded(_)).then_some(())).await;
        drop(microphone);
        bob.event("no track", |event| matches!(event, ClientEvent::TrackRemoved(_)).then_some(())).await;
    }
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    ada.client.leave().await;
    assert_eq!(microphone.state(), TrackState::Ended);
    assert!(microphone.live().await.is_err());
}

#[tokio::test]
async fn ended_is_the_last_event() {
    let server = Server::start();
    let Listener { client, mut events, .. } = Listener::join(&server.link(), options("Ada")).await;
    client.leave().await;
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert_eq!(last, Some(ClientEvent::Ended(EndReason::Left)));
}
