//! A light bot's life in a call: the real signaling and keys of the native client, a media path of its own.

use crate::{
    bots::cast::{Kind, Part},
    bots::context::{Phase, Published, Readiness, RunContext, TrackChoice, count},
    bots::engine::{Bot, BotId, Engine},
    bots::path::{Path, PathError},
    bots::receiver::{Receiver, SlotChange, SlotStream},
    bots::sender::{Sender, Stream},
    bots::socket::BotSocket,
    bots::streams::{self, StreamPlan},
    measure::accounting::ReceiverAccounting,
    measure::clock::now_ns,
};
use e2ee_frames::Codec as FrameCodec;
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_native::call::{Call, CallError, CallEvent};
use tacet_proto::{
    ErrorCode,
    client::Publish,
    media::{Codec, Slot},
    server::{ServerTransport, Welcome},
};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::{sleep, sleep_until},
};

const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// How often it is looked whether a track's publisher has heard of its number.
const LOOK: Duration = Duration::from_millis(20);

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
    /// The server does not forward what it would send.
    #[error("the server forwards no {0:?}")]
    NoCodec(Codec),
    /// The server named no media address that can be read.
    #[error("the server named no media address")]
    NoCandidate,
    /// The system has no randomness to give.
    #[error("the random generator failed")]
    NoRandomness,
    /// The thread of its engine has ended.
    #[error("a bot thread has ended")]
    EngineEnded,
}

fn extension(welcome: &Welcome, uri: &str) -> Option<u8> {
    welcome.hdrext.iter().find(|e| e.uri == uri).map(|e| e.id)
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

/// A bot in its engine, which ends when this is dropped.
#[derive(Debug)]
struct InEngine {
    engine: Arc<Engine>,
    id: BotId,
}

impl Drop for InEngine {
    fn drop(&mut self) {
        self.engine.remove(self.id);
    }
}

/// Random SSRCs, none twice and none zero.
fn random_ssrc() -> Result<u32, LightError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|_| LightError::NoRandomness)?;
    Ok(u32::from_be_bytes(bytes).max(1))
}

/// Gives a planned stream its SSRCs: how it is written, and what the server is told.
fn stream(plan: &StreamPlan, welcome: &Welcome) -> Result<(Stream, Publish), LightError> {
    let entry = streams::entry(&welcome.codecs, plan.codec()).ok_or(LightError::NoCodec(plan.codec()))?;
    let ssrc = random_ssrc()?;
    let rtx = match entry.rtx {
        // Even and odd: never equal.
        Some(payload_type) => Some((ssrc ^ 1, payload_type)).filter(|(rtx, _)| *rtx != 0),
        None => None,
    };
    let stream = Stream {
        ssrc,
        rtx,
        payload_type: entry.pt,
        transport_cc: extension(welcome, TRANSPORT_CC_URI),
        audio_level: extension(welcome, AUDIO_LEVEL_URI).filter(|_| plan.codec() == Codec::Opus),
    };
    Ok((stream, plan.publish(ssrc, rtx.map(|(ssrc, _)| ssrc))))
}

fn slot_stream(slot: &Slot) -> SlotStream {
    let codec = if slot.codec == Codec::Opus { FrameCodec::Opus } else { FrameCodec::Vp8 };
    SlotStream { codec, media: slot.ssrc, rtx: slot.rtx }
}

/// A bot that has joined, and is in its engine.
struct Joined {
    call: Call,
    bot: InEngine,
    readiness: Readiness,
    published: Vec<Published>,
    /// Tells when its path is up.
    connected: oneshot::Receiver<bool>,
    /// What was told before the server's half of the transport.
    before: Vec<CallEvent>,
}

/// Joins, makes the media path and publishes.
async fn join(context: &RunContext, part: &Part, mut readiness: Readiness) -> Result<Joined, LightError> {
    let engine = context.engine.clone().ok_or(LightError::EngineEnded)?;
    let since_ns = part.receives().then(|| context.joining_since(now_ns())).flatten();
    // Whoever sends gives keys to others; a light bot that only receives needs none.
    let exchange_keys = !(context.scenario.light && part.kind == Kind::Subscriber);
    let mut call = Call::join(&context.room.link, &context.join_options(part, exchange_keys)).await?;
    let (remote, before) = transport(&mut call).await?;

    let (mut senders, mut published) = (Vec::new(), Vec::new());
    for plan in streams::plans(&context.scenario, part, context.origin) {
        let (stream, track) = stream(&plan, call.welcome())?;
        readiness.unkeyed.insert(plan.sealing.stream);
        readiness.unpublished.insert(plan.mid.clone());
        published.push(Published { stream: plan.sealing.stream, track, log: plan.log.clone() });
        let feed = plan.feed(call.keys(), context.room.log.clone(), context.window.clone());
        senders.push(Sender::new(feed, stream));
    }
    let receiver = if part.receives() {
        let accounting = ReceiverAccounting::new(context.room.log.clone(), context.window.clone());
        let keys = opens(context, part).then(|| call.keys());
        let transport_cc = extension(call.welcome(), TRANSPORT_CC_URI);
        Some(Box::new(Receiver::new(random_ssrc()?, transport_cc, keys, accounting, since_ns)))
    } else {
        None
    };

    let server = server_address(&remote)?;
    let path = Path::new(&context.identity, &remote, server, Instant::now())?;
    let local = path.local().ok_or(PathError)?;
    let (told, connected) = oneshot::channel();
    let bot = Bot { socket: BotSocket::connect(server)?, path, senders, receiver, connected: Some(told) };
    let id = engine.add(bot).await.ok_or(LightError::EngineEnded)?;
    let bot = InEngine { engine, id };
    call.transport(local)?;
    for Published { stream, track, .. } in &published {
        call.publish(*stream, track.clone())?;
    }
    Ok(Joined { call, bot, readiness, published, connected, before })
}

/// Whether the bot opens frames.
fn opens(context: &RunContext, part: &Part) -> bool {
    part.receives() && !context.scenario.light
}

/// Joins, sends and receives until the run is over or the stay has ended.
pub(crate) async fn attend(
    context: &RunContext,
    part: &Part,
    permit: Option<OwnedSemaphorePermit>,
    stay: Option<Duration>,
) -> Result<(), LightError> {
    let readiness = Readiness::new(part.needs, opens(context, part), permit, stay);
    let Joined { mut call, bot, mut readiness, published, mut connected, before } =
        join(context, part, readiness).await?;
    let mut phase = context.phase.clone();
    let mut choice = TrackChoice::default();
    let mut before = before.into_iter();
    loop {
        if readiness.became_ready() {
            count(&context.joins.completed);
            if context.flows() && !published.is_empty() {
                bot.engine.start_bot(bot.id);
                context.room.log.begin();
            }
            let _ = context.ready.send(());
        }
        readiness.plan_leave(*phase.borrow(), tokio::time::Instant::now());
        let leave = readiness.leave_deadline();
        let event = match before.next() {
            Some(event) => event,
            None => tokio::select! {
                changed = phase.changed() => {
                    if changed.is_err() || *phase.borrow() == Phase::Over { break } else { continue }
                }
                state = &mut connected, if !readiness.connected => {
                    readiness.connected = state.unwrap_or(false);
                    if readiness.connected { continue } else { return Err(LightError::Failed) }
                }
                () = sleep_until(leave.unwrap_or_else(tokio::time::Instant::now)), if leave.is_some() => {
                    if !readiness.begin_leaving(tokio::time::Instant::now()) {
                        count(&context.joins.left);
                        break;
                    }
                    bot.engine.stop_bot(bot.id);
                    bot.engine.retire(bot.id);
                    continue
                }
                () = sleep(LOOK), if choice.is_open() => {
                    let chosen = choice.decide(&context.room.log, part.number);
                    if !chosen.is_empty() {
                        call.subscribe(&chosen)?;
                    }
                    continue
                }
                event = call.next() => event?,
            },
        };
        match event {
            CallEvent::StreamReady(stream) => {
                readiness.unkeyed.remove(&stream);
            }
            CallEvent::Published { cid, track } => {
                context.numbered(&published, &cid, track);
                readiness.unpublished.remove(&cid);
            }
            CallEvent::Tracks(tracks) if part.receives() && context.chooses() => choice.add(tracks.add),
            CallEvent::Slots(slots) => {
                bot.engine.add_streams(bot.id, slots.add.iter().map(slot_stream).collect());
                let changes = readiness.fill(slots.set);
                let changes = changes.into_iter().map(|(out, into)| SlotChange { out, into }).collect();
                bot.engine.slots_changed(bot.id, changes);
                call.slots_ready(slots.rev)?;
            }
            CallEvent::KeyInstalled(participant) => readiness.key_installed(participant),
            // A track that was there when it was asked for may have gone meanwhile.
            CallEvent::Refused { error, .. } if error.code != ErrorCode::NoTrack => {
                return Err(CallError::Refused { code: error.code, detail: error.detail }.into());
            }
            _ => {}
        }
    }
    call.leave().await;
    Ok(())
}
