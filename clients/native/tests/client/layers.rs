//! Which videos a client shows, and whose audio a speaker slot carries.

use crate::{
    TIMEOUT,
    listener::Listener,
    server::Server,
    tone::{is_heard, play},
};
use bytes::Bytes;
use std::time::Duration;
use tacet_native::client::{
    AudioOptions, AudioOutput, Client, ClientEvent, ClientOptions, Codec, Events, LayerReason, Source, VideoOptions,
    VideoTile, VideoTrack,
};
use tokio::time::{interval, timeout};

/// Unmuted microphones of a room from which on listeners have speaker slots.
const MANY: usize = 11;

/// Writes frames of a camera until it is dropped. The lowest bit of the first byte is 0 in key frames (RFC 6386 section 9.1).
async fn film(camera: &VideoTrack) {
    let mut pace = interval(Duration::from_millis(20));
    for n in 0u32.. {
        pace.tick().await;
        let mut frame = vec![n as u8; 900];
        frame[0] = u8::from(!(n == 0 || camera.key_frame_requested()));
        camera.write(n * 1_800, Bytes::from(frame));
    }
}

/// Which layer of Ada's camera Bob receives, as the server says.
fn layer(event: &ClientEvent) -> Option<(Option<u16>, LayerReason)> {
    match event {
        ClientEvent::VideoLayer { source: Source::Camera, height, reason, .. } => Some((*height, *reason)),
        _ => None,
    }
}

#[tokio::test]
async fn video_without_a_tile_is_not_sent() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), ClientOptions::new("Ada")).await;
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    let camera = ada.client.publish_video(VideoOptions::camera(Codec::Vp8)).await.unwrap();
    let story = async {
        let of = bob.sees("Ada").await;
        bob.until("video, unasked", |bob| (bob.video.len() > 5).then_some(())).await;
        bob.client.show(&[]).await.unwrap();
        // Blocks of audio come every 20 ms, silent ones as well.
        let mut frames = 0;
        while bob.video.len() > frames {
            frames = bob.video.len();
            let blocks = bob.audio.len();
            bob.until("half a second", |bob| (bob.audio.len() >= blocks + 25).then_some(())).await;
        }
        bob.video.clear();
        bob.client.show(&[VideoTile::new(of.id, Source::Camera, 360)]).await.unwrap();
        bob.until("video, as asked for", |bob| (bob.video.len() > 5).then_some(())).await;
        assert!(bob.video[0].key, "nothing before it could be decoded");
    };
    tokio::select! { () = story => {}, () = film(&camera) => {} }
}

#[tokio::test]
async fn paused_tile_is_announced_and_resumes_with_a_key_frame() {
    let server = Server::start();
    let ada = Listener::join(&server.link(), ClientOptions::new("Ada")).await;
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    let camera = ada.client.publish_video(VideoOptions::camera(Codec::Vp8)).await.unwrap();
    let story = async {
        let of = bob.sees("Ada").await;
        let tile = VideoTile::new(of.id, Source::Camera, 360);
        bob.client.show(&[tile]).await.unwrap();
        bob.until("video", |bob| (bob.video.len() > 5).then_some(())).await;
        bob.client.show(&[VideoTile { paused: true, ..tile }]).await.unwrap();
        bob.event("a pause", |event| layer(event).filter(|news| *news == (None, LayerReason::Pause))).await;
        bob.video.clear();
        bob.client.show(&[tile]).await.unwrap();
        bob.until("video again", |bob| (bob.video.len() > 5).then_some(())).await;
        assert!(bob.video.iter().any(|frame| frame.key), "it begins with a key frame");
    };
    tokio::select! { () = story => {}, () = film(&camera) => {} }
}

/// Above ten open microphones the server says of a slot that it carries a speaker, and not whose track: the client knows from
/// the key that opens a frame.
#[tokio::test]
async fn audio_of_a_speaker_slot_is_attributed_by_its_key() {
    let server = Server::start();
    let mut room: Vec<(Client, Events)> = Vec::new();
    let mut microphones = Vec::new();
    for n in 0..MANY {
        let options =
            ClientOptions { audio_output: AudioOutput::Disabled, ..ClientOptions::new(&format!("Guest {n}")) };
        let (client, events) = timeout(TIMEOUT, Client::join(&server.link(), options)).await.unwrap().unwrap();
        microphones.push(client.publish_audio(AudioOptions::default()).await.unwrap());
        room.push((client, events));
    }
    let last = microphones.pop().unwrap();
    timeout(TIMEOUT, last.live()).await.unwrap().unwrap();
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    let speaker = bob.sees(&format!("Guest {}", MANY - 1)).await;
    let playing = play(last, 660.0);
    let levels = bob
        .until("660 Hz", |bob| {
            is_heard(bob.audio.iter().map(|block| block.samples.as_slice()), 660.0).then_some(())?;
            bob.audio.last().map(|block| block.levels.clone()).filter(|levels| !levels.is_empty())
        })
        .await;
    assert_eq!(levels.iter().map(|(of, _)| *of).collect::<Vec<_>>(), [speaker.id]);
    playing.abort();
}
