//! This project's server, by its own signaling.

use super::{Peer, PeerError, Setup, credentials, ssrcs};
use crate::server::Server;
use e2ee_frames::StreamId;
use loadtest::{
    RoomLink, Usage,
    fanout::{Connecting, Fanout, PublishedStream, ReceivedStream, Route},
    serve_command,
};
use rtc_client::RemoteParameters;
use serde::Deserialize;
use std::{net::SocketAddr, time::Duration};
use tacet_native::call::{Call, CallEvent, JoinOptions};
use tacet_proto::{
    bytes::Fixed,
    client::{ClientTransport, Publish},
    media::{ClientIce, Codec, CodecParameters, Dtls, Kind, Source},
    server::Welcome,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    task::JoinSet,
    time::timeout,
};

const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
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
    /// Address that the publisher sends to, and the server's username fragment there.
    publisher_path: Option<(SocketAddr, String)>,
}

fn unexpected(what: &str) -> PeerError {
    PeerError::Answer(what.to_owned())
}

fn transport_cc(welcome: &Welcome) -> Option<u8> {
    welcome.hdrext.iter().find(|e| e.uri == TRANSPORT_CC_URI).map(|e| e.id)
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
    /// Address that the publisher sends to, and the server's username fragment there, once it has joined.
    pub(crate) fn publisher_path(&self) -> Option<(SocketAddr, String)> {
        self.publisher_path.clone()
    }

    async fn join(&self, name: &str, subscribe: bool) -> Result<Call, PeerError> {
        // Receivers open nothing, so only the publisher exchanges keys; without them the server would announce it to no one.
        let options = JoinOptions { subscribe, exchange_keys: !subscribe, ..JoinOptions::new(name) };
        Ok(Call::join(&self.link, &options).await?)
    }

    /// Exchanges the halves of the transport.
    async fn route(call: &mut Call, fanout: &Fanout) -> Result<Route, PeerError> {
        let remote = wait(call, |event| match event {
            CallEvent::Transport(remote) => Some(remote),
            _ => None,
        })
        .await?;
        let local = credentials()?;
        call.transport(ClientTransport {
            ice: ClientIce { ufrag: local.ufrag.clone(), pwd: local.pwd.clone() },
            dtls: Dtls { fingerprint: Fixed(fanout.fingerprint()) },
        })?;
        let address = |c: &tacet_proto::media::Candidate| Some(SocketAddr::new(c.ip.parse().ok()?, c.port));
        let server = RemoteParameters {
            candidates: remote.ice.candidates.iter().filter_map(address).collect(),
            ufrag: remote.ice.ufrag,
            pwd: remote.ice.pwd,
            fingerprint: remote.dtls.fingerprint.0,
        };
        Ok(Route::Negotiated { local, server })
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
        let mut command = serve_command(&setup.tacet, setup.subscribers + 1);
        let mut server = Server::start(&mut command, setup.server_core(), Server::folder()?)?;
        let stdout = server.child().stdout.take().ok_or_else(|| unexpected("no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let Ok(Ok(Some(line))) = timeout(PATIENCE, lines.next_line()).await else { return Err(server.silent().into()) };
        let mut calls = JoinSet::new();
        // Keeps the pipe open, so that the server never writes to a closed one.
        calls.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let ready: Ready = serde_json::from_str(&line).map_err(|error| PeerError::Answer(error.to_string()))?;
        let link = ready.link.parse().map_err(|_| unexpected("a room link that cannot be read"))?;
        Ok(Self { server, link, calls, subscribers: 0, publisher_path: None })
    }

    async fn publish(&mut self, fanout: &Fanout) -> Result<Connecting, PeerError> {
        let mut call = self.join("publisher", false).await?;
        let route = Self::route(&mut call, fanout).await?;
        if let Route::Negotiated { server, .. } = &route {
            self.publisher_path = server.candidates.first().map(|address| (*address, server.ufrag.clone()));
        }
        let codec = vp8(call.welcome())?;
        let (ssrc, rtx) = ssrcs(0);
        let stream = PublishedStream {
            ssrc,
            rtx,
            payload_type: codec.pt,
            rtx_payload_type: codec.rtx.unwrap_or(codec.pt),
            transport_cc: transport_cc(call.welcome()),
        };
        let track = Publish {
            cid: "load".to_owned(),
            kind: Kind::Video,
            source: Source::Camera,
            codec: Codec::Vp8,
            mid: "sv".to_owned(),
            ssrc,
            rtx: codec.rtx.map(|_| rtx),
            muted: false,
        };
        let connecting = fanout.publish(route, stream).await?;
        call.publish(StreamId::CAMERA, track)?;
        wait(&mut call, |event| matches!(event, CallEvent::Published { .. }).then_some(())).await?;
        self.keep(call);
        Ok(connecting)
    }

    async fn subscribe(&mut self, fanout: &mut Fanout) -> Result<Connecting, PeerError> {
        self.subscribers += 1;
        let mut call = self.join(&format!("subscriber {}", self.subscribers), true).await?;
        let route = Self::route(&mut call, fanout).await?;
        let connecting = fanout.receive(route, &[], transport_cc(call.welcome())).await?;
        let slots = wait(&mut call, |event| match event {
            CallEvent::Slots(slots) if !slots.add.is_empty() => Some(slots),
            _ => None,
        })
        .await?;
        let videos = slots.add.iter().filter(|slot| slot.kind == Kind::Video);
        let streams: Vec<_> = videos.map(|slot| ReceivedStream { ssrc: slot.ssrc, rtx: slot.rtx }).collect();
        fanout.add_streams(connecting.receiver(), &streams);
        call.slots_ready(slots.rev)?;
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
