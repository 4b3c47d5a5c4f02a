//! The rate of a link over time: steps, repeated or not, and traces of mobile networks.
//!
//! Everything here is exact arithmetic on integers, so that a schedule means the same on every machine.

use crate::{
    quantity::{Bitrate, LONGEST, QuantityError, Share, time},
    random::Random,
};
use std::{fmt, str::FromStr, sync::Arc, time::Duration};

/// From a time on, a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateStep {
    /// Time since the start of the schedule.
    pub at: Duration,
    /// The rate; `None` while the link stalls: the queue keeps what it holds, and nothing leaves it.
    pub rate: Option<Bitrate>,
}

/// Why steps are not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The first step is not at 0, or a step is not at least a millisecond after the one before.
    #[error("the step at {0:?}: steps begin at 0 and ascend by at least 1ms")]
    Order(Duration),
    /// The schedule repeats before its last step.
    #[error("repeated every {0:?}: that must be at least 1ms after the last step")]
    Every(Duration),
    /// Nothing ever leaves the link.
    #[error("a schedule without any rate")]
    Stalled,
    /// Too many steps.
    #[error("more than {} steps", RateSchedule::MOST_STEPS)]
    Long,
    /// A line of a trace is no rate.
    #[error("line {0}: {1}")]
    Line(usize, QuantityError),
    /// A malformed rate or time.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
}

/// The rate of a link over time.
///
/// As text, steps are separated by colons, each a rate and the time from which it holds:
///
/// ```
/// use std::time::Duration;
/// use tacet_impair::{Bitrate, RateSchedule};
///
/// let schedule: RateSchedule = "20mbit:0@30s:4mbit@30.8s".parse()?;
/// assert_eq!(schedule.rate_at(Duration::from_secs(31)), Some(Bitrate::mbit(4)));
/// assert_eq!(schedule.rate_at(Duration::from_secs(30)), None, "the link stalls");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RateSchedule {
    steps: Arc<[RateStep]>,
    every: Option<Duration>,
}

impl RateSchedule {
    /// Maximum number of steps.
    pub const MOST_STEPS: usize = 100_000;
    /// Minimum length of a step.
    const SHORTEST: Duration = Duration::from_millis(1);

    /// A schedule of these steps, in order, the first at 0. The last one lasts forever.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn new(steps: &[RateStep]) -> Result<Self, ScheduleError> {
        if steps.len() > Self::MOST_STEPS {
            return Err(ScheduleError::Long);
        }
        if let Some(first) = steps.first().filter(|first| !first.at.is_zero()) {
            return Err(ScheduleError::Order(first.at));
        }
        if let Some([_, late]) = steps.array_windows().find(|[a, b]| b.at < a.at.saturating_add(Self::SHORTEST)) {
            return Err(ScheduleError::Order(late.at));
        }
        if steps.iter().all(|step| step.rate.is_none()) {
            return Err(ScheduleError::Stalled);
        }
        Ok(Self { steps: steps.into(), every: None })
    }

    /// The same schedule, which starts again each time this has passed.
    ///
    /// # Errors
    /// [`ScheduleError::Every`].
    pub fn repeated(self, every: Duration) -> Result<Self, ScheduleError> {
        let last = self.steps.last().map_or(Duration::ZERO, |step| step.at);
        if every < last.saturating_add(Self::SHORTEST) || every > LONGEST {
            return Err(ScheduleError::Every(every));
        }
        Ok(Self { every: Some(every), ..self })
    }

    /// A link whose rate changes each 100 ms, as those of mobile networks do (RFC 8869 section 2): a share of the best
    /// rate, drawn uniformly from `least` to all, for this long, and then the same again.
    ///
    /// # Errors
    /// [`ScheduleError`], when there are too many steps.
    pub fn swinging(best: Bitrate, least: Share, lasts: Duration, seed: u64) -> Result<Self, ScheduleError> {
        let mut random = Random::new(seed);
        let count = usize::try_from(lasts.as_millis() / TRACE_STEP.as_millis()).map_err(|_| ScheduleError::Long)?;
        let rates = (0..count.clamp(1, Self::MOST_STEPS + 1)).map(|_| {
            let share = least.value() + (1.0 - least.value()) * random.fraction();
            Bitrate::new((best.bits_per_second() as f64 * share) as u64)
        });
        Self::of_trace(rates)
    }

    /// Reads a trace: one rate a line, such as `1.8mbit`, each for 100 ms, `0` while the link stalls. The trace repeats.
    /// Empty lines and those that begin with `#` are skipped.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn trace(text: &str) -> Result<Self, ScheduleError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).take(Self::MOST_STEPS + 1);
        let rates = lines.map(|(number, line)| rate(line).map_err(|error| ScheduleError::Line(number, error)));
        let rates = rates.collect::<Result<Vec<_>, _>>()?;
        Self::of_trace(rates.into_iter())
    }

    fn of_trace(rates: impl Iterator<Item = Option<Bitrate>>) -> Result<Self, ScheduleError> {
        let steps: Vec<_> = (0u32..).zip(rates).map(|(n, rate)| RateStep { at: TRACE_STEP * n, rate }).collect();
        let every = TRACE_STEP * u32::try_from(steps.len()).map_err(|_| ScheduleError::Long)?;
        Self::new(&steps)?.repeated(every.min(LONGEST))
    }

    /// The rate at this time since the start; `None` while the link stalls.
    pub fn rate_at(&self, age: Duration) -> Option<Bitrate> {
        self.steps.get(self.segment(age).0).and_then(|step| step.rate)
    }

    /// The rate by which a queue is sized at this time: during a stall, that of the next step which has one, or of the
    /// last which had one.
    pub(crate) fn nominal_at(&self, age: Duration) -> Option<Bitrate> {
        let (before, after) = self.steps.split_at_checked(self.segment(age).0)?;
        after.iter().chain(before.iter().rev()).find_map(|step| step.rate)
    }

    /// When bytes of which the first leaves at `from` are gone; at most an hour later.
    pub(crate) fn transmitted(&self, from: Duration, bytes: u64) -> Duration {
        let end = from.saturating_add(LONGEST);
        let mut left = u128::from(bytes) * BYTE;
        let mut at = from;
        while at < end {
            let (index, lasts) = self.segment(at);
            let rate =
                self.steps.get(index).and_then(|step| step.rate).map_or(0, |rate| u128::from(rate.bits_per_second()));
            let passes = lasts.map(|lasts| lasts.as_nanos().saturating_mul(rate));
            match (passes, lasts) {
                (Some(passes), Some(lasts)) if passes < left => {
                    left -= passes;
                    at = at.saturating_add(lasts);
                }
                _ => {
                    let needs = left.checked_div(rate).map(|nanos| nanos + u128::from(!left.is_multiple_of(rate)));
                    let needs = needs.and_then(|nanos| u64::try_from(nanos).ok()).map_or(LONGEST, Duration::from_nanos);
                    return at.saturating_add(needs).min(end);
                }
            }
        }
        end
    }

    /// Bytes that pass between two times, rounded down.
    pub(crate) fn bytes_between(&self, from: Duration, to: Duration) -> u64 {
        let mut passed = 0u128;
        let mut at = from;
        while at < to {
            let (index, lasts) = self.segment(at);
            let until = lasts.map_or(to, |lasts| at.saturating_add(lasts).min(to));
            let rate =
                self.steps.get(index).and_then(|step| step.rate).map_or(0, |rate| u128::from(rate.bits_per_second()));
            passed = passed.saturating_add((until - at).as_nanos().saturating_mul(rate));
            at = until;
        }
        u64::try_from(passed / BYTE).unwrap_or(u64::MAX)
    }

    /// The step at this time, and how much longer it lasts; `None` if forever.
    fn segment(&self, age: Duration) -> (usize, Option<Duration>) {
        let age = match self.every.map(|every| every.as_nanos()) {
            Some(every) => Duration::from_nanos(age.as_nanos().checked_rem(every).unwrap_or_default() as u64),
            None => age,
        };
        let next = self.steps.partition_point(|step| step.at <= age);
        let end = self.steps.get(next).map(|step| step.at).or(self.every);
        (next.saturating_sub(1), end.map(|end| end.saturating_sub(age)))
    }
}

/// Bits × nanoseconds per second in a byte.
const BYTE: u128 = 8_000_000_000;
/// Time between the lines of a trace.
const TRACE_STEP: Duration = Duration::from_millis(100);

/// A rate, or 0.
fn rate(text: &str) -> Result<Option<Bitrate>, QuantityError> {
    if text.trim() == "0" { Ok(None) } else { text.parse().map(Some) }
}

impl FromStr for RateSchedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (text, every) = match text.split_once("@@") {
            Some((text, every)) => (text, Some(time(every)?)),
            None => (text, None),
        };
        let steps = text.split(':').map(|step| match step.split_once('@') {
            Some((value, at)) => Ok(RateStep { at: time(at)?, rate: rate(value)? }),
            None => Ok(RateStep { at: Duration::ZERO, rate: rate(step)? }),
        });
        let schedule = Self::new(&steps.collect::<Result<Vec<_>, QuantityError>>()?)?;
        every.map_or(Ok(schedule.clone()), |every| schedule.repeated(every))
    }
}

/// As [`RateSchedule::from_str`] reads it; what repeats ends with `@@` and the period.
impl fmt::Display for RateSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, RateStep { at, rate }) in self.steps.iter().enumerate() {
            match rate {
                Some(rate) => write!(f, "{}{rate}", if place == 0 { "" } else { ":" })?,
                None => write!(f, "{}0", if place == 0 { "" } else { ":" })?,
            }
            if place > 0 {
                write!(f, "@{at:?}")?;
            }
        }
        self.every.map_or(Ok(()), |every| write!(f, "@@{every:?}"))
    }
}

/// Traces are long.
impl fmt::Debug for RateSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps.len() {
            0..=16 => write!(f, "RateSchedule({self})"),
            count => write!(f, "RateSchedule({count} steps)"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn bytes_cross_steps_and_stalls() {
        let schedule: RateSchedule = "8kbit:0@10s:80kbit@12s".parse().unwrap();
        assert_eq!(schedule.transmitted(s(0.0), 1_000), s(1.0));
        // A second before the stall, two within it, and the other half ten times as fast.
        assert_eq!(schedule.transmitted(s(9.0), 2_000), s(12.1));
        assert_eq!(schedule.bytes_between(s(9.0), s(12.1)), 2_000);
        assert_eq!(schedule.nominal_at(s(11.0)), Some(Bitrate::kbit(80)));
        let end: RateSchedule = "8kbit:0@10s".parse().unwrap();
        assert_eq!(end.transmitted(s(11.0), 1), s(11.0) + LONGEST, "nothing leaves it again");
        assert_eq!(end.nominal_at(s(11.0)), Some(Bitrate::kbit(8)));
    }

    #[test]
    fn trace_changes_each_100_ms_and_repeats() {
        let trace = RateSchedule::trace("# measured somewhere\n1mbit\n\n0\n 2.5mbit\n").unwrap();
        let rates = [0.05, 0.15, 0.25, 0.35, 0.45].map(|at| trace.rate_at(s(at)));
        let (low, high) = (Some(Bitrate::mbit(1)), Some(Bitrate::kbit(2_500)));
        assert_eq!(rates, [low, None, high, low, None]);
        assert_eq!(trace.bytes_between(s(0.0), s(3.0)), 10 * (12_500 + 31_250));
        assert_eq!(RateSchedule::trace("# empty"), Err(ScheduleError::Stalled));
        let error = RateSchedule::trace("# measured\n\n1mbit\n5 parsecs\n").unwrap_err();
        assert!(error.to_string().starts_with("line 4: `5 parsecs`"), "{error}");
    }

    #[test]
    fn swings_stay_within_bounds() {
        let swinging = |seed| RateSchedule::swinging(Bitrate::mbit(4), Share::percent(30), s(60.0), seed).unwrap();
        let schedule = swinging(1);
        let rates = (0..600).map(|n| schedule.rate_at(TRACE_STEP * n).unwrap());
        assert!(rates.clone().all(|rate| (1_200_000..=4_000_000).contains(&rate.bits_per_second())));
        let mean = rates.map(|rate| rate.bits_per_second() as f64).sum::<f64>() / 600.0;
        assert!((mean - 2.6e6).abs() < 1e5, "{mean}: the middle of 1.2 and 4 Mbit/s");
        assert_eq!(schedule, swinging(1));
        assert_ne!(schedule, swinging(2));
    }

    #[test]
    fn disorder_is_refused() {
        for text in
            ["", "0", "1mbit@1s", "1mbit:2mbit@2s:3mbit@1s", "1mbit:2mbit@1us", "1mbit:2mbit@2s@@2s", "1mbit:x@1s"]
        {
            assert!(text.parse::<RateSchedule>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn time_and_bytes_agree(
            rates in prop::collection::vec(0u64..3_000_000, 1..6),
            every in any::<bool>(),
            from in 0u64..10_000,
            bytes in 1u64..20_000,
        ) {
            let steps: Vec<_> = (0u64..)
                .zip(rates)
                .map(|(n, rate)| RateStep { at: Duration::from_millis(700 * n), rate: Bitrate::new(rate) })
                .collect();
            prop_assume!(steps.iter().any(|step| step.rate.is_some_and(|rate| rate.bits_per_second() > 1_000)));
            let schedule = RateSchedule::new(&steps).unwrap();
            let schedule = if every { schedule.repeated(Duration::from_secs(5)).unwrap() } else { schedule };
            let from = Duration::from_millis(from);
            let end = schedule.transmitted(from, bytes);
            if end < from + LONGEST {
                // The last nanosecond is rounded up; at 3 Mbit/s it holds no whole byte.
                prop_assert_eq!(schedule.bytes_between(from, end), bytes);
            }
            prop_assert_eq!(schedule.to_string().parse::<RateSchedule>().unwrap(), schedule);
        }
    }
}
