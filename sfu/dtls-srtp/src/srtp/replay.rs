//! Packet indices of one SSRC: estimated from 16 bits, and each accepted once (RFC 3711 sections 3.3.1, 3.3.2).
//!
//! Both directions use it. A receiver checks, authenticates, then commits, so a forged packet changes nothing. A sender
//! commits each index that it seals, so that no (SSRC, index) is sealed twice, which under GCM would reveal the key stream.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

const WORDS: usize = 16;
/// Maximum distance of a packet below the highest index. One word of the ring is always being refilled.
const WINDOW: u64 = (WORDS as u64 - 1) * 64;
/// Indices have 48 bits.
const INDEX_LIMIT: u64 = 1 << 48;

/// Why an index is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Seen before, or older than the window.
    Replay,
    /// The 48 bits are exhausted.
    Exhausted,
}

/// The indices of one SSRC that were committed.
#[derive(Clone, Debug)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// One bit per index, a ring of words by `index / 64`.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// A stream whose first packet has this index.
    pub(super) fn starting_at(index: u64) -> Self {
        let mut window = Self { highest: index, seen: [0; WORDS] };
        window.mark(index);
        window
    }

    /// The index of a packet from its 16-bit sequence number: the one nearest to the highest index so far.
    pub(super) fn index_of(&self, sequence: u16) -> Result<u64, Refused> {
        #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are meant")]
        let newest = self.highest as u16;
        let distance = sequence.wrapping_sub(newest);
        let index = if distance < 0x8000 {
            self.highest.wrapping_add(u64::from(distance))
        } else {
            // An index below 0 does not exist.
            self.highest.checked_sub(u64::from(distance.wrapping_neg())).ok_or(Refused::Replay)?
        };
        if index < INDEX_LIMIT { Ok(index) } else { Err(Refused::Exhausted) }
    }

    /// Returns an error unless the index is new and inside the window.
    pub(super) fn check(&self, index: u64) -> Result<(), Refused> {
        match self.highest.checked_sub(index) {
            None => Ok(()),
            Some(behind) if behind >= WINDOW => Err(Refused::Replay),
            Some(_) if self.is_marked(index) => Err(Refused::Replay),
            Some(_) => Ok(()),
        }
    }

    /// Records an index that passed [`check`](Self::check) and whose packet was authenticated since.
    pub(super) fn commit(&mut self, index: u64) {
        if index > self.highest {
            let (old, new) = (self.highest / 64, index / 64);
            for word in old.saturating_add(1)..=new.min(old.saturating_add(WORDS as u64)) {
                *self.word(word) = 0;
            }
            self.highest = index;
        }
        self.mark(index);
    }

    fn mark(&mut self, index: u64) {
        *self.word(index / 64) |= 1 << (index % 64);
    }

    fn is_marked(&self, index: u64) -> bool {
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
        let word = self.seen[(index / 64) as usize % WORDS];
        word & (1 << (index % 64)) != 0
    }

    fn word(&mut self, number: u64) -> &mut u64 {
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
        &mut self.seen[number as usize % WORDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn late_packet_across_the_wrap_is_in_the_earlier_cycle() {
        let mut window = ReplayWindow::starting_at(65_530);
        assert_eq!(window.index_of(3), Ok(65_539));
        window.commit(65_539);
        assert_eq!(window.index_of(65_535), Ok(65_535));
        assert_eq!(window.check(65_535), Ok(()));
    }

    #[test]
    fn index_below_zero_is_refused() {
        assert_eq!(ReplayWindow::starting_at(2).index_of(65_535), Err(Refused::Replay));
    }

    #[test]
    fn index_space_ends() {
        let window = ReplayWindow::starting_at(INDEX_LIMIT - 1);
        assert_eq!(window.index_of(0xffff), Ok(INDEX_LIMIT - 1));
        assert_eq!(window.index_of(0), Err(Refused::Exhausted));
    }

    proptest! {
        /// The ring of words agrees with a set of everything that was accepted.
        #[test]
        fn agrees_with_a_plain_set(steps in prop::collection::vec((any::<bool>(), 0u64..2_000), 1..400)) {
            let mut window = ReplayWindow::starting_at(5_000);
            let mut seen = HashSet::from([5_000u64]);
            let mut highest = 5_000u64;
            for (forward, distance) in steps {
                let index = if forward { highest + distance } else { highest.saturating_sub(distance) };
                let fresh = !seen.contains(&index) && (index > highest || highest - index < WINDOW);
                prop_assert_eq!(window.check(index).is_ok(), fresh);
                if fresh {
                    window.commit(index);
                    seen.insert(index);
                    highest = highest.max(index);
                }
            }
        }

        /// A sender's index is recovered from its low bits at any distance below half a cycle.
        #[test]
        fn recovers_the_index(start in 0u64..1 << 40, ahead in 0u64..0x8000, behind in 1u64..0x8000) {
            let window = ReplayWindow::starting_at(start);
            prop_assert_eq!(window.index_of((start + ahead) as u16), Ok(start + ahead));
            if behind <= start {
                prop_assert_eq!(window.index_of((start - behind) as u16), Ok(start - behind));
            }
        }
    }
}
