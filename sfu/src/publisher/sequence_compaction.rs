//! Removes dropped packets from a stream's numbering.
//!
//! Senders probe with packets that contain only padding. They are not forwarded, and if their sequence numbers remained,
//! every receiver would see them as lost. So packets are identified by *index*: the extended sequence number minus the
//! number of packets dropped before it. The index of a number never changes once it has been observed, because only
//! numbers above all others seen may be dropped.

use std::collections::VecDeque;

/// Number of dropped numbers that are kept one by one; packets older than the oldest of them are too late.
const MAX_DROPPED: usize = 256;

/// The dropped numbers of one stream.
#[derive(Debug, Default)]
pub(crate) struct SequenceCompaction {
    /// In ascending order.
    dropped: VecDeque<u64>,
    /// Number of packets dropped before those.
    forgotten: u64,
    /// The last of the forgotten ones.
    horizon: u64,
}

impl SequenceCompaction {
    /// The index of a packet; `None` for one that was dropped, or that is older than the dropped numbers kept.
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

    /// Drops a number, which must be above all numbers seen so far.
    pub(crate) fn drop_number(&mut self, extended: u64) {
        debug_assert!(self.dropped.back().is_none_or(|&last| last < extended));
        if self.dropped.len() == MAX_DROPPED
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
    fn indices_skip_dropped_packets() {
        let mut compaction = SequenceCompaction::default();
        assert_eq!(compaction.index_of(100), Some(100));
        compaction.drop_number(101);
        compaction.drop_number(102);
        assert_eq!(compaction.index_of(100), Some(100));
        assert_eq!(compaction.index_of(101), None);
        assert_eq!(compaction.index_of(103), Some(101));
    }

    proptest! {
        /// A packet keeps its first index or is refused, and no two packets share one.
        #[test]
        fn index_never_changes_and_is_never_shared(dropped in prop::collection::vec(any::<bool>(), 1..2_000)) {
            let mut compaction = SequenceCompaction::default();
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
