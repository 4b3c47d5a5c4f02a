//! What a frame means for each decode target.

use super::MAX_TARGETS;

/// Decode target indication: what a frame means for one decode target (section A.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Indication {
    /// Not part of the decode target.
    NotPresent,
    /// Part of it, and no other frame of it needs this one.
    Discardable,
    /// Part of it; a decoder that has this frame can decode the later frames of the target.
    Switch,
    /// Part of it, and needed.
    Required,
}

impl Indication {
    /// The two bits on the wire.
    pub(super) const fn code(self) -> u32 {
        self as u32
    }

    /// Inverse of [`Self::code`]; takes the low two bits.
    pub(super) const fn from_code(code: u32) -> Self {
        match code & 0b11 {
            0 => Self::NotPresent,
            1 => Self::Discardable,
            2 => Self::Switch,
            _ => Self::Required,
        }
    }
}

/// The [`Indication`] of a frame for every decode target, as masks: bit 0 is target 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Indications {
    present: u16,
    switch: u16,
    discardable: u16,
}

impl Indications {
    /// Sets the indication for a target; ignores targets from [`MAX_TARGETS`] on.
    #[inline]
    pub fn set(&mut self, target: u8, indication: Indication) {
        let bit = bit(target);
        let put = |mask: &mut u16, is: bool| *mask = *mask & !bit | if is { bit } else { 0 };
        put(&mut self.present, indication != Indication::NotPresent);
        put(&mut self.switch, indication == Indication::Switch);
        put(&mut self.discardable, indication == Indication::Discardable);
    }

    /// Returns the indication for a target.
    #[must_use]
    #[inline]
    pub fn get(&self, target: u8) -> Indication {
        let bit = bit(target);
        if self.present & bit == 0 {
            Indication::NotPresent
        } else if self.switch & bit != 0 {
            Indication::Switch
        } else if self.discardable & bit != 0 {
            Indication::Discardable
        } else {
            Indication::Required
        }
    }

    /// Returns the mask of the targets that contain the frame.
    #[must_use]
    #[inline]
    pub const fn present(&self) -> u16 {
        self.present
    }

    /// Returns the mask of the targets for which the frame is [`Indication::Switch`].
    #[must_use]
    #[inline]
    pub const fn switch(&self) -> u16 {
        self.switch
    }

    /// Returns the mask of the targets for which the frame is [`Indication::Discardable`].
    #[must_use]
    #[inline]
    pub const fn discardable(&self) -> u16 {
        self.discardable
    }
}

/// In order of targets; more than [`MAX_TARGETS`] are ignored.
impl FromIterator<Indication> for Indications {
    fn from_iter<I: IntoIterator<Item = Indication>>(indications: I) -> Self {
        let mut all = Self::default();
        for (target, indication) in (0..MAX_TARGETS as u8).zip(indications) {
            all.set(target, indication);
        }
        all
    }
}

/// Returns the mask of one target; 0 from [`MAX_TARGETS`] on.
#[inline]
pub(super) fn bit(target: u8) -> u16 {
    if usize::from(target) < MAX_TARGETS { 1u16.wrapping_shl(target.into()) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{Indication::*, *};

    #[test]
    fn masks_say_where_a_frame_is_present_and_switches() {
        let all: Indications = [NotPresent, Discardable, Switch, Required].into_iter().collect();
        assert_eq!((all.present(), all.switch(), all.discardable()), (0b1110, 0b100, 0b10));
        assert_eq!(
            [0, 1, 2, 3, 4].map(|target| all.get(target)),
            [NotPresent, Discardable, Switch, Required, NotPresent]
        );
    }

    #[test]
    fn indication_can_be_replaced() {
        let mut all: Indications = [Switch, Discardable].into_iter().collect();
        all.set(0, Required);
        all.set(1, NotPresent);
        all.set(12, Switch);
        assert_eq!(all, [Required].into_iter().collect());
    }
}
