//! What a worker does that has more to send than it can: it limits the video to each receiver.
//!
//! ```text
//!   packets wait, all the time        ──► less video      audio is forwarded first and never limited
//!   the driver waits for datagrams    ──► more, step by step, up to what is configured
//! ```
//! A batch that takes long is no overload: what counts is the shortest wait of an interval. The worker has no clock: the
//! driver reports for how long it had nothing to do.

use crate::units::Bitrate;
use std::time::{Duration, Instant};

/// Interval of decisions. Receivers have changed to lower layers within it, unless these need a key frame.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);
/// Packets that wait for longer than this throughout an interval are a standing queue.
const STANDING: Duration = Duration::from_millis(10);
/// Parts of the limit that are left after an interval with a standing queue, in percent.
const LOWERED: u64 = 70;
/// Below this limit there is no video at all: receivers are left with audio.
const LEAST: Bitrate = Bitrate::from_kbps(50);
/// The limit rises after this number of intervals in which the driver had nothing to do for [`SPARE`] percent of the time.
const QUIET_INTERVALS: u32 = 4;
const SPARE: u32 = 25;
/// The limit rises to this percentage: the cost of what is added is below what was spare.
const RAISED: u64 = 112;
/// A worker is full if its limit is below this part of what is configured, in percent, for this time. Less may be because many
/// join at once.
const FULL_BELOW: u64 = 50;
const FULL_AFTER: Duration = Duration::from_secs(4);

/// The limit on the video to a receiver, and what it follows from.
#[derive(Debug)]
pub(super) struct Overload {
    configured: Bitrate,
    /// Below what is configured.
    limit: Option<Bitrate>,
    /// Since when the limit is low.
    low_since: Option<Instant>,
    interval_start: Option<Instant>,
    shortest_wait: Option<Duration>,
    idle: Duration,
    quiet_intervals: u32,
}

impl Overload {
    /// Receivers get this bitrate of video at most, whatever the load.
    pub(super) fn new(configured: Bitrate) -> Self {
        Self {
            configured,
            limit: None,
            low_since: None,
            interval_start: None,
            shortest_wait: None,
            idle: Duration::ZERO,
            quiet_intervals: 0,
        }
    }

    /// The limit, if the worker cannot send all that is configured.
    pub(super) fn limit(&self) -> Option<Bitrate> {
        self.limit
    }

    /// Whether more participants would be too many.
    pub(super) fn is_full(&self) -> bool {
        let low = self.low_since.zip(self.interval_start);
        low.is_some_and(|(since, now)| now.saturating_duration_since(since) >= FULL_AFTER)
    }

    /// When the next decision is due, as long as there is a limit.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.limit.and(self.interval_start).map(|start| start + INTERVAL)
    }

    /// The oldest packet to forward has waited for this long; zero if there is none.
    pub(super) fn on_wait(&mut self, wait: Duration) {
        self.shortest_wait = Some(self.shortest_wait.map_or(wait, |shortest| shortest.min(wait)));
    }

    /// The driver had nothing to do.
    pub(super) fn on_idle(&mut self, time: Duration) {
        self.idle = self.idle.saturating_add(time);
    }

    /// Decides, once in an interval. Returns the bitrate of video that each receiver gets from now on, if it has changed.
    pub(super) fn decide(&mut self, now: Instant) -> Option<Bitrate> {
        let start = *self.interval_start.get_or_insert(now);
        let interval = now.saturating_duration_since(start);
        if interval < INTERVAL {
            return None;
        }
        self.interval_start = Some(now);
        let wait = self.shortest_wait.take().unwrap_or_default();
        let spare = std::mem::take(&mut self.idle) >= interval * SPARE / 100;
        let before = self.limit;
        self.quiet_intervals = if spare { self.quiet_intervals.saturating_add(1) } else { 0 };
        if wait > STANDING {
            let lowered = percent(self.limit.unwrap_or(self.configured), LOWERED);
            self.limit = Some(if lowered < LEAST { Bitrate::ZERO } else { lowered });
        } else if let Some(limit) = self.limit.filter(|_| self.quiet_intervals >= QUIET_INTERVALS) {
            self.quiet_intervals = 0;
            let raised = percent(limit, RAISED).max(LEAST);
            self.limit = Some(raised).filter(|raised| *raised < self.configured);
        }
        let is_low = self.limit.is_some_and(|limit| limit < percent(self.configured, FULL_BELOW));
        self.low_since = is_low.then(|| self.low_since.unwrap_or(now));
        (self.limit != before).then(|| self.limit.unwrap_or(self.configured))
    }
}

fn percent(rate: Bitrate, percent: u64) -> Bitrate {
    Bitrate::from_bps(rate.bps().saturating_mul(percent) / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const CONFIGURED: Bitrate = Bitrate::from_kbps(4_000);

    /// Intervals in which packets waited for at least `wait` and the driver had nothing to do for `idle`.
    struct Intervals {
        overload: Overload,
        now: Instant,
    }

    impl Intervals {
        fn new() -> Self {
            let (mut overload, now) = (Overload::new(CONFIGURED), Instant::now());
            assert_eq!(overload.decide(now), None);
            Self { overload, now }
        }

        fn pass(&mut self, wait: Duration, idle: Duration) -> Option<u64> {
            [wait, wait + 100 * MS].into_iter().for_each(|wait| self.overload.on_wait(wait));
            self.overload.on_idle(idle);
            self.now += INTERVAL;
            self.overload.decide(self.now).map(|limit| limit.bps() / 1_000)
        }
    }

    #[test]
    fn standing_queue_lowers_the_limit_until_there_is_no_video() {
        let mut intervals = Intervals::new();
        assert_eq!(intervals.pass(10 * MS, Duration::ZERO), None, "a batch that took long");
        let limits: Vec<_> = (0..14).filter_map(|_| intervals.pass(11 * MS, Duration::ZERO)).collect();
        assert_eq!(limits[..3], [2_800, 1_960, 1_372]);
        assert_eq!(limits.last(), Some(&0));
        assert_eq!(intervals.pass(11 * MS, Duration::ZERO), None, "there is nothing left to limit");
    }

    #[test]
    fn spare_time_raises_the_limit_up_to_what_is_configured() {
        let mut intervals = Intervals::new();
        for _ in 0..13 {
            intervals.pass(20 * MS, Duration::ZERO);
        }
        assert_eq!(intervals.overload.limit(), Some(Bitrate::ZERO));
        let mut raised = Vec::new();
        while intervals.overload.limit().is_some() {
            assert_eq!([(); 3].map(|()| intervals.pass(Duration::ZERO, 63 * MS)), [None; 3]);
            raised.extend(intervals.pass(Duration::ZERO, 63 * MS));
        }
        assert_eq!((raised[0], raised[1], raised.last()), (50, 56, Some(&4_000)));
        assert_eq!(intervals.pass(Duration::ZERO, 250 * MS), None);
    }

    #[test]
    fn worker_is_full_when_its_limit_has_been_low_for_seconds() {
        let mut intervals = Intervals::new();
        let mut full = |wait: Duration| {
            intervals.pass(wait, Duration::ZERO);
            intervals.overload.is_full()
        };
        assert!(!full(20 * MS) && !full(20 * MS), "49 %");
        assert!(!(0..15).any(|_| full(Duration::ZERO)));
        assert!(full(Duration::ZERO));
        while intervals.pass(Duration::ZERO, INTERVAL).is_none() {
            assert!(intervals.overload.is_full());
        }
        assert!(!intervals.overload.is_full());
    }

    #[test]
    fn busy_worker_keeps_its_limit() {
        let mut intervals = Intervals::new();
        intervals.pass(20 * MS, Duration::ZERO);
        assert!((0..40).all(|_| intervals.pass(Duration::ZERO, 62 * MS).is_none()));
        let limits: Vec<_> =
            (0..40).map(|n| intervals.pass(Duration::ZERO, if n % 4 == 3 { 0 } else { 250 } * MS)).collect();
        assert!(limits.iter().all(Option::is_none), "is not spare throughout");
    }
}
