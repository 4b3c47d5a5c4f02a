//! The generator behind a seed: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014).
//!
//! Implemented here instead of taken from a library, so that a seed in a test or a report always names the same run.

use crate::quantity::Share;

/// A stream of pseudorandom numbers, determined by its seed. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any of 64 bits.
    #[allow(clippy::should_implement_trait, reason = "an endless stream is no iterator that ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A uniform number in `0..end`, biased by less than one part in 2⁶⁴; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A uniform number in `0.0..1.0`, in steps of 2⁻⁵³.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability. Always draws one number.
    pub fn happens(&mut self, share: Share) -> bool {
        self.fraction() < share.value()
    }

    /// A separate stream, seeded by this one.
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_matches_reference() {
        // From the reference implementation, https://prng.di.unimi.it/splitmix64.c, with the state 1234567.
        let mut random = Random::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.next(), random.next(), random.next()], expected);
    }

    #[test]
    fn chance_of_zero_and_one() {
        let mut random = Random::new(1);
        assert!((0..10_000).all(|_| random.happens(Share::ALL) && !random.happens(Share::NONE)));
        assert!((0..10_000).all(|_| random.below(7) < 7));
        assert_eq!(random.below(0), 0);
    }
}
