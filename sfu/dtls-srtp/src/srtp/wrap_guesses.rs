//! The rollover counter of a stream's first packet (RFC 3711 section 3.3.1).
//!
//! A receiver takes it to be 0. If the first packets were lost and the sequence number wrapped among them, it is 1, and no
//! packet of the stream would ever authenticate. So a first packet that does not authenticate is tried with 1 as well. A
//! wrap among the first 2^15 packets leaves a number below 2^15, and only these are guesses.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

/// Guesses of a new opener, and the maximum. Those that fail are packets of strangers, who forge the peer's address; the
/// peer needs one a stream at most.
const GUESSES: u32 = 64;
/// Guesses that each new SSRC of the peer adds.
const GUESSES_PER_SSRC: u32 = 8;

/// The number of guesses that are left.
#[derive(Debug)]
pub(super) struct WrapGuesses {
    left: u32,
}

impl Default for WrapGuesses {
    fn default() -> Self {
        Self { left: GUESSES }
    }
}

impl WrapGuesses {
    /// The index of a first packet if the sequence number has wrapped; `None` if it cannot have, or no guess is left.
    pub(super) fn index(&self, sequence: u16) -> Option<u64> {
        (sequence < 0x8000 && self.left > 0).then_some(1 << 16 | u64::from(sequence))
    }

    /// Takes a guess.
    pub(super) fn guessed(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// The first packet of an SSRC was authenticated.
    pub(super) fn authenticated(&mut self) {
        self.left = self.left.saturating_add(GUESSES_PER_SSRC).min(GUESSES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lower_half_can_have_wrapped() {
        let guesses = WrapGuesses::default();
        assert_eq!([0, 0x7fff, 0x8000].map(|seq| guesses.index(seq)), [Some(0x1_0000), Some(0x1_7fff), None]);
    }

    #[test]
    fn guesses_are_bounded_and_renewed_by_new_streams() {
        let mut guesses = WrapGuesses::default();
        let used_up = |guesses: &mut WrapGuesses| {
            (0..1_000)
                .filter(|_| {
                    let left = guesses.index(5).is_some();
                    guesses.guessed();
                    left
                })
                .count()
        };
        assert_eq!(used_up(&mut guesses), GUESSES as usize);
        guesses.authenticated();
        assert_eq!(used_up(&mut guesses), GUESSES_PER_SSRC as usize);
        (0..100).for_each(|_| guesses.authenticated());
        assert_eq!(used_up(&mut guesses), GUESSES as usize);
    }
}
