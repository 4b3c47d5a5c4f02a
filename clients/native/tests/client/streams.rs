//! A member with a patched client seals frames under a stream that is none of its tracks: they are authentic, and are
//! neither attributed nor delivered.

use crate::{TIMEOUT, listener::Listener, server::Server};
use e2ee_frames::{Event, FrameKind, StreamId};
use std::{collections::HashSet, time::Duration};
use tacet_native::{
    call::{Call, CallEvent, JoinOptions},
    client::{ClientEvent, ClientOptions, Encryption},
    keys::SharedKeys,
    link::RoomLink,
    media::{Endpoint, MediaEvent, OutgoingPacket, SendStream},
    tone::{FRAME_SAMPLES, Tone},
    webrtc::WebrtcEndpoint,
};
use tacet_proto::{
    client::{Encoding, Publish},
    media::{Codec, Kind, Source},
};
use tokio::time::{Interval, interval, timeout};

const SSRC: u32 = 77;

/// A member that publishes a microphone and sends what it likes as its audio.
struct Mallory {
    call: Call,
    keys: SharedKeys,
    endpoint: WebrtcEndpoint,
    connected: bool,
    ready: HashSet<StreamId>,
    tone: Tone,
    pace: Interval,
    sequence: u16,
}

impl Mallory {
    async fn join(link: &RoomLink) -> Self {
        let mut call = Call::join(link, &JoinOptions::new("Mallory")).await.unwrap();
        let remote = loop {
            if let CallEvent::Transport(remote) = call.next().await.unwrap() {
                break remote;
            }
        };
        let microphone = SendStream { mid: "sa".to_owned(), codec: Codec::Opus, ssrc: SSRC, rtx: None };
        let endpoint = WebrtcEndpoint::start(call.welcome(), remote, &[microphone]).await.unwrap();
        call.transport(endpoint.local().clone()).unwrap();
        let publish = Publish {
            cid: "microphone".to_owned(),
            kind: Kind::Audio,
            source: Source::Microphone,
            codec: Codec::Opus,
            mid: "sa".to_owned(),
            encodings: Encoding::single(SSRC, None),
            muted: false,
        };
        call.publish(StreamId::MICROPHONE, publish).unwrap();
        let (keys, ready) = (call.keys(), HashSet::new());
        let (tone, pace) = (Tone::new(660.0).unwrap(), interval(Duration::from_millis(20)));
        Self { call, keys, endpoint, connected: false, ready, tone, pace, sequence: 0 }
    }

    /// Sends a frame of a stream every 20 ms, once everything is ready for it.
    async fn send(&mut self, stream: StreamId) {
        self.keys.handle(Event::StreamOpened(stream)).ok();
        loop {
            tokio::select! {
                event = self.call.next() => match event.unwrap() {
                    CallEvent::StreamReady(stream) => drop(self.ready.insert(stream)),
                    CallEvent::Slots(slots) => {
                        self.endpoint.add_slots(&slots.add).await.unwrap();
                        self.call.slots_ready(slots.rev).unwrap();
                    }
                    _ => {}
                },
                event = self.endpoint.next() => self.connected |= matches!(event, Some(MediaEvent::Connected)),
                _ = self.pace.tick() => {
                    let frame = self.tone.frame().unwrap();
                    let mut sealed = vec![0; frame.len() + 64];
                    let codec = e2ee_frames::Codec::Opus;
                    let Ok(length) = self.keys.seal(stream, codec, FrameKind::Delta, &frame, &mut sealed) else { continue };
                    if !self.connected {
                        continue;
                    }
                    sealed.truncate(length);
                    let (sequence, timestamp) = (self.sequence, u32::from(self.sequence) * FRAME_SAMPLES as u32);
                    let packet =
                        OutgoingPacket { sequence, timestamp, marker: false, level: Some(20), payload: sealed.into() };
                    self.endpoint.send("sa", packet).await.unwrap();
                    self.sequence += 1;
                }
            }
        }
    }
}

#[tokio::test]
async fn authentic_frames_of_other_streams_are_not_delivered() {
    let server = Server::start();
    let mut bob = Listener::join(&server.link(), ClientOptions::new("Bob")).await;
    let mut mallory = timeout(TIMEOUT, Mallory::join(&server.link())).await.unwrap();
    let of = tokio::select! {
        () = mallory.send(StreamId(9)) => unreachable!(),
        of = bob.sees("Mallory") => of,
    };
    let audible = |event: &ClientEvent| matches!(event, ClientEvent::AudioReady { .. });
    for stream in [StreamId(9), StreamId(12), StreamId::CAMERA, StreamId::SCREEN, StreamId::MAX] {
        let before = (bob.client.snapshot().received, bob.events_seen.len());
        bob.audio.clear();
        let received = |bob: &Listener| {
            let now = bob.client.snapshot().received;
            (now.not_opened >= before.0.not_opened + 10).then_some(())
        };
        tokio::select! {
            () = mallory.send(stream) => unreachable!(),
            () = bob.until("frames of another stream", received) => {}
        }
        assert!(bob.audio.iter().rev().take(5).all(|block| block.levels.is_empty()), "{stream:?} is heard");
        let seen = &bob.events_seen[before.1..];
        assert!(!seen.iter().any(audible), "{stream:?}: {seen:?}");
    }
    let broken = ClientEvent::Encryption { participant: of.id, state: Encryption::Broken };
    assert!(!bob.saw(|event| *event == broken), "its keys are right");
    tokio::select! {
        () = mallory.send(StreamId::MICROPHONE) => unreachable!(),
        () = bob.until("a tone", |bob| bob.audio.iter().any(|block| !block.levels.is_empty()).then_some(())) => {}
    }
}
