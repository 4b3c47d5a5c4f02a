//! The `webrtc` crate and the SFU, two implementations that share no code, over real loopback sockets: ICE, DTLS,
//! SRTP, slots, key frame requests. Signaling is played by the test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use sfu::{
    Command, Event, Mid, ParticipantId, RoomId, Ssrc, TrackId,
    command::{Publication, RemoteTransport},
    event::LocalTransport,
    media::{CODECS, Codec as SfuCodec, EXTENSIONS},
    net::{Sfu, SfuConfig},
};
use std::time::Duration;
use tacet_native::{
    media::{Endpoint, MediaEvent, OutgoingPacket, SendStream},
    packet::{Assembler, vp8_payloads},
    webrtc::WebrtcEndpoint,
};
use tacet_proto::{
    CallId,
    bytes::Fixed,
    client::ClientTransport,
    media::{Candidate, Codec, CodecParameters, Dtls, HeaderExtension, Kind, ServerIce, Slot},
    server::{Limits, ServerTransport, Welcome},
};
use tokio::{sync::mpsc, time::timeout};

/// What no step of a test takes.
const TOO_LONG: Duration = Duration::from_secs(20);
const KEY_ENVELOPE: [u8; 10] = [0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0];
const CAMERA: SendStream = SendStream { mid: String::new(), codec: Codec::Vp8, ssrc: 1_000, rtx: Some(1_001) };

/// The server and the part of signaling that a test needs.
struct World {
    sfu: Sfu,
    events: mpsc::UnboundedReceiver<Event>,
}

impl World {
    fn new() -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let sfu = Sfu::start(&SfuConfig::default(), move |_, event| drop(sender.send(event))).unwrap();
        Self { sfu, events }
    }

    fn command(&self, command: Command) {
        self.sfu.command(0, command);
    }

    async fn event<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the server runs");
                assert!(!matches!(event, Event::Refused { .. }), "{event:?}");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(TOO_LONG, search).await.expect("the event comes")
    }

    /// A participant with its media path up.
    async fn join(&mut self, number: u32, streams: &[SendStream]) -> WebrtcEndpoint {
        let participant = ParticipantId(number);
        self.command(Command::AddParticipant { room: RoomId(1), participant });
        let local = self
            .event(|event| match event {
                Event::Transport { participant: p, local } if p == participant => Some(local),
                _ => None,
            })
            .await;
        let mut endpoint = WebrtcEndpoint::start(&welcome(), server_transport(&local), streams).await.unwrap();
        self.command(Command::Connect { participant, remote: remote(endpoint.local()) });
        wait_for(&mut endpoint, |event| matches!(event, MediaEvent::Connected)).await;
        endpoint
    }

    async fn add_video_slot(&mut self, number: u32, mid: &str, endpoint: &mut WebrtcEndpoint, track: TrackId) -> Slot {
        let (participant, name) = (ParticipantId(number), Mid::new(mid).unwrap());
        self.command(Command::AddSlot { participant, mid: name, codec: SfuCodec::Vp8 });
        let (ssrc, rtx) = self
            .event(|event| match event {
                Event::SlotAdded { participant: p, mid, ssrc, rtx } if (p, mid) == (participant, name) => {
                    Some((ssrc.0, rtx.map(|r| r.0)))
                }
                _ => None,
            })
            .await;
        let slot = Slot { mid: mid.to_owned(), kind: Kind::Video, codec: Codec::Vp8, ssrc, rtx };
        endpoint.add_slots(std::slice::from_ref(&slot)).await.unwrap();
        self.command(Command::ActivateSlot { participant, mid: name });
        self.command(Command::SetSlot { participant, mid: name, track: Some(track) });
        slot
    }
}

fn welcome() -> Welcome {
    let codecs = CODECS.iter().filter_map(|entry| {
        let codec = match entry.codec {
            SfuCodec::Opus => Codec::Opus,
            SfuCodec::Vp8 => Codec::Vp8,
            _ => return None,
        };
        let (pt, rtx, clock) = (entry.pt, entry.rtx_pt, entry.clock);
        Some(CodecParameters { codec, pt, rtx, clock, fmtp: entry.fmtp.to_owned() })
    });
    let hdrext = EXTENSIONS.iter().map(|entry| {
        let kinds = [(entry.audio, Kind::Audio), (entry.video, Kind::Video)];
        let kinds = kinds.into_iter().filter_map(|(used, kind)| used.then_some(kind)).collect();
        HeaderExtension { uri: entry.uri.to_owned(), id: entry.id, kinds }
    });
    Welcome {
        participant: tacet_proto::ParticipantId(1),
        call: CallId(Fixed([1; 16])),
        time: 0,
        limits: Limits { rate: 30, bytes: 16_384 },
        codecs: codecs.collect(),
        hdrext: hdrext.collect(),
        features: Vec::new(),
    }
}

fn server_transport(local: &LocalTransport) -> ServerTransport {
    let candidates = local.candidates.iter().map(|c| Candidate { ip: c.ip().to_string(), port: c.port() }).collect();
    ServerTransport {
        ice: ServerIce { ufrag: local.ufrag.clone(), pwd: local.pwd.clone(), candidates },
        dtls: Dtls { fingerprint: Fixed(local.fingerprint) },
    }
}

fn remote(local: &ClientTransport) -> RemoteTransport {
    RemoteTransport {
        ufrag: local.ice.ufrag.clone(),
        pwd: local.ice.pwd.clone(),
        fingerprint: local.dtls.fingerprint.0,
    }
}

async fn wait_for(endpoint: &mut WebrtcEndpoint, mut wanted: impl FnMut(&MediaEvent) -> bool) -> MediaEvent {
    let search = async {
        loop {
            let event = endpoint.next().await.expect("the path is open");
            assert_ne!(event, MediaEvent::Failed);
            if wanted(&event) {
                return event;
            }
        }
    };
    timeout(TOO_LONG, search).await.expect("the event comes")
}

fn camera() -> SendStream {
    SendStream { mid: "sv".to_owned(), ..CAMERA }
}

fn publication() -> Publication {
    Publication {
        codec: SfuCodec::Vp8,
        mid: Mid::new("sv").unwrap(),
        ssrc: Ssrc(CAMERA.ssrc),
        rtx: CAMERA.rtx.map(Ssrc),
    }
}

/// A key frame in its envelope, of bytes that no codec would accept.
fn key_frame(number: u8) -> Vec<u8> {
    let noise = (0..2_500u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 ^ number);
    KEY_ENVELOPE.into_iter().chain(noise).collect()
}

#[tokio::test]
async fn frames_and_key_frame_requests_cross_two_implementations() {
    let mut world = World::new();
    let mut alice = world.join(1, &[camera()]).await;
    let track = TrackId(7);
    world.command(Command::Publish { participant: ParticipantId(1), track, publication: publication() });
    let mut bob = world.join(2, &[camera()]).await;
    let slot = world.add_video_slot(2, "v0", &mut bob, track).await;

    // Whoever is put into a slot is asked for a key frame.
    wait_for(&mut alice, |event| matches!(event, MediaEvent::KeyFrameWanted { mid } if mid == "sv")).await;

    let frames: Vec<_> = (0..5).map(key_frame).collect();
    let mut sequence = 65_530u16;
    for (n, frame) in frames.iter().enumerate() {
        for (marker, payload) in vp8_payloads(frame, n as u16, 1_100) {
            let packet = OutgoingPacket {
                sequence,
                timestamp: 3_000 * n as u32,
                marker,
                level: None,
                payload: Bytes::from(payload),
            };
            alice.send("sv", packet).await.unwrap();
            sequence = sequence.wrapping_add(1);
        }
    }
    let (mut assembler, mut received) = (Assembler::new(), Vec::new());
    while received.len() < frames.len() {
        let event = wait_for(&mut bob, |event| matches!(event, MediaEvent::Packet(_))).await;
        let MediaEvent::Packet(packet) = event else { unreachable!() };
        assert_eq!(packet.ssrc, slot.ssrc, "a slot keeps its SSRC");
        received.extend(assembler.push(packet.sequence, packet.marker, &packet.payload));
    }
    assert_eq!(received, frames, "byte for byte");

    // And a receiver's own request travels the same way.
    timeout(TOO_LONG, async {
        loop {
            bob.want_key_frame(slot.ssrc).await.unwrap();
            tokio::select! {
                _ = wait_for(&mut alice, |event| matches!(event, MediaEvent::KeyFrameWanted { .. })) => return,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        }
    })
    .await
    .expect("the request arrives");
    alice.close().await;
    bob.close().await;
}

#[tokio::test]
async fn a_server_with_another_certificate_gets_no_media_path() {
    let mut world = World::new();
    let participant = ParticipantId(1);
    world.command(Command::AddParticipant { room: RoomId(1), participant });
    let mut local = world
        .event(|event| match event {
            Event::Transport { local, .. } => Some(local),
            _ => None,
        })
        .await;
    local.fingerprint = [0x11; 32];
    let mut endpoint = WebrtcEndpoint::start(&welcome(), server_transport(&local), &[camera()]).await.unwrap();
    world.command(Command::Connect { participant, remote: remote(endpoint.local()) });
    // The client sees another certificate than signaling promised, and never sends media.
    let connected = async {
        while let Some(event) = endpoint.next().await {
            if event == MediaEvent::Connected {
                return true;
            }
        }
        false
    };
    let server_side = world.event(|event| match event {
        Event::TransportState { state, .. } => Some(state),
        _ => None,
    });
    tokio::select! {
        connected = connected => assert!(!connected),
        state = server_side => assert_ne!(state, sfu::event::TransportState::Connected),
    }
}
