//! RTP sequence numbers: 16 bits with wrap-around order (RFC 3550 section 5.1), and their unwrapping to 64 bits.

/// A sequence number as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqNum(pub u16);

impl SeqNum {
    /// Returns the distance from `older` to `self` in −32,768..=32,767; negative if `self` comes before.
    #[must_use]
    #[inline]
    pub const fn distance_from(self, older: Self) -> i16 {
        self.0.wrapping_sub(older.0).cast_signed()
    }

    /// Returns whether `self` comes after `other` in wrap-around order.
    #[must_use]
    #[inline]
    pub const fn is_after(self, other: Self) -> bool {
        self.distance_from(other) > 0
    }
}

/// Unwraps sequence numbers to 64 bits: each to the candidate nearest to the highest number accepted so far.
///
/// The first number is unwrapped into cycle 1, so that earlier packets that arrive late still have a number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    highest: Option<u64>,
}

impl Unwrapper {
    /// Extended number of sequence number 0 in cycle 1.
    const FIRST_CYCLE: u64 = 1 << 16;

    /// Returns the highest extended number accepted.
    #[must_use]
    #[inline]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Returns the extended number of `seq` without accepting it.
    #[must_use]
    #[inline]
    pub fn peek(&self, seq: SeqNum) -> u64 {
        self.highest.map_or(Self::FIRST_CYCLE | u64::from(seq.0), |highest| near(highest, seq))
    }

    /// Records an extended number if it is the highest so far.
    #[inline]
    pub fn accept(&mut self, extended: u64) {
        self.highest = Some(self.highest.map_or(extended, |highest| highest.max(extended)));
    }
}

/// Returns the extended number nearest to `reference` whose low 16 bits are `seq`.
#[must_use]
#[inline]
pub fn near(reference: u64, seq: SeqNum) -> u64 {
    let distance = seq.distance_from(SeqNum(low(reference)));
    reference.saturating_add_signed(i64::from(distance))
}

/// Returns the low 16 bits of an extended number: the sequence number on the wire.
#[must_use]
#[inline]
pub const fn low(extended: u64) -> u16 {
    (extended & 0xffff) as u16
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seq_order_wraps_around() {
        assert!(SeqNum(1).is_after(SeqNum(65_535)));
        assert!(!SeqNum(65_535).is_after(SeqNum(1)));
        assert_eq!(SeqNum(2).distance_from(SeqNum(65_534)), 4);
    }

    #[test]
    fn unwrapper_accepts_numbers_before_the_first() {
        let mut unwrapper = Unwrapper::default();
        let first = unwrapper.peek(SeqNum(3));
        unwrapper.accept(first);
        assert_eq!(unwrapper.peek(SeqNum(65_530)), first - 9);
    }

    proptest! {
        #[test]
        fn unwrapper_follows_a_reordered_stream(start in any::<u16>(), steps in prop::collection::vec(-500i64..2_000, 1..200)) {
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
