//! Loss in bursts: the Gilbert–Elliott model (E. O. Elliott, "Estimates of error rates for codes on
//! burst-noise channels", Bell System Technical Journal 42, 1963; RFC 6534 uses the same two states).
//!
//! ```text
//!            to_bad
//!        ┌────────────►
//!      Good            Bad      a packet is lost with in_good or in_bad, then the state may change
//!        ◄────────────┘
//!            to_good
//! ```

use crate::{quantity::Share, random::Random};

/// How packets are lost. The default loses none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    to_bad: Share,
    to_good: Share,
    in_good: Share,
    in_bad: Share,
}

/// Why burst loss with these parameters is impossible.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LossError {
    /// A burst has at least one packet.
    #[error("a burst of {0} packets: it must be at least 1")]
    Short(f64),
    /// Bursts this short could not reach the share of loss, even back to back.
    #[error("{} lost in bursts of {length} packets: bursts must be at least {least:.2} long for that", mean)]
    TooMuch {
        /// The requested share of loss.
        mean: Share,
        /// The requested mean burst.
        length: f64,
        /// The shortest possible mean burst.
        least: f64,
    },
}

impl Loss {
    /// Every packet arrives.
    pub const NONE: Self = Self::independent(Share::NONE);

    /// Each packet is lost with this probability, whatever happened to the one before.
    pub const fn independent(share: Share) -> Self {
        Self { to_bad: Share::NONE, to_good: Share::ALL, in_good: share, in_bad: share }
    }

    /// Loss of this share of packets, in bursts of this mean length in packets. All packets of a burst are lost, none
    /// between bursts; lengths are distributed geometrically.
    ///
    /// # Errors
    /// [`LossError`]: 5 % in bursts of 3 is fine, 90 % in bursts of 3 is not.
    pub fn bursts(mean: Share, length: f64) -> Result<Self, LossError> {
        if !(length.is_finite() && length >= 1.0) {
            return Err(LossError::Short(length));
        }
        if mean == Share::ALL || mean.is_none() {
            return Ok(Self::independent(mean));
        }
        let least = mean.value() / (1.0 - mean.value());
        let too_much = LossError::TooMuch { mean, length, least };
        let to_bad = Share::new(least / length).ok_or(too_much)?;
        let to_good = Share::new(1.0 / length).ok_or(too_much)?;
        Ok(Self { to_bad, to_good, in_good: Share::NONE, in_bad: Share::ALL })
    }

    /// The model by its four parameters: per packet, the probabilities of the transition to the bad state and back, and
    /// the loss probability in each state.
    pub const fn gilbert_elliott(to_bad: Share, to_good: Share, in_good: Share, in_bad: Share) -> Self {
        Self { to_bad, to_good, in_good, in_bad }
    }

    /// Share of packets lost in the long run.
    pub fn mean(&self) -> Share {
        let bad = self.share_of_bad();
        Share::new(self.in_good.value() * (1.0 - bad) + self.in_bad.value() * bad).unwrap_or(Share::ALL)
    }

    /// Mean number of packets in a bad state; infinite if there is no way back.
    pub fn mean_bad(&self) -> f64 {
        1.0 / self.to_good.value()
    }

    /// The four parameters, in the order of [`Self::gilbert_elliott`].
    pub(crate) fn parameters(&self) -> [Share; 4] {
        [self.to_bad, self.to_good, self.in_good, self.in_bad]
    }

    fn share_of_bad(&self) -> f64 {
        let (to_bad, to_good) = (self.to_bad.value(), self.to_good.value());
        if to_bad == 0.0 { 0.0 } else { to_bad / (to_bad + to_good) }
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self::NONE
    }
}

/// State of the model.
#[derive(Debug)]
pub(crate) struct LossProcess {
    random: Random,
    /// `None` before the first packet, for which it is drawn from the stationary distribution, so that the mean holds
    /// from the start.
    bad: Option<bool>,
}

impl LossProcess {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, bad: None }
    }

    /// Whether the next packet is lost.
    pub(crate) fn loses(&mut self, loss: &Loss) -> bool {
        let start = self.random.fraction() < loss.share_of_bad();
        let bad = self.bad.unwrap_or(start);
        let lost = self.random.happens(if bad { loss.in_bad } else { loss.in_good });
        let changes = self.random.happens(if bad { loss.to_good } else { loss.to_bad });
        self.bad = Some(bad != changes);
        lost
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bursts_have_mean_and_length() {
        let loss = Loss::bursts(Share::percent(5), 3.0).unwrap();
        assert!((loss.mean().value() - 0.05).abs() < 1e-12);
        assert!((loss.mean_bad() - 3.0).abs() < 1e-12);
        assert_eq!(Loss::bursts(Share::NONE, 3.0), Ok(Loss::NONE));
        assert_eq!(Loss::bursts(Share::ALL, 3.0).unwrap().mean(), Share::ALL);
    }

    #[test]
    fn impossible_bursts_are_refused() {
        assert!(matches!(Loss::bursts(Share::percent(5), 0.5), Err(LossError::Short(_))));
        assert!(matches!(Loss::bursts(Share::percent(5), f64::NAN), Err(LossError::Short(_))));
        let error = Loss::bursts(Share::percent(90), 3.0).unwrap_err();
        assert_eq!(error.to_string(), "90% lost in bursts of 3 packets: bursts must be at least 9.00 long for that");
        assert!(Loss::bursts(Share::percent(90), 9.5).is_ok());
    }

    #[test]
    fn bad_state_without_return_is_permanent() {
        let loss = Loss::gilbert_elliott(Share::ALL, Share::NONE, Share::NONE, Share::ALL);
        assert_eq!(loss.mean(), Share::ALL);
        let mut process = LossProcess::new(Random::new(1));
        assert!((0..100).all(|_| process.loses(&loss)));
    }
}
