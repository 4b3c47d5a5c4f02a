//! Which bitrate explains the loss: maximum likelihood over the last observations, with two unknowns, the bandwidth and the
//! loss that the path has at any bitrate (the loss-based estimator of libwebrtc, version 2).
//!
//! A path that limits without a queue, as a policer does, loses nothing below its bandwidth and all that is above it. If
//! observations at different bitrates show that, the bandwidth is found. If the loss is the same at all of them, it is
//! inherent, up to a bound, and the highest candidate wins.

use super::loss::Covered;
use crate::units::{Bitrate, DataSize};
use std::time::Duration;

/// Least length of an observation, and their number.
const LENGTH: Duration = Duration::from_millis(250);
const OBSERVATIONS: usize = 20;
/// Observations with which the model begins to judge.
const LEAST: usize = 3;
/// Weight of an observation, relative to the one after it.
const FADES: f64 = 0.9;
/// Candidates, in multiples of the estimate: growth, rest, decrease.
const CANDIDATES: [f64; 3] = [1.02, 1.0, 0.95];
/// Loss that says nothing.
const NEGLIGIBLE: f64 = 0.01;
/// Least inherent loss, and its first estimate.
const LEAST_INHERENT: f64 = 1e-3;
const FIRST_INHERENT: f64 = 0.01;
/// Part of Newton's step that the inherent loss takes.
const NEWTON_STEP: f64 = 0.75;
/// Preference for high candidates, for each kbit/s and each unit of its logarithm. It is reversed with more loss than
/// `PREFERRED_BELOW`, if that cannot be inherent.
const PREFERENCE: (f64, f64) = (0.000_2, 0.02);
const PREFERRED_BELOW: f64 = 0.15;
const PREFERENCE_SMOOTHING: f64 = 0.002;

#[derive(Clone, Copy, Debug, Default)]
struct Observation {
    /// Sent bitrate in kbit/s.
    sent: f64,
    packets: f64,
    lost: f64,
}

/// What reports cover since the last observation.
#[derive(Clone, Copy, Debug)]
struct Partial {
    /// When it began, since the estimator's zero.
    begun: Duration,
    covered: Covered,
    size: DataSize,
}

/// What the model says of the estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing speaks against growth.
    Grow,
    /// More would be lost.
    Hold,
    /// This bitrate explains the loss better.
    Decrease(Bitrate),
}

/// Observations, and the inherent loss that explains them.
#[derive(Debug)]
pub(super) struct LossModel {
    observations: [Observation; OBSERVATIONS],
    /// Number of observations so far, up to a whole ring, and the place of the next.
    count: usize,
    next: usize,
    partial: Option<Partial>,
    inherent: f64,
}

impl Default for LossModel {
    fn default() -> Self {
        Self {
            observations: [Observation::default(); OBSERVATIONS],
            count: 0,
            next: 0,
            partial: None,
            inherent: FIRST_INHERENT,
        }
    }
}

impl LossModel {
    /// Counts a report, whose last packet left at `last_sent` since the estimator's zero. Returns whether it completes an observation.
    pub(super) fn add(&mut self, last_sent: Duration, covered: Covered, size: DataSize) -> bool {
        let Some(partial) = &mut self.partial else {
            // The first report says when the next observation begins.
            self.partial = Some(Partial { begun: last_sent, covered: Covered::default(), size: DataSize::ZERO });
            return false;
        };
        partial.covered = partial.covered.plus(covered);
        partial.size += size;
        let length = last_sent.saturating_sub(partial.begun);
        if length < LENGTH {
            return false;
        }
        let observation = Observation {
            sent: (partial.size / length).as_f64() / 1e3,
            packets: partial.covered.packets.into(),
            lost: partial.covered.lost.into(),
        };
        *partial = Partial { begun: last_sent, covered: Covered::default(), size: DataSize::ZERO };
        if let Some(slot) = self.observations.get_mut(self.next) {
            *slot = observation;
        }
        self.next = (self.next + 1) % OBSERVATIONS;
        self.count = (self.count + 1).min(OBSERVATIONS);
        true
    }

    /// Observations and their weights, the latest first.
    fn weighted(&self) -> impl Iterator<Item = (Observation, f64)> {
        let latest_first = (1..=self.count)
            .filter_map(|ago| self.observations.get((self.next + OBSERVATIONS - ago) % OBSERVATIONS).copied());
        latest_first.zip(std::iter::successors(Some(1.0), |weight| Some(weight * FADES)))
    }

    /// Share of packets that were lost, by weight.
    fn mean_loss(&self) -> f64 {
        let (packets, lost) = self.weighted().fold((0.0, 0.0), |(packets, lost), (observation, weight)| {
            (packets + weight * observation.packets, lost + weight * observation.lost)
        });
        if packets > 0.0 { lost / packets } else { 0.0 }
    }

    /// Judges an estimate after an observation. Inherent loss explains at most the share `most_inherent`.
    pub(super) fn judge(&mut self, estimate: Bitrate, acked: Bitrate, most_inherent: f64) -> Verdict {
        if self.count < LEAST {
            return Verdict::Grow;
        }
        let mean_loss = self.mean_loss();
        if mean_loss < NEGLIGIBLE {
            return Verdict::Grow;
        }
        let most_inherent = most_inherent.max(LEAST_INHERENT);
        let below = PREFERRED_BELOW.max(most_inherent) - mean_loss;
        let preference = below / (PREFERENCE_SMOOTHING + below.abs());
        let candidates = CANDIDATES.iter().map(|factor| estimate.mul_f64(*factor)).chain([acked.min(estimate)]);
        let judged = candidates.map(|rate| {
            let inherent = self.fit_inherent(rate, most_inherent);
            (self.likelihood(rate, inherent, preference), rate, inherent)
        });
        let Some((_, best, inherent)) = judged.max_by(|a, b| a.0.total_cmp(&b.0)) else { return Verdict::Grow };
        self.inherent = inherent;
        if best > estimate {
            Verdict::Grow
        } else if best == estimate {
            Verdict::Hold
        } else {
            Verdict::Decrease(best.max(acked.min(estimate)))
        }
    }

    /// One step of Newton's method towards the inherent loss that explains the observations best, if the path carries `rate`.
    fn fit_inherent(&self, rate: Bitrate, most: f64) -> f64 {
        let (first, second) = self.weighted().fold((0.0, 0.0), |(first, second), (observation, weight)| {
            let loss = loss_at(observation, rate, self.inherent);
            let (lost, arrived) = (observation.lost, observation.packets - observation.lost);
            (
                first + weight * (lost / loss - arrived / (1.0 - loss)),
                second - weight * (lost / (loss * loss) + arrived / ((1.0 - loss) * (1.0 - loss))),
            )
        });
        let step = if second < 0.0 { NEWTON_STEP * first / second } else { 0.0 };
        (self.inherent - step).clamp(LEAST_INHERENT, most)
    }

    /// Logarithm of the likelihood of the observations, with the preference: 1 for high candidates, -1 for low ones.
    fn likelihood(&self, rate: Bitrate, inherent: f64, preference: f64) -> f64 {
        let kbps = rate.as_f64() / 1e3;
        let preference = preference * (PREFERENCE.0 * kbps + PREFERENCE.1 * (1.0 + kbps).ln());
        let terms = self.weighted().map(|(observation, weight)| {
            let loss = loss_at(observation, rate, inherent);
            let (lost, arrived) = (observation.lost, observation.packets - observation.lost);
            weight * (lost * loss.ln() + arrived * (1.0 - loss).ln() + preference * observation.packets)
        });
        terms.sum()
    }
}

/// Expected loss of an observation, if the path carries `rate` and loses `inherent` of that: never exactly 0 or 1.
fn loss_at(observation: Observation, rate: Bitrate, inherent: f64) -> f64 {
    let above = (1.0 - rate.as_f64() / 1e3 / observation.sent.max(1e-3)).clamp(0.0, 1.0);
    (inherent + (1.0 - inherent) * above).clamp(1e-6, 1.0 - 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST_INHERENT: f64 = 0.1;

    /// Observations in turn of 0.9 and 1.1 of a Mbit/s, with the loss that each has.
    fn observe(loss: impl Fn(f64) -> f64) -> LossModel {
        let mut model = LossModel::default();
        model.add(Duration::ZERO, Covered::default(), DataSize::ZERO);
        for number in 1..=20u32 {
            let rate = if number % 2 == 0 { 0.9 } else { 1.1 };
            let packets = (rate * 40.0) as u32;
            let covered = Covered { packets, lost: (f64::from(packets) * loss(rate)).round() as u32 };
            assert!(model.add(LENGTH * number, covered, Bitrate::from_kbps(1_000).mul_f64(rate) * LENGTH));
        }
        model
    }

    fn judge(model: &mut LossModel, estimate: u64, acked: u64) -> Verdict {
        // Newton's method takes a few steps.
        for _ in 0..10 {
            model.judge(Bitrate::from_kbps(estimate), Bitrate::from_kbps(acked), MOST_INHERENT);
        }
        model.judge(Bitrate::from_kbps(estimate), Bitrate::from_kbps(acked), MOST_INHERENT)
    }

    #[test]
    fn loss_above_one_bitrate_is_a_bandwidth() {
        let mut model = observe(|rate| (1.0 - 1.0 / rate).max(0.0));
        assert_eq!(judge(&mut model, 1_100, 1_000), Verdict::Decrease(Bitrate::from_kbps(1_045)));
        let below = judge(&mut model, 900, 880);
        assert_eq!(below, Verdict::Grow, "nothing is lost there");
    }

    #[test]
    fn loss_at_any_bitrate_is_inherent() {
        let mut model = observe(|_| 0.07);
        assert_eq!(judge(&mut model, 1_100, 1_000), Verdict::Grow);
        assert!((model.inherent - 0.07).abs() < 0.02, "{model:?}");
    }

    #[test]
    fn loss_above_the_bound_is_a_bandwidth() {
        let mut model = observe(|_| 0.3);
        assert!(matches!(judge(&mut model, 1_100, 700), Verdict::Decrease(_)));
    }

    #[test]
    fn few_observations_say_nothing() {
        let mut model = LossModel::default();
        assert_eq!(judge(&mut model, 1_000, 500), Verdict::Grow);
        assert_eq!(judge(&mut observe(|_| 0.0), 1_000, 500), Verdict::Grow);
    }
}
