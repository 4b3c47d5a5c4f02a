//! Limits what retransmissions add to a receiver's downlink.

use crate::{
    limits::{REPAIR_BURST, REPAIR_RATE, REPAIR_SHARE},
    units::{Bitrate, DataSize},
};
use std::time::{Duration, Instant};

/// A token bucket for retransmissions to one receiver.
///
/// Its rate is a share of the estimate, so that a path that is too slow for its media is not filled with retransmissions.
/// A client that sends no feedback gets a fixed one.
#[derive(Debug)]
pub(crate) struct RepairBudget {
    tokens: DataSize,
    refilled: Option<Instant>,
}

impl RepairBudget {
    /// Spends `size`, if the budget has that much. `estimate` is what the path carries, if known.
    pub(crate) fn spend(&mut self, now: Instant, estimate: Option<Bitrate>, size: DataSize) -> bool {
        let rate = repair_rate(estimate);
        let elapsed = self.refilled.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let refill = rate * elapsed;
        if refill > DataSize::ZERO || self.refilled.is_none() {
            // The bucket holds what a second of the rate allows, or the burst.
            self.tokens = (self.tokens + refill).min((rate * Duration::from_secs(1)).max(REPAIR_BURST));
            self.refilled = Some(now);
        }
        let left = self.tokens.checked_sub(size);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }
}

impl Default for RepairBudget {
    fn default() -> Self {
        Self { tokens: REPAIR_BURST, refilled: None }
    }
}

fn repair_rate(estimate: Option<Bitrate>) -> Bitrate {
    estimate.map_or(REPAIR_RATE.initial, |rate| rate / REPAIR_SHARE).clamp(REPAIR_RATE.min, REPAIR_RATE.max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKET: DataSize = DataSize::from_bytes(1_000);

    /// Retransmissions of 1,000 bytes at the first moment, and in the second after it with a request every millisecond.
    fn retransmitted(budget: &mut RepairBudget, start: Instant, estimate: Option<Bitrate>) -> (u64, u64) {
        let at_once = (0..10_000).filter(|_| budget.spend(start, estimate, PACKET)).count() as u64;
        let later = (1..=1_000).map(|ms| start + Duration::from_millis(ms));
        let later = later.map(|now| (0..100).filter(|_| budget.spend(now, estimate, PACKET)).count() as u64).sum();
        (at_once, later)
    }

    /// A new connection can repair a key frame, and no more than a share of what its path carries.
    #[test]
    fn repair_budget_allows_burst_then_share() {
        let start = Instant::now();
        let retransmitted = |estimate| retransmitted(&mut RepairBudget::default(), start, estimate);
        let burst = REPAIR_BURST.bytes() / 1_000;
        let a_second = |rate: Bitrate| rate.bps() / 8 / 1_000;
        assert_eq!(retransmitted(None), (burst, a_second(REPAIR_RATE.initial)));
        assert_eq!(retransmitted(Some(Bitrate::from_kbps(200))), (burst, 5));
        assert_eq!(retransmitted(Some(Bitrate::from_kbps(4_000))), (burst, 100));
        assert_eq!(retransmitted(Some(Bitrate::ZERO)), (burst, a_second(REPAIR_RATE.min)));
        assert_eq!(retransmitted(Some(Bitrate::MAX)), (burst, a_second(REPAIR_RATE.max)));
    }

    #[test]
    fn repair_budget_keeps_at_most_a_second() {
        let (mut budget, start) = (RepairBudget::default(), Instant::now());
        let estimate = Some(Bitrate::from_kbps(12_000));
        assert!(budget.spend(start, estimate, PACKET));
        let later = start + Duration::from_secs(60);
        assert_eq!((0..10_000).filter(|_| budget.spend(later, estimate, PACKET)).count(), 300);
    }

    proptest! {
        /// Whatever is requested when, retransmissions stay below the burst and the share.
        #[test]
        fn repair_budget_is_never_exceeded(
            estimate in prop::option::of(0u64..24_000_000),
            requests in prop::collection::vec((0u64..50_000, 0u64..1_500), 1..500),
        ) {
            let (mut budget, start) = (RepairBudget::default(), Instant::now());
            let estimate = estimate.map(Bitrate::from_bps);
            let (mut elapsed, mut spent) = (Duration::ZERO, DataSize::ZERO);
            for (wait, bytes) in requests {
                elapsed += Duration::from_micros(wait);
                let size = DataSize::from_bytes(bytes);
                if budget.spend(start + elapsed, estimate, size) {
                    spent += size;
                }
                prop_assert!(spent <= REPAIR_BURST + repair_rate(estimate) * elapsed);
            }
        }
    }
}
