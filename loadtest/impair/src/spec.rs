//! A path as text: `4g,loss=5%,burst=3`.
//!
//! A name of [`PRESETS`](crate::PRESETS) may come first; then settings, in any order, a later one over an earlier one.

use crate::{
    bottleneck::{Bottleneck, QueueLimit, Rate},
    impairment::{Impairment, Outage, PRESETS},
    jitter::Jitter,
    loss::{Loss, LossError},
    quantity::{self, QuantityError, Share},
    schedule::{RateSchedule, ScheduleError},
};
use std::{fmt, str::FromStr, time::Duration};

/// Why a text does not describe a path.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// A value is malformed.
    #[error("{key}: {error}")]
    Value {
        /// The setting.
        key: String,
        /// Why it is malformed.
        error: QuantityError,
    },
    /// The burst loss is impossible.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// The schedule of rates is impossible.
    #[error("rate: {0}")]
    Schedule(#[from] ScheduleError),
    /// Unknown setting.
    #[error(
        "`{setting}` is no setting: there are loss, burst, gilbert-elliott, delay, jitter, jitter-reorders, rate, \
         queue, aqm=codel, reorder, held-back, duplicate, down-after, down-for, down-every and, in the first place, {}",
        names()
    )]
    Unknown {
        /// The unknown name.
        setting: String,
    },
    /// A rate at which nothing ever leaves.
    #[error(
        "rate=0: nothing would ever leave the queue again; write loss=100% to lose everything, or a schedule such as \
         rate=2mbit:0@1ms:2mbit@5s to hold it up for a time"
    )]
    Stalled,
    /// A setting that changes another, which is not there.
    #[error("{0} without {1}")]
    Without(&'static str, &'static str),
    /// Four shares are needed.
    #[error("gilbert-elliott={0}: write TO_BAD/TO_GOOD/LOSS_IN_GOOD/LOSS_IN_BAD, such as 1%/30%/0%/80%")]
    GilbertElliott(String),
}

fn names() -> String {
    PRESETS.map(|(name, _)| name).join(", ")
}

/// Settings as they were written, before they are put together.
#[derive(Default)]
struct Written {
    loss: Option<Share>,
    burst: Option<f64>,
    gilbert_elliott: Option<Loss>,
    rate: Option<Rate>,
    queue: Option<QueueLimit>,
    codel: Option<bool>,
    down_after: Option<Duration>,
    down_for: Option<Duration>,
    down_every: Option<Duration>,
}

impl Impairment {
    /// Changes settings by a text such as `loss=5%,burst=3`; what it does not name stays.
    ///
    /// # Errors
    /// [`SpecError`].
    pub fn with(&self, settings: &str) -> Result<Self, SpecError> {
        let mut all = self.clone();
        let mut written = Written::default();
        let items = settings.split(',').map(str::trim).filter(|item| !item.is_empty());
        for (place, item) in items.enumerate() {
            if let Some(preset) = Self::preset(item).filter(|_| place == 0) {
                all = preset;
                continue;
            }
            let (key, value) = item.split_once('=').map_or((item, ""), |(key, value)| (key.trim(), value.trim()));
            let wrong = |error| SpecError::Value { key: key.to_owned(), error };
            let time = || quantity::time(value).map_err(wrong);
            let share = || value.parse::<Share>().map_err(wrong);
            match key {
                "loss" => written.loss = Some(share()?),
                "burst" => written.burst = Some(quantity::number(value).map_err(wrong)?),
                "gilbert-elliott" => written.gilbert_elliott = Some(gilbert_elliott(value)?),
                "delay" => all.delay = time()?,
                "jitter" => all.jitter = jitter(value).map_err(wrong)?,
                "jitter-reorders" => all.jitter_reorders = !matches!(value, "no" | "false"),
                "rate" if is_nothing(value) => return Err(SpecError::Stalled),
                "rate" if value.contains([':', '@']) => written.rate = Some(value.parse::<RateSchedule>()?.into()),
                "rate" => written.rate = Some(Rate::Constant(value.parse().map_err(wrong)?)),
                "queue" => written.queue = Some(queue(value).map_err(wrong)?),
                "aqm" if matches!(value, "codel" | "none") => written.codel = Some(value == "codel"),
                "reorder" => all.reorder = share()?,
                "held-back" => all.held_back = time()?,
                "duplicate" => all.duplicate = share()?,
                "down-after" => written.down_after = Some(time()?),
                "down-for" => written.down_for = Some(time()?),
                "down-every" => written.down_every = Some(time()?),
                _ => return Err(SpecError::Unknown { setting: item.to_owned() }),
            }
        }
        written.over(all)
    }
}

impl Written {
    fn over(self, mut all: Impairment) -> Result<Impairment, SpecError> {
        all.loss = match (self.gilbert_elliott, self.loss, self.burst) {
            (Some(loss), _, _) => loss,
            (None, Some(mean), Some(length)) => Loss::bursts(mean, length)?,
            (None, Some(mean), None) => Loss::independent(mean),
            (None, None, Some(length)) if !all.loss.mean().is_none() => Loss::bursts(all.loss.mean(), length)?,
            (None, None, Some(_)) => return Err(SpecError::Without("burst", "loss")),
            (None, None, None) => all.loss,
        };
        all.bottleneck = match (self.rate.map(Bottleneck::new).or(all.bottleneck), self.queue) {
            (Some(bottleneck), Some(queue)) => Some(Bottleneck { queue, ..bottleneck }),
            (None, Some(_)) => return Err(SpecError::Without("queue", "rate")),
            (bottleneck, None) => bottleneck,
        };
        all.bottleneck = match (all.bottleneck, self.codel) {
            (Some(bottleneck), Some(codel)) => Some(Bottleneck { codel, ..bottleneck }),
            (None, Some(_)) => return Err(SpecError::Without("aqm", "rate")),
            (bottleneck, None) => bottleneck,
        };
        all.outage = match self.down_for {
            Some(lasts) => {
                let every = self.down_every;
                // Periods begin up and end down.
                let up = every.map_or(Duration::ZERO, |every| every.saturating_sub(lasts));
                Some(Outage { after: self.down_after.unwrap_or(up), lasts, every })
            }
            None if self.down_every.is_some() => return Err(SpecError::Without("down-every", "down-for")),
            None if self.down_after.is_some() => return Err(SpecError::Without("down-after", "down-for")),
            None => all.outage,
        };
        Ok(all)
    }
}

/// `0`, with or without a unit.
fn is_nothing(rate: &str) -> bool {
    let digits = rate.trim_end_matches(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | ' '));
    digits.parse() == Ok(0.0)
}

/// `10ms` or `gauss 5ms`.
fn jitter(text: &str) -> Result<Jitter, QuantityError> {
    match text.strip_prefix("gauss") {
        Some(sigma) => quantity::time(sigma).map(Jitter::Gaussian),
        None => quantity::time(text).map(Jitter::Uniform),
    }
}

/// `64kB` or `300ms`.
fn queue(text: &str) -> Result<QueueLimit, QuantityError> {
    let size = quantity::size(text).map(QueueLimit::Bytes);
    size.or_else(|error| quantity::time(text).map(QueueLimit::Time).map_err(|_| error))
}

fn gilbert_elliott(text: &str) -> Result<Loss, SpecError> {
    let shares: Option<Vec<Share>> = text.split('/').map(|share| share.trim().parse().ok()).collect();
    match shares.as_deref() {
        Some(&[to_bad, to_good, in_good, in_bad]) => Ok(Loss::gilbert_elliott(to_bad, to_good, in_good, in_bad)),
        _ => Err(SpecError::GilbertElliott(text.to_owned())),
    }
}

impl FromStr for Impairment {
    type Err = SpecError;

    /// Reads a path, on top of a perfect one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::PERFECT.with(text)
    }
}

/// As [`Impairment::from_str`] reads it.
impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items = Vec::new();
        if self.loss != Loss::NONE {
            let [to_bad, to_good, in_good, in_bad] = self.loss.parameters();
            if to_bad.is_none() && in_good == in_bad {
                items.push(format!("loss={in_good}"));
            } else {
                items.push(format!("gilbert-elliott={to_bad}/{to_good}/{in_good}/{in_bad}"));
            }
        }
        if !self.delay.is_zero() {
            items.push(format!("delay={:?}", self.delay));
        }
        if !self.jitter.is_none() {
            items.push(match self.jitter {
                Jitter::Uniform(most) => format!("jitter={most:?}"),
                Jitter::Gaussian(sigma) => format!("jitter=gauss {sigma:?}"),
            });
            items.extend(self.jitter_reorders.then(|| "jitter-reorders".to_owned()));
        }
        if let Some(Bottleneck { rate, queue, codel }) = &self.bottleneck {
            items.push(match rate {
                Rate::Constant(rate) => format!("rate={rate}"),
                Rate::Scheduled(schedule) => format!("rate={schedule}"),
            });
            items.extend(match queue {
                QueueLimit::Bytes(bytes) => Some(format!("queue={bytes}")),
                QueueLimit::Time(time) => Some(format!("queue={time:?}")),
                QueueLimit::Usual => None,
            });
            items.extend(codel.then(|| "aqm=codel".to_owned()));
        }
        if !self.reorder.is_none() {
            items.push(format!("reorder={},held-back={:?}", self.reorder, self.held_back));
        }
        if !self.duplicate.is_none() {
            items.push(format!("duplicate={}", self.duplicate));
        }
        if let Some(Outage { after, lasts, every }) = self.outage {
            items.push(format!("down-after={after:?},down-for={lasts:?}"));
            items.extend(every.map(|every| format!("down-every={every:?}")));
        }
        if items.is_empty() { f.write_str("perfect") } else { f.write_str(&items.join(",")) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{quantity::Bitrate, schedule::RateStep};
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn later_settings_override() {
        let path: Impairment =
            "4g, loss=5%, burst=3, delay=20ms, delay=30ms, reorder=2%, held-back=40ms".parse().unwrap();
        let expected = Impairment::preset("4g")
            .unwrap()
            .loss(Loss::bursts(Share::percent(5), 3.0).unwrap())
            .delay(ms(30))
            .reorder(Share::percent(2), ms(40));
        assert_eq!(path, expected);
        assert_eq!(path.with("rate=1mbit").unwrap().bottleneck, Some(Bottleneck::new(Bitrate::mbit(1))));
        assert_eq!(path.with("queue=9kB").unwrap().bottleneck.unwrap().queue, QueueLimit::Bytes(9_000));
        assert_eq!(path.with("queue=300ms").unwrap().bottleneck.unwrap().queue, QueueLimit::Time(ms(300)));
        assert_eq!(path.with("jitter=gauss 5ms").unwrap().jitter, Jitter::Gaussian(ms(5)));
        let schedule: RateSchedule = "1mbit:2.5mbit@40s:0@60s:1mbit@61s".parse().unwrap();
        let bottleneck = path.with("rate=1mbit:2.5mbit@40s:0@60s:1mbit@61s").unwrap().bottleneck.unwrap();
        assert_eq!(bottleneck, Bottleneck::new(schedule));
        assert_eq!(bottleneck.queue, QueueLimit::Usual, "as of a constant rate");
        let down = path.with("down-for=1s,down-every=10s").unwrap().outage.unwrap();
        assert_eq!(down.after, Duration::from_secs(9), "the first period begins up");
        assert_eq!("".parse(), Ok(Impairment::PERFECT));
        assert_eq!("perfect".parse(), Ok(Impairment::PERFECT));
    }

    #[test]
    fn error_names_the_setting() {
        let error = |text: &str| text.parse::<Impairment>().unwrap_err().to_string();
        assert_eq!(error("loss=5,delay=1ms"), "loss: `5` is no share: write 5% or 0.05");
        assert!(error("los=5%").starts_with("`los=5%` is no setting"), "{}", error("los=5%"));
        assert!(error("loss=5%,4g").contains("in the first place"));
        assert_eq!(error("burst=3"), "burst without loss");
        assert_eq!(error("queue=3kB"), "queue without rate");
        assert_eq!(error("aqm=codel"), "aqm without rate");
        assert_eq!(error("down-every=3s"), "down-every without down-for");
        assert!(error("gilbert-elliott=1%/2%").contains("TO_BAD/TO_GOOD"));
        assert_eq!(
            error("rate=1mbit:2mbit@3s:3mbit@2s"),
            "rate: the step at 2s: steps begin at 0 and ascend by at least 1ms"
        );
        for stalled in ["rate=0", "rate=0kbit", "rate=0 mbit/s"] {
            assert!(error(stalled).contains("rate=2mbit:0@1ms:2mbit@5s"), "{}", error(stalled));
        }
        assert!("rate=2mbit:0@1ms:2mbit@5s".parse::<Impairment>().is_ok());
        assert_eq!(error("loss=5%,burst=x"), "burst: `x` is no number");
        assert!(error("loss=5%,burst=0.5").contains("at least 1"));
    }

    fn shares() -> impl Strategy<Value = Share> {
        (0u32..=1_000).prop_map(|tenths| Share::new(f64::from(tenths) / 1_000.0).unwrap())
    }

    fn times() -> impl Strategy<Value = Duration> {
        (0u64..3_600_000_000).prop_map(Duration::from_micros)
    }

    fn rates() -> impl Strategy<Value = Rate> {
        let bitrate = || (1u64..1_000_000_000_000).prop_map(|rate| Bitrate::new(rate).unwrap());
        let later = (times(), prop::option::of(bitrate()));
        prop_oneof![
            bitrate().prop_map(Rate::Constant),
            (bitrate(), later).prop_map(|(first, (at, rate))| {
                let first = RateStep { at: Duration::ZERO, rate: Some(first) };
                let later = RateStep { at: at.max(ms(1)), rate };
                RateSchedule::new(&[first, later]).unwrap().into()
            }),
        ]
    }

    fn queues() -> impl Strategy<Value = QueueLimit> {
        prop_oneof![
            (0u64..1_000_000).prop_map(QueueLimit::Bytes),
            times().prop_map(QueueLimit::Time),
            Just(QueueLimit::Usual)
        ]
    }

    fn jitters() -> impl Strategy<Value = Jitter> {
        prop_oneof![times().prop_map(Jitter::Uniform), times().prop_map(Jitter::Gaussian)]
    }

    prop_compose! {
        fn paths()(
            loss in [shares(), shares(), shares(), shares()],
            independent in any::<bool>(),
            bottleneck in prop::option::of((rates(), queues(), any::<bool>())),
            delay in times(),
            (jitter, jitter_reorders) in (jitters(), any::<bool>()),
            (reorder, held_back) in (shares(), times()),
            duplicate in shares(),
            outage in prop::option::of((times(), times(), prop::option::of(times()))),
        ) -> Impairment {
            let [a, b, c, d] = loss;
            Impairment {
                loss: if independent { Loss::independent(a) } else { Loss::gilbert_elliott(a, b, c, d) },
                bottleneck: bottleneck.map(|(rate, queue, codel)| Bottleneck { rate, queue, codel }),
                delay,
                jitter,
                jitter_reorders: jitter_reorders && !jitter.is_none(),
                reorder,
                held_back: if reorder.is_none() { Impairment::PERFECT.held_back } else { held_back },
                duplicate,
                outage: outage.map(|(after, lasts, every)| Outage { after, lasts, every }),
            }
        }
    }

    proptest! {
        #[test]
        fn display_parses_back(path in paths()) {
            let read: Impairment = path.to_string().parse().unwrap();
            // Printing rounds shares to ten digits; the second time there is nothing left to round.
            prop_assert_eq!(read.to_string(), path.to_string());
            prop_assert_eq!((read.delay, read.bottleneck, read.outage), (path.delay, path.bottleneck, path.outage));
            prop_assert_eq!(read.jitter.is_none(), path.jitter.is_none());
        }

        #[test]
        fn parse_is_total(text in "\\PC*") {
            let _ = text.parse::<Impairment>();
        }
    }
}
