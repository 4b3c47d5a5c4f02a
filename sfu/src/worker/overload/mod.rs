//! What a worker does that has more to send than it can: it limits the video to each receiver.
//!
//! ```text
//!   packets wait, all the time     ──► smaller video ──► nothing but lowest layers ──► these are proven too many: pauses
//!   the driver waits for datagrams ──► more, step by step, up to what is configured
//! ```
//! Audio is forwarded first and never limited.
//!
//! A batch that takes long is no overload: what counts is the shortest wait of an interval. Nor is a thread that gets no core, which
//! less to send would not help. Those who join need more of the worker and of the machine than those who are there, so that video
//! makes way for them at once.

mod ceiling;
mod usage;

use crate::{subscriber::allocation::Sendable, units::Bitrate};
use ceiling::Ceiling;
use std::time::{Duration, Instant};
pub use usage::ThreadTime;
use usage::{Usage, UsageMeter};

/// Interval of decisions. Receivers have changed to lower layers within it, unless these need a key frame.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);
/// Packets that wait for longer than this throughout an interval are a standing queue.
const STANDING: Duration = Duration::from_millis(10);
/// While nothing but lowest layers is sent, only from this on: late video is better than none, and long batches cost less.
const STANDING_LOWEST: Duration = Duration::from_millis(100);
/// Lowest layers are too many if such a queue has not shrunk by a quarter within this time.
const PATIENCE: Duration = Duration::from_secs(3);
const SHRUNK: u32 = 4;
/// It shows that there is too much to send if the thread ran for this part of the time since it stands, in percent.
const FAIR_SHARE: u64 = 20;
/// How far back that looks, about.
const SINCE: Duration = Duration::from_secs(2);
/// Part of the limit that is left after an interval with a standing queue, in percent: at first, and while it still stands.
const LOWERED: u64 = 70;
const LOWERED_AGAIN: u64 = 50;
/// The first limit is this percentage of what receivers get on average, so that it has an effect.
const FIRST: u64 = 150;
/// What was sent in an interval counts by this percentage in the next one.
const FADING: u64 = 90;
/// How long a new limit takes to have its effect: higher layers end at once, other encodings begin with a key frame.
const EFFECT: Duration = Duration::from_secs(1);
/// Below this limit there is nothing but lowest layers, or no video at all.
const LEAST: Bitrate = Bitrate::from_kbps(50);
/// The limit rises if the driver was busy for less than this part of the time, in percent …
const SPARE_BELOW: u64 = 80;
/// … by as much as would make it busy for this part, if video were all that it does …
const BUSY: u64 = 85;
/// … and at most to this percentage: not all video costs the same.
const MOST_RAISED: u64 = 200;
/// A worker is full if it was limited for this time without much time to spare: the limit could never rise to this percentage.
const FULL_AFTER: Duration = Duration::from_secs(4);
const ROOMY: u64 = 130;
/// Handshakes that are under way or have ended in an interval, while many join at once …
const JOINING: usize = 4;
/// … and for this time after.
const JOINED: Duration = Duration::from_secs(2);

/// No video at all.
const NOTHING: Sendable = Sendable { rate: Bitrate::ZERO, pauses: true };

/// What the worker does at the time of a decision.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Bytes that were sent so far.
    pub(super) sent: u64,
    pub(super) receivers: usize,
    /// Handshakes that are under way or have ended since the last decision.
    pub(super) handshakes: usize,
    /// Videos that are paused because of the limit, and those of which more than the lowest layer is sent.
    pub(super) paused: usize,
    pub(super) better: usize,
}

/// The limit on the video to a receiver, and what it follows from.
#[derive(Debug)]
pub(super) struct Overload {
    configured: Bitrate,
    /// Below what is configured.
    limit: Option<Sendable>,
    /// Nothing is sent for the sake of those who join.
    makes_way: bool,
    /// When many joined last.
    joined_at: Option<Instant>,
    changed_at: Option<Instant>,
    /// The last change was one to less.
    falls: bool,
    /// What a queue of nothing but lowest layers was when it was longest, and when.
    lowest_queue: Option<(Instant, Duration)>,
    /// What the limit fell from.
    ceiling: Option<Ceiling>,
    /// Since when there is a limit, and little time to spare.
    stuck_since: Option<Instant>,
    interval_start: Option<Instant>,
    shortest_wait: Option<Duration>,
    usage: UsageMeter,
    /// The last intervals with a standing queue, since it stands.
    standing: Usage,
    /// Intervals without a standing queue, since the limit changed, and bytes that were sent in these.
    quiet: Usage,
    quiet_sent: u64,
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
            makes_way: false,
            joined_at: None,
            changed_at: None,
            falls: false,
            lowest_queue: None,
            ceiling: None,
            stuck_since: None,
            interval_start: None,
            shortest_wait: None,
            usage: UsageMeter::default(),
            standing: Usage::default(),
            quiet: Usage::default(),
            quiet_sent: 0,
            sent: 0,
            each: Bitrate::ZERO,
        }
    }

    /// What the worker can send of video to each receiver, if that is less than what is configured.
    pub(super) fn limit(&self) -> Option<Sendable> {
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

    /// Decides, once in an interval. Returns whether the limit has changed.
    pub(super) fn decide(&mut self, now: Instant, load: Load) -> bool {
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
        let sent = load.sent.wrapping_sub(std::mem::replace(&mut self.sent, load.sent));
        self.each = average(sent, load.receivers, interval).max(percent(self.each, FADING));
        if load.handshakes >= JOINING {
            self.joined_at = Some(now);
        }
        let before = self.limit;
        if wait > STANDING {
            (self.quiet, self.quiet_sent) = (Usage::default(), 0);
            self.standing.fade(SINCE);
            self.standing.add(usage);
            if self.standing.ran() >= FAIR_SHARE {
                self.lower(now, wait, load);
            }
        } else {
            self.standing = Usage::default();
            self.lowest_queue = None;
            self.quiet.add(usage);
            self.quiet_sent = self.quiet_sent.saturating_add(sent);
            if let Some(limit) = self.limit.filter(|_| self.quiet.time >= EFFECT) {
                self.raise(now, limit, load);
            }
        }
        let has_changed = self.limit != before;
        if has_changed {
            self.changed_at = Some(now);
        }
        has_changed
    }

    /// Whether many join, or have just joined.
    fn many_join(&self, now: Instant) -> bool {
        self.joined_at.is_some_and(|at| now.saturating_duration_since(at) < JOINED)
    }

    /// Lowers the limit, if it has had its effect.
    fn lower(&mut self, now: Instant, wait: Duration, load: Load) {
        if self.many_join(now) {
            self.makes_way |= self.limit != Some(NOTHING);
            self.limit = Some(NOTHING);
            self.stuck_since.get_or_insert(now);
            return;
        }
        if self.changed_at.is_some_and(|at| now.saturating_duration_since(at) < EFFECT) {
            return;
        }
        let before = self.limit;
        let lowered = match before {
            None => Sendable { rate: lowered(self.first(), LOWERED), pauses: false },
            Some(limit) if limit.pauses || (load.better > 0 && limit.rate > Bitrate::ZERO) => {
                let part = if self.falls { LOWERED_AGAIN } else { LOWERED };
                Sendable { rate: lowered(limit.rate, part), ..limit }
            }
            Some(_) if self.lowest_are_too_many(now, wait) => {
                Sendable { rate: lowered(self.each, LOWERED), pauses: true }
            }
            Some(_) => return,
        };
        let failed = before.filter(|limit| limit.pauses == lowered.pauses).map_or(self.each, |limit| limit.rate);
        self.ceiling = Some(Ceiling::new(self.ceiling, now, failed, lowered.pauses, self.each));
        (self.limit, self.falls) = (Some(lowered), true);
        self.stuck_since.get_or_insert(now);
    }

    /// Whether a queue of nothing but lowest layers stays as long as it is.
    fn lowest_are_too_many(&mut self, now: Instant, wait: Duration) -> bool {
        if wait <= STANDING_LOWEST {
            self.lowest_queue = None;
            return false;
        }
        let (since, longest) = *self.lowest_queue.get_or_insert((now, wait));
        if wait < longest - longest / SHRUNK {
            self.lowest_queue = Some((now, wait));
            return false;
        }
        now.saturating_duration_since(since) >= PATIENCE
    }

    /// Raises the limit, if there was time to spare since it has its effect.
    fn raise(&mut self, now: Instant, limit: Sendable, load: Load) {
        let (quiet, sent) = (std::mem::take(&mut self.quiet), std::mem::take(&mut self.quiet_sent));
        let busy = quiet.busy();
        let each = average(sent, load.receivers, quiet.time);
        let possible = Bitrate::from_bps(each.bps().saturating_mul(100) / busy.max(1));
        let ceiling = self.ceiling.filter(|ceiling| ceiling.holds(now, possible));
        let may_keep = ceiling.is_none_or(|ceiling| !ceiling.pauses());
        let raised = (100 * BUSY).checked_div(busy).map_or(MOST_RAISED, |raised| raised.min(MOST_RAISED));
        if raised >= ROOMY {
            self.stuck_since = Some(now);
        }
        let next = if self.makes_way {
            // Lowest layers were not proven to be too many.
            let is_over = !self.many_join(now);
            self.makes_way = !is_over;
            if is_over && may_keep { Sendable { pauses: false, ..limit } } else { limit }
        } else if busy >= SPARE_BELOW {
            limit
        } else if limit.pauses && load.paused == 0 && may_keep {
            Sendable { pauses: false, ..limit }
        } else {
            // What is sent is no more than lowest layers, as long as these are more than the limit.
            let from = if limit.pauses { limit.rate } else { limit.rate.max(self.each) };
            let rate = percent(from, raised).max(LEAST);
            let rate = ceiling.map_or(rate, |ceiling| rate.min(ceiling.rate().max(limit.rate)));
            Sendable { rate, ..limit }
        };
        self.falls &= next == limit;
        self.limit = Some(next).filter(|next| next.rate < self.configured);
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

/// This part of a limit, or nothing.
fn lowered(limit: Bitrate, part: u64) -> Bitrate {
    let lowered = percent(limit, part);
    if lowered < LEAST { Bitrate::ZERO } else { lowered }
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
        load: Load,
    }

    impl Intervals {
        /// Of ten receivers, which get better layers than the lowest ones.
        fn new() -> Self {
            let load = Load { receivers: 10, better: 10, ..Load::default() };
            let (mut overload, now) = (Overload::new(CONFIGURED), Instant::now());
            assert!(!overload.decide(now, load));
            Self { overload, now, load }
        }

        /// Returns the limit in kbit/s, if it has changed; what is configured, if there is none any more.
        fn pass(&mut self, wait: Duration, idle: Duration) -> Option<u64> {
            [wait, wait + 100 * MS].into_iter().for_each(|wait| self.overload.on_wait(wait));
            self.overload.on_poll(idle);
            self.now += INTERVAL;
            let has_changed = self.overload.decide(self.now, self.load);
            has_changed.then(|| self.kbps())
        }

        fn kbps(&self) -> u64 {
            self.overload.limit().map_or(CONFIGURED, |limit| limit.rate).bps() / 1_000
        }

        fn second(&mut self, wait: Duration, idle: Duration) -> Option<u64> {
            (0..4).filter_map(|_| self.pass(wait, idle)).last()
        }

        /// The seconds until the limit changes, and to what.
        fn until_change(&mut self, wait: Duration, idle: Duration) -> (u64, u64) {
            let changes = (1..100).find_map(|seconds| Some((seconds, self.second(wait, idle)?)));
            changes.expect("a change")
        }

        fn pauses(&self) -> bool {
            self.overload.limit().is_some_and(|limit| limit.pauses)
        }

        /// Receivers get a megabit a second each.
        fn send(&mut self) {
            self.load.sent += 10 * 1_000_000 / 8 / 4;
        }
    }

    #[test]
    fn standing_queue_lowers_the_limit_to_lowest_layers() {
        let mut intervals = Intervals::new();
        assert_eq!(intervals.pass(10 * MS, Duration::ZERO), None, "a batch that took long");
        assert_eq!(intervals.pass(11 * MS, Duration::ZERO), Some(2_800));
        assert_eq!([(); 3].map(|()| intervals.pass(11 * MS, Duration::ZERO)), [None; 3], "may still have an effect");
        let seconds = [(); 6].map(|()| intervals.second(11 * MS, Duration::ZERO));
        assert_eq!(seconds, [1_400, 700, 350, 175, 87, 0].map(Some));
        assert!((0..10).all(|_| intervals.second(100 * MS, Duration::ZERO).is_none()) && !intervals.pauses());
    }

    #[test]
    fn first_limit_is_near_what_receivers_get() {
        let mut intervals = Intervals::new();
        intervals.send();
        assert_eq!(intervals.pass(11 * MS, Duration::ZERO), Some(1_050));
    }

    #[test]
    fn first_limit_is_not_that_of_a_moment_without_a_core() {
        let mut intervals = Intervals::new();
        intervals.send();
        assert_eq!(intervals.pass(Duration::ZERO, Duration::ZERO), None);
        assert_eq!(intervals.pass(11 * MS, Duration::ZERO), Some(945), "of nine tenths of a megabit");
    }

    /// An overload in which nothing but lowest layers is left.
    fn lowest_only() -> Intervals {
        let mut intervals = Intervals::new();
        intervals.pass(11 * MS, Duration::ZERO);
        intervals.second(11 * MS, Duration::ZERO);
        intervals.load.better = 0;
        intervals
    }

    #[test]
    fn lowest_layers_are_kept_while_their_queue_is_short_or_shrinks() {
        let mut intervals = lowest_only();
        assert!((0..40).all(|_| intervals.pass(100 * MS, Duration::ZERO).is_none()));
        for n in 0..12 {
            let wait = Duration::from_secs(1).mul_f64(0.7f64.powi(n / 6));
            assert_eq!(intervals.pass(wait, Duration::ZERO), None, "{n}");
        }
    }

    #[test]
    fn video_pauses_after_three_seconds_of_a_queue_of_lowest_layers() {
        let mut intervals = lowest_only();
        let pass = |intervals: &mut Intervals| {
            intervals.send();
            intervals.pass(110 * MS, Duration::ZERO)
        };
        assert_eq!(
            (0..20).find_map(|n| Some((n, pass(&mut intervals)?))),
            Some((15, 700)),
            "and one for the last step"
        );
        assert!(intervals.pauses());
        assert_eq!((0..20).find_map(|n| Some((n, pass(&mut intervals)?))), Some((3, 350)));
    }

    #[test]
    fn video_makes_way_for_many_who_join_and_comes_back_after_them() {
        let mut intervals = Intervals::new();
        intervals.load.handshakes = JOINING - 1;
        assert_eq!(intervals.pass(11 * MS, Duration::ZERO), Some(2_800), "some who join");
        intervals.load.handshakes = JOINING;
        assert_eq!((intervals.pass(11 * MS, Duration::ZERO), intervals.pauses()), (Some(0), true));
        assert!((0..40).all(|_| intervals.pass(Duration::ZERO, 200 * MS).is_none()), "while they join");
        intervals.load.handshakes = 0;
        assert_eq!((intervals.until_change(Duration::ZERO, 200 * MS).0, intervals.pauses()), (2, false));
        assert_eq!(intervals.kbps(), 0, "lowest layers first");
    }

    #[test]
    fn spare_time_raises_the_limit_up_to_what_is_configured() {
        let mut intervals = Intervals::new();
        intervals.load.handshakes = JOINING;
        intervals.pass(11 * MS, Duration::ZERO);
        intervals.load.handshakes = 0;
        intervals.until_change(Duration::ZERO, 10 * MS);
        let mut raised = Vec::new();
        while intervals.overload.limit().is_some() {
            raised.extend(intervals.second(Duration::ZERO, if raised.len() < 3 { 75 } else { 200 } * MS));
        }
        assert_eq!((&raised[..4], raised.last()), (&[50, 60, 73, 146][..], Some(&4_000)));
        assert_eq!(raised.len(), 9, "as many seconds");
        assert_eq!(intervals.pass(Duration::ZERO, 250 * MS), None);
    }

    #[test]
    fn pauses_end_when_nothing_is_paused_any_more() {
        let mut intervals = lowest_only();
        for _ in 0..16 {
            intervals.pass(200 * MS, Duration::ZERO);
        }
        assert!(intervals.pauses());
        intervals.load.paused = 3;
        intervals.overload.ceiling = None;
        let raised = intervals.until_change(Duration::ZERO, 200 * MS).1;
        assert!(intervals.pauses());
        intervals.load.paused = 0;
        assert_eq!(intervals.until_change(Duration::ZERO, 200 * MS).1, raised);
        assert!(!intervals.pauses());
    }

    #[test]
    fn limit_that_failed_is_not_tried_again_at_once() {
        let mut intervals = Intervals::new();
        let rise = |intervals: &mut Intervals, wait| {
            intervals.send();
            intervals.second(wait, 60 * MS)
        };
        assert_eq!(rise(&mut intervals, 11 * MS), Some(1_050));
        let fell_from = (0..10).filter_map(|_| rise(&mut intervals, Duration::ZERO)).last().unwrap();
        while rise(&mut intervals, 11 * MS).is_none() {}
        let rises: Vec<_> = (0..15).filter_map(|_| rise(&mut intervals, Duration::ZERO)).collect();
        assert!(rises.is_empty(), "the second time within a quarter of a minute, from {fell_from}");
        assert!((0..3).find_map(|_| rise(&mut intervals, Duration::ZERO)) > Some(fell_from * 7 / 10));
    }

    #[test]
    fn busy_worker_keeps_its_limit() {
        let mut intervals = Intervals::new();
        intervals.pass(20 * MS, Duration::ZERO);
        assert!((0..40).all(|_| intervals.pass(Duration::ZERO, 49 * MS).is_none()));
        let queue = |n: u32| if n % 4 == 3 { STANDING + MS } else { Duration::ZERO };
        let before = intervals.kbps();
        (0..40).for_each(|n| assert!(intervals.pass(queue(n), INTERVAL) < Some(before)));
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
        assert!((0..400).all(|_| pass(49).is_none()), "19 % of the time");
        assert_eq!((0..4).find_map(|_| pass(200)), Some(2_800), "what was long ago does not count");
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
