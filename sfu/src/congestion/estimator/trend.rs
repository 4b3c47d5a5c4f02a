//! Whether the queue of the bottleneck grows: the slope of a line through the latest delays
//! (draft-ietf-rmcat-gcc-02 section 5.3, and the trend line that replaced its Kalman filter in libwebrtc), compared with a
//! threshold that adapts to the path (section 5.4).

use super::{
    groups::Deltas,
    line::{GROUPS, Line},
    packet::millis,
};

/// Weight of the past in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// The slope counts in full once there have been this many groups.
const FULL_AFTER: u16 = 60;
/// Scales the slope to the thresholds, which are in milliseconds.
const GAIN: f64 = 4.0;
/// First threshold, and its bounds.
const THRESHOLD: f64 = 12.5;
const THRESHOLDS: (f64, f64) = (6.0, 600.0);
/// How fast the threshold follows a slope above it, and one below it, per millisecond. Slowly up, so that an overuse is
/// reported before it is taken for normal; competing TCP would otherwise starve us (Carlucci et al., 2016).
const FOLLOW: (f64, f64) = (0.0087, 0.039);
/// A slope this far above the threshold is an exception that the threshold does not follow.
const EXCEPTION: f64 = 15.0;
/// The slope must be above the threshold for this many milliseconds, and this many groups.
const OVERUSE_MILLIS: f64 = 10.0;
const OVERUSE_GROUPS: u32 = 2;

/// What the trend says of the bottleneck's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// It is stable.
    #[default]
    Normal,
    /// It grows: more is sent than the path carries.
    Overuse,
    /// It shrinks.
    Underuse,
}

/// The trend line and its threshold.
#[derive(Debug)]
pub(super) struct Trend {
    line: Line,
    /// When the last group arrived, in microseconds of the receiver's clock.
    last: i64,
    /// Sum of the deltas, and its smoothed value.
    delay: f64,
    smoothed: f64,
    seen: u16,
    slope: f64,
    threshold: f64,
    /// For how long the slope has been above the threshold: milliseconds, and groups.
    above: Option<(f64, u32)>,
    usage: Usage,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            line: Line::default(),
            last: 0,
            delay: 0.0,
            smoothed: 0.0,
            seen: 0,
            slope: 0.0,
            threshold: THRESHOLD,
            above: None,
            usage: Usage::Normal,
        }
    }
}

impl Trend {
    /// Adds the difference between the latest two groups.
    pub(super) fn add(&mut self, deltas: Deltas) {
        self.delay += deltas.received - deltas.sent;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.delay;
        self.line.add(deltas.at, self.smoothed);
        self.seen = self.seen.saturating_add(1);
        let before = self.slope;
        if usize::from(self.seen) >= GROUPS {
            self.slope = self.line.slope().unwrap_or(before);
        }
        self.compare(deltas, before);
    }

    /// Adds a difference that was withheld, after later ones.
    pub(super) fn add_late(&mut self, deltas: Deltas) {
        self.add(Deltas { at: self.last.max(deltas.at), ..deltas });
    }

    /// Compares the slope with the threshold, which then moves towards it.
    fn compare(&mut self, deltas: Deltas, before: f64) {
        let modified = f64::from(self.seen.min(FULL_AFTER)) * self.slope * GAIN;
        if modified > self.threshold {
            let (millis, groups) =
                self.above.map_or((deltas.sent / 2.0, 1), |(millis, groups)| (millis + deltas.sent, groups + 1));
            self.above = Some((millis, groups));
            if millis > OVERUSE_MILLIS && groups >= OVERUSE_GROUPS && self.slope >= before {
                self.above = Some((0.0, 0));
                self.usage = Usage::Overuse;
            }
        } else {
            self.above = None;
            self.usage = if modified < -self.threshold { Usage::Underuse } else { Usage::Normal };
        }
        let elapsed = millis(deltas.at - self.last).clamp(0.0, 100.0);
        self.last = deltas.at;
        let distance = modified.abs() - self.threshold;
        if distance <= EXCEPTION {
            let follow = if distance < 0.0 { FOLLOW.1 } else { FOLLOW.0 };
            self.threshold = (self.threshold + follow * distance * elapsed).clamp(THRESHOLDS.0, THRESHOLDS.1);
        }
    }

    /// What the latest group says.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Feed {
        trend: Trend,
        /// Time between groups, in milliseconds.
        spacing: f64,
        now: f64,
    }

    impl Feed {
        fn new(spacing: f64) -> Self {
            Self { trend: Trend::default(), spacing, now: 0.0 }
        }

        /// Adds a group whose delay is `change` milliseconds above that of the one before. Returns whether that is overuse.
        #[allow(clippy::cast_possible_truncation, reason = "short times")]
        fn add(&mut self, change: f64) -> bool {
            self.now += self.spacing + change;
            let at = (self.now * 1e3) as i64;
            self.trend.add(Deltas { sent: self.spacing, received: self.spacing + change, at, delay: 0 });
            self.trend.usage() == Usage::Overuse
        }
    }

    /// A delay that grows by half a millisecond each group is overuse within three groups of rising above the threshold:
    /// that takes as long as the line needs to follow.
    #[test]
    fn slow_ramp_is_overuse() {
        let mut feed = Feed::new(10.0);
        (0..100).for_each(|_| assert!(!feed.add(0.0)));
        let above = (0..60).position(|_| feed.add(0.5) || feed.trend.above.is_some()).unwrap();
        let overuse = (0..3).any(|_| feed.add(0.5));
        assert!(above < 25 && overuse, "{above} groups");
    }

    /// Ten minutes of Gaussian noise with a deviation of 5 ms.
    #[test]
    fn noise_is_no_overuse() {
        let (mut feed, mut random, mut before) = (Feed::new(20.0), 1u64, 0.0);
        for _ in 0..600 * 50 {
            // The sum of twelve uniform numbers has a variance of one.
            let sum: f64 = (0..12)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    f64::from((random >> 33) as u32) / f64::from(1u32 << 31)
                })
                .sum();
            let noise = (sum - 6.0) * 5.0;
            assert!(!feed.add(noise - before), "{:?}", feed.trend);
            before = noise;
        }
    }

    #[test]
    fn shrinking_queue_is_underuse() {
        let mut feed = Feed::new(10.0);
        (0..40).for_each(|_| assert!(!feed.add(0.0)));
        (0..30).for_each(|_| assert!(!feed.add(-3.0)));
        assert_eq!(feed.trend.usage(), Usage::Underuse);
    }
}
