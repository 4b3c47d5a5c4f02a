//! Steps in the making.
//!
//! What is worth most a bit comes first. A step that does not fit is left out, and cheaper ones of its slot are tried in its
//! place. So a larger budget is never worth less: all that fits into what is left is worth less a bit than the step left out.

use super::{Demand, Role};
use std::ops::RangeInclusive;

/// What all steps together may cost, in bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// A lowest step may be added up to this sum.
    pub(super) lowest: u64,
    /// Any other step up to this one.
    pub(super) better: u64,
    /// If not, every slot has its lowest step before anything else.
    pub(super) may_pause: bool,
}

/// A step for each slot; `None` for one that gets nothing.
pub(super) type Steps = [Option<usize>];

/// What the steps cost together, in bits a second.
pub(super) fn cost(demands: &[Demand<'_>], steps: &Steps) -> u64 {
    let costs = demands.iter().zip(steps).map(|(demand, step)| demand.cost(*step));
    costs.fold(0, u64::saturating_add)
}

/// The slots of a subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots<'a> {
    pub(super) demands: &'a [Demand<'a>],
    /// What the steps of each are worth, up to the goal's.
    pub(super) worths: &'a [Vec<f64>],
}

/// Steps that fit.
#[derive(Clone, Debug)]
pub(super) struct Plan<'a> {
    slots: Slots<'a>,
    steps: Vec<Option<usize>>,
    sum: u64,
}

/// What a slot has before others get more than their lowest steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// A screen is readable from this step on.
    Screen(usize),
    /// What is pinned, or else the active speaker, has its lines from this step on.
    Lead(usize),
    Lowest,
}

impl Due {
    fn step(self) -> usize {
        match self {
            Self::Screen(step) | Self::Lead(step) => step,
            Self::Lowest => 0,
        }
    }

    /// Position in the order.
    fn rank(self) -> u8 {
        match self {
            Self::Screen(_) => 0,
            Self::Lead(_) => 1,
            Self::Lowest => 2,
        }
    }
}

/// A step that a slot could have instead of the one that it has.
#[derive(Clone, Copy, Debug)]
struct Move {
    slot: usize,
    step: usize,
    /// Worth for each bit a second.
    gain: f64,
}

impl<'a> Plan<'a> {
    pub(super) fn from_steps(slots: Slots<'a>, steps: &Steps) -> Self {
        Self { slots, steps: steps.to_vec(), sum: cost(slots.demands, steps) }
    }

    /// The best steps up to `reach`.
    pub(super) fn from_nothing(slots: Slots<'a>, reach: &Steps, allowance: Allowance) -> Self {
        let least = if allowance.may_pause { None } else { Some(0) };
        let first: Vec<_> = reach.iter().map(|reach| least.min(*reach)).collect();
        let mut plan = Self::from_steps(slots, &first);
        let order = plan.order_by(Demand::importance);
        plan.fill(&order, reach, allowance);
        plan
    }

    /// These steps, raised up to `reach` as far as they fit. What gets nothing is tried smallest first.
    pub(super) fn raised(mut self, reach: &Steps, allowance: Allowance) -> Self {
        let order = self.order_by(|demand| demand.cost(Some(0)));
        self.fill(&order, reach, allowance);
        self
    }

    pub(super) fn into_steps(self) -> Vec<Option<usize>> {
        self.steps
    }

    /// Whether more of what comes first is there than in another plan for the same slots, whatever becomes of the rest.
    pub(super) fn puts_first_things_before(&self, other: &Self) -> bool {
        self.first_things() > other.first_things()
    }

    /// Screens that are shown, and that are readable; leads that are shown, and that have their lines; and all that is shown.
    fn first_things(&self) -> [usize; 3] {
        let mut things = [0; 3];
        for (step, due) in self.steps.iter().zip(self.dues()) {
            let [screens, leads, shown] = &mut things;
            let is_shown = usize::from(step.is_some());
            let has_due = |due: usize| is_shown + usize::from(*step >= Some(due));
            match due {
                Due::Screen(due) => *screens += has_due(due),
                Due::Lead(due) => *leads += has_due(due),
                Due::Lowest => {}
            }
            *shown += is_shown;
        }
        things
    }

    /// What is due to each slot before the others get more than their lowest steps.
    fn dues(&self) -> Vec<Due> {
        let demands = self.slots.demands;
        let is_camera = |demand: &&Demand<'_>| demand.role != Role::Screen;
        let has_pins = demands.iter().filter(is_camera).any(|demand| demand.tile.pinned);
        let due = |demand: &Demand<'_>| match demand.role {
            Role::Screen => Due::Screen(demand.readable()),
            _ if demand.tile.pinned => Due::Lead(demand.lead()),
            Role::Speaker if !has_pins => Due::Lead(demand.lead()),
            Role::Speaker | Role::Other => Due::Lowest,
        };
        demands.iter().map(due).collect()
    }

    fn fill(&mut self, order: &[usize], reach: &Steps, allowance: Allowance) {
        let dues = self.dues();
        let reach_of = |slot: usize| reach.get(slot).copied().flatten();
        let mut order: Vec<_> = order.iter().filter_map(|slot| Some((*slot, *dues.get(*slot)?))).collect();
        order.sort_by_key(|(_, due)| due.rank());
        for &(slot, due) in &order {
            for step in [due.step(), 0].map(Some) {
                if self.step(slot) < step && step <= reach_of(slot) {
                    self.try_step(slot, step, allowance);
                }
            }
        }
        for &(slot, due) in &order {
            let (Due::Screen(readable), Some(reach)) = (due, reach_of(slot)) else { continue };
            let now = self.step(slot).filter(|step| *step >= readable);
            for step in (readable..=reach).rev().take_while(|step| now.is_some_and(|now| *step > now)) {
                if self.try_step(slot, Some(step), allowance) {
                    break;
                }
            }
        }
        self.raise(&dues, reach, allowance);
    }

    /// Raises slots, up to these steps, where a bit is worth most. None falls below what is due to it.
    fn raise(&mut self, dues: &[Due], reach: &Steps, allowance: Allowance) {
        let floors = self.steps.iter().zip(dues).map(|(step, due)| step.unwrap_or_default().min(due.step()));
        let floors: Vec<_> = floors.collect();
        // What each slot's next step costs less than: one that did not fit.
        let mut below = vec![u64::MAX; self.steps.len()];
        let best = |plan: &Self, slot: usize, below: u64| {
            let (floor, reach) = (*floors.get(slot)?, reach.get(slot).copied()??);
            plan.best_move(slot, floor..=reach, below)
        };
        let mut moves: Vec<_> = (0..self.steps.len()).map(|slot| best(self, slot, u64::MAX)).collect();
        loop {
            let mut next: Option<Move> = None;
            for candidate in moves.iter().flatten() {
                if next.is_none_or(|best| candidate.gain > best.gain) {
                    next = Some(*candidate);
                }
            }
            let Some(Move { slot, step, .. }) = next else { return };
            let Some(below) = below.get_mut(slot) else { return };
            if !self.try_step(slot, Some(step), allowance) {
                *below = self.slots.demands.get(slot).map_or(0, |demand| demand.cost(Some(step)));
            }
            if let Some(candidate) = moves.get_mut(slot) {
                *candidate = best(self, slot, *below);
            }
        }
    }

    /// The step of a slot that is worth most a bit, of these, if they cost less than `below`.
    fn best_move(&self, slot: usize, steps: RangeInclusive<usize>, below: u64) -> Option<Move> {
        let demand = self.slots.demands.get(slot)?;
        let now = self.step(slot);
        let (worth_now, cost_now) = (self.worth(slot, now), demand.cost(now));
        let mut best: Option<Move> = None;
        for step in steps {
            let (more, cost) = (self.worth(slot, Some(step)) - worth_now, demand.cost(Some(step)));
            if more <= 0.0 || cost >= below {
                continue;
            }
            let gain = if cost > cost_now { more / (cost - cost_now) as f64 } else { f64::INFINITY };
            if best.is_none_or(|best| gain > best.gain) {
                best = Some(Move { slot, step, gain });
            }
        }
        best
    }

    /// Moves a slot to another step, if all of them fit then. Returns whether they do.
    fn try_step(&mut self, slot: usize, step: Option<usize>, allowance: Allowance) -> bool {
        let (Some(demand), Some(place)) = (self.slots.demands.get(slot), self.steps.get_mut(slot)) else {
            return false;
        };
        let after = self.sum.saturating_sub(demand.cost(*place)).saturating_add(demand.cost(step));
        let most = if step == Some(0) { allowance.lowest } else { allowance.better };
        let fits = after <= most.max(self.sum);
        if fits {
            (*place, self.sum) = (step, after);
        }
        fits
    }

    fn order_by<K: Ord>(&self, key: impl Fn(&Demand<'a>) -> K) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.slots.demands.len()).collect();
        order.sort_by_key(|slot| self.slots.demands.get(*slot).map(&key));
        order
    }

    fn step(&self, slot: usize) -> Option<usize> {
        self.steps.get(slot).copied().flatten()
    }

    fn worth(&self, slot: usize, step: Option<usize>) -> f64 {
        let worth = step.and_then(|step| self.slots.worths.get(slot)?.get(step));
        worth.copied().unwrap_or_default()
    }
}
