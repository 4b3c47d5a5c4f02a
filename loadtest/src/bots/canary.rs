//! Bots on the `webrtc` crate: an implementation that shares no code with the server, so that it finds what bots built
//! from the server's own parts cannot. They receive everything and, where others send and receive, send audio.

use crate::{
    bots::{
        cast::Part,
        context::{Attendance, ForMedia, Phase, RunContext, count},
        feed::{Feed, Packet},
        frame_receiver::{FrameReceiver, Opening, ReceivedPacket, SlotFrames},
        readiness::Readiness,
        sender::EncodingStreams,
        streams,
    },
    measure::{accounting::ReceiverAccounting, clock::Time, statistics::Statistics},
};
use e2ee_frames::Codec as FrameCodec;
use rtp_wire::seq::{self, SeqNum};
use std::{collections::HashMap, time::Duration};
use tacet_native::{
    call::{Call, CallError, CallEvent},
    media::{Endpoint, IncomingPacket, MediaError, MediaEvent, OutgoingPacket, SendStream},
    webrtc::WebrtcEndpoint,
};
use tacet_proto::media::{Codec, Slot};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{MissedTickBehavior, interval, sleep},
};

/// Interval of retrying held frames and of choosing tracks.
const TICK: Duration = Duration::from_millis(20);
/// SSRCs of what it sends: any that are unique on its transport.
const FIRST_SSRC: u32 = 0x6361_6e00;

/// Why a canary ended early.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The media path failed.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The media path did not come up.
    #[error("the media path of a webrtc bot failed")]
    Failed,
}

/// Counts of a canary: what it received, and failures to send.
#[derive(Debug, Default)]
pub(crate) struct CanaryOutcome {
    pub(crate) statistics: Statistics,
    pub(crate) skipped: u64,
}

/// Stays in the call until the run is over.
pub(crate) async fn attend(
    context: &RunContext,
    part: &Part,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<CanaryOutcome, CanaryError> {
    let since = context.joining_since(Time::now());
    let call = Call::join(&context.room.link, &context.join_options(part, true)).await?;
    let accounting = ReceiverAccounting::new(context.room.log.clone(), context.window.clone());
    let mut receiver = Receiver::new(FrameReceiver::new(accounting, Some(call.keys()), since));
    let mut attendance = Attendance::new(call, Readiness::new(part.needs, true, permit, None), context.screen(part));
    attendance.show()?;
    let (mut feeds, mut own) = (Vec::new(), Vec::new());
    for (n, plan) in streams::plans(&context.scenario, part, context.origin).into_iter().enumerate() {
        let ssrc = FIRST_SSRC + n as u32;
        own.push(SendStream { mid: plan.mid.clone(), codec: plan.codec(), ssrc, rtx: None });
        attendance.add_track(&plan, plan.publish(&[EncodingStreams { ssrc, rtx: None, rid: None }]));
        let mid = plan.mid.clone();
        feeds.push((mid, plan.feed(attendance.call.keys(), context.room.log.clone(), context.window.clone())));
    }
    if own.is_empty() {
        // A session needs an m-line before there are slots.
        own.push(SendStream { mid: "sa".to_owned(), codec: Codec::Opus, ssrc: FIRST_SSRC, rtx: None });
    }

    let mut endpoint: Option<WebrtcEndpoint> = None;
    let mut held: Vec<Slot> = Vec::new();
    let mut phase = context.phase.clone();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if attendance.readiness.became_ready() {
            count(&context.joins.completed);
            let _ = context.ready.send(());
            if context.flows() {
                feeds.iter_mut().for_each(|(_, feed)| feed.start(Time::now()));
            }
        }
        if *phase.borrow() == Phase::Over {
            break;
        }
        let due = feeds.iter().filter_map(|(_, feed)| feed.due_at()).min();
        let until_due = due.unwrap_or_default().since(Time::now());
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
                    // Unless they send since they joined.
                    let idle = feeds.iter_mut().filter(|(_, feed)| feed.due_at().is_none());
                    idle.for_each(|(_, feed)| feed.start(Time::now()));
                }
            }
            () = sleep(until_due), if due.is_some() => {
                if let Some(endpoint) = &mut endpoint {
                    send_due(endpoint, &mut feeds).await?;
                }
            }
            _ = tick.tick() => {
                receiver.tick(Time::now());
                if let Some(tiles) = attendance.show()? {
                    receiver.frames.accounting.wished(&tiles, Time::now());
                }
            }
            event = media => match event {
                Some(MediaEvent::Connected) => attendance.readiness.connected = true,
                Some(MediaEvent::Failed) | None => return Err(CanaryError::Failed),
                Some(MediaEvent::Packet(packet)) => {
                    let wants_key_frame = receiver.packet(&packet);
                    if let Some(endpoint) = endpoint.as_mut().filter(|_| wants_key_frame) {
                        endpoint.request_key_frame(packet.ssrc).await?;
                    }
                }
                Some(MediaEvent::Disconnected | MediaEvent::KeyFrameRequested { .. } | MediaEvent::ReceiverReport { .. }) => {}
            },
            event = attendance.call.next() => match attendance.handle(event?, context)? {
                Some(ForMedia::Event(CallEvent::Transport(remote))) => {
                    let mut started = WebrtcEndpoint::start(attendance.call.welcome(), remote, &own).await?;
                    attendance.call.transport(started.local().clone())?;
                    attendance.publish()?;
                    started.add_slots(&std::mem::take(&mut held)).await?;
                    endpoint = Some(started);
                }
                Some(ForMedia::Event(CallEvent::Slots(slots))) => {
                    receiver.add_slots(&slots.add);
                    match &mut endpoint {
                        Some(endpoint) => endpoint.add_slots(&slots.add).await?,
                        None => held.extend(slots.add),
                    }
                    let changes = attendance.readiness.fill(slots.set);
                    receiver.frames.accounting.slots_changed(&changes, Time::now());
                    attendance.call.slots_ready(slots.rev)?;
                }
                Some(ForMedia::Layers(changes)) => {
                    receiver.frames.accounting.layers_changed(&changes, Time::now(), &mut receiver.statistics);
                }
                _ => {}
            },
        }
    }
    if let Some(endpoint) = endpoint {
        endpoint.close().await;
    }
    attendance.call.leave().await;
    let mut outcome = receiver.finish();
    for (_, feed) in &mut feeds {
        feed.stop();
        outcome.skipped += feed.skipped;
    }
    Ok(outcome)
}

/// Sends the packets of all streams that are due.
async fn send_due(endpoint: &mut WebrtcEndpoint, feeds: &mut [(String, Feed)]) -> Result<(), MediaError> {
    for (mid, feed) in feeds {
        let mut made: Vec<Packet> = Vec::new();
        while feed.due_at().is_some_and(|due| due <= Time::now())
            && feed.make(Time::now(), |packet| made.push(packet)).is_some()
        {
            feed.leaving(Time::now());
            for Packet { sequence, timestamp, marker, level, payload, .. } in made.drain(..) {
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
    /// Highest sequence number, extended by its wraps.
    highest: Option<u64>,
    frames: SlotFrames,
}

/// The receiving half, whose packets come out of the `webrtc` crate in order of arrival, with gaps filled by
/// retransmission.
#[derive(Debug)]
struct Receiver {
    slots: Vec<CanarySlot>,
    by_ssrc: HashMap<u32, usize>,
    frames: FrameReceiver,
    statistics: Statistics,
}

impl Receiver {
    fn new(frames: FrameReceiver) -> Self {
        Self { slots: Vec::new(), by_ssrc: HashMap::new(), frames, statistics: Statistics::default() }
    }

    fn add_slots(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.by_ssrc.insert(slot.ssrc, self.slots.len());
            self.slots.push(CanarySlot { highest: None, frames: SlotFrames::new(streams::frame_codec(slot.codec)) });
        }
    }

    /// Takes a packet; returns whether its stream needs a key frame.
    fn packet(&mut self, packet: &IncomingPacket) -> bool {
        let Some(&index) = self.by_ssrc.get(&packet.ssrc) else { return false };
        let Some(slot) = self.slots.get_mut(index).filter(|_| !packet.payload.is_empty()) else { return false };
        let near = slot.highest.unwrap_or(0x1_0000 + u64::from(packet.sequence));
        let sequence = seq::near(near, SeqNum(packet.sequence));
        slot.highest = Some(near.max(sequence));
        let packet = ReceivedPacket {
            sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            arrived_at: Time::now() - packet.arrived.elapsed(),
            retransmitted: false,
            payload: &packet.payload,
        };
        let opening = self.frames.packet((index, &mut slot.frames), &packet, &mut self.statistics);
        opening == Opening::Failed && slot.frames.codec != FrameCodec::Opus
    }

    fn tick(&mut self, now: Time) {
        self.frames.accounting.tick(now);
        self.frames.retry(now, &mut self.statistics, |_, _| {});
    }

    fn finish(mut self) -> CanaryOutcome {
        self.frames.accounting.finish(&mut self.statistics);
        CanaryOutcome { statistics: self.statistics, skipped: 0 }
    }
}
