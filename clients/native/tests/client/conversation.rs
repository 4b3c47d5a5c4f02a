//! Two and more in a call: what they are told, what they hear and see.

use crate::{
    PATIENCE,
    listener::Listener,
    server::Server,
    sound::{is_heard, play, tone},
};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};
use tacet_native::client::{
    AudioOptions, ClientEvent, ClientOptions, ConnectionState, Encryption, EndReason, PublicationState, Receive,
    SoundOutput, VideoOptions,
};
use tacet_proto::media::{Codec, Source};
use tokio::time::{interval, timeout};

fn options(name: &str) -> ClientOptions {
    ClientOptions::new(name)
}

fn hears(listener: &Listener, hertz: f32) -> Option<()> {
    is_heard(listener.sound.iter().map(|block| block.samples.as_slice()), hertz).then_some(())
}

#[tokio::test]
async fn what_one_says_the_other_hears_and_is_told_of() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 660.0);
    bob.until("Bob hears 660 Hz", |bob| hears(bob, 660.0)).await;

    let of = bob.sees("Ada").await;
    assert!(bob.was_told(
        |e| matches!(e, ClientEvent::TrackAdded(t) if t.participant == of.id && t.source == Source::Microphone)
    ));
    assert!(bob.was_told(|e| matches!(e, ClientEvent::AudioReady { participant, .. } if *participant == of.id)));
    assert!(bob.was_told(|e| *e == ClientEvent::Encryption { participant: of.id, state: Encryption::Verified }));
    assert!(bob.was_told(|e| *e == ClientEvent::KeyInstalled(of.id)));
    assert!(bob.was_told(|e| *e == ClientEvent::Connection(ConnectionState::Connected)));
    let loud = bob.sound.last().unwrap().levels.first().copied();
    assert!(loud.is_some_and(|(who, level)| who == of.id && level.dbov() < 20), "{loud:?}");

    // The state that Bob's client shows is what its events told.
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
async fn muted_nothing_is_sent_and_unmuted_it_is_heard_again() {
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
            |bob: &Listener| bob.sound.iter().rev().take(10).all(|block| block.levels.is_empty()).then_some(());
        bob.until("silence", silent).await;
        let before = bob.client.snapshot().received.packets;
        bob.sound.clear();
        bob.until("a second of silence", |bob| (bob.sound.len() > 50).then_some(())).await;
        assert!(bob.sound.iter().all(|block| block.levels.is_empty()));
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

#[tokio::test]
async fn whoever_comes_late_hears_from_then_on() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    timeout(PATIENCE, microphone.live()).await.unwrap().unwrap();
    let playing = play(microphone, 550.0);
    for name in ["Bob", "Carol"] {
        let separate = ClientOptions { sound: SoundOutput::Separate, ..options(name) };
        let mut late = Listener::join(&server.link(), separate).await;
        let heard = |listener: &Listener| {
            let sounds = listener.told.iter().filter_map(|event| match event {
                ClientEvent::Sound(sound) => Some(sound.samples.as_slice()),
                _ => None,
            });
            is_heard(sounds, 550.0).then_some(())
        };
        late.until("550 Hz", heard).await;
        late.client.leave().await;
    }
    playing.abort();
}

/// A VP8 frame, as far as its first byte tells: the lowest bit is 0 in key frames (RFC 6386 section 9.1).
fn picture(n: u32, key: bool, length: usize) -> Bytes {
    let noise = (0..length as u32).map(|i| ((i ^ n << 10).wrapping_mul(2_654_435_761) >> 13) as u8);
    let mut frame: Vec<u8> = noise.collect();
    frame[0] = frame[0] & !1 | u8::from(!key);
    frame.into()
}

#[tokio::test]
async fn pictures_arrive_byte_for_byte_in_order_beginning_with_a_key_frame() {
    let server = Server::start();
    let mut ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    let camera = ada.client.publish_video(VideoOptions::camera(Codec::Vp8)).await.unwrap();
    let mut written = BTreeMap::new();
    let mut pace = interval(Duration::from_millis(20));
    let mut n = 0u32;
    while bob.pictures.len() < 40 {
        tokio::select! {
            alive = bob.step() => assert!(alive),
            _ = pace.tick() => {
                let key = n == 0 || camera.key_frame_wanted();
                let frame = picture(n, key, if key { 12_000 } else { 1_700 });
                written.insert(frame.clone(), n);
                camera.write(n * 1_800, frame);
                n += 1;
            }
            alive = ada.step() => assert!(alive),
        }
    }
    let numbers: Vec<_> = bob.pictures.iter().map(|picture| written[&picture.data]).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order, without a gap: {numbers:?}");
    assert!(bob.pictures[0].key && bob.pictures.iter().all(|picture| picture.source == Source::Camera));
    let steps: Vec<_> = bob.pictures.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp)).collect();
    assert!(steps.iter().all(|step| *step == 1_800), "{steps:?}");
    assert!(ada.was_told(|event| *event == ClientEvent::KeyFrameWanted(Source::Camera)));
}

#[tokio::test]
async fn a_camera_that_was_muted_goes_on_with_a_key_frame() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    let camera = ada.client.publish_video(VideoOptions::camera(Codec::Vp8)).await.unwrap();
    let filming = async {
        let mut pace = interval(Duration::from_millis(20));
        for n in 0.. {
            pace.tick().await;
            camera.write(n * 1_800, picture(n, camera.key_frame_wanted(), 900));
        }
    };
    let story = async {
        bob.until("pictures", |bob| (bob.pictures.len() > 5).then_some(())).await;
        camera.set_muted(true);
        bob.event("a mute", |event| matches!(event, ClientEvent::TrackMuted(t) if t.muted).then_some(())).await;
        bob.pictures.clear();
        camera.set_muted(false);
        bob.until("pictures again", |bob| (bob.pictures.len() > 5).then_some(())).await;
    };
    tokio::select! { () = story => {}, () = filming => {} }
    assert!(bob.pictures[0].key, "nothing before it could be decoded");
}

#[tokio::test]
async fn who_wants_sound_alone_is_sent_no_picture_until_asking_for_it() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let camera = ada.client.publish_video(VideoOptions::camera(Codec::Vp8)).await.unwrap();
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    let playing = play(microphone, 500.0);
    let filming = tokio::spawn(async move {
        let mut pace = interval(Duration::from_millis(20));
        for n in 0.. {
            pace.tick().await;
            camera.write(n * 1_800, picture(n, camera.key_frame_wanted(), 900));
        }
    });
    let mut bob = Listener::join(&server.link(), ClientOptions { receive: Receive::Sound, ..options("Bob") }).await;
    let track = bob.event("Ada's camera", |event| match event {
        ClientEvent::TrackAdded(track) if track.source == Source::Camera => Some(track.track),
        _ => None,
    });
    let track = track.await;
    bob.until("Bob hears 500 Hz", |bob| hears(bob, 500.0)).await;
    assert!(bob.pictures.is_empty());
    bob.client.subscribe(&[track]).await.unwrap();
    bob.until("a picture", |bob| (!bob.pictures.is_empty()).then_some(())).await;
    bob.client.unsubscribe(&[track]).await.unwrap();
    let quiet = |bob: &Listener| bob.sound.iter().rev().take(25).count() == 25;
    bob.sound.clear();
    bob.until("half a second", |bob| quiet(bob).then_some(())).await;
    bob.pictures.clear();
    bob.sound.clear();
    bob.until("half a second more", |bob| quiet(bob).then_some(())).await;
    assert!(bob.pictures.is_empty(), "given back");
    filming.abort();
    playing.abort();
}

#[tokio::test]
async fn a_publication_lives_as_long_as_its_handle() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), options("Ada")).await;
    let mut bob = Listener::join(&server.link(), options("Bob")).await;
    for _ in 0..2 {
        let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
        let again = ada.client.publish_audio(AudioOptions::default()).await;
        assert!(again.is_err(), "one microphone at a time");
        timeout(PATIENCE, microphone.live()).await.unwrap().unwrap();
        bob.event("a track", |event| matches!(event, ClientEvent::TrackAdded(_)).then_some(())).await;
        drop(microphone);
        bob.event("no track", |event| matches!(event, ClientEvent::TrackRemoved(_)).then_some(())).await;
    }
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    ada.client.leave().await;
    assert_eq!(microphone.state(), PublicationState::Ended);
    assert!(microphone.live().await.is_err());
}

#[tokio::test]
async fn leaving_is_the_last_event() {
    let server = Server::start();
    let Listener { client, mut events, .. } = Listener::join(&server.link(), options("Ada")).await;
    client.leave().await;
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert_eq!(last, Some(ClientEvent::Ended(EndReason::Left)));
}
