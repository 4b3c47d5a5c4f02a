//! What the downlinks of receivers carry: estimated, reported, and kept to if the room is to adapt.
//!
//! ```text
//!   feedback ──► Downlink ◄── every 20 ms: what follows from silence
//!                  ▲ │ ├─► every second, on change: Event::Downlink
//!   what is wished ┘ │ └─► at once, if less is left than is sent: allocation
//!                    └─► probes
//! ```

use super::{Room, timers::Timer, topology::Topology, wishes::active_steps};
use crate::{
    congestion::{Needs, USED},
    egress::Egress,
    event::Event,
    ids::ParticipantId,
    keys::{SlotKey, TrackKey},
    publisher::track::Track,
    subscriber::{
        allocation::{Demand, RAISED_BELOW, Role},
        slot::{Shown, Slot},
    },
    units::Bitrate,
};
use slotmap::SlotMap;
use std::time::{Duration, Instant};

/// How often estimators look at the time.
const TICK: Duration = Duration::from_millis(20);
/// How often what has changed is reported.
const REPORTED: Duration = Duration::from_secs(1);
/// Bitrate of Opus as browsers send it, sealed, with all headers: what is set aside for an audio slot before it was measured, and
/// for all of them together while no one is heard.
const AUDIO: Bitrate = Bitrate::from_kbps(68);
/// What headers add to a measured bitrate, in percent.
pub(super) const HEADERS: u64 = 106;

/// What is wished beyond what the allocation needs, in percent: an estimate of 97 % of the wish counts as enough.
const MARGIN: u64 = 105;

impl Room {
    /// A receiver has sent feedback.
    pub(super) fn watch_downlinks(&mut self, now: Instant) {
        self.timers.arm(Timer::Estimates, now + TICK);
        self.timers.arm(Timer::Downlinks, now + REPORTED);
    }

    /// Lets time pass for all estimators.
    pub(super) fn tick_estimates(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology, timers, adapts, sendable, probing, .. } = self;
        // An overloaded worker could not send more, whatever the downlink carries.
        let probes = *adapts && sendable.is_none();
        let mut overdrawn = Vec::new();
        for (key, receiver) in &topology.participants {
            let Some(path) = egress.path(receiver.transport) else { continue };
            if path.downlink.on_tick(now) {
                timers.arm(Timer::Estimates, now + TICK);
            }
            if probes && path.downlink.begin_probe(now) {
                probing.push(key);
                timers.arm_earlier(Timer::Probes, now);
            }
            if *adapts && path.downlink.is_overdrawn(now) {
                overdrawn.push(key);
            }
        }
        if !overdrawn.is_empty() {
            self.allocate_less(now, &overdrawn, egress);
        }
    }

    /// Reports estimates that have changed.
    pub(super) fn report_downlinks(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { participants, slots, tracks, .. }, events, timers, .. } = self;
        for receiver in participants.values() {
            let Some(path) = egress.path(receiver.transport).filter(|path| path.downlink.is_estimated()) else {
                continue;
            };
            for key in &receiver.slots {
                if let Some(slot) = slots.get_mut(*key).filter(|slot| !slot.is_video()) {
                    slot.rate.look(now, slot.sent);
                }
            }
            timers.arm(Timer::Downlinks, now + REPORTED);
            path.downlink.set_needs(needs(&receiver.slots, slots, tracks));
            if let Some(state) = path.downlink.take_change() {
                events.push_back(Event::Downlink { participant: receiver.id, state });
            }
        }
    }

    /// Informs the estimator of a receiver, whose slots or wishes have changed.
    pub(super) fn update_needs(&self, receiver: ParticipantId, egress: &mut (impl Egress + ?Sized)) {
        let Topology { slots, tracks, .. } = &self.topology;
        let Some(receiver) = self.topology.participant(receiver) else { return };
        if let Some(path) = egress.path(receiver.transport).filter(|path| path.downlink.is_estimated()) {
            path.downlink.set_needs(needs(&receiver.slots, slots, tracks));
        }
    }
}

/// What the slots of a receiver need, if all of them get what they wish, and with the cheapest improvement over what they
/// get now.
fn needs(keys: &[SlotKey], slots: &SlotMap<SlotKey, Slot>, tracks: &SlotMap<TrackKey, Track>) -> Needs {
    let (mut wanted, mut audio, mut has_audio, mut now, mut step_up) = (0u64, 0u64, false, 0u64, None::<u64>);
    for slot in keys.iter().filter_map(|key| slots.get(*key)).filter(|slot| slot.active) {
        let Some(track) = slot.track.and_then(|track| tracks.get(track)) else { continue };
        match slot.shown {
            _ if track.is_audio() => {
                has_audio = true;
                let rate = slot.rate.rate().unwrap_or(AUDIO);
                audio = audio.saturating_add(if track.muted { 0 } else { rate.bps() });
            }
            Shown::Paused => {}
            Shown::At(tile) => {
                let steps = active_steps(track);
                let current = slot.rewriter.current().and_then(|layer| super::wishes::position(&steps, layer));
                let demand = Demand { steps: &steps, tile, role: Role::Other, current, may_rise: true };
                let rate =
                    |step: Option<usize>| step.and_then(|step| steps.get(step)).map_or(0, |step| step.rate.bps());
                wanted = wanted.saturating_add(rate(Some(demand.goal())));
                now = now.saturating_add(rate(current));
                if let Some(improvement) = demand.improvement() {
                    let more = improvement.rate.bps().saturating_sub(rate(current));
                    step_up = Some(step_up.map_or(more, |least| least.min(more)));
                }
            }
        }
    }
    audio = if has_audio && audio == 0 { AUDIO.bps() } else { audio };
    let on_wire = |payload: u64| Bitrate::from_bps((payload * HEADERS / 100).saturating_add(audio));
    // The estimate with which the allocation would add it, and a little more: one that is nearly met is not probed for.
    let to_add =
        |payload: u64| Bitrate::from_bps((payload * HEADERS / USED * 100 / RAISED_BELOW + audio) * MARGIN / 100);
    let (wanted, next) = match step_up {
        Some(more) => (to_add(wanted), to_add(now + more)),
        None => (on_wire(wanted), on_wire(now)),
    };
    Needs { wanted, audio: Bitrate::from_bps(audio), next }
}
