//! Sliding replay window of one KID: which of the last 1,024 counters were accepted.
//!
//! [`screen`](ReplayWindow::screen) checks before decryption, [`record`](ReplayWindow::record) updates after the tag was
//! valid. An unauthenticated header never moves the window; an authenticated counter may jump arbitrarily, because a
//! server pauses layers.

/// Size of the window in counters: 20 s of audio, 11 s of simulcast with three layers.
pub(crate) const SPAN: u64 = 1_024;

const WORDS: usize = 16;

/// The window, 128 bytes and its upper edge.
#[derive(Clone, Debug)]
pub(crate) struct ReplayWindow {
    /// Bit `ctr % SPAN`, for counters in `highest - SPAN < ctr <= highest`.
    seen: [u64; WORDS],
    /// Highest accepted counter.
    highest: Option<u64>,
}

fn bit(ctr: u64) -> (usize, u64) {
    let position = ctr % SPAN;
    ((position / 64) as usize, 1 << (position % 64))
}

impl ReplayWindow {
    pub(crate) fn new() -> Self {
        Self { seen: [0; WORDS], highest: None }
    }

    /// Whether a frame with this counter may be accepted: neither seen nor older than the window.
    pub(crate) fn screen(&self, ctr: u64) -> bool {
        match self.highest {
            Some(highest) if ctr <= highest => {
                let (word, mask) = bit(ctr);
                highest.saturating_sub(ctr) < SPAN && self.seen.get(word).is_some_and(|seen| seen & mask == 0)
            }
            _ => true,
        }
    }

    /// Records an authenticated counter that [`screen`](Self::screen) accepted.
    pub(crate) fn record(&mut self, ctr: u64) {
        match self.highest {
            Some(highest) if ctr <= highest => {}
            Some(highest) if ctr.saturating_sub(highest) < SPAN => {
                // The counters skipped over enter the window unseen.
                let mut skipped = highest.saturating_add(1);
                while skipped < ctr {
                    let (word, mask) = bit(skipped);
                    if let Some(seen) = self.seen.get_mut(word) {
                        *seen &= !mask;
                    }
                    skipped = skipped.saturating_add(1);
                }
                self.highest = Some(ctr);
            }
            _ => {
                self.seen = [0; WORDS];
                self.highest = Some(ctr);
            }
        }
        let (word, mask) = bit(ctr);
        if let Some(seen) = self.seen.get_mut(word) {
            *seen |= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    #[test]
    fn replay_exact() {
        let mut window = ReplayWindow::new();
        assert!(window.screen(7));
        window.record(7);
        assert!(!window.screen(7));
        assert!(window.screen(6) && window.screen(8));
    }

    #[test]
    fn replay_old() {
        let mut window = ReplayWindow::new();
        window.record(5_000);
        assert!(window.screen(5_000 - SPAN + 1));
        assert!(!window.screen(5_000 - SPAN));
        assert!(!window.screen(0));
    }

    #[test]
    fn screen_does_not_move_window() {
        let mut window = ReplayWindow::new();
        window.record(3);
        assert!(window.screen(u64::MAX));
        assert!(window.screen(4), "a forged counter must not move the window");
        window.record(u64::MAX);
        assert!(!window.screen(u64::MAX) && window.screen(u64::MAX - 1));
    }

    proptest! {
        /// The reference: a set of all counters.
        #[test]
        fn window_matches_set_of_counters(
            steps in proptest::collection::vec(prop_oneof![0u64..3_000, 0u64..40, Just(1_023), Just(1_024)], 1..400),
            back in proptest::collection::vec(0u64..1_500, 400),
        ) {
            let (mut window, mut seen, mut head) = (ReplayWindow::new(), BTreeSet::new(), 0u64);
            for (index, step) in steps.into_iter().enumerate() {
                let ctr = if index % 3 == 0 { head + step } else { head.saturating_sub(back[index]) };
                let highest = seen.last().copied();
                let expected = !seen.contains(&ctr) && highest.is_none_or(|highest| ctr + SPAN > highest);
                prop_assert_eq!(window.screen(ctr), expected);
                if expected {
                    window.record(ctr);
                    seen.insert(ctr);
                    head = head.max(ctr);
                }
            }
        }
    }
}
