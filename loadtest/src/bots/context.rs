//! Shared by bots of both stacks: the context of the run, and events of their calls that they handle in the same way.

use crate::measure::clock::Time;
use crate::{
    bots::{
        cast::Part,
        engine::Engine,
        readiness::Readiness,
        screen::Screen,
        streams::{Origin, TrackPlan},
    },
    measure::{
        accounting::{LayerChange, Window},
        send_log::{RoomLog, TrackLog},
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
use tacet_proto::{ErrorCode, TrackId, client::Publish, layers::TrackWant};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

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

    /// How to join.
    pub(crate) fn join_options(&self, part: &Part, exchange_keys: bool) -> JoinOptions {
        let subscribe = part.receives();
        JoinOptions { trust: self.trust, subscribe, exchange_keys, ..JoinOptions::new(&part.name()) }
    }

    /// What a bot shows, if it says so to the server.
    pub(crate) fn screen(&self, part: &Part) -> Option<Screen> {
        let tiles = self.scenario.tiles.as_ref().filter(|_| part.receives())?;
        Some(Screen::new(tiles, part.number, Instant::now()))
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
    log: Arc<TrackLog>,
    /// Its id, once the server has given it one.
    id: Option<TrackId>,
}

/// What the media path of a bot has to handle.
#[derive(Debug)]
pub(crate) enum ForMedia {
    /// An event of the call.
    Event(CallEvent),
    /// The layers in slots have changed.
    Layers(Vec<LayerChange>),
    /// Which encodings of own tracks are wanted, by index of the track.
    Want(Vec<(usize, Vec<bool>)>),
}

/// A bot's call, as far as both stacks treat it alike.
#[derive(Debug)]
pub(crate) struct Attendance {
    pub(crate) call: Call,
    pub(crate) readiness: Readiness,
    published: Vec<Published>,
    screen: Option<Screen>,
}

impl Attendance {
    pub(crate) fn new(call: Call, readiness: Readiness, screen: Option<Screen>) -> Self {
        Self { call, readiness, published: Vec::new(), screen }
    }

    /// Adds a track to publish.
    pub(crate) fn add_track(&mut self, plan: &TrackPlan, track: Publish) {
        self.readiness.unkeyed.insert(plan.sealing.stream);
        self.readiness.unpublished.insert(track.cid.clone());
        self.published.push(Published { stream: plan.sealing.stream, track, log: plan.log.clone(), id: None });
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

    /// Handles an event of the call; returns what the media path of the bot has to handle.
    pub(crate) fn handle(&mut self, event: CallEvent, context: &RunContext) -> Result<Option<ForMedia>, CallError> {
        match event {
            CallEvent::StreamReady(stream) => {
                self.readiness.unkeyed.remove(&stream);
            }
            CallEvent::Published { cid, track } => {
                if let Some(own) = self.published.iter_mut().find(|own| own.track.cid == cid) {
                    context.room.log.name_track(track, own.log.clone());
                    own.id = Some(track);
                }
                self.readiness.unpublished.remove(&cid);
            }
            CallEvent::Tracks(tracks) => {
                self.screen.iter_mut().for_each(|screen| screen.tracks_changed(&tracks, Instant::now()));
            }
            CallEvent::Layers(slots) => return Ok(Some(ForMedia::Layers(self.readiness.layers(&slots)))),
            CallEvent::Want(tracks) => {
                let own = |want: TrackWant| {
                    let index = self.published.iter().position(|own| own.id == Some(want.track))?;
                    Some((index, want.active))
                };
                return Ok(Some(ForMedia::Want(tracks.into_iter().filter_map(own).collect())));
            }
            CallEvent::KeyInstalled(participant) => self.readiness.key_installed(participant),
            // A track that was published when it was subscribed to may have ended meanwhile.
            CallEvent::Refused { error, .. } if error.code != ErrorCode::NoTrack => {
                return Err(error.into());
            }
            other => return Ok(Some(ForMedia::Event(other))),
        }
        Ok(None)
    }

    /// When [`Attendance::show`] is due.
    pub(crate) fn show_at(&self) -> Option<Instant> {
        self.screen.as_ref().and_then(Screen::due_at)
    }

    /// Says what the bot shows, if that has changed; returns the heights of all tracks that it shows now.
    pub(crate) fn show(&mut self) -> Result<Option<Vec<(TrackId, u16)>>, CallError> {
        let Some(tiles) = self.screen.as_mut().and_then(|screen| screen.take(Instant::now())) else { return Ok(None) };
        let heights = tiles.iter().map(|tile| (tile.track, tile.height)).collect();
        self.call.layers(tiles)?;
        Ok(Some(heights))
    }
}
