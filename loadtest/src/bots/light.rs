//! A light bot's life in a call: the real signaling and keys of the native client, a media path built for load.

use crate::{
    bots::{
        cast::{Kind, Part},
        context::{Attendance, ForMedia, Phase, RunContext, count},
        engine::Engine,
        path::{Path, PathError},
        readiness::Readiness,
        receiver::{Receiver, SlotStream},
        running::{BotId, Bots},
        sender::{EncodingStreams, ExtensionIds, Sender, TrackStreams},
        streams::{self, TrackPlan},
    },
    measure::{accounting::ReceiverAccounting, clock::Time},
};
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
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const DEPENDENCY_DESCRIPTOR_URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// When a bot that was refused by a busy server tries again.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// Why a light bot ended early.
#[derive(Debug, thiserror::Error)]
pub enum LightError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A socket could not be made.
    #[error("bot socket: {0}")]
    Socket(#[from] io::Error),
    /// The media path could not be made.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The media path did not come up.
    #[error("the media path of a bot failed")]
    Failed,
    /// The server does not forward the codec that it would send.
    #[error("the server forwards no {0:?}")]
    NoCodec(Codec),
    /// The server named no readable media address.
    #[error("the server named no media address")]
    NoCandidate,
    /// The system's random generator failed.
    #[error("the random generator failed")]
    NoRandomness,
    /// The thread that runs the bot has ended.
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

/// Waits for the server's half of the transport; returns the events that came before it as well.
async fn transport(call: &mut Call) -> Result<(ServerTransport, Vec<CallEvent>), LightError> {
    let mut before = Vec::new();
    loop {
        match call.next().await? {
            CallEvent::Transport(remote) => return Ok((remote, before)),
            other => before.push(other),
        }
    }
}

/// A bot in its engine. Dropping this ends the bot.
#[derive(Debug)]
struct InEngine {
    engine: Arc<Engine>,
    id: BotId,
}

impl InEngine {
    /// Runs a closure on the thread of the bot.
    fn run(&self, command: impl FnOnce(&mut Bots, BotId) + Send + 'static) {
        let id = self.id;
        self.engine.run(move |bots| command(bots, id));
    }
}

impl Drop for InEngine {
    fn drop(&mut self) {
        self.run(Bots::remove);
    }
}

/// A random SSRC that is not zero.
fn random_ssrc() -> Result<u32, LightError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|_| LightError::NoRandomness)?;
    Ok(u32::from_be_bytes(bytes).max(1))
}

/// Assigns SSRCs to a planned track: how it is written, and how it is announced to the server.
fn streams(plan: &TrackPlan, welcome: &Welcome) -> Result<(TrackStreams, Publish), LightError> {
    let entry = streams::entry(&welcome.codecs, plan.codec()).ok_or(LightError::NoCodec(plan.codec()))?;
    let mut encodings = Vec::new();
    for of in &plan.encodings {
        let ssrc = random_ssrc()?;
        // Even and odd: never equal.
        let rtx = entry.rtx.map(|_| ssrc ^ 1).filter(|rtx| *rtx != 0);
        encodings.push(EncodingStreams { ssrc, rtx, rid: of.rid });
    }
    let is_audio = plan.codec() == Codec::Opus;
    let extensions = ExtensionIds {
        transport_cc: extension(welcome, TRANSPORT_CC_URI),
        audio_level: extension(welcome, AUDIO_LEVEL_URI).filter(|_| is_audio),
        mid: extension(welcome, MID_URI),
        rid: extension(welcome, RID_URI),
        repaired_rid: extension(welcome, REPAIRED_RID_URI),
        descriptor: extension(welcome, DEPENDENCY_DESCRIPTOR_URI),
    };
    let publish = plan.publish(&encodings);
    let (mid, payload_type, rtx_payload_type) = (plan.mid.clone(), entry.pt, entry.rtx);
    Ok((TrackStreams { mid, payload_type, rtx_payload_type, extensions, encodings }, publish))
}

fn slot_stream(slot: &Slot) -> SlotStream {
    SlotStream { codec: streams::frame_codec(slot.codec), media: slot.ssrc, rtx: slot.rtx }
}

/// Whether the bot opens frames.
fn opens(context: &RunContext, part: &Part) -> bool {
    part.receives() && !context.scenario.light
}

/// A bot that has joined and runs in its engine.
struct Joined {
    attendance: Attendance,
    bot: InEngine,
    /// Receives whether the media path came up.
    connected: oneshot::Receiver<bool>,
    /// Events that came before the server's half of the transport.
    early: Vec<CallEvent>,
}

/// Joins, makes the media path and publishes.
async fn join(context: &RunContext, part: &Part, readiness: Readiness) -> Result<Joined, LightError> {
    let engine = context.engine.clone().ok_or(LightError::EngineEnded)?;
    let since = part.receives().then(|| context.joining_since(Time::now())).flatten();
    // A sender must distribute its keys; a light bot that only receives needs none.
    let exchange_keys = !(context.scenario.light && part.kind == Kind::Subscriber);
    let mut call = loop {
        match Call::join(&context.room.link, &context.join_options(part, exchange_keys)).await {
            // As a client does; once the run is measured, a refusal is a result.
            Err(CallError::Refused { code: ErrorCode::ServerBusy, .. })
                if *context.phase.borrow() == Phase::Joining =>
            {
                sleep(BUSY_RETRY).await;
            }
            joined => break joined?,
        }
    };
    let (remote, early) = transport(&mut call).await?;
    let mut attendance = Attendance::new(call, readiness, context.screen(part));
    // Before the server knows that nothing is shown yet, it would send everything.
    attendance.show()?;

    let mut senders = Vec::new();
    for plan in streams::plans(&context.scenario, part, context.origin) {
        let (stream, track) = streams(&plan, attendance.call.welcome())?;
        attendance.add_track(&plan, track);
        let feed = plan.feed(attendance.call.keys(), context.room.log.clone(), context.window.clone());
        senders.push(Sender::new(feed, stream));
    }
    let receiver = if part.receives() {
        let accounting = ReceiverAccounting::new(context.room.log.clone(), context.window.clone());
        let keys = opens(context, part).then(|| attendance.call.keys());
        let transport_cc = extension(attendance.call.welcome(), TRANSPORT_CC_URI);
        Some(Box::new(Receiver::new(random_ssrc()?, transport_cc, keys, accounting, since)))
    } else {
        None
    };

    let server = server_address(&remote)?;
    let path = Path::new(&context.identity, &remote, server, Instant::now())?;
    let local = path.local().ok_or(PathError)?;
    let started = engine.add(server, path, senders, receiver).await?.ok_or(LightError::EngineEnded)?;
    let bot = InEngine { engine, id: started.id };
    attendance.call.transport(local)?;
    attendance.publish()?;
    Ok(Joined { attendance, bot, connected: started.connected, early })
}

/// Joins, sends and receives until the run is over or the stay has ended.
pub(crate) async fn attend(
    context: &RunContext,
    part: &Part,
    permit: Option<OwnedSemaphorePermit>,
    stay: Option<Duration>,
) -> Result<(), LightError> {
    let readiness = Readiness::new(part.needs, opens(context, part), permit, stay);
    let Joined { mut attendance, bot, mut connected, early } = join(context, part, readiness).await?;
    let mut phase = context.phase.clone();
    let mut early = early.into_iter();
    loop {
        if attendance.readiness.became_ready() {
            count(&context.joins.completed);
            if context.flows() && attendance.publishes() {
                bot.run(|bots, id| bots.start(id));
                context.room.log.begin();
            }
            let _ = context.ready.send(());
        }
        attendance.readiness.plan_leave(*phase.borrow(), tokio::time::Instant::now());
        let leave = attendance.readiness.leave_deadline();
        let show_at = attendance.show_at();
        let event = match early.next() {
            Some(event) => event,
            None => tokio::select! {
                changed = phase.changed() => {
                    if changed.is_err() || *phase.borrow() == Phase::Over { break } else { continue }
                }
                up = &mut connected, if !attendance.readiness.connected => {
                    attendance.readiness.connected = up.unwrap_or(false);
                    if attendance.readiness.connected { continue } else { return Err(LightError::Failed) }
                }
                () = sleep_until(leave.unwrap_or_else(tokio::time::Instant::now)), if leave.is_some() => {
                    if !attendance.readiness.begin_leaving(tokio::time::Instant::now()) {
                        count(&context.joins.left);
                        break;
                    }
                    bot.run(|bots, id| bots.retire(id));
                    continue
                }
                () = sleep_until(show_at.unwrap_or_else(tokio::time::Instant::now)), if show_at.is_some() => {
                    if let Some(tiles) = attendance.show()? {
                        bot.run(move |bots, id| {
                            bots.receiver(id).into_iter().for_each(|it| it.accounting().wished(&tiles, Time::now()));
                        });
                    }
                    continue
                }
                event = attendance.call.next() => event?,
            },
        };
        match attendance.handle(event, context)? {
            Some(ForMedia::Event(CallEvent::Slots(slots))) => {
                let added: Vec<_> = slots.add.iter().map(slot_stream).collect();
                let changes = attendance.readiness.fill(slots.set);
                bot.run(move |bots, id| {
                    if let Some(receiver) = bots.receiver(id) {
                        receiver.add_streams(&added);
                        receiver.accounting().slots_changed(&changes, Time::now());
                    }
                });
                attendance.call.slots_ready(slots.rev)?;
            }
            Some(ForMedia::Layers(changes)) => bot.run(move |bots, id| bots.layers_changed(id, &changes)),
            Some(ForMedia::Want(tracks)) => bot.run(move |bots, id| {
                tracks.iter().for_each(|(track, active)| bots.set_active(id, *track, active));
            }),
            Some(ForMedia::Event(_)) | None => {}
        }
    }
    attendance.call.leave().await;
    Ok(())
}
