//! Two native clients in a call on the built server: sealed audio of one is heard by the other.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{collections::HashSet, time::Duration};
use support::Server;
use tacet_native::{
    call::{Call, CallError, CallEvent, JoinOptions},
    keys::SharedKeys,
    link::RoomLink,
    media::{Endpoint, IncomingPacket, MediaEvent, OutgoingPacket, SendStream},
    tone::{FRAME_SAMPLES, PitchMeter, Tone},
    webrtc::WebrtcEndpoint,
};
use tacet_proto::{
    client::{Encoding, Publish},
    media::{Codec, Kind, Source},
};
use tokio::time::{interval, timeout};

/// Upper limit of any step: only a failing test waits this long.
const TIMEOUT: Duration = Duration::from_secs(30);
const SSRC: u32 = 77;

/// A client with its media path.
struct Client {
    call: Call,
    keys: SharedKeys,
    endpoint: WebrtcEndpoint,
    connected: bool,
    names: HashSet<String>,
    events: Vec<CallEvent>,
}

impl Client {
    async fn join(link: &RoomLink, name: &str) -> Self {
        let mut call = Call::join(link, &JoinOptions::new(name)).await.unwrap();
        let mut events = Vec::new();
        let remote = loop {
            match call.next().await.unwrap() {
                CallEvent::Transport(remote) => break remote,
                other => events.push(other),
            }
        };
        let microphone = SendStream { mid: "sa".to_owned(), codec: Codec::Opus, ssrc: SSRC, rtx: None };
        let endpoint = WebrtcEndpoint::start(call.welcome(), remote, &[microphone]).await.unwrap();
        call.transport(endpoint.local().clone()).unwrap();
        let keys = call.keys();
        let mut client = Self { call, keys, endpoint, connected: false, names: HashSet::new(), events: Vec::new() };
        for event in events {
            client.on_call(event).await;
        }
        client
    }

    async fn on_call(&mut self, event: CallEvent) {
        match event {
            CallEvent::Slots(slots) => {
                self.endpoint.add_slots(&slots.add).await.unwrap();
                self.call.slots_ready(slots.rev).unwrap();
            }
            CallEvent::Verified { name, .. } => drop(self.names.insert(name)),
            CallEvent::Problem { problem, .. } => panic!("{problem:?}"),
            CallEvent::Refused { error, .. } => panic!("{error:?}"),
            other => self.events.push(other),
        }
    }

    /// Handles one event. Returns the packet if it is one.
    async fn step(&mut self) -> Option<IncomingPacket> {
        tokio::select! {
            event = self.call.next() => {
                let event = event.unwrap();
                self.on_call(event).await;
                None
            }
            event = self.endpoint.next() => match event.expect("the path is open") {
                MediaEvent::Connected => {
                    self.connected = true;
                    None
                }
                MediaEvent::Packet(packet) => Some(packet),
                MediaEvent::Failed => panic!("the media path failed"),
                _ => None,
            },
        }
    }

    fn has(&self, wanted: impl Fn(&CallEvent) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

#[tokio::test]
async fn tone_is_received_at_its_pitch() {
    let server = Server::start(&[]);
    let link: RoomLink = server.link.parse().unwrap();
    let call = async {
        let mut alice = Client::join(&link, "Alice").await;
        let mut bob = Client::join(&link, "Bob").await;
        let microphone = Publish {
            cid: "microphone".to_owned(),
            kind: Kind::Audio,
            source: Source::Microphone,
            codec: Codec::Opus,
            mid: "sa".to_owned(),
            encodings: Encoding::single(SSRC, None),
            muted: false,
        };
        alice.call.publish(e2ee_frames::StreamId::MICROPHONE, microphone).unwrap();
        while !(alice.connected && alice.has(|e| matches!(e, CallEvent::StreamReady(_)))) {
            tokio::select! { _ = alice.step() => {}, _ = bob.step() => {} }
        }
        let (mut tone, mut meter) = (Tone::new(660.0).unwrap(), PitchMeter::new().unwrap());
        let (mut sequence, mut opened) = (0u16, 0);
        let mut pace = interval(Duration::from_millis(5));
        while opened < 60 {
            tokio::select! {
                _ = pace.tick() => {
                    let frame = tone.frame().unwrap();
                    let mut sealed = vec![0; frame.len() + 64];
                    let length = alice.keys.seal(
                        e2ee_frames::StreamId::MICROPHONE,
                        e2ee_frames::Codec::Opus,
                        e2ee_frames::FrameKind::Delta,
                        &frame,
                        &mut sealed,
                    );
                    sealed.truncate(length.unwrap());
                    let timestamp = u32::from(sequence) * FRAME_SAMPLES as u32;
                    let packet = OutgoingPacket { sequence, timestamp, marker: sequence == 0, level: None, payload: sealed.into() };
                    alice.endpoint.send("sa", packet).await.unwrap();
                    sequence += 1;
                }
                _ = alice.step() => {}
                packet = bob.step() => {
                    let Some(packet) = packet else { continue };
                    let mut frame = packet.payload.to_vec();
                    // Until Bob has Alice's key, he opens nothing.
                    if let Ok(opened_frame) = bob.keys.open(e2ee_frames::Codec::Opus, &mut frame) {
                        meter.frame(&frame[opened_frame.range]).unwrap();
                        opened += 1;
                    }
                }
            }
        }
        assert!((meter.hertz() - 660.0).abs() < 15.0, "{} Hz", meter.hertz());
        assert!(alice.names.contains("Bob") && bob.names.contains("Alice"));
        alice.endpoint.close().await;
        alice.call.leave().await;
        while !bob.has(|e| matches!(e, CallEvent::Left(_))) {
            bob.step().await;
        }
        bob.endpoint.close().await;
        bob.call.leave().await;
    };
    timeout(TIMEOUT, call).await.expect("the call takes less");
}

/// Joins without a media path: signaling and keys only.
async fn join_without_media(link: &RoomLink, name: &str) -> Call {
    Call::join(link, &JoinOptions::new(name)).await.unwrap()
}

#[tokio::test]
async fn keys_of_a_leaver_open_nothing_after_the_window() {
    let server = Server::start(&[]);
    let link: RoomLink = server.link.parse().unwrap();
    let call = async {
        let (mut alice, mut bob) = (join_without_media(&link, "Alice").await, join_without_media(&link, "Bob").await);
        let mut leaver = join_without_media(&link, "Leaver").await;
        let (alices, bobs, kept) = (alice.keys(), bob.keys(), leaver.keys());
        alices.handle(e2ee_frames::Event::StreamOpened(e2ee_frames::StreamId::MICROPHONE)).unwrap();

        let seal = || {
            let mut sealed = [0; 80];
            let (stream, codec) = (e2ee_frames::StreamId::MICROPHONE, e2ee_frames::Codec::Opus);
            let length = alices.seal(stream, codec, e2ee_frames::FrameKind::Delta, b"what is said", &mut sealed);
            length.ok().map(|length| sealed[..length].to_vec())
        };
        let opens = |keys: &SharedKeys, frame: &[u8]| {
            let mut frame = frame.to_vec();
            keys.open(e2ee_frames::Codec::Opus, &mut frame)
                .is_ok_and(|opened_frame| &frame[opened_frame.range] == b"what is said")
        };
        let mut pace = interval(Duration::from_millis(5));

        // All three are in the call.
        loop {
            tokio::select! {
                _ = pace.tick() => if seal().is_some_and(|frame| opens(&bobs, &frame) && opens(&kept, &frame)) { break },
                _ = alice.next() => {}
                _ = bob.next() => {}
                _ = leaver.next() => {}
            }
        }
        leaver.leave().await;

        // The old key may remain valid for a window. From the first frame that the leaver cannot open, it opens none.
        let (mut closed, mut unread) = (false, 0);
        while unread < 100 {
            tokio::select! {
                _ = pace.tick() => {
                    let frame = seal().expect("there is a key at all times");
                    let read = opens(&kept, &frame);
                    assert!(!(closed && read), "the leaver opened a frame after the window");
                    closed |= !read;
                    if closed && opens(&bobs, &frame) { unread += 1 }
                }
                _ = alice.next() => {}
                _ = bob.next() => {}
            }
        }
    };
    timeout(TIMEOUT, call).await.expect("the call takes less");
}

#[tokio::test]
async fn wrong_secret_is_rejected() {
    let server = Server::start(&[]);
    let link: RoomLink = server.link.parse().unwrap();
    let stranger = RoomLink::new(false, link.authority(), link.room(), [9; 32]);
    let refused = timeout(TIMEOUT, Call::join(&stranger, &JoinOptions::new("Mallory"))).await.unwrap();
    let refused = refused.expect_err("the server knows the hash of the right one");
    assert!(matches!(refused, CallError::Refused { .. } | CallError::Closed { code: 4_401, .. }), "{refused}");
}
