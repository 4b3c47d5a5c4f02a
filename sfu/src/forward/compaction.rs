//! Takes dropped packets out of a stream's numbering.
//!
//! Senders probe with packets of padding only. They are not forwarded, and if their numbers stayed, every receiver
//! would see them as lost. So packets are counted by *index*: the extended sequence number less the number of dropped
//! packets before it. The mapping of a number never changes once it could be observed, because only numbers above all
//! others seen may be dropped.

use std::collections::VecDeque;

/// How many dropped numbers are remembered one by one; packets older than the oldest of them are too late.
const REMEMBERED: usize = 256;

/// The dropped numbers of one stream.
#[derive(Debug, Default)]
pub(crate) struct Compaction {
    /// In ascending order.
    dropped: VecDeque<u64>,
    /// Dropped before those.
    forgotten: u64,
    /// The last of the forgotten ones.
    horizon: u64,
}

impl Compaction {
    /// The index of a packet; `None` for one that was dropped, or is older than what is remembered.
    pub(crate) fn index_of(&self, extended: u64) -> Option<u64> {
        if self.forgotten > 0 && extended <= self.horizon {
            return None;
        }
        let before = self.dropped.partition_point(|&dropped| dropped < extended);
        if self.dropped.get(before) == Some(&extended) {
            return None;
        }
        extended.checked_sub(self.forgotten)?.checked_sub(u64::try_from(before).ok()?)
    }

    /// Drops a number, which must be above every number seen so far.
    pub(crate) fn drop_number(&mut self, extended: u64) {
        debug_assert!(self.dropped.back().is_none_or(|&last| last < extended));
        if self.dropped.len() == REMEMBERED
            && let Some(oldest) = self.dropped.pop_front()
        {
            self.horizon = oldest;
            self.forgotten += 1;
        }
        self.dropped.push_back(extended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn packets_behind_a_dropped_one_close_up() {
        let mut compaction = Compaction::default();
        assert_eq!(compaction.index_of(100), Some(100));
        compaction.drop_number(101);
        compaction.drop_number(102);
        assert_eq!(compaction.index_of(100), Some(100));
        assert_eq!(compaction.index_of(101), None);
        assert_eq!(compaction.index_of(103), Some(101));
    }

    proptest! {
        /// A packet either keeps the index it had when it could first be asked for, or is refused; none share one.
        #[test]
        fn an_index_never_changes_and_is_never_shared(dropped in prop::collection::vec(any::<bool>(), 1..2_000)) {
            let mut compaction = Compaction::default();
            let mut indices = HashMap::new();
            let mut kept = 0;
            for (number, &drop) in (70_000u64..).zip(&dropped) {
                if drop {
                    compaction.drop_number(number);
                } else {
                    let index = compaction.index_of(number).unwrap();
                    prop_assert_eq!(index, 70_000 + kept);
                    kept += 1;
                    prop_assert!(indices.insert(number, index).is_none());
                }
            }
            for (number, &drop) in (70_000u64..).zip(&dropped) {
                let now = compaction.index_of(number);
                let unchanged = !drop && now == indices.get(&number).copied();
                prop_assert!(now.is_none() || unchanged);
            }
        }
    }
}
