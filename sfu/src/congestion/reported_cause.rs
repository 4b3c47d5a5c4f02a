//! Which cause is reported of an estimate: that of the last change which matters.
//!
//! An estimate that has halved begins to grow a moment later. Who looks once a second would read that it is low because it
//! grows.

use super::Cause;
use crate::units::Bitrate;
use std::time::{Duration, Instant};

/// A fall below this share of what the estimate was matters, until there is as much again,
const FALLEN: f64 = 0.9;
/// or for this time.
const REPORTED_FOR: Duration = Duration::from_secs(5);

/// The last fall of an estimate.
#[derive(Clone, Copy, Debug)]
struct Fall {
    cause: Cause,
    before: Bitrate,
    at: Instant,
}

/// Follows an estimate.
#[derive(Debug, Default)]
pub(super) struct ReportedCause {
    last: Bitrate,
    fall: Option<Fall>,
}

impl ReportedCause {
    /// The estimate is this now, by this cause.
    pub(super) fn note(&mut self, now: Instant, cause: Cause, estimate: Bitrate) {
        let last = std::mem::replace(&mut self.last, estimate);
        let is_recent = |fall: &Fall| now.saturating_duration_since(fall.at) < REPORTED_FOR;
        self.fall = self.fall.filter(|fall| is_recent(fall) && estimate < fall.before.mul_f64(FALLEN));
        let before = self.fall.map_or(last, |fall| fall.before.max(last));
        if estimate < last && estimate < before.mul_f64(FALLEN) {
            self.fall = Some(Fall { cause, before, at: now });
        }
    }

    /// What to report of an estimate that was changed last by `cause`.
    pub(super) fn of(&self, cause: Cause) -> Cause {
        self.fall.map_or(cause, |fall| fall.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fall_is_reported_until_it_is_made_up_for() {
        let (mut reported, start, rate) = (ReportedCause::default(), Instant::now(), Bitrate::from_kbps);
        let at = |millis| start + Duration::from_millis(millis);
        reported.note(at(0), Cause::Probe, rate(2_000));
        reported.note(at(50), Cause::Trend, rate(1_900));
        assert_eq!(reported.of(Cause::Growth), Cause::Growth, "it is small");
        reported.note(at(100), Cause::Queue, rate(900));
        reported.note(at(150), Cause::Growth, rate(950));
        assert_eq!(reported.of(Cause::Growth), Cause::Queue);
        reported.note(at(900), Cause::Probe, rate(1_800));
        assert_eq!(reported.of(Cause::Probe), Cause::Probe, "as much again");
        reported.note(at(1_000), Cause::NoFeedback, rate(1_260));
        reported.note(at(1_500), Cause::NoFeedback, rate(882));
        reported.note(at(6_400), Cause::Growth, rate(1_000));
        assert_eq!(reported.of(Cause::Growth), Cause::NoFeedback);
        reported.note(at(6_600), Cause::Growth, rate(1_000));
        assert_eq!(reported.of(Cause::Growth), Cause::Growth, "long ago");
    }
}
