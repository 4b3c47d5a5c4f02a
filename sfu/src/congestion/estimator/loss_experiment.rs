//! Whether loss is congestion: sends less for a moment and looks whether less is lost.
//!
//! A radio link loses the same share of any rate. A full queue loses what does not fit.

use super::loss::Covered;
use crate::units::Bitrate;
use std::time::{Duration, Instant};

/// Share of what arrives that is sent meanwhile.
pub(super) const SHARE: f64 = 0.9;
/// Time until the loss of the lower rate is reported, beside two round trips.
const LENGTH: Duration = Duration::from_millis(700);
/// Reports before this, beside a round trip, are about packets of the higher rate.
const SETTLING: Duration = Duration::from_millis(100);
/// If more than this share of the loss remains, it is inherent.
const REMAINS: f64 = 0.6;
/// Highest inherent loss: beyond it a call is of no use, whatever causes it.
const HIGHEST: f64 = 0.3;
/// How long a result is valid, and how fast it fades then, a second.
const VALID: Duration = Duration::from_secs(20);
const FADES: f64 = 0.1;

/// An experiment that is running.
#[derive(Clone, Copy, Debug)]
struct Running {
    until: Instant,
    /// The loss of reports from here on counts.
    count_from: Instant,
    /// Estimate and loss before.
    estimate: Bitrate,
    loss: f64,
}

/// The inherent loss that experiments have shown.
#[derive(Debug, Default)]
pub(super) struct LossExperiment {
    running: Option<Running>,
    inherent: f64,
    valid_until: Option<Instant>,
    faded: Option<Instant>,
}

impl LossExperiment {
    /// Begins, at `estimate` and `loss`.
    pub(super) fn begin(&mut self, now: Instant, rtt: Duration, estimate: Bitrate, loss: f64) {
        let (until, count_from) = (now + 2 * rtt + LENGTH, now + rtt + SETTLING);
        self.running = Some(Running { until, count_from, estimate, loss });
    }

    /// Whether one is running.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Ends an experiment whose time is over; `covered` counts the packets of reports since a moment, and `queued` says
    /// whether there is a queue, which makes any loss congestion. Returns the estimate to restore, if the loss is inherent.
    pub(super) fn end(
        &mut self,
        now: Instant,
        queued: bool,
        covered: impl FnOnce(Instant) -> Covered,
    ) -> Option<Bitrate> {
        let running = self.running.filter(|running| now >= running.until)?;
        self.running = None;
        let loss = covered(running.count_from).loss();
        if queued || loss <= REMAINS * running.loss {
            return None;
        }
        self.inherent = self.inherent.max(loss).min(HIGHEST);
        self.valid_until = Some(now + VALID);
        Some(running.estimate)
    }

    /// Share of packets that the path loses at any rate, as far as experiments have shown.
    pub(super) fn inherent(&self) -> f64 {
        self.inherent
    }

    /// Lets a result that is no longer valid fade.
    pub(super) fn fade(&mut self, now: Instant) {
        let elapsed = self.faded.replace(now).map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        if self.valid_until.is_none_or(|until| now > until) {
            self.inherent *= (1.0 - FADES * elapsed.as_secs_f64()).clamp(0.0, 1.0);
        }
    }

    /// Ends the experiment: a queue has shown that the loss is congestion.
    pub(super) fn abandon(&mut self) {
        self.running = None;
    }

    /// Forgets everything: the path is another one.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);
    const ESTIMATE: Bitrate = Bitrate::from_kbps(1_000);

    fn run(loss_after: u32, queued: bool) -> (LossExperiment, Option<Bitrate>, Instant) {
        let (mut experiment, now) = (LossExperiment::default(), Instant::now());
        experiment.begin(now, RTT, ESTIMATE, 0.1);
        let covered = |_| Covered { packets: 100, lost: loss_after };
        assert_eq!(experiment.end(now + Duration::from_millis(899), queued, covered), None);
        assert!(experiment.is_running());
        let end = now + Duration::from_millis(900);
        let result = experiment.end(end, queued, covered);
        assert!(!experiment.is_running());
        (experiment, result, end)
    }

    #[test]
    fn loss_that_remains_is_inherent() {
        let (mut experiment, result, now) = run(9, false);
        assert_eq!(result, Some(ESTIMATE));
        experiment.fade(now);
        experiment.fade(now + VALID);
        assert!((experiment.inherent() - 0.09).abs() < 1e-9);
        experiment.fade(now + VALID + Duration::from_secs(1));
        assert!((experiment.inherent() - 0.081).abs() < 1e-9);
    }

    #[test]
    fn experiment_that_is_abandoned_restores_nothing() {
        let (mut experiment, now) = (LossExperiment::default(), Instant::now());
        experiment.begin(now, RTT, ESTIMATE, 0.1);
        experiment.abandon();
        let result = experiment.end(now + 10 * RTT, false, |_| Covered { packets: 100, lost: 100 });
        assert_eq!((result, experiment.is_running()), (None, false));
        assert!(experiment.inherent() == 0.0);
    }

    #[test]
    fn loss_that_falls_is_congestion() {
        for (loss_after, queued) in [(3, false), (9, true)] {
            let (experiment, result, _) = run(loss_after, queued);
            assert_eq!(result, None);
            assert!(experiment.inherent() == 0.0);
        }
    }
}
