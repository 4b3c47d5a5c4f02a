//! Impairments of one direction of a path: loss, bottleneck, delay, jitter, reordering, duplication, outages.

use crate::{
    bottleneck::{Bottleneck, Rate},
    jitter::Jitter,
    loss::Loss,
    quantity::{Bitrate, Share},
};
use std::time::Duration;

/// Outages, in time since the start of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Time until the first outage.
    pub after: Duration,
    /// Duration of each outage.
    pub lasts: Duration,
    /// Time from the start of one outage to the start of the next; `None` for a single outage.
    pub every: Option<Duration>,
}

impl Outage {
    /// Whether the path is down at this age.
    pub(crate) fn covers(&self, age: Duration) -> bool {
        let Some(since) = age.checked_sub(self.after) else { return false };
        let since = match self.every.map(|every| every.as_nanos()) {
            Some(every) => since.as_nanos().checked_rem(every).unwrap_or_default(),
            None => since.as_nanos(),
        };
        since < self.lasts.as_nanos()
    }
}

/// One direction of a path. The default is perfect: nothing is lost and everything arrives at once.
///
/// ```
/// use std::time::Duration;
/// use tacet_impair::{Bitrate, Impairment, Loss, Share};
///
/// let by_methods = Impairment::PERFECT
///     .loss(Loss::bursts(Share::percent(5), 3.0)?)
///     .delay(Duration::from_millis(20))
///     .jitter(Duration::from_millis(10))
///     .rate(Bitrate::mbit(2));
/// let by_text: Impairment = "loss=5%,burst=3,delay=20ms,jitter=10ms,rate=2mbit".parse()?;
/// assert_eq!(by_methods, by_text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Impairment {
    /// Loss after the bottleneck.
    pub loss: Loss,
    /// Rate and queue; `None` for no limit.
    pub bottleneck: Option<Bottleneck>,
    /// Delay of every packet, excluding queueing.
    pub delay: Duration,
    /// Extra delay, drawn for each packet.
    pub jitter: Jitter,
    /// Whether jitter reorders packets. If not, as on most real paths, a packet waits for those before it, which
    /// increases the mean delay.
    pub jitter_reorders: bool,
    /// Share of packets held back, so that later ones overtake them.
    pub reorder: Share,
    /// How long they are held back.
    pub held_back: Duration,
    /// Share of packets that arrive twice, each copy with its own jitter.
    pub duplicate: Share,
    /// Times when no packet passes.
    pub outage: Option<Outage>,
}

/// Names of [`Impairment::preset`], from good to bad. Typical figures for such networks, not measurements.
pub const PRESETS: [(&str, &str); 5] = [
    ("perfect", "nothing is lost, nothing waits"),
    ("wifi", "a good wireless network: 3 ms and up to 5 ms more, 0.1 % lost in pairs"),
    ("4g", "a phone: 35 ms and up to 20 ms more, 12 Mbit/s with a queue of 250 ms, 0.5 % lost in bursts of 4"),
    ("congested", "a full line: 25 ms and up to 15 ms more, 1.5 Mbit/s with a queue of 300 ms, 1 % lost"),
    ("lossy", "a bad wireless network: 20 ms and up to 10 ms more, 5 % lost in bursts of 3"),
];

impl Impairment {
    /// No impairment: every packet arrives immediately.
    pub const PERFECT: Self = Self {
        loss: Loss::NONE,
        bottleneck: None,
        delay: Duration::ZERO,
        jitter: Jitter::NONE,
        jitter_reorders: false,
        reorder: Share::NONE,
        held_back: Self::HELD_BACK,
        duplicate: Share::NONE,
        outage: None,
    };

    /// Default time for which packets are held back.
    const HELD_BACK: Duration = Duration::from_millis(20);

    /// The preset of this name, if it exists: see [`PRESETS`].
    pub fn preset(name: &str) -> Option<Self> {
        let ms = Duration::from_millis;
        let bursts = |per_mille: u32, length: f64| {
            Share::new(f64::from(per_mille) / 1_000.0).and_then(|mean| Loss::bursts(mean, length).ok())
        };
        let bottleneck = |kbit, queue| Bottleneck::new(Bitrate::kbit(kbit)).queue_bytes(queue);
        Some(match name {
            "perfect" => Self::PERFECT,
            "wifi" => Self::PERFECT.delay(ms(3)).jitter(ms(5)).loss(bursts(1, 2.0)?),
            "4g" => {
                Self::PERFECT.delay(ms(35)).jitter(ms(20)).loss(bursts(5, 4.0)?).bottleneck(bottleneck(12_000, 375_000))
            }
            "congested" => Self::PERFECT
                .delay(ms(25))
                .jitter(ms(15))
                .loss(Loss::independent(Share::percent(1)))
                .bottleneck(bottleneck(1_500, 56_250)),
            "lossy" => Self::PERFECT.delay(ms(20)).jitter(ms(10)).loss(bursts(50, 3.0)?),
            _ => return None,
        })
    }

    /// With this loss.
    #[must_use]
    pub const fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// With this delay.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// With jitter that keeps packets in order.
    #[must_use]
    pub const fn jitter(mut self, most: Duration) -> Self {
        self.jitter = Jitter::Uniform(most);
        self.jitter_reorders = false;
        self
    }

    /// With Gaussian jitter of this standard deviation that keeps packets in order.
    #[must_use]
    pub const fn gaussian_jitter(mut self, sigma: Duration) -> Self {
        self.jitter = Jitter::Gaussian(sigma);
        self.jitter_reorders = false;
        self
    }

    /// With jitter that lets packets overtake.
    #[must_use]
    pub const fn reordering_jitter(mut self, most: Duration) -> Self {
        self.jitter = Jitter::Uniform(most);
        self.jitter_reorders = true;
        self
    }

    /// With this share of packets held back for so long.
    #[must_use]
    pub const fn reorder(mut self, reorder: Share, held_back: Duration) -> Self {
        self.reorder = reorder;
        self.held_back = held_back;
        self
    }

    /// With this share of packets arriving twice.
    #[must_use]
    pub const fn duplicate(mut self, duplicate: Share) -> Self {
        self.duplicate = duplicate;
        self
    }

    /// With a bottleneck.
    #[must_use]
    pub fn bottleneck(self, bottleneck: Bottleneck) -> Self {
        Self { bottleneck: Some(bottleneck), ..self }
    }

    /// With a bottleneck of this rate and a queue of the usual size.
    #[must_use]
    pub fn rate(self, rate: impl Into<Rate>) -> Self {
        self.bottleneck(Bottleneck::new(rate))
    }

    /// With outages.
    #[must_use]
    pub const fn outage(mut self, outage: Outage) -> Self {
        self.outage = Some(outage);
        self
    }
}

impl Default for Impairment {
    fn default() -> Self {
        Self::PERFECT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid() {
        assert!(PRESETS.iter().all(|(name, _)| Impairment::preset(name).is_some()));
        assert_eq!(Impairment::preset("unheard of"), None);
    }

    #[test]
    fn outages_follow_their_schedule() {
        let s = Duration::from_secs;
        let once = Outage { after: s(5), lasts: s(2), every: None };
        let down = |outage: &Outage| (0..20).filter(|&age| outage.covers(s(age))).collect::<Vec<_>>();
        assert_eq!(down(&once), [5, 6]);
        assert_eq!(down(&Outage { every: Some(s(10)), ..once }), [5, 6, 15, 16]);
        assert_eq!(down(&Outage { every: Some(s(0)), ..once }), (5..20).collect::<Vec<_>>(), "one begins at all times");
    }
}
