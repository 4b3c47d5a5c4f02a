//! What bots of both stacks have in common: what they know of the run, and how far they are.

use crate::{
    bots::cast::Part,
    bots::engine::Engine,
    bots::streams::{self, Origin},
    measure::accounting::Window,
    measure::send_log::{RoomLog, StreamLog},
    scenario::{Join, Scenario},
};
use e2ee_frames::StreamId;
use rtc_client::Identity;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tacet_native::{call::JoinOptions, link::RoomLink, tls::Trust};
use tacet_proto::{
    ParticipantId, TrackId,
    client::Publish,
    media::{SlotSource, SlotTrack, Track},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::Instant,
};

/// How long a bot that leaves stays on, so that what was sent to it may arrive.
const LINGER: Duration = Duration::from_millis(500);

/// How far the run is.
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

/// Who has joined so far.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    pub(crate) begun: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) left: AtomicU64,
}

/// Counts one more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A stream that a bot publishes.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) stream: StreamId,
    pub(crate) track: Publish,
    pub(crate) log: Arc<StreamLog>,
}

/// What a bot knows of the run.
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
    /// Told once for each bot that has all it needs.
    pub(crate) ready: mpsc::UnboundedSender<()>,
}

impl RunContext {
    /// Whether media begins as soon as somebody may send.
    pub(crate) fn flows(&self) -> bool {
        self.scenario.join != Join::BeforeMedia
    }

    /// How to join: simulcast needs a choice of tracks, all else takes every track.
    pub(crate) fn join_options(&self, part: &Part, exchange_keys: bool) -> JoinOptions {
        let subscribe = part.receives() && !self.chooses();
        JoinOptions { trust: self.trust, subscribe, exchange_keys, ..JoinOptions::new(&part.name()) }
    }

    /// The server has numbered a track of this client's.
    pub(crate) fn numbered(&self, published: &[Published], cid: &str, track: TrackId) {
        if let Some(own) = published.iter().find(|own| own.track.cid == cid) {
            self.room.log.add_track(track, own.log.clone());
        }
    }

    /// Whether receivers choose among encodings.
    pub(crate) fn chooses(&self) -> bool {
        self.scenario.video.is_some_and(|video| video.simulcast)
    }

    /// The time, if media flows in the room already: only then can it be said how long it took to get some.
    pub(crate) fn joining_since(&self, now_ns: u64) -> Option<u64> {
        self.room.log.flows().then_some(now_ns)
    }
}

/// Which tracks of simulcast publishers a receiver asks for.
#[derive(Debug, Default)]
pub(crate) struct TrackChoice {
    /// Tracks whose publisher has not heard of their numbers yet.
    undecided: Vec<Track>,
}

impl TrackChoice {
    /// Tracks that came.
    pub(crate) fn add(&mut self, tracks: Vec<Track>) {
        self.undecided.extend(tracks);
    }

    /// Whether some are undecided.
    pub(crate) fn is_open(&self) -> bool {
        !self.undecided.is_empty()
    }

    /// Tracks to ask for now.
    pub(crate) fn decide(&mut self, room: &RoomLog, receiver: usize) -> Vec<TrackId> {
        let mut chosen = Vec::new();
        self.undecided.retain(|track| {
            let Some(stream) = room.track(track.track) else { return true };
            let takes = |encoding| encoding == streams::takes(receiver, track.participant.0, 3);
            if stream.encoding.is_none_or(takes) {
                chosen.push(track.track);
            }
            false
        });
        chosen
    }
}

/// How far a bot is.
#[derive(Debug)]
pub(crate) struct Readiness {
    pub(crate) connected: bool,
    /// Own streams that have no key yet, or no number.
    pub(crate) unkeyed: HashSet<StreamId>,
    pub(crate) unpublished: HashSet<String>,
    /// What is in which slot.
    slots: HashMap<String, SlotTrack>,
    keys: HashSet<ParticipantId>,
    needs: usize,
    needs_keys: bool,
    permit: Option<OwnedSemaphorePermit>,
    is_ready: bool,
    stay: Option<Duration>,
    /// When it leaves, and when it has left.
    leaves_at: Option<Instant>,
    leaving: bool,
}

impl Readiness {
    /// A bot that needs so many tracks, and the keys of their publishers if it opens frames. `permit` is held until it is
    /// in the call; it leaves `stay` after it is ready and the run is measured.
    pub(crate) fn new(
        needs: usize,
        needs_keys: bool,
        permit: Option<OwnedSemaphorePermit>,
        stay: Option<Duration>,
    ) -> Self {
        Self {
            connected: false,
            unkeyed: HashSet::new(),
            unpublished: HashSet::new(),
            slots: HashMap::new(),
            keys: HashSet::new(),
            needs,
            needs_keys,
            permit,
            is_ready: false,
            stay,
            leaves_at: None,
            leaving: false,
        }
    }

    /// Notes what slots show; gives for each the track that went and the one that came.
    pub(crate) fn fill(&mut self, set: Vec<SlotSource>) -> Vec<(Option<TrackId>, Option<TrackId>)> {
        set.into_iter()
            .map(|SlotSource { mid, source }| {
                let before = match source {
                    Some(source) => self.slots.insert(mid, source),
                    None => self.slots.remove(&mid),
                };
                (before.map(|slot| slot.track), source.map(|slot| slot.track))
            })
            .collect()
    }

    pub(crate) fn key_installed(&mut self, of: ParticipantId) {
        self.keys.insert(of);
    }

    /// Looks how far it is; true once, when it has all it needs.
    pub(crate) fn became_ready(&mut self) -> bool {
        if self.is_ready || !self.connected || !self.unkeyed.is_empty() || !self.unpublished.is_empty() {
            return false;
        }
        // It is in the call: the next one may join.
        self.permit = None;
        let keyed = !self.needs_keys || self.slots.values().all(|slot| self.keys.contains(&slot.participant));
        self.is_ready = self.slots.len() >= self.needs && keyed;
        self.is_ready
    }

    /// Sets the time of its leave, once it is ready and the run is measured.
    pub(crate) fn plan_leave(&mut self, phase: Phase, now: Instant) {
        if let Some(stay) = self.stay.filter(|_| self.is_ready && phase == Phase::Measuring) {
            self.stay = None;
            self.leaves_at = now.checked_add(stay);
        }
    }

    /// When something about its leave is due.
    pub(crate) fn leave_deadline(&self) -> Option<Instant> {
        self.leaves_at
    }

    /// The deadline has come: true the first time, when the bot shall stop sending and counting; false when it is to go.
    pub(crate) fn begin_leaving(&mut self, now: Instant) -> bool {
        self.leaves_at = now.checked_add(LINGER);
        !std::mem::replace(&mut self.leaving, true)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn slot(mid: &str, source: Option<(u32, u32)>) -> SlotSource {
        let source = source.map(|(track, of)| SlotTrack { track: TrackId(track), participant: ParticipantId(of) });
        SlotSource { mid: mid.to_owned(), source }
    }

    #[test]
    fn a_bot_is_ready_with_path_streams_slots_and_keys() {
        let mut readiness = Readiness::new(2, true, None, None);
        readiness.unpublished.insert("s0".to_owned());
        readiness.connected = true;
        assert!(!readiness.became_ready());
        readiness.unpublished.clear();
        assert_eq!(
            readiness.fill(vec![slot("a", Some((1, 7))), slot("b", Some((2, 8)))]),
            [(None, Some(TrackId(1))), (None, Some(TrackId(2)))]
        );
        readiness.key_installed(ParticipantId(7));
        assert!(!readiness.became_ready(), "a key is missing");
        readiness.key_installed(ParticipantId(8));
        assert!(readiness.became_ready() && !readiness.became_ready(), "once");
    }

    #[test]
    fn slots_tell_what_went_and_what_came() {
        let mut readiness = Readiness::new(0, false, None, None);
        readiness.fill(vec![slot("a", Some((1, 7)))]);
        assert_eq!(readiness.fill(vec![slot("a", Some((2, 7)))]), [(Some(TrackId(1)), Some(TrackId(2)))]);
        assert_eq!(readiness.fill(vec![slot("a", None)]), [(Some(TrackId(2)), None)]);
    }

    #[test]
    fn a_stay_begins_when_it_is_measured_and_ends_with_a_while_of_lingering() {
        let (now, stay) = (Instant::now(), Duration::from_secs(5));
        let mut readiness = Readiness::new(0, false, None, Some(stay));
        readiness.connected = true;
        readiness.plan_leave(Phase::Measuring, now);
        assert_eq!(readiness.leave_deadline(), None, "not ready");
        assert!(readiness.became_ready());
        readiness.plan_leave(Phase::Joining, now);
        assert_eq!(readiness.leave_deadline(), None);
        readiness.plan_leave(Phase::Measuring, now);
        assert_eq!(readiness.leave_deadline(), Some(now + stay));
        assert!(readiness.begin_leaving(now + stay));
        assert_eq!(readiness.leave_deadline(), Some(now + stay + LINGER));
        assert!(!readiness.begin_leaving(now + stay + LINGER));
    }
}
