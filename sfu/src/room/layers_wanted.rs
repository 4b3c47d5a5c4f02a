//! Informs publishers which layers their receivers want ([`Event::LayersWanted`]), so that they can stop the others.

use super::{Room, timers::Timer, topology::Topology};
use crate::{
    event::Event,
    keys::{EncodingKey, SlotKey},
    publisher::{demand::Wanted, encoding::Encoding, track::Track},
    subscriber::slot::Slot,
};
use slotmap::SlotMap;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How often the wishes of all slots are summed up. Wishes for more do not wait for it.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// What a slot wants of a track that it does not show: that the video is there when it does.
const LOWEST: Wanted = Wanted { encodings: 1, height: 0 };

impl Room {
    /// A track was put into a slot. How large it is shown there may be known only a moment later.
    pub(super) fn demand_lowest(&mut self, slot: SlotKey) {
        self.raise_demand(slot, |_, _, _| LOWEST);
    }

    /// A slot shows its track at another height.
    pub(super) fn demand_height(&mut self, slot: SlotKey) {
        self.raise_demand(slot, wanted);
    }

    /// Looks at what all slots want of each track.
    pub(super) fn update_demand(&mut self, now: Instant) {
        let Self { topology: Topology { tracks, encodings, slots, .. }, events, timers, .. } = self;
        for track in tracks.values_mut().filter(|track| has_layers(track, encodings)) {
            timers.arm(Timer::LayersWanted, now + INTERVAL);
            let slots = track.subscribers.slots().filter_map(|slot| slots.get(slot));
            let all = slots.map(|slot| wanted(track, encodings, slot)).fold(Wanted::default(), Wanted::or);
            if let Some(wanted) = track.demand.update(now, all) {
                inform(events, track, wanted);
            }
        }
    }

    /// Informs the publisher of the track in a slot if the slot wants more than the publisher was to send.
    fn raise_demand(
        &mut self,
        slot: SlotKey,
        wanted: impl Fn(&Track, &SlotMap<EncodingKey, Encoding>, &Slot) -> Wanted,
    ) {
        let Self { topology: Topology { tracks, encodings, slots, .. }, events, .. } = self;
        let Some(slot) = slots.get(slot) else { return };
        let Some(track) = slot.track.and_then(|track| tracks.get_mut(track)) else { return };
        if has_layers(track, encodings)
            && let Some(wanted) = track.demand.raise(wanted(track, encodings, slot))
        {
            inform(events, track, wanted);
        }
    }
}

fn inform(events: &mut VecDeque<Event>, track: &Track, wanted: Wanted) {
    let active = (0..track.encodings.len()).map(|position| position < wanted.encodings).collect();
    let (participant, track, height) = (track.owner, track.id, wanted.height);
    events.push_back(Event::LayersWanted { participant, track, active, height });
}

/// Whether a publisher has anything to stop.
pub(super) fn has_layers(track: &Track, encodings: &SlotMap<EncodingKey, Encoding>) -> bool {
    track.encodings.len() > 1
        || track.ladder.steps().last().is_some_and(|step| {
            encodings.get(step.encoding).is_some_and(|encoding| encoding.layers.spatial_of(step.target) > 0)
        })
}

/// What a slot wants: the lowest encoding that has as many lines as are shown.
fn wanted(track: &Track, encodings: &SlotMap<EncodingKey, Encoding>, slot: &Slot) -> Wanted {
    let Some(height) = slot.wanted_height() else { return LOWEST };
    let suffices = |key: &EncodingKey| {
        let steps = track.ladder.steps().iter().filter(|step| step.encoding == *key);
        let lines = steps.filter_map(|step| step.height).max();
        lines.or_else(|| encodings.get(*key)?.height).is_some_and(|lines| lines >= height)
    };
    let count = track.encodings.iter().position(suffices).map_or(track.encodings.len(), |position| position + 1);
    Wanted { encodings: count, height }
}
