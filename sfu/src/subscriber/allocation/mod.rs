//! Chooses a step of each video's ladder for one subscriber, so that all of them fit what it can receive.
//!
//! ```text
//!   1  a shared screen becomes readable: all of its lines, at the lowest frame rate
//!   2  what is pinned, or else the active speaker, gets 360 lines, at the lowest frame rate
//!   3  each other video gets its lowest layer, large tiles first
//!   4  the frame rate of the shared screen
//!   5  what is left goes where a bit a second is worth most
//! ```
//! What is sent may use all of the budget; what is added has to fit what the budget was at least for a while.
//!
//! Invariants: no slot gets more lines than it shows. A slot gets nothing only if its lowest layer does not fit, beside what
//! comes first, what its downlink is measured to carry, or what a worker can send for which lowest layers are too many. A limit
//! that is set cuts nothing to zero.

mod plan;
#[cfg(test)]
mod tests;
mod worth;

use crate::{congestion::VideoBudget, event::LayerReason, publisher::ladder::Step, units::Bitrate};
use plan::{Allowance, Plan, Slots, Steps, cost};
use std::{cmp::Reverse, time::Duration};

/// What a subscriber shows of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Lines, in device pixels. More than any video has if the subscriber wishes nothing.
    pub(crate) height: u16,
    pub(crate) pinned: bool,
}

/// What a slot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Screen,
    /// The camera of the active speaker.
    Speaker,
    Other,
}

/// A slot that takes part in the allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand<'a> {
    /// What the sender produces, lowest first.
    pub(crate) steps: &'a [Step],
    pub(crate) tile: Tile,
    pub(crate) role: Role,
    /// The step that is allocated now; `None` if nothing is.
    pub(crate) current: Option<usize>,
    /// It may get a higher step than that, as rates change.
    pub(crate) may_rise: bool,
}

/// What a slot gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// `None` if not even the lowest step fits.
    pub(crate) step: Option<usize>,
    /// More is shown than fits.
    pub(crate) is_cut: bool,
}

/// The bitrate of payloads that all video of a subscriber may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Set by the operator: decides about everything but lowest steps.
    pub(crate) set: Bitrate,
    /// What the downlink carries, once that is known: decides about everything.
    pub(crate) measured: Option<VideoBudget>,
    /// What the worker can send to each receiver, while it is overloaded.
    pub(crate) sendable: Option<Sendable>,
}

/// What an overloaded worker can send of video to each receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sendable {
    pub(crate) rate: Bitrate,
    /// Whether even lowest steps are too many: decides about everything then, and otherwise about everything but these.
    pub(crate) pauses: bool,
}

/// What an allocation starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Wishes have changed: from nothing.
    Wishes,
    /// Rates have changed: from what is allocated, with some room in both directions.
    Rates,
}

/// A larger encoding than the lowest is not sent if its key frame alone takes longer than this on what there is for all video, and
/// given up if it takes longer than the second: nothing new of it could be shown meanwhile.
const LONGEST_KEY_FRAME: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3));

/// Lines that a pinned video, or the active speaker, has before others have any.
const LEAD_LINES: u16 = 360;

impl Demand<'_> {
    /// The step that fills the tile.
    pub(crate) fn goal(&self) -> usize {
        self.filling(self.tile.height)
    }

    fn filling(&self, lines: u16) -> usize {
        filling(self.steps, lines)
    }

    /// The highest step up to the goal whose key frames do not take too long where all video has this bitrate, in bits a second.
    fn reach(&self, rate: u64) -> usize {
        let encoding_of = |step: usize| self.steps.get(step).map(|step| step.encoding);
        let current = self.current.and_then(encoding_of);
        let (begun, kept) = LONGEST_KEY_FRAME;
        let begins_soon = |step: &Step| {
            let longest = if Some(step.encoding) == current { kept } else { begun };
            step.key_frame <= Bitrate::from_bps(rate) * longest
        };
        let steps = self.steps.get(..=self.goal()).unwrap_or_default();
        steps.iter().rposition(begins_soon).unwrap_or(0)
    }

    /// The lowest step with the lines that come before the other slots' lowest steps, if the slot leads.
    fn lead(&self) -> usize {
        self.lowest_like(self.filling(LEAD_LINES.min(self.tile.height)))
    }

    /// The lowest step at the resolution of the goal: of a screen, all that makes it readable.
    fn readable(&self) -> usize {
        self.lowest_like(self.goal())
    }

    /// The lowest step of the same resolution as this one.
    fn lowest_like(&self, step: usize) -> usize {
        let resolution = self.steps.get(step).map(resolution_of);
        self.steps.iter().position(|step| Some(resolution_of(step)) == resolution).unwrap_or(step)
    }

    /// What a step costs, in bits a second. Of what is sent already, that is what it takes for longer: a key frame would undo the step
    /// that begins with it.
    pub(crate) fn cost(&self, step: Option<usize>) -> u64 {
        let current = self.current.and_then(|current| Some((current, self.steps.get(current)?.encoding)));
        let Some((position, step)) = step.and_then(|position| Some((position, self.steps.get(position)?))) else {
            return 0;
        };
        let is_sent = current.is_some_and(|(current, encoding)| position <= current && step.encoding == encoding);
        if is_sent { step.sustained.bps() } else { step.rate.bps() }
    }

    /// What comes first at the same budget.
    fn importance(&self) -> impl Ord + use<> {
        Reverse((self.role == Role::Screen, self.tile.pinned, self.role == Role::Speaker, self.tile.height))
    }
}

/// The highest step of the smallest resolution that has as many lines, or else of the largest one.
fn filling(steps: &[Step], lines: u16) -> usize {
    let fills = |step: &Step| step.height.is_some_and(|height| height >= lines);
    let resolution = steps.iter().find(|step| fills(step)).map(resolution_of);
    let top = steps.len().saturating_sub(1);
    steps.iter().rposition(|step| Some(resolution_of(step)) == resolution).unwrap_or(top)
}

/// Whether a step has the resolution that a tile would get if its sender sent all steps of the ladder.
pub(crate) fn is_as_wished(step: &Step, tile: Tile, ladder: &[Step]) -> bool {
    let wished = ladder.get(filling(ladder, tile.height));
    wished.is_none_or(|wished| resolution_of(wished) == resolution_of(step))
}

fn resolution_of(step: &Step) -> (crate::keys::EncodingKey, Option<u16>) {
    (step.encoding, step.height)
}

/// A sum up to this part of the budget, in percent, is left as it is: rates vary.
pub(crate) const TOLERATED: u64 = 102;
/// A step is added if the sum stays below this part of the budget, in percent.
pub(crate) const RAISED_BELOW: u64 = 93;

/// Chooses the steps. `demands` are those of slots that are not paused; each has a step at least.
pub(crate) fn allocate(demands: &[Demand<'_>], limits: Limits, occasion: Occasion) -> Vec<Share> {
    let goals: Vec<_> = demands.iter().map(|demand| Some(demand.goal())).collect();
    let steps = choose(demands, &goals, limits, occasion);
    let shares = steps.into_iter().zip(goals);
    shares.map(|(step, goal)| Share { step, is_cut: step < goal }).collect()
}

fn choose(demands: &[Demand<'_>], goals: &Steps, limits: Limits, occasion: Occasion) -> Vec<Option<usize>> {
    // By what is set alone, everything is sent in its lowest step at least.
    let least = if limits.now(100).may_pause { None } else { Some(0) };
    let for_key_frames = limits.now(100).better;
    let reach: Vec<_> = demands.iter().map(|demand| Some(demand.reach(for_key_frames))).collect();
    let currents = demands.iter().zip(&reach).map(|(demand, reach)| demand.current.max(least).min(*reach));
    let currents: Vec<_> = currents.collect();
    let is_enough = |steps: &Steps, limit: Allowance| cost(demands, steps) <= limit.better;
    let is_kept = match occasion {
        Occasion::Wishes => reach == goals && is_enough(goals, limits.now(100)),
        Occasion::Rates => currents == goals && is_enough(goals, limits.now(TOLERATED)),
    };
    if is_kept {
        return goals.to_vec();
    }
    let worths: Vec<_> = demands.iter().map(Demand::worths).collect();
    let slots = Slots { demands, worths: &worths };
    match occasion {
        Occasion::Wishes => Plan::from_nothing(slots, &reach, limits.now(100)),
        Occasion::Rates if !is_enough(&currents, limits.now(TOLERATED)) => {
            Plan::from_nothing(slots, &currents, limits.now(100))
        }
        Occasion::Rates => {
            let reach = demands.iter().zip(reach.iter().zip(&currents));
            let reach: Vec<_> = reach.map(|(one, (most, now))| if one.may_rise { *most } else { *now }).collect();
            let allowance = limits.steady(RAISED_BELOW);
            let raised = Plan::from_steps(slots, &currents).raised(&reach, allowance);
            // What comes first may displace what does not; what is merely worth more may not.
            let ideal = Plan::from_nothing(slots, &reach, allowance);
            if ideal.puts_first_things_before(&raised) { ideal } else { raised }
        }
    }
    .into_steps()
}

impl Limits {
    /// What all video may have, in percent of what there is now.
    fn now(self, percent: u64) -> Allowance {
        self.allowance(self.measured.map(|budget| budget.now), percent)
    }

    /// What all video may have, in percent of what there was at least for a while.
    fn steady(self, percent: u64) -> Allowance {
        self.allowance(self.measured.map(|budget| budget.steady.min(budget.now)), percent)
    }

    fn allowance(self, measured: Option<Bitrate>, percent: u64) -> Allowance {
        let part = |rate: Bitrate| rate.bps().saturating_mul(percent) / 100;
        let (kept, cut) = match self.sendable {
            Some(Sendable { rate, pauses: true }) => (None, Some(rate)),
            sendable => (sendable.map(|sendable| sendable.rate), None),
        };
        let set = part(kept.map_or(self.set, |rate| rate.min(self.set)));
        let possible = measured.into_iter().chain(cut).min().map(part);
        Allowance {
            lowest: possible.unwrap_or(u64::MAX),
            better: possible.map_or(set, |possible| possible.min(set)),
            may_pause: possible.is_some(),
        }
    }

    /// Why a slot gets less than it shows: this step, or nothing.
    pub(crate) fn reason(self, step: Option<usize>) -> LayerReason {
        let carried = self.measured.map_or(Bitrate::MAX, |budget| budget.now);
        let sendable = self.sendable.filter(|sendable| sendable.pauses || step.is_some());
        let sendable = sendable.map_or(Bitrate::MAX, |sendable| sendable.rate);
        if step.is_some() && self.set <= carried.min(sendable) {
            LayerReason::Bandwidth
        } else if carried <= sendable {
            LayerReason::Network
        } else {
            LayerReason::Server
        }
    }
}
