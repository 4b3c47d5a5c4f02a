//! What the downlinks of receivers carry: estimated, reported, and kept to if the room is to adapt.
//!
//! ```text
//!   feedback ──► Downlink ◄── every 20 ms: what follows from silence
//!                  ▲ │ ├─► every second, on change: Event::Downlink
//!   what is wished ┘ │ └─► at once, if less is left than is sent: allocation
//!                    └─► probes: padding on the RTX stream of a slot, every 5 ms as long as one is under way
//! ```

use super::{Room, pacing::Quota, timers::Timer, topology::Topology, wishes::active_steps};
use crate::{
    congestion::{Needs, PROBE_STEP, wire_size},
    egress::Egress,
    event::Event,
    ids::ParticipantId,
    keys::{ParticipantKey, SlotKey, TrackKey},
    publisher::track::Track,
    subscriber::{
        allocation::Demand,
        packet_writer::build_filler,
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
/// Bitrate that is set aside for an audio slot with a track in it: Opus as browsers send it, with all headers.
const AUDIO: Bitrate = Bitrate::from_kbps(40);
/// What headers add to a measured bitrate, in percent.
pub(super) const HEADERS: u64 = 106;

/// The longest padding (RFC 3550 section 5.1): its last byte says how long it is.
const PADDING: [u8; 255] = {
    let mut padding = [0; 255];
    padding[254] = 255;
    padding
};
/// Maximum number of packets that a probe sends in one step.
const MAX_AT_ONCE: u64 = 64;

impl Room {
    /// A receiver has sent feedback.
    pub(super) fn watch_downlinks(&mut self, now: Instant) {
        self.timers.arm(Timer::Estimates, now + TICK);
        self.timers.arm(Timer::Downlinks, now + REPORTED);
    }

    /// Lets time pass for all estimators.
    pub(super) fn tick_estimates(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology, timers, adapts, probing, .. } = self;
        let mut overdrawn = Vec::new();
        for (key, receiver) in &topology.participants {
            let Some(path) = egress.path(receiver.transport) else { continue };
            if path.downlink.on_tick(now) {
                timers.arm(Timer::Estimates, now + TICK);
            }
            if *adapts && path.downlink.begin_probe(now) {
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

    /// Sends what is due of probes.
    pub(super) fn send_probes(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let mut probing = std::mem::take(&mut self.probing);
        probing.retain(|&key| self.send_probe(now, key, egress));
        if !probing.is_empty() {
            self.timers.arm(Timer::Probes, now + PROBE_STEP);
        }
        self.probing = probing;
    }

    /// Returns whether the probe of a receiver goes on.
    fn send_probe<E: Egress + ?Sized>(&mut self, now: Instant, receiver: ParticipantKey, egress: &mut E) -> bool {
        let Some(transport) = self.topology.participants.get(receiver).map(|receiver| receiver.transport) else {
            return false;
        };
        let due = |egress: &mut _| E::path(egress, transport).and_then(|path| path.downlink.probe_due(now));
        let Some(media) = due(egress) else { return false };
        // Media that waits is the best of probes.
        self.send_waiting(now, receiver, Quota::Probe(media), egress);
        let Some(due) = due(egress) else { return false };
        let Self { topology: Topology { participants, slots, .. }, scratch, stats, .. } = self;
        let Some(receiver) = participants.get(receiver) else { return false };
        let carrier = receiver.slots.iter().copied().find(|slot| slots.get(*slot).is_some_and(carries_probes));
        let slot = carrier.and_then(|slot| slots.get_mut(slot)).filter(|_| egress.reaches(receiver.transport, 1));
        let Some((slot, path)) = slot.and_then(|slot| Some((slot, egress.path(receiver.transport)?))) else {
            if let Some(path) = egress.path(receiver.transport) {
                path.downlink.cancel_probe();
            }
            return false;
        };
        let Some(rtx) = &mut slot.rtx else { return false };
        let header = &mut scratch.header;
        build_filler(header, rtx.payload_type, Some(&slot.mid));
        header.set_padding(true);
        let size = wire_size(header.as_bytes().len() + PADDING.len());
        let packets = due.bytes().div_ceil(size.bytes()).min(MAX_AT_ONCE);
        let timestamp = slot.rewriter.last_timestamp();
        let mut numbers = [0; MAX_AT_ONCE as usize];
        let numbers = numbers.get_mut(..usize::try_from(packets).unwrap_or_default()).unwrap_or_default();
        for number in &mut *numbers {
            *number = path.downlink.on_packet(now, size);
        }
        for number in numbers {
            header.set_stream(rtx.ssrc, rtx.take_seq(), timestamp);
            header.set_twcc_seq(*number);
            egress.rtp(receiver.transport, header.as_bytes(), &PADDING);
        }
        stats.probes += packets;
        true
    }

    /// Reports estimates that have changed.
    pub(super) fn report_downlinks(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { participants, slots, tracks, .. }, events, timers, .. } = self;
        for receiver in participants.values() {
            let Some(path) = egress.path(receiver.transport).filter(|path| path.downlink.is_estimated()) else {
                continue;
            };
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
    let (mut wanted, mut audio, mut now, mut step_up) = (0u64, 0u64, 0u64, None::<u64>);
    for slot in keys.iter().filter_map(|key| slots.get(*key)).filter(|slot| slot.active) {
        let Some(track) = slot.track.and_then(|track| tracks.get(track)) else { continue };
        match slot.shown {
            _ if track.is_audio() => {
                audio = audio.saturating_add(AUDIO.bps());
            }
            Shown::Paused => {}
            Shown::At(tile) => {
                let steps = active_steps(track.ladder.steps());
                let current = slot.rewriter.current().and_then(|layer| super::wishes::position(&steps, layer));
                let goal = Demand { steps: &steps, tile, current, may_rise: true }.goal();
                let rate = |step: usize| steps.get(step).map_or(0, |step| step.rate.bps() * HEADERS / 100);
                wanted = wanted.saturating_add(rate(goal));
                now = now.saturating_add(current.map_or(0, rate));
                let higher = (current.map_or(0, |current| current + 1)..=goal).find(|step| rate(*step) > 0);
                if let Some(higher) = higher {
                    let more = rate(higher).saturating_sub(current.map_or(0, rate));
                    step_up = Some(step_up.map_or(more, |least| least.min(more)));
                }
            }
        }
    }
    let next = now.saturating_add(step_up.unwrap_or(0)).saturating_add(audio);
    let [wanted, audio, next] = [wanted.saturating_add(audio), audio, next].map(Bitrate::from_bps);
    Needs { wanted, audio, next }
}

/// Whether a slot has an RTX stream that its receiver knows.
fn carries_probes(slot: &Slot) -> bool {
    slot.is_video() && slot.active && slot.rtx.is_some() && slot.rewriter.current().is_some()
}
