//! Devices by the order in which they entered the call, and sets of them in one word.

use crate::{ParticipantId, Seat};
use core::fmt;

/// Number of a device in the call. The server numbers and seats it accordingly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u8);

/// Maximum number of devices that enter one call.
pub(super) const MAX_SLOTS: usize = 128;

impl Slot {
    pub(super) fn of(index: usize) -> Self {
        assert!(index < MAX_SLOTS);
        Self(index as u8)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn participant(self) -> ParticipantId {
        ParticipantId(u32::from(self.0) + 1)
    }

    pub(super) fn seat(self) -> Seat {
        Seat(u16::from(self.0))
    }

    pub(super) fn of_participant(participant: ParticipantId) -> Self {
        Self::of(participant.0 as usize - 1)
    }

    pub(super) fn of_seat(seat: u16) -> Self {
        Self::of(usize::from(seat))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A set of devices.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slots(u128);

impl Slots {
    pub(super) fn contains(self, slot: Slot) -> bool {
        self.0 >> slot.0 & 1 == 1
    }

    /// Whether it was not in the set before.
    pub(super) fn insert(&mut self, slot: Slot) -> bool {
        let new = !self.contains(slot);
        self.0 |= 1 << slot.0;
        new
    }

    /// Whether it was in the set before.
    pub(super) fn remove(&mut self, slot: Slot) -> bool {
        let old = self.contains(slot);
        self.0 &= !(1 << slot.0);
        old
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn without(mut self, slot: Slot) -> Self {
        self.remove(slot);
        self
    }

    pub(super) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The member at this rank, ascending.
    pub(super) fn at(self, rank: u64) -> Slot {
        let mut rest = self.0;
        for _ in 0..rank {
            rest &= rest.wrapping_sub(1);
        }
        Slot(rest.trailing_zeros() as u8)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Slot> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let slot = Slot(rest.trailing_zeros() as u8);
            let some = rest != 0;
            rest &= rest.wrapping_sub(1);
            some.then_some(slot)
        })
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
