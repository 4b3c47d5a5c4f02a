//! Bots on the `webrtc` crate: an implementation that shares no code with the server, so that it finds what bots built
//! from the server's own parts cannot. They receive everything and, where others send and receive, send sound.

use crate::{
    bots::cast::Part,
    bots::context::{Phase, Published, Readiness, RunContext, TrackChoice, count},
    bots::feed::{Feed, Packet},
    bots::frame,
    bots::frame_opener::{FrameAssembler, FrameOpener, Opening},
    bots::packet_identity::{PacketIdentifier, SlotPacket},
    bots::streams,
    measure::accounting::ReceiverAccounting,
    measure::clock::now_ns,
    measure::received_stream::Arrival,
    measure::statistics::Statistics,
};
use e2ee_frames::Codec as FrameCodec;
use rtp_wire::seq::{self, SeqNum};
use std::{collections::HashMap, time::Duration};
use tacet_native::{
    call::{Call, CallError, CallEvent},
    keys::SharedKeys,
    media::{Endpoint, IncomingPacket, MediaError, MediaEvent, OutgoingPacket, SendStream},
    webrtc::WebrtcEndpoint,
};
use tacet_proto::{
    ErrorCode,
    media::{Codec, Slot},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{MissedTickBehavior, interval, sleep},
};

/// How often held frames and open questions are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// SSRCs of what it sends: any that a transport of its own has not.
const FIRST_SSRC: u32 = 0x6361_6e00;

/// Why a canary ended early.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// Its call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Its media path.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Its media path did not come up.
    #[error("the media path of a webrtc bot failed")]
    Failed,
}

/// What a canary has seen and done.
#[derive(Debug, Default)]
pub(crate) struct CanaryOutcome {
    pub(crate) statistics: Statistics,
    pub(crate) skipped: u64,
}

/// Stays until the run is over; gives what it has seen.
pub(crate) async fn attend(
    context: &RunContext,
    part: &Part,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<CanaryOutcome, CanaryError> {
    let since_ns = context.joining_since(now_ns());
    let mut call = Call::join(&context.room.link, &context.join_options(part, true)).await?;
    let mut readiness = Readiness::new(part.needs, true, permit, None);
    let mut receiver =
        Receiver::new(call.keys(), ReceiverAccounting::new(context.room.log.clone(), context.window.clone()), since_ns);
    let (mut feeds, mut own, mut published) = (Vec::new(), Vec::new(), Vec::new());
    for (n, plan) in streams::plans(&context.scenario, part, context.origin).into_iter().enumerate() {
        let ssrc = FIRST_SSRC + n as u32;
        own.push(SendStream { mid: plan.mid.clone(), codec: plan.codec(), ssrc, rtx: None });
        readiness.unkeyed.insert(plan.sealing.stream);
        readiness.unpublished.insert(plan.mid.clone());
        let (stream, track) = (plan.sealing.stream, plan.publish(ssrc, None));
        published.push(Published { stream, track, log: plan.log.clone() });
        let mid = plan.mid.clone();
        feeds.push((mid, plan.feed(call.keys(), context.room.log.clone(), context.window.clone())));
    }
    if own.is_empty() {
        // A session needs a section before there are slots.
        own.push(SendStream { mid: "sa".to_owned(), codec: Codec::Opus, ssrc: FIRST_SSRC, rtx: None });
    }

    let mut endpoint: Option<WebrtcEndpoint> = None;
    let mut held: Vec<Slot> = Vec::new();
    let mut choice = TrackChoice::default();
    let mut phase = context.phase.clone();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if readiness.became_ready() {
            count(&context.joins.completed);
            let _ = context.ready.send(());
            if context.flows() {
                feeds.iter_mut().for_each(|(_, feed)| feed.start(now_ns()));
            }
        }
        if *phase.borrow() == Phase::Over {
            break;
        }
        let due_ns = feeds.iter().filter_map(|(_, feed)| feed.due_at()).min();
        let until_due = Duration::from_nanos(due_ns.unwrap_or_default().saturating_sub(now_ns()));
        let media = async {
            match &mut endpoint {
                Some(endpoint) => endpoint.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = phase.changed() => {
                if changed.is_err() {
                    break;
                }
                if *phase.borrow() == Phase::Measuring {
                    // Where media begins when all have joined.
                    let idle = feeds.iter_mut().filter(|(_, feed)| feed.due_at().is_none());
                    idle.for_each(|(_, feed)| feed.start(now_ns()));
                }
            }
            () = sleep(until_due), if due_ns.is_some() => {
                if let Some(endpoint) = &mut endpoint {
                    send_due(endpoint, &mut feeds).await?;
                }
            }
            _ = look.tick() => {
                receiver.look(now_ns());
                let chosen = choice.decide(&context.room.log, part.number);
                if !chosen.is_empty() {
                    call.subscribe(&chosen)?;
                }
            }
            event = media => match event {
                Some(MediaEvent::Connected) => readiness.connected = true,
                Some(MediaEvent::Failed) | None => return Err(CanaryError::Failed),
                Some(MediaEvent::Packet(packet)) => {
                    let wants_key_frame = receiver.packet(&packet);
                    if let Some(endpoint) = endpoint.as_mut().filter(|_| wants_key_frame) {
                        endpoint.request_key_frame(packet.ssrc).await?;
                    }
                }
                Some(MediaEvent::Disconnected | MediaEvent::KeyFrameRequested { .. } | MediaEvent::ReceiverReport { .. }) => {}
            },
            event = call.next() => match event? {
                CallEvent::Transport(remote) => {
                    let mut started = WebrtcEndpoint::start(call.welcome(), remote, &own).await?;
                    call.transport(started.local().clone())?;
                    for Published { stream, track, .. } in &published {
                        call.publish(*stream, track.clone())?;
                    }
                    started.add_slots(&std::mem::take(&mut held)).await?;
                    endpoint = Some(started);
                }
                CallEvent::Slots(slots) => {
                    receiver.add_slots(&slots.add);
                    match &mut endpoint {
                        Some(endpoint) => endpoint.add_slots(&slots.add).await?,
                        None => held.extend(slots.add),
                    }
                    let changes = readiness.fill(slots.set);
                    changes.iter().filter_map(|(out, _)| *out).for_each(|track| receiver.accounting.vacated(track));
                    let into = changes.iter().filter_map(|(_, into)| *into);
                    into.for_each(|track| receiver.accounting.assigned(track, now_ns()));
                    call.slots_ready(slots.rev)?;
                }
                CallEvent::StreamReady(stream) => {
                    readiness.unkeyed.remove(&stream);
                }
                CallEvent::Published { cid, track } => {
                    context.numbered(&published, &cid, track);
                    readiness.unpublished.remove(&cid);
                }
                CallEvent::Tracks(tracks) if context.chooses() => choice.add(tracks.add),
                CallEvent::KeyInstalled(participant) => readiness.key_installed(participant),
                CallEvent::Refused { error, .. } if error.code != ErrorCode::NoTrack => {
                    return Err(CallError::Refused { code: error.code, detail: error.detail }.into());
                }
                _ => {}
            },
        }
    }
    if let Some(endpoint) = endpoint {
        endpoint.close().await;
    }
    call.leave().await;
    let mut seen = receiver.finish();
    for (_, feed) in &mut feeds {
        feed.stop();
        seen.skipped += feed.skipped;
    }
    Ok(seen)
}

/// Sends what is due of all streams.
async fn send_due(endpoint: &mut WebrtcEndpoint, feeds: &mut [(String, Feed)]) -> Result<(), MediaError> {
    for (mid, feed) in feeds {
        let mut made: Vec<Packet> = Vec::new();
        while feed.due_at().is_some_and(|due| due <= now_ns())
            && feed.make(now_ns(), |packet| made.push(packet)).is_some()
        {
            feed.leaving(now_ns());
            for Packet { sequence, timestamp, marker, level, payload } in made.drain(..) {
                let packet = OutgoingPacket { sequence, timestamp, marker, level, payload: payload.into() };
                endpoint.send(mid, packet).await?;
            }
        }
    }
    Ok(())
}

/// A slot of a canary.
#[derive(Debug)]
struct CanarySlot {
    codec: FrameCodec,
    highest: Option<u64>,
    identity: PacketIdentifier,
    frames: FrameAssembler,
}

/// The receiving half, whose packets come out of the `webrtc` crate in order of arrival, repaired.
#[derive(Debug)]
struct Receiver {
    accounting: ReceiverAccounting,
    opener: FrameOpener,
    slots: Vec<CanarySlot>,
    by_ssrc: HashMap<u32, usize>,
    statistics: Statistics,
    joining_since_ns: Option<u64>,
}

impl Receiver {
    fn new(keys: SharedKeys, accounting: ReceiverAccounting, joining_since_ns: Option<u64>) -> Self {
        Self {
            accounting,
            opener: FrameOpener::new(keys),
            slots: Vec::new(),
            by_ssrc: HashMap::new(),
            statistics: Statistics::default(),
            joining_since_ns,
        }
    }

    fn add_slots(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.by_ssrc.insert(slot.ssrc, self.slots.len());
            let codec = if slot.codec == Codec::Opus { FrameCodec::Opus } else { FrameCodec::Vp8 };
            let (identity, frames) = (PacketIdentifier::default(), FrameAssembler::default());
            self.slots.push(CanarySlot { codec, highest: None, identity, frames });
        }
    }

    /// Books a packet and opens the frame that it completes; gives whether a key frame is needed.
    fn packet(&mut self, packet: &IncomingPacket) -> bool {
        let Some(&at) = self.by_ssrc.get(&packet.ssrc) else { return false };
        let Some(slot) = self.slots.get_mut(at).filter(|_| !packet.payload.is_empty()) else { return false };
        let late_ns = u64::try_from(packet.arrived.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let arrived_ns = now_ns().saturating_sub(late_ns);
        let near = slot.highest.unwrap_or(0x1_0000 + u64::from(packet.sequence));
        let sequence = seq::near(near, SeqNum(packet.sequence));
        slot.highest = Some(near.max(sequence));
        let frame = frame::begins(slot.codec, &packet.payload);
        let slot_packet = SlotPacket {
            sequence,
            timestamp: packet.timestamp,
            frame,
            arrived_ns,
            bytes: packet.payload.len(),
            repair: false,
        };
        let mut own = None;
        self.accounting.packet(&mut slot.identity, slot_packet, &mut self.statistics, |packet, accounted| {
            if packet.sequence == sequence {
                own = Some(accounted);
            }
        });
        if own.is_some_and(|own| own.arrival == Arrival::Duplicate) {
            return false;
        }
        let (number, mut whole) = ((packet.sequence, packet.marker, &packet.payload[..]), Vec::new());
        let Some(accounted) = slot.frames.push(slot.codec, number, (frame.is_some(), own), &mut whole) else {
            return false;
        };
        let book = (&mut self.accounting, &mut self.statistics);
        let opening = self.opener.open((at, slot.codec), accounted, &mut whole, arrived_ns, book);
        if opening == Opening::Opened {
            self.first_media(arrived_ns);
        }
        opening == Opening::Failed && slot_is_video(self.slots.get(at))
    }

    fn look(&mut self, now_ns: u64) {
        self.accounting.tick(now_ns);
        let mut opened = false;
        let book = (&mut self.accounting, &mut self.statistics);
        self.opener.retry(now_ns, book, |_, opening| opened |= opening == Opening::Opened);
        if opened {
            self.first_media(now_ns);
        }
    }

    fn first_media(&mut self, now_ns: u64) {
        if let Some(since_ns) = self.joining_since_ns.take() {
            self.statistics.first_media.record(now_ns.saturating_sub(since_ns) / 1_000_000);
        }
    }

    fn finish(mut self) -> CanaryOutcome {
        self.accounting.finish(&mut self.statistics);
        CanaryOutcome { statistics: self.statistics, skipped: 0 }
    }
}

fn slot_is_video(slot: Option<&CanarySlot>) -> bool {
    slot.is_some_and(|slot| slot.codec != FrameCodec::Opus)
}
