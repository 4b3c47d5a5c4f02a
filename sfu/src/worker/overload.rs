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
/// Part of the limit that is left after an interval with a standing queue, in percent.
const LOWERED: u64 = 70;
/// The first limit is this percentage of what receivers get on average, so that it has an effect.
const FIRST: u64 = 150;
/// How long a lower limit may take to have an effect: higher layers end at once, other encodings begin with a key frame.
const EFFECT: Duration = Duration::from_secs(1);
/// Below this limit there is no video at all: receivers are left with audio.
const LEAST: Bitrate = Bitrate::from_kbps(50);
/// The limit rises after this number of intervals in which the driver had nothing to do for [`SPARE`] percent of the time.
const QUIET_INTERVALS: u32 = 4;
const SPARE: u32 = 25;
/// The limit rises to this percentage: the cost of what is added is below what was spare. It rises faster if half of the time
/// is spare.
const RAISED: u64 = 112;
const RAISED_FAST: u64 = 150;
/// A worker is full if it was limited for this time and could not raise the limit.
const FULL_AFTER: Duration = Duration::from_secs(4);

/// The limit on the video to a receiver, and what it follows from.
#[derive(Debug)]
pub(super) struct Overload {
    configured: Bitrate,
    /// Below what is configured.
    limit: Option<Bitrate>,
    lowered_at: Option<Instant>,
    /// Since when there is a limit that was not raised.
    stuck_since: Option<Instant>,
    interval_start: Option<Instant>,
    shortest_wait: Option<Duration>,
    idle: Duration,
    quiet_intervals: u32,
    /// Bytes that were sent, as of the last decision.
    sent: u64,
}

impl Overload {
    /// Receivers get this bitrate of video at most, whatever the load.
    pub(super) fn new(configured: Bitrate) -> Self {
        Self {
            configured,
            limit: None,
            lowered_at: None,
            stuck_since: None,
            interval_start: None,
            shortest_wait: None,
            idle: Duration::ZERO,
            quiet_intervals: 0,
            sent: 0,
        }
    }

    /// The limit, if the worker cannot send all that is configured.
    pub(super) fn limit(&self) -> Option<Bitrate> {
        self.limit
    }

    /// Whether more participants would be too many.
    pub(super) fn is_full(&self) -> bool {
        let stuck = self.stuck_since.zip(self.interval_start);
        stuck.is_some_and(|(since, now)| now.saturating_duration_since(since) >= FULL_AFTER)
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

    /// Decides, once in an interval. `sent` is the number of bytes that were sent so far. Returns the bitrate of video that each
    /// receiver gets from now on, if it has changed.
    pub(super) fn decide(&mut self, now: Instant, sent: u64, receivers: usize) -> Option<Bitrate> {
        let start = *self.interval_start.get_or_insert(now);
        let interval = now.saturating_duration_since(start);
        if interval < INTERVAL {
            return None;
        }
        self.interval_start = Some(now);
        let wait = self.shortest_wait.take().unwrap_or_default();
        let idle = std::mem::take(&mut self.idle);
        let sent = sent.wrapping_sub(std::mem::replace(&mut self.sent, sent));
        self.quiet_intervals = if idle >= interval * SPARE / 100 { self.quiet_intervals.saturating_add(1) } else { 0 };
        let before = self.limit;
        let had_effect = self.lowered_at.is_none_or(|at| now.saturating_duration_since(at) >= EFFECT);
        if wait > STANDING && had_effect {
            let lowered = percent(self.limit.unwrap_or_else(|| self.first(sent, receivers, interval)), LOWERED);
            self.limit = Some(if lowered < LEAST { Bitrate::ZERO } else { lowered });
            self.lowered_at = Some(now);
            self.stuck_since.get_or_insert(now);
        } else if let Some(limit) = self.limit.filter(|_| self.quiet_intervals >= QUIET_INTERVALS) {
            self.quiet_intervals = 0;
            let raised = if idle >= interval / 2 { RAISED_FAST } else { RAISED };
            self.limit = Some(percent(limit, raised).max(LEAST)).filter(|raised| *raised < self.configured);
            self.stuck_since = self.limit.map(|_| now);
        }
        (self.limit != before).then(|| self.limit.unwrap_or(self.configured))
    }

    /// What the first limit is relative to: a little more than receivers get on average.
    fn first(&self, sent: u64, receivers: usize, interval: Duration) -> Bitrate {
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
        let each = sent.checked_div(receivers as u64).unwrap_or_default().saturating_mul(8_000) / millis;
        let first = percent(Bitrate::from_bps(each), FIRST);
        if first == Bitrate::ZERO { self.configured } else { first.min(self.configured) }
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
        sent: u64,
    }

    impl Intervals {
        fn new() -> Self {
            let (mut overload, now) = (Overload::new(CONFIGURED), Instant::now());
            assert_eq!(overload.decide(now, 0, 10), None);
            Self { overload, now, sent: 0 }
        }

        fn pass(&mut self, wait: Duration, idle: Duration) -> Option<u64> {
            [wait, wait + 100 * MS].into_iter().for_each(|wait| self.overload.on_wait(wait));
            self.overload.on_idle(idle);
            self.now += INTERVAL;
            self.overload.decide(self.now, self.sent, 10).map(|limit| limit.bps() / 1_000)
        }

        fn second(&mut self, wait: Duration, idle: Duration) -> Option<u64> {
            (0..4).filter_map(|_| self.pass(wait, idle)).last()
        }
    }

    #[test]
    fn standing_queue_lowers_the_limit_until_there_is_no_video() {
        let mut intervals = Intervals::new();
        assert_eq!(intervals.pass(10 * MS, Duration::ZERO), None, "a batch that took long");
        assert_eq!(intervals.pass(11 * MS, Duration::ZERO), Some(2_800));
        assert_eq!([(); 3].map(|()| intervals.pass(11 * MS, Duration::ZERO)), [None; 3], "may still have an effect");
        assert_eq!([(); 2].map(|()| intervals.second(11 * MS, Duration::ZERO)), [Some(1_960), Some(1_372)]);
        assert!((0..12).filter_map(|_| intervals.second(11 * MS, Duration::ZERO)).last() == Some(0));
        assert_eq!(intervals.second(11 * MS, Duration::ZERO), None, "there is nothing left to limit");
    }

    #[test]
    fn first_limit_is_near_what_receivers_get() {
        let mut intervals = Intervals::new();
        intervals.sent = 10 * 1_000_000 / 8 / 4;
        assert_eq!(intervals.pass(11 * MS, Duration::ZERO), Some(1_050), "of a megabit a second each");
    }

    #[test]
    fn spare_time_raises_the_limit_up_to_what_is_configured() {
        let mut intervals = Intervals::new();
        (0..14).for_each(|_| assert_ne!(intervals.second(20 * MS, Duration::ZERO), Some(1)));
        assert_eq!(intervals.overload.limit(), Some(Bitrate::ZERO));
        let mut raised = Vec::new();
        while intervals.overload.limit().is_some() {
            raised.extend(intervals.second(Duration::ZERO, if raised.len() < 3 { 63 } else { 125 } * MS));
        }
        assert_eq!((&raised[..4], raised.last()), (&[50, 56, 62, 94][..], Some(&4_000)));
        assert_eq!(intervals.pass(Duration::ZERO, 250 * MS), None);
    }

    #[test]
    fn busy_worker_keeps_its_limit() {
        let mut intervals = Intervals::new();
        intervals.pass(20 * MS, Duration::ZERO);
        assert!((0..40).all(|_| intervals.pass(Duration::ZERO, 62 * MS).is_none()));
        let idle = |n: u32| if n % 4 == 3 { Duration::ZERO } else { INTERVAL };
        assert!((0..40).all(|n| intervals.pass(Duration::ZERO, idle(n)).is_none()), "is not spare throughout");
    }

    #[test]
    fn worker_is_full_when_it_could_not_raise_its_limit_for_seconds() {
        let mut intervals = Intervals::new();
        let mut is_full = |wait: Duration, idle: Duration| {
            intervals.second(wait, idle);
            intervals.overload.is_full()
        };
        let seconds = [(); 5].map(|()| is_full(20 * MS, Duration::ZERO));
        assert_eq!(seconds, [false, false, false, false, true]);
        assert!(is_full(Duration::ZERO, Duration::ZERO), "busy");
        assert!(!is_full(Duration::ZERO, INTERVAL), "has spare time");
    }
}
