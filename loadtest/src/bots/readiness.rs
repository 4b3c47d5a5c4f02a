//! When a bot has all it needs to be counted as joined, and when it leaves.

use crate::{
    bots::context::Phase,
    measure::accounting::{LayerChange, SlotChange},
};
use e2ee_frames::StreamId;
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use tacet_proto::{
    ParticipantId,
    layers::SlotLayer,
    media::{SlotContent, SlotSource},
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// How long a leaving bot stays on, so that packets already sent to it can arrive.
const LINGER: Duration = Duration::from_millis(500);

/// How far a bot is on its way into the call, and out of it.
#[derive(Debug)]
pub(crate) struct Readiness {
    pub(crate) connected: bool,
    /// Own streams that have no key yet.
    pub(crate) unkeyed: HashSet<StreamId>,
    /// Own tracks that the server has not confirmed yet, by the client's id.
    pub(crate) unpublished: HashSet<String>,
    /// What is in each slot, by MID.
    slots: HashMap<String, SlotContent>,
    keys: HashSet<ParticipantId>,
    needs: usize,
    needs_keys: bool,
    permit: Option<OwnedSemaphorePermit>,
    is_ready: bool,
    stay: Option<Duration>,
    /// When it stops counting, then when it leaves the call.
    leaves_at: Option<Instant>,
    leaving: bool,
}

impl Readiness {
    /// A bot that needs this number of tracks in slots, and the keys of their publishers if it opens frames. `permit` is
    /// held until it is in the call; it leaves `stay` after it is ready and the run is measured.
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

    /// Records what is in slots, and returns which tracks have changed.
    pub(crate) fn fill(&mut self, set: Vec<SlotSource>) -> Vec<SlotChange> {
        set.into_iter()
            .map(|SlotSource { mid, source }| {
                let before = match source {
                    Some(source) => self.slots.insert(mid, source),
                    None => self.slots.remove(&mid),
                };
                let track = |content: Option<SlotContent>| content.and_then(SlotContent::track).map(|slot| slot.track);
                SlotChange { out: track(before), into: track(source) }
            })
            .filter(|change| change.out != change.into)
            .collect()
    }

    /// The layers that slots show of their tracks.
    pub(crate) fn layers(&self, slots: &[SlotLayer]) -> Vec<LayerChange> {
        let change = |slot: &SlotLayer| {
            let track = self.slots.get(&slot.mid)?.track()?.track;
            // A server that does not know the temporal layer drops none.
            let shown = slot.height.map(|height| (height, slot.temporal.unwrap_or(u8::MAX)));
            Some(LayerChange { track, shown, reason: slot.reason })
        };
        slots.iter().filter_map(change).collect()
    }

    pub(crate) fn key_installed(&mut self, of: ParticipantId) {
        self.keys.insert(of);
    }

    /// Returns true once, when the bot has all it needs.
    pub(crate) fn became_ready(&mut self) -> bool {
        if self.is_ready || !self.connected || !self.unkeyed.is_empty() || !self.unpublished.is_empty() {
            return false;
        }
        // It is in the call: the next one may join.
        self.permit = None;
        let has_key = |slot: &SlotContent| slot.track().is_none_or(|slot| self.keys.contains(&slot.participant));
        let keyed = !self.needs_keys || self.slots.values().all(has_key);
        self.is_ready = self.slots.len() >= self.needs && keyed;
        self.is_ready
    }

    /// Sets the time of leaving, once the bot is ready and the run is measured.
    pub(crate) fn plan_leave(&mut self, phase: Phase, now: Instant) {
        if let Some(stay) = self.stay.filter(|_| self.is_ready && phase == Phase::Measuring) {
            self.stay = None;
            self.leaves_at = now.checked_add(stay);
        }
    }

    /// When the next step of leaving is due.
    pub(crate) fn leave_deadline(&self) -> Option<Instant> {
        self.leaves_at
    }

    /// Takes the next step of leaving: true at first, when the bot must stop sending and counting; then false, when it
    /// must leave the call.
    pub(crate) fn begin_leaving(&mut self, now: Instant) -> bool {
        self.leaves_at = now.checked_add(LINGER);
        !std::mem::replace(&mut self.leaving, true)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::{TrackId, media::SlotTrack};

    fn slot(mid: &str, source: Option<(u32, u32)>) -> SlotSource {
        let source = source
            .map(|(track, of)| SlotContent::Track(SlotTrack { track: TrackId(track), participant: ParticipantId(of) }));
        SlotSource { mid: mid.to_owned(), source }
    }

    fn change(out: Option<u32>, into: Option<u32>) -> SlotChange {
        SlotChange { out: out.map(TrackId), into: into.map(TrackId) }
    }

    #[test]
    fn ready_with_path_tracks_slots_and_keys() {
        let mut readiness = Readiness::new(2, true, None, None);
        readiness.unpublished.insert("s0".to_owned());
        readiness.connected = true;
        assert!(!readiness.became_ready());
        readiness.unpublished.clear();
        assert_eq!(
            readiness.fill(vec![slot("a", Some((1, 7))), slot("b", Some((2, 8)))]),
            [change(None, Some(1)), change(None, Some(2))]
        );
        readiness.key_installed(ParticipantId(7));
        assert!(!readiness.became_ready(), "a key is missing");
        readiness.key_installed(ParticipantId(8));
        assert!(readiness.became_ready() && !readiness.became_ready(), "once");
    }

    #[test]
    fn fill_returns_changes() {
        let mut readiness = Readiness::new(0, false, None, None);
        readiness.fill(vec![slot("a", Some((1, 7)))]);
        assert_eq!(readiness.fill(vec![slot("a", Some((2, 7)))]), [change(Some(1), Some(2))]);
        assert_eq!(readiness.fill(vec![slot("a", None)]), [change(Some(2), None)]);
    }

    /// A stay begins when the run is measured and ends with [`LINGER`].
    #[test]
    fn stay_begins_in_measured_time() {
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
