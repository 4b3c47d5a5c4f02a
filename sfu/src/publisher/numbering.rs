//! How the packets of an encoding count in each of its decode targets.
//!
//! A slot is sent one decode target under consecutive sequence numbers, whatever the encoding contains besides. So that no
//! slot has to remember what it left out, the numbers are made here, once for all slots: a packet's *ordinal* in a target
//! is the number of packets of the target before it.
//!
//! ```text
//!   index        7    8    9   10   11   12        8 and 11 are of the second target alone
//!   targets      AB    B   AB   ?    B   AB        10 is missing when 11 arrives: it counts in both until it comes,
//!   ordinal in A  0    1    1    2    3    3       and whichever slot has no use for it fills its number
//!   ordinal in B  0    1    2    3    4    5
//! ```
//! How an index counts is decided once, by its packet or by the gap that it leaves, and holds for as long as packets are
//! kept. Counters go on when a stream changes its structure.

use crate::wire::dependency_descriptor::MAX_TARGETS;

/// Mask of all decode targets that there can be.
pub(crate) const ALL_TARGETS: u16 = (1 << MAX_TARGETS) - 1;

/// How an index counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// Mask of the targets that count it.
    pub(crate) counted: u16,
    /// For each target, the number of indices that it counts before this one, modulo 2¹⁶.
    pub(crate) ordinals: [u16; MAX_TARGETS],
}

/// The place of a packet in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FramePlace {
    /// Number of the frame.
    pub(crate) number: u16,
    /// Mask of the targets that contain the frame.
    pub(crate) targets: u16,
    /// Spatial layer of the frame.
    pub(crate) spatial: u8,
    /// The packet is the first of the frame.
    pub(crate) starts: bool,
    /// The packet is the last of the frame.
    pub(crate) ends: bool,
}

/// The targets of a mask.
pub(crate) fn bits(mut mask: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (mask != 0).then(|| mask.trailing_zeros() as usize);
        mask &= mask.wrapping_sub(1);
        lowest
    })
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// 0 if the entry was never used.
    index: u64,
    numbering: Numbering,
}

/// The numbering of an encoding, over a window of indices that ends with the newest one.
#[derive(Debug)]
pub(crate) struct Numbers {
    ring: Box<[Entry]>,
    /// The newest index; 0 before the first.
    newest: u64,
    /// Where its packet is in its frame, if it tells.
    place: Option<FramePlace>,
    /// The ordinals of the next index.
    next: [u16; MAX_TARGETS],
    /// The first index. Those before it count backwards, as if they had been a gap.
    first: Entry,
}

impl Numbers {
    /// Of a window of `window` indices, rounded up to a power of two.
    pub(crate) fn new(window: usize) -> Self {
        let ring = std::iter::repeat_n(Entry::default(), window.next_power_of_two()).collect();
        Self { ring, newest: 0, place: None, next: [0; MAX_TARGETS], first: Entry::default() }
    }

    /// Numbers a packet that belongs to `targets`. One that arrives late keeps the numbering of the gap that it left.
    ///
    /// Returns `None` below the window.
    pub(crate) fn number(&mut self, index: u64, targets: u16, place: Option<FramePlace>) -> Option<Numbering> {
        if index <= self.newest {
            return self.of(index);
        }
        let gap = index - self.newest - 1;
        if gap > 0 && self.newest > 0 {
            let missing = self.gap_targets(place);
            let kept = gap.min(self.ring.len() as u64);
            self.skip(missing, gap - kept);
            for index in index - kept..index {
                self.count(index, missing);
            }
        }
        let numbering = self.count(index, targets);
        if self.newest == 0 {
            self.first = Entry { index, numbering };
        }
        self.newest = index;
        self.place = place;
        Some(numbering)
    }

    /// How an index counts; `None` below the window and above the newest index.
    pub(crate) fn of(&self, index: u64) -> Option<Numbering> {
        if index > self.newest || index.saturating_add(self.ring.len() as u64) <= self.newest {
            return None;
        }
        if let Some(before) = self.first.index.checked_sub(index).filter(|before| *before > 0) {
            let ordinals = self.first.numbering.ordinals.map(|ordinal| ordinal.wrapping_sub((before & 0xffff) as u16));
            return Some(Numbering { counted: ALL_TARGETS, ordinals });
        }
        let entry = self.ring.get(self.position(index))?;
        (entry.index == index).then_some(entry.numbering)
    }

    /// The targets that count what is missing between the newest packet and the next one, which is at `next` in its frame.
    fn gap_targets(&self, next: Option<FramePlace>) -> u16 {
        let (Some(last), Some(next)) = (self.place, next) else { return ALL_TARGETS };
        match next.number.wrapping_sub(last.number) {
            0 => last.targets | next.targets,
            // The rest of one frame, the beginning of the next one, or both.
            1 => {
                let rest = if last.ends { 0 } else { last.targets };
                rest | if next.starts { 0 } else { next.targets }
            }
            _ => ALL_TARGETS,
        }
    }

    fn count(&mut self, index: u64, counted: u16) -> Numbering {
        let numbering = Numbering { counted, ordinals: self.next };
        let position = self.position(index);
        if let Some(entry) = self.ring.get_mut(position) {
            *entry = Entry { index, numbering };
        }
        self.skip(counted, 1);
        numbering
    }

    /// Counts `count` indices in each of the targets.
    fn skip(&mut self, counted: u16, count: u64) {
        for target in bits(counted) {
            if let Some(next) = self.next.get_mut(target) {
                *next = next.wrapping_add((count & 0xffff) as u16);
            }
        }
    }

    /// The place of an index in the ring, whose length is a power of two.
    fn position(&self, index: u64) -> usize {
        (index & (self.ring.len() as u64 - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: usize = 64;
    const A: u16 = 0b01;
    const B: u16 = 0b10;

    fn ordinals(numbers: &Numbers, target: usize, indices: impl IntoIterator<Item = u64>) -> Vec<u16> {
        indices.into_iter().map(|index| numbers.of(index).unwrap().ordinals[target]).collect()
    }

    fn place(number: u16, targets: u16, starts: bool, ends: bool) -> Option<FramePlace> {
        Some(FramePlace { number, targets, spatial: 0, starts, ends })
    }

    /// The drawing of the module's comment.
    #[test]
    fn each_target_counts_its_packets_and_gaps_count_everywhere() {
        let mut numbers = Numbers::new(WINDOW);
        for (index, targets) in [(7, A | B), (8, B), (9, A | B), (11, B), (12, A | B)] {
            numbers.number(index, targets, None);
        }
        assert_eq!(ordinals(&numbers, 0, 7..=12), [0, 1, 1, 2, 3, 3]);
        assert_eq!(ordinals(&numbers, 1, 7..=12), [0, 1, 2, 3, 4, 5]);
        let late = numbers.number(10, B, None).unwrap();
        assert_eq!((late.counted, late.ordinals[0]), (ALL_TARGETS, 2), "as assumed, though it is not of A");
    }

    #[test]
    fn gap_inside_a_frame_counts_as_the_frame() {
        for (last, next, counted) in [
            (place(5, B, true, false), place(5, B, false, true), B),
            (place(5, B, true, false), place(6, A | B, true, true), B),
            (place(5, B, true, true), place(6, A, false, true), A),
            (place(5, A, false, false), place(6, B, false, false), A | B),
            (place(u16::MAX, B, true, false), place(0, A, true, true), B),
            (place(5, B, true, true), place(7, B, true, true), ALL_TARGETS),
            (place(5, B, true, true), place(6, B, true, true), 0),
            (None, place(6, B, false, true), ALL_TARGETS),
            (place(5, B, true, false), None, ALL_TARGETS),
        ] {
            let mut numbers = Numbers::new(WINDOW);
            numbers.number(70, B, last);
            numbers.number(73, B, next);
            let missing = [71, 72].map(|index| numbers.of(index).unwrap().counted);
            assert_eq!(missing, [counted; 2], "between {last:?} and {next:?}");
        }
    }

    #[test]
    fn packets_before_the_first_count_backwards() {
        let mut numbers = Numbers::new(WINDOW);
        let first = numbers.number(100, A, None).unwrap();
        let before = numbers.number(98, A, None).unwrap();
        assert_eq!((before.counted, before.ordinals[0]), (ALL_TARGETS, first.ordinals[0].wrapping_sub(2)));
        assert_eq!(numbers.of(101), None, "not seen yet");
        numbers.number(100 + WINDOW as u64, A, None);
        assert_eq!((numbers.of(100), numbers.of(98)), (None, None), "below the window");
    }

    proptest! {
        /// However packets are lost and reordered, consecutive indices have consecutive ordinals in every target that
        /// counts them, no answer ever changes, and the ordinals of a target are those of a plain count.
        #[test]
        fn ordinals_are_a_running_count(
            packets in prop::collection::vec((0u64..4, 0u16..8, 0usize..3), 1..300), jump in prop::option::of(0u64..200),
        ) {
            let mut numbers = Numbers::new(WINDOW);
            let (mut index, mut queue) = (1_000, Vec::new());
            for (n, &(lost, targets, delay)) in packets.iter().enumerate() {
                index += 1 + lost + jump.filter(|_| n == packets.len() / 2).unwrap_or(0);
                queue.push((n + delay, index, targets));
            }
            queue.sort_by_key(|&(at, ..)| at);
            let mut known = std::collections::BTreeMap::new();
            for (_, index, targets) in queue {
                let assumed = numbers.of(index);
                let Some(numbering) = numbers.number(index, targets, None) else { continue };
                prop_assert!(assumed.is_none_or(|assumed| assumed == numbering), "an answer changed");
                for index in index.saturating_sub(WINDOW as u64)..=index {
                    if let Some(numbering) = numbers.of(index) {
                        prop_assert_eq!(*known.entry(index).or_insert(numbering), numbering);
                    }
                }
                let newest = numbers.newest;
                for index in newest.saturating_sub(WINDOW as u64 - 1)..newest {
                    let (Some(one), Some(next)) = (numbers.of(index), numbers.of(index + 1)) else { continue };
                    for target in 0..MAX_TARGETS {
                        let counted = one.counted >> target & 1;
                        prop_assert_eq!(next.ordinals[target].wrapping_sub(one.ordinals[target]), counted);
                    }
                }
            }
        }
    }
}
