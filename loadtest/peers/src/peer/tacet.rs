//! This project's server, by its own signaling.

use super::{Peer, PeerError, Setup, camera_ssrcs, credentials, ssrcs};
use crate::{amplification::Probe, server::Server};
use e2ee_frames::StreamId;
use loadtest::{
    RoomLink, Usage,
    fanout::{Camera, CameraStreams, Connecting, Fanout, PublishedStream, ReceivedStream, Route, VoiceStream, Voices},
    serve_command,
};
use rtc_client::{Credentials, Identity, RemoteParameters};
use serde::Deserialize;
use std::{net::SocketAddr, time::Duration};
use tacet_native::call::{Call, CallEvent, JoinOptions};
use tacet_proto::{
    TrackId,
    bytes::Fixed,
    client::{ClientTransport, Encoding, Publish},
    layers::Tile,
    media::{ClientIce, Codec, CodecParameters, Dtls, Kind, Slot, Source},
    server::Welcome,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    task::JoinSet,
    time::{interval, timeout},
};

const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const DEPENDENCY_DESCRIPTOR_URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
/// Participants of the room beside subscribers: publishers, and members that flood it.
const ROOM_FOR_PUBLISHERS: usize = 16;
/// Interval of the changes of a member that takes and leaves a track: just within the limit of messages.
const FLAP: Duration = Duration::from_millis(36);
/// MID of the publisher's video.
const VIDEO_MID: &str = "sv";
/// Maximum time until the server starts, or sends a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// The line that `tacet serve --json` prints.
#[derive(Deserialize)]
struct Ready {
    link: String,
}

/// A running `tacet serve`.
#[derive(Debug)]
pub(crate) struct Tacet {
    server: Server,
    link: RoomLink,
    /// Tasks that read the signaling connections until the end.
    calls: JoinSet<()>,
    subscribers: usize,
    /// Slots that a subscriber waits for.
    slots: usize,
    /// Both halves of the publisher's transport.
    publisher_path: Option<(Credentials, RemoteParameters)>,
}

fn unexpected(what: &str) -> PeerError {
    PeerError::Answer(what.to_owned())
}

fn extension(welcome: &Welcome, uri: &str) -> Option<u8> {
    welcome.hdrext.iter().find(|e| e.uri == uri).map(|e| e.id)
}

fn vp8(welcome: &Welcome) -> Result<&CodecParameters, PeerError> {
    welcome.codecs.iter().find(|c| c.codec == Codec::Vp8).ok_or_else(|| unexpected("no VP8"))
}

/// The next event of a call that `pick` accepts.
async fn wait<T>(call: &mut Call, mut pick: impl FnMut(CallEvent) -> Option<T>) -> Result<T, PeerError> {
    let wait = async {
        loop {
            match call.next().await? {
                CallEvent::Refused { error, .. } => return Err(PeerError::Answer(error.detail)),
                event => {
                    if let Some(picked) = pick(event) {
                        return Ok(picked);
                    }
                }
            }
        }
    };
    timeout(PATIENCE, wait).await.map_err(|_| unexpected("nothing"))?
}

impl Tacet {
    /// Both halves of the publisher's transport, once it has joined.
    pub(crate) fn publisher_path(&self) -> Option<(Credentials, RemoteParameters)> {
        self.publisher_path.clone()
    }

    /// A further participant, on a separate socket, that receives the video in a stream of this SSRC; `flaps` if it takes
    /// and leaves the track all the time.
    pub(crate) async fn member(&mut self, flaps: bool) -> Result<(Probe, u32), PeerError> {
        let mut call = self.join("member", true).await?;
        let identity = Identity::generate().map_err(std::io::Error::other)?;
        let (local, server) = Self::halves(&mut call, identity.fingerprint()).await?;
        let connecting = tokio::task::spawn_blocking(move || Probe::connect(identity, local, server));
        let slots = wait(&mut call, |event| match event {
            CallEvent::Slots(slots) if !slots.add.is_empty() => Some(slots),
            _ => None,
        })
        .await?;
        call.slots_ready(slots.rev)?;
        let video = slots.add.iter().find(|slot| slot.kind == Kind::Video).ok_or_else(|| unexpected("no video"))?;
        let track = slots.set.iter().find_map(|slot| slot.source?.track()).map(|source| source.track).filter(|_| flaps);
        match track {
            Some(track) => self.flap(call, track),
            None => self.keep(call),
        }
        Ok((connecting.await.map_err(std::io::Error::other)??, video.ssrc))
    }

    /// Takes and leaves a track until the server ends the connection.
    fn flap(&mut self, mut call: Call, track: TrackId) {
        self.calls.spawn(async move {
            let mut ticks = interval(FLAP);
            let mut is_subscribed = true;
            loop {
                let done = tokio::select! {
                    event = call.next() => match event {
                        Ok(CallEvent::Slots(slots)) => call.slots_ready(slots.rev),
                        Ok(_) => Ok(()),
                        Err(error) => Err(error),
                    },
                    _ = ticks.tick() => {
                        is_subscribed = !is_subscribed;
                        if is_subscribed { call.subscribe(&[track]) } else { call.unsubscribe(&[track]) }
                    }
                };
                if done.is_err() {
                    return;
                }
            }
        });
    }

    async fn join(&self, name: &str, subscribe: bool) -> Result<Call, PeerError> {
        // Receivers open nothing, so only the publisher exchanges keys; without them the server would announce it to no one.
        let options = JoinOptions { subscribe, exchange_keys: !subscribe, ..JoinOptions::new(name) };
        Ok(Call::join(&self.link, &options).await?)
    }

    /// Exchanges the halves of the transport.
    async fn route(call: &mut Call, fanout: &Fanout) -> Result<Route, PeerError> {
        let (local, server) = Self::halves(call, fanout.fingerprint()).await?;
        Ok(Route::Negotiated { local, server })
    }

    /// Exchanges the halves of the transport of a client with this certificate.
    async fn halves(call: &mut Call, fingerprint: [u8; 32]) -> Result<(Credentials, RemoteParameters), PeerError> {
        let remote = wait(call, |event| match event {
            CallEvent::Transport(remote) => Some(remote),
            _ => None,
        })
        .await?;
        let local = credentials()?;
        call.transport(ClientTransport {
            ice: ClientIce { ufrag: local.ufrag.clone(), pwd: local.pwd.clone() },
            dtls: Dtls { fingerprint: Fixed(fingerprint) },
        })?;
        let address = |c: &tacet_proto::media::Candidate| Some(SocketAddr::new(c.ip.parse().ok()?, c.port));
        let server = RemoteParameters {
            candidates: remote.ice.candidates.iter().filter_map(address).collect(),
            ufrag: remote.ice.ufrag,
            pwd: remote.ice.pwd,
            fingerprint: remote.dtls.fingerprint.0,
        };
        Ok((local, server))
    }

    /// Publishes the camera of a call in these encodings, and keeps the call alive.
    async fn publish_video(&mut self, mut call: Call, encodings: Vec<Encoding>) -> Result<(), PeerError> {
        let track = Publish {
            cid: "load".to_owned(),
            kind: Kind::Video,
            source: Source::Camera,
            codec: Codec::Vp8,
            mid: VIDEO_MID.to_owned(),
            encodings,
            muted: false,
        };
        call.publish(StreamId::CAMERA, track)?;
        wait(&mut call, |event| matches!(event, CallEvent::Published { .. }).then_some(())).await?;
        self.keep(call);
        Ok(())
    }

    /// Keeps a call alive and answers the server's requests.
    fn keep(&mut self, mut call: Call) {
        self.calls.spawn(async move {
            while let Ok(event) = call.next().await {
                if let CallEvent::Slots(slots) = event
                    && call.slots_ready(slots.rev).is_err()
                {
                    return;
                }
            }
        });
    }
}

impl Peer for Tacet {
    async fn start(setup: &Setup) -> Result<Self, PeerError> {
        let mut command = serve_command(&setup.tacet, setup.subscribers + ROOM_FOR_PUBLISHERS, false);
        let mut server = Server::start(&mut command, setup.server_core(), Server::folder()?)?;
        let stdout = server.child().stdout.take().ok_or_else(|| unexpected("no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let Ok(Ok(Some(line))) = timeout(PATIENCE, lines.next_line()).await else { return Err(server.silent().into()) };
        let mut calls = JoinSet::new();
        // Keeps the pipe open, so that the server never writes to a closed one.
        calls.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let ready: Ready = serde_json::from_str(&line).map_err(|error| PeerError::Answer(error.to_string()))?;
        let link = ready.link.parse().map_err(|_| unexpected("a room link that cannot be read"))?;
        Ok(Self { server, link, calls, subscribers: 0, slots: 1, publisher_path: None })
    }

    async fn publish(&mut self, fanout: &Fanout) -> Result<Connecting, PeerError> {
        let mut call = self.join("publisher", false).await?;
        let route = Self::route(&mut call, fanout).await?;
        if let Route::Negotiated { local, server } = &route {
            self.publisher_path = Some((local.clone(), server.clone()));
        }
        let codec = vp8(call.welcome())?;
        let (ssrc, rtx) = ssrcs(0);
        let stream = PublishedStream {
            ssrc,
            rtx,
            payload_type: codec.pt,
            rtx_payload_type: codec.rtx.unwrap_or(codec.pt),
            transport_cc: extension(call.welcome(), TRANSPORT_CC_URI),
        };
        let encodings = Encoding::single(ssrc, codec.rtx.map(|_| rtx));
        let connecting = fanout.publish(route, stream).await?;
        self.publish_video(call, encodings).await?;
        Ok(connecting)
    }

    async fn publish_camera(&mut self, fanout: &mut Fanout, camera: Camera) -> Result<Connecting, PeerError> {
        let mut call = self.join("publisher", false).await?;
        let route = Self::route(&mut call, fanout).await?;
        let (welcome, codec) = (call.welcome(), vp8(call.welcome())?);
        let streams = CameraStreams {
            mid: VIDEO_MID.to_owned(),
            encodings: camera_ssrcs(),
            payload_type: codec.pt,
            rtx_payload_type: codec.rtx.unwrap_or(codec.pt),
            transport_cc: extension(welcome, TRANSPORT_CC_URI),
            mid_extension: extension(welcome, MID_URI),
            rid: extension(welcome, RID_URI),
            repaired_rid: extension(welcome, REPAIRED_RID_URI),
            descriptor: extension(welcome, DEPENDENCY_DESCRIPTOR_URI),
        };
        let connecting = fanout.publish_camera(route, camera, streams).await?;
        let named = |(rid, height): (&str, u16)| Encoding {
            rid: Some(rid.to_owned()),
            ssrc: None,
            rtx: None,
            height: Some(height),
            kbps: None,
        };
        let encodings = Camera::RIDS.into_iter().zip(Camera::HEIGHTS).map(named).collect();
        self.publish_video(call, encodings).await?;
        Ok(connecting)
    }

    async fn publish_voices(&mut self, fanout: &mut Fanout, voices: Voices) -> Result<Vec<Connecting>, PeerError> {
        let mut connecting = Vec::new();
        for n in 0..voices.microphones {
            let mut call = self.join(&format!("voice {}", n + 1), false).await?;
            let route = Self::route(&mut call, fanout).await?;
            let welcome = call.welcome();
            let opus = welcome.codecs.iter().find(|c| c.codec == Codec::Opus).ok_or_else(|| unexpected("no Opus"))?;
            let (ssrc, _) = ssrcs(n as u32);
            let stream = VoiceStream {
                ssrc,
                payload_type: opus.pt,
                transport_cc: extension(welcome, TRANSPORT_CC_URI),
                audio_level: extension(welcome, AUDIO_LEVEL_URI),
            };
            let track = Publish {
                cid: "voice".to_owned(),
                kind: Kind::Audio,
                source: Source::Microphone,
                codec: Codec::Opus,
                mid: "sa".to_owned(),
                encodings: Encoding::single(ssrc, None),
                muted: false,
            };
            connecting.push(fanout.speak(route, voices, stream).await?);
            call.publish(StreamId::MICROPHONE, track)?;
            wait(&mut call, |event| matches!(event, CallEvent::Published { .. }).then_some(())).await?;
            self.keep(call);
        }
        self.slots = voices.talkers;
        Ok(connecting)
    }

    async fn subscribe(&mut self, fanout: &mut Fanout, height: Option<u16>) -> Result<Connecting, PeerError> {
        self.subscribers += 1;
        let mut call = self.join(&format!("subscriber {}", self.subscribers), true).await?;
        let route = Self::route(&mut call, fanout).await?;
        let connecting = fanout.receive(route, &[], extension(call.welcome(), TRANSPORT_CC_URI)).await?;
        let mut added = 0;
        while added < self.slots {
            let slots = wait(&mut call, |event| match event {
                CallEvent::Slots(slots) if !slots.add.is_empty() => Some(slots),
                _ => None,
            })
            .await?;
            let stream =
                |slot: &Slot| ReceivedStream { ssrc: slot.ssrc, rtx: slot.rtx, is_audio: slot.kind == Kind::Audio };
            let streams: Vec<_> = slots.add.iter().map(stream).collect();
            added += streams.len();
            fanout.add_streams(connecting.receiver(), &streams);
            call.slots_ready(slots.rev)?;
            let track = slots.set.iter().find_map(|slot| slot.source?.track()).map(|source| source.track);
            if let Some((track, height)) = track.zip(height) {
                call.layers(vec![Tile { track, height, pinned: false, paused: false }])?;
            }
        }
        self.keep(call);
        Ok(connecting)
    }

    fn usage(&self) -> Usage {
        self.server.usage()
    }

    async fn stop(mut self) {
        self.calls.shutdown().await;
        self.server.stop().await;
    }
}
