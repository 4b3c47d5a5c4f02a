//! Shared by bots of both stacks: the context of the run, and events of their calls that they handle in the same way.

use crate::measure::clock::Time;
use crate::{
    bots::{
        cast::Part,
        engine::Engine,
        readiness::Readiness,
        streams::{self, Origin, StreamPlan},
    },
    measure::{
        accounting::Window,
        send_log::{RoomLog, StreamLog},
    },
    scenario::{Join, Scenario},
};
use e2ee_frames::StreamId;
use rtc_client::Identity;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tacet_native::{
    call::{Call, CallError, CallEvent, JoinOptions},
    link::RoomLink,
    tls::Trust,
};
use tacet_proto::{ErrorCode, TrackId, client::Publish, media::Track};
use tokio::sync::{mpsc, watch};

/// Phase of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Joining,
    Measuring,
    Over,
}

/// A room of the run.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) link: RoomLink,
    pub(crate) log: Arc<RoomLog>,
}

/// Numbers of bots that have joined and left.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    pub(crate) begun: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) left: AtomicU64,
}

/// Increments a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Context of the run that is passed to each bot.
#[derive(Clone, Debug)]
pub(crate) struct RunContext {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) room: Arc<Room>,
    pub(crate) trust: Trust,
    pub(crate) identity: Arc<Identity>,
    /// Absent for canaries.
    pub(crate) engine: Option<Arc<Engine>>,
    pub(crate) window: Arc<Window>,
    pub(crate) origin: Origin,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) joins: Arc<Joins>,
    /// Receives one message for each bot that has all it needs.
    pub(crate) ready: mpsc::UnboundedSender<()>,
}

impl RunContext {
    /// Whether a bot sends as soon as it is ready, instead of when all have joined.
    pub(crate) fn flows(&self) -> bool {
        self.scenario.join != Join::BeforeMedia
    }

    /// How to join. With simulcast the bot chooses tracks itself; otherwise it is subscribed to all.
    pub(crate) fn join_options(&self, part: &Part, exchange_keys: bool) -> JoinOptions {
        let subscribe = part.receives() && !self.chooses();
        JoinOptions { trust: self.trust, subscribe, exchange_keys, ..JoinOptions::new(&part.name()) }
    }

    /// Whether receivers choose among encodings.
    fn chooses(&self) -> bool {
        self.scenario.video.is_some_and(|video| video.simulcast)
    }

    /// The given time if media flows in the room already: only then can the time to first media be measured.
    pub(crate) fn joining_since(&self, now: Time) -> Option<Time> {
        self.room.log.flows().then_some(now)
    }
}

/// A track that a bot publishes.
#[derive(Debug)]
struct Published {
    stream: StreamId,
    track: Publish,
    log: Arc<StreamLog>,
}

/// A bot's call, as far as both stacks treat it alike.
#[derive(Debug)]
pub(crate) struct Attendance {
    pub(crate) call: Call,
    pub(crate) readiness: Readiness,
    published: Vec<Published>,
    /// Tracks of simulcast publishers that are not in the send log yet.
    undecided: Vec<Track>,
}

impl Attendance {
    pub(crate) fn new(call: Call, readiness: Readiness) -> Self {
        Self { call, readiness, published: Vec::new(), undecided: Vec::new() }
    }

    /// Adds a track to publish.
    pub(crate) fn add_track(&mut self, plan: &StreamPlan, track: Publish) {
        self.readiness.unkeyed.insert(plan.sealing.stream);
        self.readiness.unpublished.insert(track.cid.clone());
        self.published.push(Published { stream: plan.sealing.stream, track, log: plan.log.clone() });
    }

    /// Asks the server to publish the tracks.
    pub(crate) fn publish(&mut self) -> Result<(), CallError> {
        for Published { stream, track, .. } in &self.published {
            self.call.publish(*stream, track.clone())?;
        }
        Ok(())
    }

    pub(crate) fn publishes(&self) -> bool {
        !self.published.is_empty()
    }

    /// Handles an event of the call; returns it if the media path of the bot has to handle it.
    pub(crate) fn handle(
        &mut self,
        event: CallEvent,
        context: &RunContext,
        part: &Part,
    ) -> Result<Option<CallEvent>, CallError> {
        match event {
            CallEvent::StreamReady(stream) => {
                self.readiness.unkeyed.remove(&stream);
            }
            CallEvent::Published { cid, track } => {
                if let Some(own) = self.published.iter().find(|own| own.track.cid == cid) {
                    context.room.log.add_track(track, own.log.clone());
                }
                self.readiness.unpublished.remove(&cid);
            }
            CallEvent::Tracks(tracks) if part.receives() && context.chooses() => self.undecided.extend(tracks.add),
            CallEvent::KeyInstalled(participant) => self.readiness.key_installed(participant),
            // A track that was published when it was subscribed to may have ended meanwhile.
            CallEvent::Refused { error, .. } if error.code != ErrorCode::NoTrack => {
                return Err(error.into());
            }
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// Whether tracks wait for [`Attendance::choose_tracks`].
    pub(crate) fn is_choosing(&self) -> bool {
        !self.undecided.is_empty()
    }

    /// Subscribes to this bot's share of the tracks of simulcast publishers.
    pub(crate) fn choose_tracks(&mut self, room: &RoomLog, part: &Part) -> Result<(), CallError> {
        let mut chosen: Vec<TrackId> = Vec::new();
        self.undecided.retain(|track| {
            let Some(stream) = room.track(track.track) else { return true };
            let takes = |encoding| encoding == streams::takes(part.number, track.participant.0, 3);
            if stream.encoding.is_none_or(takes) {
                chosen.push(track.track);
            }
            false
        });
        if chosen.is_empty() { Ok(()) } else { self.call.subscribe(&chosen) }
    }
}
