//! A server's media plane on loopback, and the part of signaling that a test needs. Endpoints reach it directly or
//! through a relay that impairs the network.

#![allow(dead_code, reason = "not every test file uses all of it")]

use sfu::{
    Command, Event, Mid, ParticipantId, RoomId, Ssrc, TrackId,
    command::{Publication, RemoteTransport},
    event::LocalTransport,
    media::{CODECS, Codec as SfuCodec, EXTENSIONS},
    metrics::Counter,
    net::{Sfu, SfuConfig},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use tacet_impair::{Impairment, Relay, RelayConfig};
use tacet_native::{
    media::{Endpoint, MediaEvent, SendStream},
    webrtc::WebrtcEndpoint,
};
use tacet_proto::{
    CallId, SessionId,
    bytes::{Base64, Fixed},
    client::ClientTransport,
    media::{Candidate, Codec, CodecParameters, Dtls, HeaderExtension, Kind, ServerIce, Slot},
    resume::{Continues, Tokens},
    server::{Limits, ServerTransport, Welcome},
};
use tokio::{sync::mpsc, time::timeout};

/// Upper limit of any step.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
const KEY_ENVELOPE: [u8; 10] = [0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0];
const CAMERA: SendStream = SendStream { mid: String::new(), codec: Codec::Vp8, ssrc: 1_000, rtx: Some(1_001) };

/// The media plane and the part of signaling that a test needs.
pub(crate) struct MediaPlane {
    sfu: Sfu,
    events: mpsc::UnboundedReceiver<Event>,
    /// The relay between clients and server, if there is one.
    pub(crate) relay: Option<Relay>,
}

impl MediaPlane {
    pub(crate) fn new() -> Self {
        Self::start(&SfuConfig::default())
    }

    /// The value of a counter of the server.
    pub(crate) fn counted(&self, counter: Counter) -> u64 {
        self.sfu.stats().get(counter)
    }

    /// A server that clients reach only through an impaired network.
    pub(crate) fn behind(network: Impairment, seed: u64) -> Self {
        // Another loopback address, with the same port.
        let outside = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let config = SfuConfig { advertise: vec![outside], ..SfuConfig::default() };
        let mut plane = Self::start(&config);
        let port = plane.sfu.local_ports()[0];
        let (listen, target) = (SocketAddr::new(outside, port), SocketAddr::new(config.bind, port));
        plane.relay = Some(Relay::start(listen, target, &RelayConfig::new(network, seed)).unwrap());
        plane
    }

    fn start(config: &SfuConfig) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let sfu = Sfu::start(config, move |_, event| drop(sender.send(event))).unwrap();
        Self { sfu, events, relay: None }
    }

    /// Events since the last call.
    pub(crate) fn events_so_far(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    pub(crate) fn command(&self, command: Command) {
        self.sfu.command(0, command).unwrap();
    }

    pub(crate) async fn event<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the server runs");
                assert!(!matches!(event, Event::Refused { .. }), "{event:?}");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(TIMEOUT, search).await.expect("the event comes")
    }

    /// A participant whose media path is up.
    pub(crate) async fn join(&mut self, number: u32, streams: &[SendStream]) -> WebrtcEndpoint {
        let participant = ParticipantId(number);
        self.command(Command::AddParticipant { room: RoomId(1), participant });
        let local = self
            .event(|event| match event {
                Event::Transport { participant: p, local, .. } if p == participant => Some(local),
                _ => None,
            })
            .await;
        let mut endpoint = WebrtcEndpoint::start(&welcome(), server_transport(&local), streams).await.unwrap();
        self.command(Command::Connect { participant, remote: remote(endpoint.local()) });
        wait_for(&mut endpoint, |event| matches!(event, MediaEvent::Connected)).await;
        endpoint
    }

    pub(crate) async fn add_video_slot(
        &mut self,
        number: u32,
        mid: &str,
        endpoint: &mut WebrtcEndpoint,
        track: TrackId,
    ) -> Slot {
        let (participant, name) = (ParticipantId(number), Mid::new(mid).unwrap());
        self.command(Command::AddSlot { participant, mid: name, codec: SfuCodec::Vp8 });
        let (ssrc, rtx) = self
            .event(|event| match event {
                Event::SlotAdded { participant: p, mid, ssrc, rtx, .. } if (p, mid) == (participant, name) => {
                    Some((ssrc.0, rtx.map(|r| r.0)))
                }
                _ => None,
            })
            .await;
        let slot = Slot { mid: mid.to_owned(), kind: Kind::Video, codec: Codec::Vp8, ssrc, rtx };
        endpoint.add_slots(std::slice::from_ref(&slot)).await.unwrap();
        self.command(Command::ActivateSlot { participant, mid: name });
        self.command(Command::SetSlot { participant, mid: name, source: Some(track.into()) });
        slot
    }
}

pub(crate) fn welcome() -> Welcome {
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
        session: SessionId(Fixed([2; 16])),
        continues: Continues::Nothing,
        role: tacet_proto::Role::Speaker,
        capabilities: tacet_proto::Role::Speaker.capabilities(),
        tokens: Tokens { session: Base64(vec![]), reload: Base64(vec![]) },
        time: 0,
        limits: Limits { rate: 30, bytes: 16_384 },
        codecs: codecs.collect(),
        hdrext: hdrext.collect(),
        features: Vec::new(),
    }
}

pub(crate) fn server_transport(local: &LocalTransport) -> ServerTransport {
    let candidates = local.candidates.iter().map(|c| Candidate { ip: c.ip().to_string(), port: c.port() }).collect();
    ServerTransport {
        ice: ServerIce { ufrag: local.ufrag.clone(), pwd: local.pwd.clone(), candidates },
        dtls: Dtls { fingerprint: Fixed(local.fingerprint) },
    }
}

pub(crate) fn remote(local: &ClientTransport) -> RemoteTransport {
    RemoteTransport {
        ufrag: local.ice.ufrag.clone(),
        pwd: local.ice.pwd.clone(),
        fingerprint: local.dtls.fingerprint.0,
    }
}

pub(crate) async fn wait_for(endpoint: &mut WebrtcEndpoint, mut wanted: impl FnMut(&MediaEvent) -> bool) -> MediaEvent {
    let search = async {
        loop {
            let event = endpoint.next().await.expect("the path is open");
            assert_ne!(event, MediaEvent::Failed);
            if wanted(&event) {
                return event;
            }
        }
    };
    timeout(TIMEOUT, search).await.expect("the event comes")
}

pub(crate) fn camera() -> SendStream {
    SendStream { mid: "sv".to_owned(), ..CAMERA }
}

pub(crate) fn publication() -> Publication {
    Publication::single(SfuCodec::Vp8, Mid::new("sv").unwrap(), Ssrc(CAMERA.ssrc), CAMERA.rtx.map(Ssrc))
}

/// A key frame in its envelope, of random bytes.
pub(crate) fn key_frame(number: u8) -> Vec<u8> {
    let noise = (0..2_500u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 ^ number);
    KEY_ENVELOPE.into_iter().chain(noise).collect()
}
