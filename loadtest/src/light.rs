//! How a light bot comes into a call: the real signaling and keys of the native client, a media path of its own.

use crate::{
    canary::{Progress, Readiness, video_slots},
    engine::{Bot, BotId, Engine, Role},
    path::{Path, PathError},
    receiver::{Receiver, StreamSsrc},
    sender::{Sender, Stream},
    sendlog::SendLog,
    socket::BotSocket,
    tally::{Tally, Window},
};
use e2ee_frames::StreamId;
use sfu::transport::Identity;
use std::{collections::HashSet, io, net::SocketAddr, sync::Arc, time::Instant};
use tacet_native::{
    call::{Call, CallError, CallEvent, JoinOptions},
    link::RoomLink,
};
use tacet_proto::{
    ParticipantId,
    client::Publish,
    media::{Codec, CodecParameters, Kind, Source},
    server::{ServerTransport, Welcome},
};
use tokio::sync::{oneshot, watch};

const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Why a light bot ended early.
#[derive(Debug, thiserror::Error)]
pub enum LightError {
    /// Its call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Its socket.
    #[error("bot socket: {0}")]
    Socket(#[from] io::Error),
    /// Its media path could not be made.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Its media path did not come up.
    #[error("the media path of a bot failed")]
    Failed,
    /// The server forwards no VP8.
    #[error("the server forwards no VP8")]
    NoVp8,
    /// The server named no media address that can be read.
    #[error("the server named no media address")]
    NoCandidate,
    /// The thread of its engine has ended.
    #[error("a bot thread has ended")]
    EngineEnded,
}

/// What the bots of a run share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) link: RoomLink,
    pub(crate) identity: Arc<Identity>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) window: Arc<Window>,
    pub(crate) stop: watch::Receiver<bool>,
}

fn transport_cc(welcome: &Welcome) -> Option<u8> {
    welcome.hdrext.iter().find(|e| e.uri == TRANSPORT_CC_URI).map(|e| e.id)
}

fn vp8(welcome: &Welcome) -> Result<&CodecParameters, LightError> {
    welcome.codecs.iter().find(|c| c.codec == Codec::Vp8).ok_or(LightError::NoVp8)
}

fn server_address(remote: &ServerTransport) -> Result<SocketAddr, LightError> {
    let readable = |c: &tacet_proto::media::Candidate| Some(SocketAddr::new(c.ip.parse().ok()?, c.port));
    remote.ice.candidates.iter().find_map(readable).ok_or(LightError::NoCandidate)
}

/// Waits for the server's half of the transport; gives the events that came before it, too.
async fn transport(call: &mut Call) -> Result<(ServerTransport, Vec<CallEvent>), LightError> {
    let mut before = Vec::new();
    loop {
        match call.next().await? {
            CallEvent::Transport(remote) => return Ok((remote, before)),
            other => before.push(other),
        }
    }
}

impl Shared {
    /// Makes the media path and hands the bot to the engine.
    async fn connect(
        &self,
        call: &Call,
        remote: &ServerTransport,
        role: Role,
    ) -> Result<(BotId, oneshot::Receiver<bool>), LightError> {
        let server = server_address(remote)?;
        let socket = BotSocket::connect(server)?;
        let path = Path::new(&self.identity, remote, server, Instant::now())?;
        let local = path.local();
        let (connected, waiting) = oneshot::channel();
        let bot = Bot { socket, path, role, connected: Some(connected) };
        let id = self.engine.add(bot).await.ok_or(LightError::EngineEnded)?;
        call.transport(local.ok_or(PathError)?)?;
        Ok((id, waiting))
    }
}

/// What a publisher sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) pps: u32,
    pub(crate) burst: u32,
    pub(crate) size: usize,
}

/// Joins, publishes and stays until `stop` changes; tells `ready` its number once it may send.
pub(crate) async fn publish(
    shared: Shared,
    options: JoinOptions,
    rate: Rate,
    log: Arc<SendLog>,
    ready: oneshot::Sender<ParticipantId>,
) -> Result<(), LightError> {
    let mut stop = shared.stop.clone();
    let mut call = Call::join(&shared.link, &options).await?;
    let (remote, _) = transport(&mut call).await?;
    let codec = vp8(call.welcome())?;
    let [ssrc, rtx] = random_ssrcs();
    let stream = Stream {
        ssrc,
        rtx,
        payload_type: codec.pt,
        rtx_payload_type: codec.rtx.unwrap_or(codec.pt),
        transport_cc: transport_cc(call.welcome()),
    };
    let size = (rate.pps, rate.burst, rate.size);
    let sender = Sender::new(call.keys(), stream, size, log, shared.window.clone());
    let (_, mut connected) = shared.connect(&call, &remote, Role::Send(Box::new(sender))).await?;
    let track = Publish {
        cid: "load".to_owned(),
        kind: Kind::Video,
        source: Source::Cam,
        codec: Codec::Vp8,
        mid: "sv".to_owned(),
        ssrc,
        rtx: codec.rtx.map(|_| rtx),
        muted: false,
    };
    call.publish(StreamId::CAMERA, track)?;
    let (mut up, mut keyed, mut published, mut ready) = (false, false, false, Some(ready));
    loop {
        if up
            && keyed
            && published
            && let Some(ready) = ready.take()
        {
            let _ = ready.send(call.welcome().participant);
        }
        tokio::select! {
            _ = stop.changed() => break,
            state = &mut connected, if !up => up = state.unwrap_or(false).then_some(true).ok_or(LightError::Failed)?,
            event = call.next() => match event? {
                CallEvent::StreamReady(_) => keyed = true,
                CallEvent::Published { .. } => published = true,
                CallEvent::Refused { error, .. } => {
                    return Err(CallError::Refused { code: error.code, detail: error.detail }.into());
                }
                _ => {}
            },
        }
    }
    call.leave().await;
    Ok(())
}

/// Joins, receives everything and stays until `stop` changes; tells `ready` once media of all publishers can come.
pub(crate) async fn subscribe(
    shared: Shared,
    options: JoinOptions,
    logs: Arc<[Arc<SendLog>]>,
    readiness: Readiness,
    ready: oneshot::Sender<()>,
) -> Result<(), LightError> {
    let mut stop = shared.stop.clone();
    let mut call = Call::join(&shared.link, &options).await?;
    let (remote, before) = transport(&mut call).await?;
    let keys = options.exchange_keys.then(|| call.keys());
    let tally = Tally::new(logs, shared.window.clone());
    let [own_ssrc, _] = random_ssrcs();
    let receiver = Receiver::new(own_ssrc, transport_cc(call.welcome()), keys, tally);
    let (bot, mut connected) = shared.connect(&call, &remote, Role::Receive(Box::new(receiver))).await?;
    // A bot without keys waits for none.
    let known = if options.exchange_keys { HashSet::new() } else { readiness.publishers.clone() };
    let mut progress = Progress { readiness, connected: false, keys: known, filled: HashSet::new() };
    let (mut ready, mut before) = (Some(ready), before.into_iter());
    loop {
        if progress.is_complete()
            && let Some(ready) = ready.take()
        {
            let _ = ready.send(());
        }
        let event = match before.next() {
            Some(event) => event,
            None => tokio::select! {
                _ = stop.changed() => break,
                state = &mut connected, if !progress.connected => {
                    progress.connected = state.unwrap_or(false);
                    if progress.connected { continue } else { return Err(LightError::Failed) }
                }
                event = call.next() => event?,
            },
        };
        match event {
            CallEvent::Slots(slots) => {
                let streams = video_slots(&slots.add).map(|s| StreamSsrc { media: s.ssrc, rtx: s.rtx }).collect();
                shared.engine.add_streams(bot, streams);
                progress.fill(&slots.set);
                call.slots_ready(slots.rev)?;
            }
            CallEvent::KeyInstalled(participant) => {
                progress.keys.insert(participant);
            }
            _ => {}
        }
    }
    call.leave().await;
    Ok(())
}

/// Two different SSRCs.
fn random_ssrcs() -> [u32; 2] {
    let mut bytes = [0; 4];
    if getrandom::fill(&mut bytes).is_err() {
        // Only uniqueness on one transport matters.
        bytes = std::process::id().to_be_bytes();
    }
    let ssrc = u32::from_be_bytes(bytes) | 1;
    [ssrc, ssrc.wrapping_add(1)]
}
