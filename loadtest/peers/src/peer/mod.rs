//! The servers under comparison, behind one trait.

mod floor;
mod janus;
mod livekit;
mod str0m;
mod tacet;

use crate::{
    child,
    json_socket::SocketError,
    pin::Cores,
    sdp::{self, Remote, SdpError},
    server::ServerError,
};
use loadtest::{
    Usage,
    fanout::{Camera, CameraStreams, Connecting, Fanout, FanoutError, PublishedStream, Route, Voices},
};
use rtc_client::{Credentials, RemoteParameters, srtp::SrtpError};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf};
use tacet_native::call::CallError;

pub(crate) use self::{floor::Floor, janus::Janus, livekit::LiveKit, str0m::Str0m, tacet::Tacet};

/// A server to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PeerName {
    /// The kernel and the cipher, packet by packet.
    Floor,
    /// The kernel and the cipher, with runs of four packets.
    FloorGso4,
    /// With runs of eight packets.
    FloorGso8,
    /// With runs of sixteen packets.
    FloorGso16,
    /// This project.
    Tacet,
    /// A plain SFU on the crate of that name.
    Str0m,
    /// Debian's package.
    Janus,
    /// Janus with two event loops for all sessions, instead of a thread for each.
    JanusLoops,
    /// LiveKit, built with `go install`.
    Livekit,
}

impl PeerName {
    /// Whether it differs from another peer only under bursts.
    pub(crate) fn wants_bursts(self) -> bool {
        matches!(self, Self::FloorGso4 | Self::FloorGso8 | Self::FloorGso16)
    }

    /// Whether it does no more than the kernel and the cipher need.
    pub(crate) fn is_floor(self) -> bool {
        self == Self::Floor || self.wants_bursts()
    }
}

/// Paths of the programs, and the cores that they run on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// This program: some peers are subcommands of it.
    pub own: PathBuf,
    /// The release binary of this project.
    pub tacet: PathBuf,
    /// Janus.
    pub janus: PathBuf,
    /// LiveKit.
    pub livekit: PathBuf,
    /// `None`: nothing is pinned.
    pub cores: Option<Cores>,
    /// Maximum number of subscribers of a run.
    pub subscribers: usize,
}

impl Setup {
    fn server_core(&self) -> Option<usize> {
        self.cores.map(|cores| cores.server)
    }
}

/// Why a peer could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Its program.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Our bots, or their media paths.
    #[error(transparent)]
    Fanout(#[from] FanoutError),
    /// Its signaling.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Its descriptions.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// Our own signaling.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A key.
    #[error(transparent)]
    Srtp(#[from] SrtpError),
    /// Its response was not understood.
    #[error("unexpected answer: {0}")]
    Answer(String),
    /// A folder or file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is compared with video only.
    #[error("compared with video only")]
    NoVoices,
    /// It forwards one stream to all.
    #[error("forwards one encoding to all")]
    NoLayers,
    /// An encoding that receivers asked for reached none.
    #[error("no receiver got the encoding of {0} lines")]
    NoHeight(u16),
    /// The random generator failed.
    #[error("the random generator failed")]
    Random,
    /// No packet arrived.
    #[error("no packet was delivered")]
    NothingDelivered,
}

/// A running server that bots can join.
pub(crate) trait Peer: Sized {
    /// Starts the server.
    async fn start(setup: &Setup) -> Result<Self, PeerError>;

    /// Connects the publisher.
    async fn publish(&mut self, fanout: &Fanout) -> Result<Connecting, PeerError>;

    /// Connects microphones, whose traffic is that of the load's packets together.
    async fn publish_voices(&mut self, _: &mut Fanout, _: Voices) -> Result<Vec<Connecting>, PeerError> {
        Err(PeerError::NoVoices)
    }

    /// Connects a camera in three encodings.
    async fn publish_camera(&mut self, _: &mut Fanout, _: Camera) -> Result<Connecting, PeerError> {
        Err(PeerError::NoLayers)
    }

    /// Connects a subscriber; the publisher is connected and sends. Of a camera it asks for the encoding of this height.
    async fn subscribe(&mut self, fanout: &mut Fanout, height: Option<u16>) -> Result<Connecting, PeerError>;

    /// Resources used by all threads of the server since it started.
    fn usage(&self) -> Usage;

    /// Stops the server.
    async fn stop(self);
}

fn credentials() -> Result<Credentials, PeerError> {
    Credentials::random().ok_or(PeerError::Random)
}

/// Two SSRCs, for media and retransmissions, that are unique in this run.
fn ssrcs(bot: u32) -> (u32, u32) {
    (0x0010_0001 + 2 * bot, 0x0010_0002 + 2 * bot)
}

/// The route to a server, from its transport description.
fn route(local: Credentials, remote: &Remote, candidates: &[SocketAddr]) -> Route {
    let server = RemoteParameters {
        ufrag: remote.ufrag.clone(),
        pwd: remote.pwd.clone(),
        fingerprint: remote.fingerprint,
        // Bots and servers share one machine and one version.
        candidates: candidates.iter().copied().filter(SocketAddr::is_ipv4).collect(),
    };
    Route::Negotiated { local, server }
}

/// The publisher's stream as the answer to its offer accepts it.
fn accepted_stream(answer: &Remote, (ssrc, rtx): (u32, u32)) -> Result<PublishedStream, PeerError> {
    let section = answer.sections.first().filter(|section| section.accepted);
    let section = section.ok_or_else(|| PeerError::Answer("the video is refused".to_owned()))?;
    Ok(PublishedStream {
        ssrc,
        rtx,
        payload_type: section.vp8.unwrap_or(sdp::VP8),
        rtx_payload_type: section.rtx.unwrap_or(sdp::RTX),
        transport_cc: section.transport_cc,
    })
}

/// SSRCs of a camera's encodings.
fn camera_ssrcs() -> [(u32, u32); 3] {
    // No run has as many subscribers.
    [0, 1, 2].map(|encoding| ssrcs(0x0100_0000 + encoding))
}

/// The camera's streams as the answer to its offer accepts them.
fn accepted_camera(answer: &Remote) -> Result<CameraStreams, PeerError> {
    let PublishedStream { payload_type, rtx_payload_type, transport_cc, .. } = accepted_stream(answer, ssrcs(0))?;
    let section = answer.sections.first().filter(|section| section.rid.is_some());
    let section = section.ok_or_else(|| PeerError::Answer("the encodings are refused".to_owned()))?;
    Ok(CameraStreams {
        mid: section.mid().to_owned(),
        encodings: camera_ssrcs(),
        payload_type,
        rtx_payload_type,
        transport_cc,
        mid_extension: section.mid_extension,
        rid: section.rid,
        repaired_rid: section.repaired_rid,
        descriptor: None,
    })
}

/// A peer that is a subcommand of this program.
fn start_own(setup: &Setup, args: &[&str]) -> Result<child::ChildServer, ServerError> {
    child::ChildServer::start(&setup.own, args, setup.server_core())
}
