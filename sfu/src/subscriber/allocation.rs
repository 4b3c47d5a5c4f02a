//! Chooses a step of each video's ladder for one subscriber, so that all of them fit its budget.
//!
//! ```text
//!   goal of a slot       the smallest layer that fills its tile, at the highest frame rate
//!   over the budget      frame rates fall first, then resolutions; small tiles before large ones, pinned ones last
//!   room left            it is raised again, the other way round
//! ```
//! What is sent may use all of the budget; what is added has to fit what the budget was at least for a while.
//!
//! Invariant: a slot that is not paused has at least the lowest step, whatever the budget, and is above it only while the sum
//! is within the budget.

use crate::{congestion::VideoBudget, publisher::ladder::Step, units::Bitrate};
use std::cmp::Reverse;

/// What a subscriber shows of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Lines, in device pixels. More than any video has if the subscriber wishes nothing.
    pub(crate) height: u16,
    pub(crate) pinned: bool,
}

/// A slot that takes part in the allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand<'a> {
    /// What the sender produces, lowest first.
    pub(crate) steps: &'a [Step],
    pub(crate) tile: Tile,
    /// The step that is allocated now.
    pub(crate) current: Option<usize>,
    /// It may get a higher step than that, as rates change.
    pub(crate) may_rise: bool,
}

/// The step that a slot gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) step: usize,
    /// The budget holds no more.
    pub(crate) is_cut: bool,
}

/// What an allocation starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Wishes have changed: from nothing.
    Wishes,
    /// Rates have changed: from what is allocated, with some room in both directions.
    Rates,
}

impl Demand<'_> {
    /// The step that fills the tile.
    pub(crate) fn goal(&self) -> usize {
        let fills = |step: &Step| step.height.is_some_and(|height| height >= self.tile.height);
        let height = self.steps.iter().find(|step| fills(step)).map(|step| (step.encoding, step.height));
        let of_height = |step: &Step| Some((step.encoding, step.height)) == height;
        let top = self.steps.len().saturating_sub(1);
        self.steps.iter().rposition(of_height).unwrap_or(top)
    }

    fn rate(&self, step: usize) -> Bitrate {
        self.steps.get(step).map_or(Bitrate::ZERO, |step| step.rate)
    }

    /// The next step below at the same resolution.
    fn lower_frame_rate(&self, step: usize) -> Option<usize> {
        let (lower, this) = (step.checked_sub(1)?, self.steps.get(step)?);
        self.steps
            .get(lower)
            .filter(|other| (other.encoding, other.height) == (this.encoding, this.height))
            .map(|_| lower)
    }
}

/// A sum up to this part of the budget, in percent, is left as it is: rates vary.
pub(crate) const TOLERATED: u64 = 102;
/// A step is added if the sum stays below this part of the budget, in percent.
const RAISED_BELOW: u64 = 93;

/// Chooses the steps. `demands` are those of slots that are not paused; each has a step at least.
pub(crate) fn allocate(demands: &[Demand<'_>], budget: VideoBudget, occasion: Occasion) -> Vec<Share> {
    let goals: Vec<_> = demands.iter().map(Demand::goal).collect();
    let reachable = demands.iter().zip(&goals).map(|(demand, &goal)| match occasion {
        Occasion::Rates if !demand.may_rise => demand.current.unwrap_or(goal).min(goal),
        Occasion::Rates | Occasion::Wishes => goal,
    });
    let reachable: Vec<_> = reachable.collect();
    let mut important_first: Vec<_> = (0..demands.len()).collect();
    important_first
        .sort_by_key(|&slot| demands.get(slot).map(|demand| Reverse((demand.tile.pinned, demand.tile.height))));
    let mut allocation =
        Allocation { demands, goals: &reachable, important_first: &important_first, steps: reachable.clone(), sum: 0 };
    match occasion {
        Occasion::Wishes => allocation.fit(budget.now),
        Occasion::Rates => {
            let steps = demands.iter().zip(&goals);
            allocation.steps = steps.map(|(demand, &goal)| demand.current.unwrap_or(0).min(goal)).collect();
            if allocation.total() > percent(budget.now, TOLERATED) {
                allocation.steps.clone_from(&reachable);
                allocation.fit(budget.now);
            } else {
                allocation.raise(percent(budget.steady.min(budget.now), RAISED_BELOW));
            }
        }
    }
    let shares = allocation.steps.iter().zip(&goals);
    shares.map(|(&step, &goal)| Share { step, is_cut: step < goal }).collect()
}

fn percent(rate: Bitrate, percent: u64) -> u64 {
    rate.bps().saturating_mul(percent) / 100
}

/// Steps in the making. Rates are in bits a second.
struct Allocation<'a> {
    demands: &'a [Demand<'a>],
    goals: &'a [usize],
    important_first: &'a [usize],
    steps: Vec<usize>,
    /// Of the steps.
    sum: u64,
}

impl Allocation<'_> {
    /// Lowers steps until they fit, the least important ones first, and uses what is left.
    fn fit(&mut self, budget: Bitrate) {
        let budget = budget.bps();
        self.sum = self.total();
        for pinned in [false, true] {
            let (demands, order) = (self.demands, self.important_first);
            let is_of = move |slot: &usize| demands.get(*slot).is_some_and(|demand| demand.tile.pinned == pinned);
            let least_first = move || order.iter().rev().copied().filter(is_of);
            for slot in least_first() {
                while self.sum > budget && self.lower(slot, |demand, step| demand.lower_frame_rate(step)) {}
            }
            let mut is_lowered = true;
            while self.sum > budget && is_lowered {
                is_lowered = false;
                for slot in least_first() {
                    is_lowered |= self.sum > budget && self.lower(slot, |_, step| step.checked_sub(1));
                }
            }
        }
        self.raise(budget);
    }

    /// Raises steps as far as all of them fit, the most important ones first.
    fn raise(&mut self, budget: u64) {
        self.sum = self.total();
        for &slot in self.important_first {
            let (Some(demand), Some(&goal)) = (self.demands.get(slot), self.goals.get(slot)) else { continue };
            let Some(step) = self.steps.get_mut(slot) else { continue };
            let others = self.sum.saturating_sub(demand.rate(*step).bps());
            let fits = |step: &usize| others.saturating_add(demand.rate(*step).bps()) <= budget;
            if let Some(higher) = (*step + 1..=goal).rev().find(fits) {
                self.sum = others.saturating_add(demand.rate(higher).bps());
                *step = higher;
            }
        }
    }

    /// Lowers one slot. Returns whether there was a lower step.
    fn lower(&mut self, slot: usize, to: impl Fn(&Demand<'_>, usize) -> Option<usize>) -> bool {
        let (Some(demand), Some(step)) = (self.demands.get(slot), self.steps.get_mut(slot)) else { return false };
        let Some(lower) = to(demand, *step) else { return false };
        let others = self.sum.saturating_sub(demand.rate(*step).bps());
        self.sum = others.saturating_add(demand.rate(lower).bps());
        *step = lower;
        true
    }

    fn total(&self) -> u64 {
        let rates = self.demands.iter().zip(&self.steps).map(|(demand, &step)| demand.rate(step).bps());
        rates.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::EncodingKey;
    use proptest::prelude::*;

    /// Kilobits a second at 180, 360 and 720 lines, at a third, two thirds and all of the frame rate.
    const CAMERA: [(u16, [u64; 3]); 3] = [(180, [50, 90, 150]), (360, [180, 300, 500]), (720, [600, 1_000, 1_700])];

    fn camera() -> Vec<Step> {
        let layers =
            CAMERA.iter().flat_map(|&(height, rates)| (0..).zip(rates).map(move |(n, rate)| (height, n, rate)));
        let steps = layers.zip(0..).map(|((height, temporal, kbps), target)| Step {
            encoding: EncodingKey::default(),
            target,
            height: Some(height),
            temporal,
            rate: Bitrate::from_kbps(kbps),
            active: true,
        });
        steps.collect()
    }

    fn demand(steps: &[Step], height: u16, pinned: bool) -> Demand<'_> {
        Demand { steps, tile: Tile { height, pinned }, current: None, may_rise: true }
    }

    fn fixed(kbps: u64) -> VideoBudget {
        VideoBudget { now: Bitrate::from_kbps(kbps), steady: Bitrate::from_kbps(kbps) }
    }

    /// Heights and temporal layers.
    fn allocated(demands: &[Demand<'_>], kbps: u64) -> Vec<(u16, u8)> {
        let shares = allocate(demands, fixed(kbps), Occasion::Wishes);
        shares
            .iter()
            .zip(demands)
            .map(|(share, demand)| {
                let step = demand.steps[share.step];
                (step.height.unwrap(), step.temporal)
            })
            .collect()
    }

    #[test]
    fn tile_gets_the_smallest_layer_that_fills_it() {
        let steps = camera();
        for (tile, height) in [(1, 180), (180, 180), (181, 360), (700, 720), (2_000, 720)] {
            assert_eq!(allocated(&[demand(&steps, tile, false)], 4_000), [(height, 2)], "{tile} lines");
        }
    }

    #[test]
    fn frame_rate_falls_before_resolution() {
        let steps = camera();
        let tile = [demand(&steps, 720, false)];
        for (kbps, expected) in [(1_700, (720, 2)), (1_699, (720, 1)), (600, (720, 0)), (599, (360, 2)), (49, (180, 0))]
        {
            assert_eq!(allocated(&tile, kbps), [expected], "{kbps} kbit/s");
        }
    }

    #[test]
    fn pinned_and_large_tiles_are_cut_last() {
        let steps = camera();
        let tiles = [demand(&steps, 720, false), demand(&steps, 360, true), demand(&steps, 700, false)];
        assert_eq!(allocated(&tiles, 3_900), [(720, 2), (360, 2), (720, 2)]);
        assert_eq!(allocated(&tiles, 3_000), [(720, 2), (360, 2), (720, 0)]);
        assert_eq!(allocated(&tiles, 1_000), [(360, 1), (360, 2), (360, 0)]);
    }

    #[test]
    fn rates_that_vary_change_nothing() {
        let steps = camera();
        let tiles = |current: Option<usize>| [Demand { current, ..demand(&steps, 720, false) }];
        let of = |current, kbps| allocate(&tiles(current), fixed(kbps), Occasion::Rates)[0].step;
        assert_eq!(of(Some(8), 1_670), 8, "is 2 % over the budget");
        assert_eq!(of(Some(8), 1_600), 7);
        assert_eq!(of(Some(7), 1_800), 7, "would leave less than 7 %");
        assert_eq!(of(Some(7), 1_830), 8);
    }

    #[test]
    fn what_is_added_has_to_fit_the_steady_budget() {
        let steps = camera();
        let step = |now, steady, may_rise| {
            let demand = Demand { current: Some(7), may_rise, ..demand(&steps, 720, false) };
            let budget = VideoBudget { now: Bitrate::from_kbps(now), steady: Bitrate::from_kbps(steady) };
            allocate(&[demand], budget, Occasion::Rates)[0].step
        };
        assert_eq!(step(4_000, 4_000, true), 8);
        assert_eq!(step(4_000, 1_700, true), 7, "was less a moment ago");
        assert_eq!(step(4_000, 4_000, false), 7, "has fallen a moment ago");
        assert_eq!(step(1_000, 500, true), 7, "is sent already");
        assert_eq!(step(900, 500, false), 6);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Rule 8: every slot has its lowest step at least, whatever the budget; and only if the sum is within the budget
        /// has any slot more.
        #[test]
        fn rule_8_no_slot_is_cut_to_nothing(
            tiles in prop::collection::vec((1u16..1_200, any::<bool>(), 1usize..=9, prop::option::of(0usize..9)), 1..12),
            kbps in 0u64..8_000,
            by_rates in any::<bool>(),
        ) {
            let steps = camera();
            let demands: Vec<_> = tiles.iter().map(|&(height, pinned, count, current)| {
                Demand { steps: &steps[..count], tile: Tile { height, pinned }, current, may_rise: true }
            }).collect();
            let occasion = if by_rates { Occasion::Rates } else { Occasion::Wishes };
            let shares = allocate(&demands, fixed(kbps), occasion);
            prop_assert_eq!(shares.len(), demands.len());
            let sum: u64 = shares.iter().zip(&demands).map(|(share, demand)| demand.steps[share.step].rate.bps()).sum();
            let all_lowest = shares.iter().all(|share| share.step == 0);
            prop_assert!(sum <= kbps * 1_020 || all_lowest, "{} bit/s of {} kbit/s", sum, kbps);
            for (share, demand) in shares.iter().zip(&demands) {
                prop_assert!(share.step <= demand.goal());
                prop_assert_eq!(share.is_cut, share.step < demand.goal());
            }
            if occasion == Occasion::Wishes {
                let of = |pinned: bool, lowest: bool| -> u64 {
                    let slots = shares.iter().zip(&demands).filter(|(_, demand)| demand.tile.pinned == pinned);
                    slots.map(|(share, demand)| demand.steps[if lowest { 0 } else { share.step }].rate.bps()).sum()
                };
                let least = of(true, false) + of(false, true);
                for (share, demand) in shares.iter().zip(&demands).filter(|(share, demand)| demand.tile.pinned && share.is_cut) {
                    let more = demand.steps[share.step + 1].rate.bps() - demand.steps[share.step].rate.bps();
                    prop_assert!(least + more > kbps * 1_000, "pinned slots are cut last");
                }
            }
        }
    }
}
