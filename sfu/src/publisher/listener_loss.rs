//! The packet loss at the listeners of an audio stream, which its publisher prepares for.
//!
//! ```text
//!   publisher ── uplink ──► server ── downlink ──► listener ──► RR: fraction lost ─┐
//!       ▲                                                                           │
//!       └── RR: fraction lost = max(uplink, 75th percentile of the listeners) ◄────┘
//! ```
//! Audio is not retransmitted, and the server cannot make redundancy of what it cannot read. But an Opus encoder adds
//! in-band FEC, sealed with the rest, once reports say that packets are lost.
//!
//! A gap of the publisher is a gap in the slots, too. So the loss that a listener reports contains the uplink's, and need
//! not be combined with it. Only the *fraction* of a report is raised; the total, from which a sender computes its
//! available bandwidth, stays what arrived at the server.

/// The share of listeners, in percent, whose loss is covered. One bad downlink does not cost all others quality.
const COVERED: u32 = 75;
/// Maximum loss at the listeners that is reported, in units of 1/256: 20 %. Beyond it FEC repairs less and less.
const MAX: u8 = 51;

/// The fraction lost, in units of 1/256 as in a report block, that a publisher gets.
pub(crate) fn reported(uplink: u8, listeners: &Losses) -> u8 {
    uplink.max(listeners.covered().min(MAX))
}

/// The losses of the listeners of one stream.
#[derive(Debug)]
pub(crate) struct Losses {
    /// Number of listeners by the fraction that they lose, in units of 1/256.
    listeners: [u32; 256],
}

impl Default for Losses {
    fn default() -> Self {
        Self { listeners: [0; 256] }
    }
}

/// From the fraction that each listener loses, in units of 1/256.
impl FromIterator<u8> for Losses {
    fn from_iter<I: IntoIterator<Item = u8>>(fractions: I) -> Self {
        let mut losses = Self::default();
        for fraction in fractions {
            if let Some(listeners) = losses.listeners.get_mut(usize::from(fraction)) {
                *listeners += 1;
            }
        }
        losses
    }
}

impl Losses {
    /// What all but a quarter of the listeners lose at most; 0 without listeners.
    fn covered(&self) -> u8 {
        let all: u32 = self.listeners.iter().sum();
        let mut counted = 0;
        let enough = self.listeners.iter().position(|listeners| {
            counted += listeners;
            u64::from(counted) * 100 >= u64::from(all) * u64::from(COVERED)
        });
        enough.and_then(|fraction| u8::try_from(fraction).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: u8 = 26;

    fn sent(uplink: u8, losses: impl IntoIterator<Item = u8>) -> u8 {
        reported(uplink, &losses.into_iter().collect())
    }

    #[test]
    fn loss_at_half_of_the_listeners_is_reported() {
        assert_eq!(sent(0, [0, TENTH, 0, TENTH]), TENTH);
        assert_eq!(sent(0, [TENTH]), TENTH, "a call of two");
        assert_eq!(sent(0, [TENTH, 0]), TENTH);
    }

    #[test]
    fn a_few_bad_downlinks_cost_the_others_nothing() {
        assert_eq!(sent(0, (0..100).map(|n| if n < 25 { 128 } else { 0 })), 0);
    }

    #[test]
    fn loss_of_the_uplink_is_in_that_of_the_listeners() {
        assert_eq!(sent(TENTH, [TENTH; 20]), TENTH, "not twice");
        assert_eq!(sent(TENTH, [0; 20]), TENTH, "listeners that have not reported yet");
        assert_eq!(sent(TENTH, []), TENTH);
    }

    #[test]
    fn loss_at_listeners_is_bounded_and_that_of_the_uplink_is_not() {
        assert_eq!((sent(0, [200; 3]), sent(230, [200; 3]), sent(0, [])), (MAX, 230, 0));
    }
}
