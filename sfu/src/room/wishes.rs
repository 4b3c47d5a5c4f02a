//! Which layer each slot gets: from what its receiver wishes, what publishers send, and the receiver's bitrate.
//!
//! ```text
//!   SetWishes ───────────────► Slot::shown ─┐
//!   ladders (timer) ───────────────────────┼─► allocate ─► Rewriter::want ─► … a frame at which it can change ─► Event::Layer
//!   what is set, what a downlink carries,  │                     └─► a key frame is requested, if only that helps
//!   what an overloaded worker can send ────┘
//! ```
//! A layer changes only in the slot's stream, at a packet that permits it. Events report what is forwarded, not what is wanted.

use super::{
    Room,
    allocation_pass::{Pass, SLOTS_OF_A_PART},
    downlinks::HEADERS,
    timers::Timer,
    topology::Topology,
};
use crate::{
    command::{CommandError, Wish},
    congestion::VideoBudget,
    egress::Egress,
    event::{Event, LayerReason},
    ids::ParticipantId,
    keys::{EncodingKey, ParticipantKey, SlotKey, TrackKey, TransportKey},
    publisher::{encoding::Encoding, key_frame_requests::Cause, ladder::Step, track::Track},
    subscriber::{
        allocation::{Demand, Limits, Occasion, Role, Sendable, Share, TOLERATED, Tile, allocate, is_as_wished},
        segment::{Layer, bit},
        select::{Wanted, contained_in},
        slot::{ReportedLayer, Shown, Slot},
    },
    units::Bitrate,
};
use slotmap::{SecondaryMap, SlotMap};
use std::time::{Duration, Instant};

/// How often layers are allocated again, as rates change. Layers that appear or end do not wait for it.
const INTERVAL: Duration = Duration::from_secs(1);

/// The steps of each track that its publisher sends now, lowest first.
type Active = SecondaryMap<TrackKey, Vec<Step>>;

impl Room {
    /// Sets how a receiver shows some of its slots of video. The others keep their wishes, and audio has none.
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `NoSlot`; nothing has changed then.
    pub fn set_wishes(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        wishes: &[Wish],
        egress: &mut (impl Egress + ?Sized),
    ) -> Result<(), CommandError> {
        let slots = wishes.iter().map(|wish| self.topology.slot_key(participant, wish.mid));
        let slots = slots.collect::<Result<Vec<_>, _>>()?;
        for (&key, wish) in slots.iter().zip(wishes) {
            let Some(slot) = self.topology.slots.get_mut(key).filter(|slot| slot.is_video()) else { continue };
            let tile = Tile { height: wish.height, pinned: wish.pinned };
            slot.shown = if wish.paused { Shown::Paused } else { Shown::At(tile) };
        }
        self.allocate_to(now, participant, egress);
        slots.into_iter().for_each(|slot| self.demand_height(slot));
        Ok(())
    }

    /// Sends this bitrate of video to each receiver at most, from now on, because the worker is overloaded, or is no longer.
    pub(crate) fn limit_video(
        &mut self,
        now: Instant,
        sendable: Option<Sendable>,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let could_pause = self.can_pause();
        self.sendable = sendable;
        self.allocation.restart(could_pause);
        self.allocate_to_all(now, egress);
    }

    /// Number of slots to which nothing is sent because the worker is overloaded.
    pub(crate) fn paused_by_overload(&self) -> usize {
        let is_paused = |slot: &&Slot| slot.is_withheld() && slot.reason == LayerReason::Server;
        self.topology.slots.values().filter(is_paused).count()
    }

    /// Number of slots that get a better layer than the lowest one.
    pub(crate) fn better_than_lowest(&self) -> usize {
        let Topology { slots, tracks, .. } = &self.topology;
        let is_better = |slot: &&Slot| {
            let steps = slot.track.and_then(|track| tracks.get(track)).map_or(&[][..], |track| track.ladder.steps());
            let wanted = slot.rewriter.wanted().filter(|_| slot.is_video() && slot.active);
            let step = wanted.and_then(|wanted| position(steps, wanted.layer));
            let lowest = steps.iter().position(|step| step.active);
            lowest.is_some_and(|lowest| step > Some(lowest))
        };
        slots.values().filter(is_better).count()
    }

    /// Whether a video may get nothing for want of bitrate.
    fn can_pause(&self) -> bool {
        self.adapts || self.sendable.is_some_and(|sendable| sendable.pauses)
    }

    /// Chooses the layers of one receiver, whose slots or wishes have changed.
    pub(super) fn allocate_to(&mut self, now: Instant, id: ParticipantId, egress: &mut (impl Egress + ?Sized)) {
        let Topology { slots, tracks, .. } = &self.topology;
        let Some(receiver) = self.topology.participant(id) else { return };
        let of_receiver = receiver.slots.iter().filter_map(|slot| slots.get(*slot)?.track);
        let active = of_receiver.filter_map(|key| Some((key, active_steps(tracks.get(key)?)))).collect();
        let (transport, keys) = (receiver.transport, receiver.slots.clone());
        self.allocate_among(now, transport, &keys, &active, Occasion::Wishes, egress);
        self.update_needs(id, egress);
    }

    /// Chooses the layers of all receivers, after ladders or rates have changed: of some now, and of the others soon. Tracks with
    /// a single layer take part, if they are paused or may have to be.
    pub(super) fn allocate_to_all(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let with_single = self.allocation.could_pause || self.can_pause();
        let Self { topology: Topology { participants, tracks, .. }, allocation, timers, .. } = self;
        let takes_part = tracks.iter().filter(|(_, track)| takes_part(track, with_single));
        let active: Active = takes_part.map(|(key, track)| (key, active_steps(track))).collect();
        if active.is_empty() {
            *allocation = Pass::default();
            return;
        }
        let receivers = allocation.next_part(participants);
        if allocation.is_done() {
            timers.arm(Timer::Allocation, now + INTERVAL);
        } else {
            timers.arm_earlier(Timer::Allocation, now);
        }
        for (transport, slots) in receivers {
            self.allocate_among(now, transport, &slots, &active, Occasion::Rates, egress);
        }
    }

    /// Chooses the layers of receivers whose downlinks no longer carry what is sent, as far as a part of an allocation goes: the
    /// others still will be among those of the next tick.
    pub(super) fn allocate_less(
        &mut self,
        now: Instant,
        receivers: &[ParticipantKey],
        egress: &mut (impl Egress + ?Sized),
    ) {
        let Topology { participants, slots, tracks, .. } = &self.topology;
        let (mut overdrawn, mut size) = (Vec::new(), 0);
        for receiver in receivers.iter().filter_map(|key| participants.get(*key)) {
            if size >= SLOTS_OF_A_PART {
                break;
            }
            size += receiver.slots.len();
            let tracks_of = receiver.slots.iter().filter_map(|slot| slots.get(*slot)?.track);
            let tracks_of = tracks_of.filter_map(|key| Some((key, tracks.get(key)?)));
            let takes_part = tracks_of.filter(|(_, track)| takes_part(track, self.can_pause()));
            let active: Active = takes_part.map(|(key, track)| (key, active_steps(track))).collect();
            overdrawn.push((receiver.transport, receiver.slots.clone(), active));
        }
        for (transport, slots, active) in overdrawn {
            self.allocate_among(now, transport, &slots, &active, Occasion::Rates, egress);
        }
    }

    /// Chooses the layers of the slots of one receiver.
    fn allocate_among(
        &mut self,
        now: Instant,
        receiver: TransportKey,
        keys: &[SlotKey],
        active: &Active,
        occasion: Occasion,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let limits = self.limits(now, receiver, egress);
        let (choices, sum) = self.choices(now, keys, active, occasion, limits);
        if let Some(path) = egress.path(receiver).filter(|_| self.adapts) {
            path.downlink.set_needed(Bitrate::from_bps(sum.bps() / TOLERATED * HEADERS));
        }
        // A step up before anything is known of the path is no mistake if it has to be undone.
        let tested = limits.measured.map(|_| sum).or_else(|| (!self.adapts).then_some(sum));
        for (slot, choice) in choices {
            self.choose(now, slot, (choice, tested), occasion, egress);
        }
        if let Some(budget) = limits.measured {
            for key in keys {
                self.topology.slots.get_mut(*key).into_iter().for_each(|slot| slot.steadiness.on_budget(budget));
            }
        }
    }

    /// The bitrate of payloads that video to one receiver may have.
    fn limits(&self, now: Instant, receiver: TransportKey, egress: &mut (impl Egress + ?Sized)) -> Limits {
        let path = egress.path(receiver).filter(|_| self.adapts);
        let payloads = |rate: Bitrate| Bitrate::from_bps(rate.bps() / HEADERS * 100);
        let measured = path.and_then(|path| path.downlink.video_budget(now));
        let measured = measured.map(|VideoBudget { now, steady, drained }| VideoBudget {
            now: payloads(now),
            steady: payloads(steady),
            drained: payloads(drained),
        });
        Limits { set: self.video_rate, measured, sendable: self.sendable }
    }

    /// The choices, and the bitrate that they have together.
    fn choices(
        &self,
        now: Instant,
        keys: &[SlotKey],
        active: &Active,
        occasion: Occasion,
        limits: Limits,
    ) -> (Vec<(SlotKey, Choice)>, Bitrate) {
        let (mut choices, mut sharing, mut demands) = (Vec::new(), Vec::new(), Vec::new());
        for &key in keys {
            let Some(slot) = self.topology.slots.get(key).filter(|slot| slot.is_video()) else { continue };
            let Some(steps) = slot.track.and_then(|track| active.get(track)) else { continue };
            match slot.shown {
                Shown::Paused => choices.push((key, Choice::Pause)),
                Shown::At(_) if steps.is_empty() => choices.push((key, Choice::Await)),
                Shown::At(tile) => {
                    let Some(track) = slot.track.and_then(|track| self.topology.tracks.get(track)) else { continue };
                    let wanted = slot.rewriter.wanted().map(|wanted| wanted.layer);
                    let current = wanted.map(|layer| nearest(steps, layer, track.ladder.steps()));
                    let may_rise = slot.steadiness.may_rise(now);
                    demands.push(Demand { steps, tile, role: self.role(track), current, may_rise });
                    sharing.push((key, slot));
                }
            }
        }
        let shares = allocate(&demands, limits, occasion);
        let costs = demands.iter().zip(&shares).map(|(demand, share)| demand.cost(share.step));
        let sum = costs.fold(0, u64::saturating_add);
        let mut room = limits.measured.map_or(0, |budget| budget.drained.bps()).saturating_sub(sum);
        for ((key, slot), (demand, share)) in sharing.into_iter().zip(demands.iter().zip(shares)) {
            let Some(&step) = demand.steps.get(share.step.unwrap_or_default()) else { continue };
            let choice = match share.step {
                None => {
                    let reason = limits.reason(None);
                    let left = room.checked_sub(demand.cost(Some(0))).filter(|_| slot.rewriter.wanted().is_some());
                    room = left.unwrap_or(room);
                    Choice::Cut(step, reason, left.is_some() && reason == LayerReason::Network)
                }
                Some(_) => Choice::Show(step, self.reason(slot, demand.tile, step, share, limits)),
            };
            choices.push((key, choice));
        }
        (choices, Bitrate::from_bps(sum))
    }

    /// What a track shows.
    fn role(&self, track: &Track) -> Role {
        match track.is_screen {
            true => Role::Screen,
            false if self.active_speakers.featured() == Some(track.owner) => Role::Speaker,
            false => Role::Other,
        }
    }

    /// Why a slot gets a step.
    fn reason(&self, slot: &Slot, tile: Tile, step: Step, share: Share, limits: Limits) -> LayerReason {
        let ladder = slot.track.and_then(|track| self.topology.tracks.get(track)).map(|track| track.ladder.steps());
        match (share.is_cut, is_as_wished(&step, tile, ladder.unwrap_or_default())) {
            (true, _) => limits.reason(share.step),
            (false, true) => LayerReason::Wish,
            (false, false) => LayerReason::Sender,
        }
    }

    /// Applies a choice, with which all video of the receiver has the bitrate `sum` within a limit that is known, and requests the
    /// key frame that it needs.
    fn choose(
        &mut self,
        now: Instant,
        key: SlotKey,
        (choice, sum): (Choice, Option<Bitrate>),
        occasion: Occasion,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let Topology { slots, tracks, encodings, .. } = &mut self.topology;
        let Some(slot) = slots.get_mut(key) else { return };
        let Some((track_key, track)) = slot.track.and_then(|key| Some((key, tracks.get_mut(key)?))) else { return };
        let before = slot.rewriter.wanted().map(|wanted| wanted.layer);
        let choice = match choice {
            // What is sent goes on for a while: it may fit again soon.
            Choice::Cut(lowest, reason, true) if !slot.steadiness.on_unfit(now) => Choice::Show(lowest, reason),
            Choice::Show(..) => {
                slot.steadiness.on_fit();
                choice
            }
            Choice::Cut(..) | Choice::Pause | Choice::Await => choice,
        };
        let mut falls = false;
        match choice {
            Choice::Pause => {
                slot.reason = LayerReason::Pause;
                slot.rewriter.want(None);
            }
            Choice::Cut(_, reason, _) => {
                if before.is_some() && is_steadied(reason) {
                    slot.steadiness.on_down(now);
                }
                slot.reason = reason;
                slot.rewriter.want(None);
            }
            Choice::Await if before.is_some() => {}
            Choice::Await => {
                let Some(&lowest) = track.encodings.first() else { return };
                slot.begin_track(track_key, lowest);
            }
            Choice::Show(step, reason) => {
                let was_cut = slot.is_withheld();
                slot.reason = reason;
                let steps = track.ladder.steps();
                let places = (before.and_then(|layer| position(steps, layer)), position(steps, layer_of(&step)));
                let rises = match places {
                    (Some(before), Some(after)) => after > before,
                    (None, Some(_)) => was_cut,
                    _ => false,
                };
                falls = matches!(places, (Some(before), Some(after)) if after < before);
                if falls && is_steadied(reason) {
                    slot.steadiness.on_down(now);
                }
                if let Some(sum) = sum.filter(|_| rises) {
                    slot.steadiness.on_up(now, sum);
                }
                let meanwhile = meanwhile(slot, layer_of(&step), track.ladder.steps(), encodings);
                slot.rewriter.want(Some(Wanted { layer: layer_of(&step), meanwhile }));
            }
        }
        let wanted = slot.rewriter.wanted().map(|wanted| wanted.layer);
        let waits = occasion == Occasion::Rates && wanted == before && slot.rewriter.is_pending();
        let encoding = wanted.filter(|_| waits).and_then(|wanted| encodings.get(wanted.encoding));
        let has_waited = encoding.is_some_and(|encoding| track.key_frames.seems_lost(now, encoding.position));
        let cause = match slot.rewriter.current() {
            // What has waited for so long finds no other frame: some encoders mark no frames to go up in frame rate at.
            Some(_) if has_waited => Some(Cause::Switch),
            Some(current) if wanted != before && needs_key_frame(current, wanted, encodings) => {
                Some(if falls { Cause::StepDown } else { Cause::Switch })
            }
            None if before.is_none() && wanted.is_some() => Some(Cause::Joiner),
            _ => None,
        };
        if wanted != before {
            self.topology.retarget(key);
        }
        if let Some(cause) = cause {
            self.request_key_frame(now, key, cause, egress);
        }
        self.report_layer(key);
    }

    /// Reports the layer that is forwarded into a slot, if it is another than was reported. What has one layer only is
    /// reported only if it was paused.
    pub(super) fn report_layer(&mut self, key: SlotKey) {
        let Self { topology: Topology { participants, slots, tracks, encodings, .. }, events, .. } = self;
        let Some(slot) = slots.get_mut(key).filter(|slot| slot.is_video()) else { return };
        let Some(track) = slot.track.and_then(|track| tracks.get(track)) else { return };
        let layer = match (slot.shown, slot.rewriter.current()) {
            (Shown::Paused, _) => ReportedLayer { height: None, temporal: None, reason: LayerReason::Pause },
            (Shown::At(_), Some(current)) if !slot.rewriter.is_pending() => {
                let steps = track.ladder.steps();
                let Some(step) = steps.iter().find(|step| is_layer(step, current)) else { return };
                if steps.len() == 1 && slot.reported.is_none() {
                    return;
                }
                let has_descriptor =
                    encodings.get(current.encoding).is_some_and(|one| one.layers.structure().is_some());
                let temporal = has_descriptor.then_some(step.temporal);
                ReportedLayer { height: Some(step.height.unwrap_or(0)), temporal, reason: slot.reason }
            }
            (Shown::At(_), _) if slot.is_withheld() => {
                ReportedLayer { height: None, temporal: None, reason: slot.reason }
            }
            (Shown::At(_), _) => return,
        };
        if slot.reported.replace(layer) != Some(layer)
            && let Some(receiver) = participants.get(slot.participant)
        {
            let ReportedLayer { height, temporal, reason } = layer;
            events.push_back(Event::Layer { participant: receiver.id, mid: slot.mid, height, temporal, reason });
        }
    }
}

/// What a slot is to do.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Pause,
    /// Not even this step, the lowest one, fits what the downlink carries, or the worker can send. Whether it would fit once a
    /// queue has drained.
    Cut(Step, LayerReason, bool),
    /// The publisher sends nothing yet: the lowest encoding, once it begins.
    Await,
    Show(Step, LayerReason),
}

/// The steps that a publisher sends now. Those of a muted track cost nothing, whatever was measured before.
pub(super) fn active_steps(track: &Track) -> Vec<Step> {
    let steps = track.ladder.steps().iter().filter(|step| step.active);
    let cost = |rate: Bitrate| if track.muted { Bitrate::ZERO } else { rate };
    let costs = |step: &Step| Step { rate: cost(step.rate), sustained: cost(step.sustained), ..*step };
    steps.map(costs).collect()
}

/// Whether the layers of a track are chosen again as rates change; `with_single`, if it has only one.
fn takes_part(track: &Track, with_single: bool) -> bool {
    let steps = track.ladder.steps();
    steps.len() > 1 || with_single && !steps.is_empty()
}

/// Whether a step down makes the slot's next step up wait. What an overloaded worker can send is steady by itself.
fn is_steadied(reason: LayerReason) -> bool {
    matches!(reason, LayerReason::Bandwidth | LayerReason::Network)
}

fn layer_of(step: &Step) -> Layer {
    Layer { encoding: step.encoding, target: step.target }
}

fn is_layer(step: &Step, layer: Layer) -> bool {
    layer_of(step) == layer
}

/// The position of a layer among steps.
pub(super) fn position(steps: &[Step], layer: Layer) -> Option<usize> {
    if layer.target == Wanted::HIGHEST {
        return steps.iter().rposition(|step| step.encoding == layer.encoding);
    }
    steps.iter().position(|step| is_layer(step, layer))
}

/// The position of a layer among the steps that are sent, or of the next lower one if it has ended. `all` are the track's.
fn nearest(sent: &[Step], layer: Layer, all: &[Step]) -> usize {
    let place = |step: &Step| all.iter().position(|other| is_layer(other, layer_of(step)));
    let place_of_layer = position(all, layer);
    position(sent, layer).or_else(|| sent.iter().rposition(|step| place(step) <= place_of_layer)).unwrap_or(0)
}

/// The target to show until a step down is possible: the one of the same resolution with the lowest frame rate.
fn meanwhile(slot: &Slot, wanted: Layer, steps: &[Step], encodings: &SlotMap<EncodingKey, Encoding>) -> Option<u8> {
    let current = slot.rewriter.current()?;
    let structure = encodings.get(current.encoding)?.layers.structure()?;
    if position(steps, wanted)? >= position(steps, current)? || !needs_key_frame(current, Some(wanted), encodings) {
        return None;
    }
    let contained = contained_in(current.target, Some(structure));
    let spatial = structure.spatial_of(current.target);
    let targets = (0..structure.targets()).filter(|&target| contained & bit(target) != 0);
    targets
        .filter(|&target| structure.spatial_of(target) == spatial)
        .min_by_key(|&target| structure.temporal_of(target))
}

/// Whether a receiver of one layer can follow to the other only with a key frame.
fn needs_key_frame(current: Layer, wanted: Option<Layer>, encodings: &SlotMap<EncodingKey, Encoding>) -> bool {
    let Some(wanted) = wanted.filter(|wanted| *wanted != current) else { return false };
    let structure = encodings.get(current.encoding).and_then(|encoding| encoding.layers.structure());
    let Some(structure) = structure.filter(|_| wanted.encoding == current.encoding) else { return true };
    let is_contained = structure.contained_in(current.target) & bit(wanted.target) != 0;
    !is_contained && structure.spatial_of(current.target) != structure.spatial_of(wanted.target)
}
