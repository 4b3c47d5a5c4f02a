//! Steps in the making.
//!
//! What is worth most a bit comes first. A step that does not fit is left out, and cheaper ones of its slot are tried in its
//! place. So a larger budget is never worth less: all that fits into what is left is worth less a bit than the step left out.

use super::{Demand, Role};

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
        self.first_things().partial_cmp(&other.first_things()).is_some_and(std::cmp::Ordering::is_gt)
    }

    /// Screens that are readable, worth of what leads, and slots that get anything.
    fn first_things(&self) -> (usize, f64, usize) {
        let readable = self.slots.demands.iter().zip(&self.steps);
        let readable =
            readable.filter(|(demand, step)| demand.role == Role::Screen && **step >= Some(demand.readable()));
        let leads = self.leads().into_iter().map(|slot| {
            let lead = self.slots.demands.get(slot).map(Demand::lead);
            self.worth(slot, self.step(slot)).min(self.worth(slot, lead))
        });
        (readable.count(), leads.sum(), self.steps.iter().flatten().count())
    }

    fn fill(&mut self, order: &[usize], reach: &Steps, allowance: Allowance) {
        let reach_of = |slot: usize| reach.get(slot).copied().flatten();
        let screens: Vec<_> = order.iter().copied().filter(|slot| self.is(*slot, Role::Screen)).collect();
        for &slot in &screens {
            let readable = self.slots.demands.get(slot).map(Demand::readable);
            for step in [readable, Some(0)] {
                if self.step(slot) < step && step <= reach_of(slot) {
                    self.try_step(slot, step, allowance);
                }
            }
        }
        let leads = self.leads();
        let lead = |slot: usize| self.slots.demands.get(slot).map(Demand::lead).min(reach_of(slot));
        let limits: Vec<_> = leads.iter().map(|slot| lead(*slot)).collect();
        self.raise(&leads, &limits, allowance);
        for &slot in order {
            if self.step(slot).is_none() && reach_of(slot).is_some() {
                self.try_step(slot, Some(0), allowance);
            }
        }
        for &slot in &screens {
            let (now, readable) = (self.step(slot), self.slots.demands.get(slot).map(Demand::readable));
            let (Some(readable), Some(reach)) = (readable.filter(|step| now >= Some(*step)), reach_of(slot)) else {
                continue;
            };
            for step in (readable..=reach).rev().take_while(|step| Some(*step) > now) {
                if self.try_step(slot, Some(step), allowance) {
                    break;
                }
            }
        }
        let all: Vec<_> = (0..self.steps.len()).collect();
        self.raise(&all, reach, allowance);
    }

    /// Raises these slots, up to the step beside each, where a bit is worth most.
    fn raise(&mut self, slots: &[usize], reach: &Steps, allowance: Allowance) {
        // What each slot's next step costs less than: one that did not fit.
        let mut below = vec![u64::MAX; slots.len()];
        let best = |plan: &Self, position: usize, below: u64| {
            let (slot, reach) = (*slots.get(position)?, reach.get(position).copied()??);
            plan.best_move(slot, reach, below)
        };
        let mut moves: Vec<_> = (0..slots.len()).map(|position| best(self, position, u64::MAX)).collect();
        loop {
            let mut next: Option<(usize, Move)> = None;
            for (position, candidate) in moves.iter().enumerate() {
                if let Some(candidate) = candidate
                    && next.is_none_or(|(_, best)| candidate.gain > best.gain)
                {
                    next = Some((position, *candidate));
                }
            }
            let Some((position, Move { slot, step, .. })) = next else { return };
            let Some(below) = below.get_mut(position) else { return };
            if !self.try_step(slot, Some(step), allowance) {
                *below = self.slots.demands.get(slot).map_or(0, |demand| demand.cost(Some(step)));
            }
            if let Some(candidate) = moves.get_mut(position) {
                *candidate = best(self, position, *below);
            }
        }
    }

    /// The step of a slot that is worth most a bit, of those that cost less than `below`.
    fn best_move(&self, slot: usize, reach: usize, below: u64) -> Option<Move> {
        let demand = self.slots.demands.get(slot)?;
        let now = self.step(slot);
        let (worth_now, cost_now) = (self.worth(slot, now), demand.cost(now));
        let mut best: Option<Move> = None;
        // A screen keeps its lines, whatever more frames of fewer lines are worth.
        let from = now.filter(|_| demand.role == Role::Screen).unwrap_or_default();
        for step in from..=reach {
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

    /// What is pinned, or else the active speaker.
    fn leads(&self) -> Vec<usize> {
        let slots = || self.slots.demands.iter().enumerate().filter(|(_, demand)| demand.role != Role::Screen);
        let pinned: Vec<_> = slots().filter(|(_, demand)| demand.tile.pinned).map(|(slot, _)| slot).collect();
        if !pinned.is_empty() {
            return pinned;
        }
        slots().filter(|(_, demand)| demand.role == Role::Speaker).map(|(slot, _)| slot).collect()
    }

    fn order_by<K: Ord>(&self, key: impl Fn(&Demand<'a>) -> K) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.slots.demands.len()).collect();
        order.sort_by_key(|slot| self.slots.demands.get(*slot).map(&key));
        order
    }

    fn is(&self, slot: usize, role: Role) -> bool {
        self.slots.demands.get(slot).is_some_and(|demand| demand.role == role)
    }

    fn step(&self, slot: usize) -> Option<usize> {
        self.steps.get(slot).copied().flatten()
    }

    fn worth(&self, slot: usize, step: Option<usize>) -> f64 {
        let worth = step.and_then(|step| self.slots.worths.get(slot)?.get(step));
        worth.copied().unwrap_or_default()
    }
}
