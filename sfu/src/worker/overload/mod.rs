//! What a worker does that has more to send than it can: it limits the video to each receiver.
//!
//! ```text
//!   packets wait, all the time        ──► less video      audio is forwarded first and never limited
//!   the driver waits for datagrams    ──► more, step by step, up to what is configured
//! ```
//! A batch that takes long is no overload: what counts is the shortest wait of an interval. Nor is a thread that gets no core, which
//! less to send would not help.

mod usage;

use crate::units::Bitrate;
use std::time::{Duration, Instant};
pub use usage::ThreadTime;
use usage::{Usage, UsageMeter};

/// Interval of decisions. Receivers have changed to lower layers within it, unless these need a key frame.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);
/// Packets that wait for longer than this throughout an interval are a standing queue.
const STANDING: Duration = Duration::from_millis(10);
/// It shows that there is too much to send if the thread ran for this part of the time since it stands, in percent.
const FAIR_SHARE: u64 = 20;
/// Part of the limit that is left after an interval with a standing queue, in percent.
const LOWERED: u64 = 70;
/// The first limit is this percentage of what receivers get on average, so that it has an effect.
const FIRST: u64 = 150;
/// What was sent in an interval counts by this percentage in the next one.
const FADING: u64 = 90;
/// How long a new limit takes to have its effect: higher layers end at once, other encodings begin with a key frame.
const EFFECT: Duration = Duration::from_secs(1);
/// Below this limit there is no video at all: receivers are left with audio.
const LEAST: Bitrate = Bitrate::from_kbps(50);
/// The limit rises if the driver was busy for less than this part of the time, in percent …
const SPARE_BELOW: u64 = 80;
/// … by as much as would make it busy for this part, if video were all that it does …
const BUSY: u64 = 85;
/// … and at most to this percentage: not all video costs the same.
const MOST_RAISED: u64 = 200;
/// A worker is full if it was limited for this time without much time to spare: the limit never rose to this percentage.
const FULL_AFTER: Duration = Duration::from_secs(4);
const ROOMY: u64 = 130;

/// The limit on the video to a receiver, and what it follows from.
#[derive(Debug)]
pub(super) struct Overload {
    configured: Bitrate,
    /// Below what is configured.
    limit: Option<Bitrate>,
    lowered_at: Option<Instant>,
    /// Since when there is a limit, and little time to spare.
    stuck_since: Option<Instant>,
    interval_start: Option<Instant>,
    shortest_wait: Option<Duration>,
    usage: UsageMeter,
    /// Intervals with a standing queue, since it stands.
    standing: Usage,
    /// Intervals without a standing queue, since the limit changed.
    quiet: Usage,
    /// Bytes that were sent, as of the last decision.
    sent: u64,
    /// What was sent to each receiver on average in the best of the last intervals: in one, the worker may have had no core.
    each: Bitrate,
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
            usage: UsageMeter::default(),
            standing: Usage::default(),
            quiet: Usage::default(),
            sent: 0,
            each: Bitrate::ZERO,
        }
    }

    /// What the worker can send of video to each receiver, if that is less than what is configured.
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

    /// The driver waited for datagrams.
    pub(super) fn on_poll(&mut self, time: Duration) {
        self.usage.on_poll(time);
    }

    /// What the driver's thread has run until now.
    pub(super) fn on_thread_time(&mut self, time: ThreadTime) {
        self.usage.on_thread_time(time);
    }

    /// Whether a decision is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.interval_start.is_none_or(|start| now.saturating_duration_since(start) >= INTERVAL)
    }

    /// Decides, once in an interval. `sent` is the number of bytes that were sent so far. Returns whether the limit has changed.
    pub(super) fn decide(&mut self, now: Instant, sent: u64, receivers: usize) -> bool {
        if !self.is_due(now) {
            return false;
        }
        let Some(start) = self.interval_start.replace(now) else {
            self.usage.take(Duration::ZERO);
            return false;
        };
        let interval = now.saturating_duration_since(start);
        let wait = self.shortest_wait.take().unwrap_or_default();
        let usage = self.usage.take(interval);
        let sent = sent.wrapping_sub(std::mem::replace(&mut self.sent, sent));
        self.each = average(sent, receivers, interval).max(percent(self.each, FADING));
        let before = self.limit;
        if wait > STANDING {
            self.quiet = Usage::default();
            self.standing.add(usage);
            let has_effect = self.lowered_at.is_none_or(|at| now.saturating_duration_since(at) >= EFFECT);
            if has_effect && self.standing.ran() >= FAIR_SHARE {
                let lowered = percent(self.limit.unwrap_or_else(|| self.first()), LOWERED);
                self.limit = Some(if lowered < LEAST { Bitrate::ZERO } else { lowered });
                self.lowered_at = Some(now);
                self.stuck_since.get_or_insert(now);
            }
        } else {
            self.standing = Usage::default();
            self.quiet.add(usage);
            if let Some(limit) = self.limit.filter(|_| self.quiet.time >= EFFECT) {
                self.raise(now, limit);
            }
        }
        self.limit != before
    }

    /// Raises the limit, if there was time to spare since it has its effect.
    fn raise(&mut self, now: Instant, limit: Bitrate) {
        let busy = std::mem::take(&mut self.quiet).busy();
        if busy >= SPARE_BELOW {
            return;
        }
        let raised = (100 * BUSY).checked_div(busy).map_or(MOST_RAISED, |raised| raised.min(MOST_RAISED));
        self.limit = Some(percent(limit, raised).max(LEAST)).filter(|raised| *raised < self.configured);
        if raised >= ROOMY {
            self.stuck_since = Some(now);
        }
        self.stuck_since = self.stuck_since.filter(|_| self.limit.is_some());
    }

    /// What the first limit is relative to: a little more than receivers get on average.
    fn first(&self) -> Bitrate {
        let first = percent(self.each, FIRST);
        if first == Bitrate::ZERO { self.configured } else { first.min(self.configured) }
    }
}

/// The bitrate of this number of bytes to each receiver.
fn average(bytes: u64, receivers: usize, time: Duration) -> Bitrate {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let each = bytes.checked_div(receivers as u64).unwrap_or_default();
    Bitrate::from_bps(each.saturating_mul(8_000) / millis)
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
            assert!(!overload.decide(now, 0, 10));
            Self { overload, now, sent: 0 }
        }

        /// Returns the limit in kbit/s, if it has changed; what is configured, if there is none any more.
        fn pass(&mut self, wait: Duration, idle: Duration) -> Option<u64> {
            [wait, wait + 100 * MS].into_iter().for_each(|wait| self.overload.on_wait(wait));
            self.overload.on_poll(idle);
            self.now += INTERVAL;
            let has_changed = self.overload.decide(self.now, self.sent, 10);
            has_changed.then(|| self.overload.limit().unwrap_or(CONFIGURED).bps() / 1_000)
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
    fn first_limit_is_not_that_of_a_moment_without_a_core() {
        let mut intervals = Intervals::new();
        intervals.sent = 10 * 1_000_000 / 8 / 4;
        assert_eq!(intervals.pass(Duration::ZERO, Duration::ZERO), None);
        assert_eq!(intervals.pass(11 * MS, Duration::ZERO), Some(945), "of nine tenths of a megabit");
    }

    #[test]
    fn spare_time_raises_the_limit_up_to_what_is_configured() {
        let mut intervals = Intervals::new();
        (0..14).for_each(|_| assert_ne!(intervals.second(20 * MS, Duration::ZERO), Some(1)));
        assert_eq!(intervals.overload.limit(), Some(Bitrate::ZERO));
        let mut raised = Vec::new();
        while intervals.overload.limit().is_some() {
            raised.extend(intervals.second(Duration::ZERO, if raised.len() < 3 { 75 } else { 200 } * MS));
        }
        assert_eq!((&raised[..4], raised.last()), (&[50, 60, 73, 146][..], Some(&4_000)));
        assert_eq!(raised.len(), 9, "as many seconds");
        assert_eq!(intervals.pass(Duration::ZERO, 250 * MS), None);
    }

    #[test]
    fn busy_worker_keeps_its_limit() {
        let mut intervals = Intervals::new();
        intervals.pass(20 * MS, Duration::ZERO);
        assert!((0..40).all(|_| intervals.pass(Duration::ZERO, 49 * MS).is_none()));
        let queue = |n: u32| if n % 4 == 3 { STANDING + MS } else { Duration::ZERO };
        let before = intervals.overload.limit();
        (0..40).for_each(|n| assert!(intervals.pass(queue(n), INTERVAL) < before.map(|limit| limit.bps() / 1_000)));
    }

    #[test]
    fn worker_without_a_core_is_not_overloaded() {
        let mut intervals = Intervals::new();
        let mut ran = Duration::ZERO;
        intervals.overload.on_thread_time(ThreadTime::default());
        intervals.pass(Duration::ZERO, Duration::ZERO);
        let mut pass = |ms: u32| {
            ran += ms * MS;
            intervals.overload.on_thread_time(ThreadTime { ran, waited: Duration::ZERO });
            intervals.pass(100 * MS, Duration::ZERO)
        };
        assert!((0..40).all(|_| pass(49).is_none()), "19 % of the time");
        assert_eq!((0..40).find_map(|_| pass(200)), Some(2_800));
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
        assert!(is_full(Duration::ZERO, 75 * MS), "may raise its limit a little");
        assert!(!is_full(Duration::ZERO, INTERVAL), "has spare time");
    }
}
