//! RTP sequence numbers: 16 bits with wrap-around order (RFC 3550 section 5.1), and their extension to 64 bits.

/// A sequence number as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqNum(pub u16);

impl SeqNum {
    /// How far `self` lies after `older`: negative if it lies before, in −32,768..=32,767.
    #[must_use]
    pub const fn distance_from(self, older: Self) -> i16 {
        self.0.wrapping_sub(older.0).cast_signed()
    }

    /// Whether `self` comes after `other` in wrap-around order.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.distance_from(other) > 0
    }
}

/// Extends sequence numbers to 64 bits, each to the candidate nearest to the highest number accepted so far.
///
/// Extended numbers start one cycle up, so that numbers before the first one seen still have one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    highest: Option<u64>,
}

impl Unwrapper {
    /// The extended number of the first possible cycle.
    const FIRST_CYCLE: u64 = 1 << 16;

    /// The highest extended number accepted.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// The extended number of `seq`; nothing is remembered.
    #[must_use]
    pub fn peek(&self, seq: SeqNum) -> u64 {
        self.highest.map_or(Self::FIRST_CYCLE | u64::from(seq.0), |highest| near(highest, seq))
    }

    /// Remembers an extended number, if it is the highest.
    pub fn accept(&mut self, extended: u64) {
        self.highest = Some(self.highest.map_or(extended, |highest| highest.max(extended)));
    }
}

/// The extended number with the low bits of `seq` that is nearest to `reference`.
#[must_use]
pub fn near(reference: u64, seq: SeqNum) -> u64 {
    let distance = seq.distance_from(SeqNum(low(reference)));
    reference.saturating_add_signed(i64::from(distance))
}

/// The 16 bits of an extended number that travel.
#[must_use]
pub const fn low(extended: u64) -> u16 {
    (extended & 0xffff) as u16
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_wraps_around() {
        assert!(SeqNum(1).is_after(SeqNum(65_535)));
        assert!(!SeqNum(65_535).is_after(SeqNum(1)));
        assert_eq!(SeqNum(2).distance_from(SeqNum(65_534)), 4);
    }

    #[test]
    fn numbers_before_the_first_have_an_extension() {
        let mut unwrapper = Unwrapper::default();
        let first = unwrapper.peek(SeqNum(3));
        unwrapper.accept(first);
        assert_eq!(unwrapper.peek(SeqNum(65_530)), first - 9);
    }

    proptest! {
        #[test]
        fn a_stream_with_bounded_reordering_is_extended_exactly(start in any::<u16>(), steps in prop::collection::vec(-500i64..2_000, 1..200)) {
            let mut unwrapper = Unwrapper::default();
            let mut truth = (1 << 16) + u64::from(start);
            for step in steps {
                let packet = truth.saturating_add_signed(step).max(1);
                prop_assume!(unwrapper.highest().is_some() || step == 0 || packet >> 16 == 1);
                if unwrapper.highest().is_none() { truth = packet; }
                prop_assert_eq!(unwrapper.peek(SeqNum(low(packet))), packet);
                unwrapper.accept(packet);
                truth = truth.max(packet);
            }
        }
    }
}
