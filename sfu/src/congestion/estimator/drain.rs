//! Empties a queue that stands still, which no trend shows.
//!
//! ```text
//!   idle ── queue > 60 ms for 300 ms ──► draining at 0.8 of what arrives ── queue < 15 ms ──► idle, 0.92 of it
//!                                            │         │
//!                                            │         └─ less arrives than is sent: draining again, at 0.8 of that
//!                                            └─ time is over
//!                                                ├─ more arrives than is sent, so the queue shrinks: draining again
//!                                                ├─ the queue has not moved: the base delay is another one
//!                                                └─ someone else fills it: tolerated for 15 s
//! ```

use crate::units::Bitrate;
use std::time::{Duration, Instant};

/// A queue this long for this time is drained.
const STANDING: Duration = Duration::from_millis(60);
const STANDING_FOR: Duration = Duration::from_millis(300);
/// A queue below this is empty.
const EMPTY: Duration = Duration::from_millis(15);
/// From here on the queue is long, and more is given up to drain it.
const LONG: Duration = Duration::from_millis(150);
/// Share of what arrives that is sent while a queue, and a long one, drains.
const SHARE: f64 = 0.8;
const SHARE_LONG: f64 = 0.7;
/// Share of what arrived before, once it is empty.
const SHARE_AFTER: f64 = 0.92;
/// Share of what arrived before, if it did not shrink.
const SHARE_FAILED: f64 = 0.9;
/// Longest drain, beside a round trip and the time after it.
const LONGEST: Duration = Duration::from_secs(3);
const MARGIN: Duration = Duration::from_millis(200);
/// Above this share of the first queue, a drain has failed.
const FAILED: f64 = 0.6;
/// A queue of others is tolerated, up to this factor, for this time.
const TOLERANCE: f64 = 1.5;
const TOLERATED_FOR: Duration = Duration::from_secs(15);
/// If less than this share of what is sent arrives, the path carries less than it did when the drain began; to be judged
/// once what was sent before then has arrived, and left the window of the rates.
const ARRIVES: f64 = 0.85;
/// If this multiple of what is sent arrives, the queue is ours and shrinks, though slower than expected.
const SHRINKS: f64 = 1.1;
const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// A queue that varies by less than this while less is sent is none: the route has become longer.
const CONSTANT: Duration = Duration::from_millis(6);

/// What a drain depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) queue: Duration,
    /// How much of it our own bursts explain.
    pub(super) explained: Duration,
    /// Bitrates of what arrives, and of what is sent.
    pub(super) acked: Bitrate,
    pub(super) sent: Bitrate,
    pub(super) rtt: Duration,
    /// Whether the last decrease is more than a round trip ago.
    pub(super) rested: bool,
}

/// What a report changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing; other signals decide.
    Idle,
    /// A drain goes on: the estimate stays.
    Draining,
    /// A drain begins at this bitrate.
    Begin(Bitrate),
    /// The queue is empty: this bitrate is free.
    Drained(Bitrate),
    /// The queue does not shrink: this bitrate was ours.
    Failed(Bitrate),
    /// The queue is none, but a longer route. This bitrate was ours.
    Rerouted(Bitrate),
}

#[derive(Clone, Copy, Debug)]
struct Running {
    begun: Instant,
    settled: Instant,
    until: Instant,
    /// Queue and acknowledged bitrate when it began.
    queue: Duration,
    acked: Bitrate,
    /// Bounds of the queue since a round trip after it began.
    bounds: Option<(Duration, Duration)>,
}

/// Watches the queue, and drains it.
#[derive(Debug, Default)]
pub(super) struct Drain {
    standing_since: Option<Instant>,
    running: Option<Running>,
    /// Queue that is tolerated, and until when.
    tolerance: Option<(Duration, Instant)>,
}

impl Drain {
    /// Handles a report.
    pub(super) fn step(&mut self, now: Instant, seen: &Seen) -> Step {
        let Seen { queue, explained, acked, rtt, .. } = *seen;
        let limit = self.tolerated(now).unwrap_or(STANDING).max(explained);
        if queue > limit {
            self.standing_since.get_or_insert(now);
        } else {
            self.standing_since = None;
        }
        if let Some(running) = &mut self.running {
            if now.saturating_duration_since(running.begun) > rtt + MARGIN {
                let (least, most) = running.bounds.unwrap_or((queue, queue));
                running.bounds = Some((least.min(queue), most.max(queue)));
            }
            let running = *running;
            return self.drain(now, seen, running);
        }
        let standing = self.standing_since.is_some_and(|since| now.saturating_duration_since(since) >= STANDING_FOR);
        if standing && seen.rested { self.begin(now, queue, acked, rtt) } else { Step::Idle }
    }

    fn begin(&mut self, now: Instant, queue: Duration, acked: Bitrate, rtt: Duration) -> Step {
        let share = if queue > LONG { SHARE_LONG } else { SHARE };
        let needed = queue.div_f64(1.0 - share).min(LONGEST);
        let (settled, until) = (now + rtt + SETTLED_AFTER, now + needed + rtt + MARGIN);
        self.running = Some(Running { begun: now, settled, until, queue, acked, bounds: None });
        self.standing_since = None;
        Step::Begin(acked.mul_f64(share))
    }

    fn drain(&mut self, now: Instant, seen: &Seen, running: Running) -> Step {
        let Seen { queue, acked, rtt, .. } = *seen;
        if queue < EMPTY {
            self.running = None;
            return Step::Drained(running.acked.mul_f64(SHARE_AFTER));
        }
        if now >= running.settled.min(running.until) && queue > STANDING && acked < seen.sent.mul_f64(ARRIVES) {
            return self.begin(now, queue, acked, rtt);
        }
        if now < running.until {
            return Step::Draining;
        }
        if queue > STANDING && acked > seen.sent.mul_f64(SHRINKS) {
            return self.begin(now, queue, acked, rtt);
        }
        self.running = None;
        if queue <= running.queue.mul_f64(FAILED) {
            return Step::Idle;
        }
        if running.bounds.is_some_and(|(least, most)| most - least < CONSTANT) {
            return Step::Rerouted(running.acked);
        }
        let tolerance = queue.mul_f64(TOLERANCE).max(self.tolerance.map_or(Duration::ZERO, |(queue, _)| queue));
        self.tolerance = Some((tolerance, now + TOLERATED_FOR));
        Step::Failed(running.acked.mul_f64(SHARE_FAILED))
    }

    /// Whether a drain is running.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The queue of others that is tolerated now.
    pub(super) fn tolerated(&self, now: Instant) -> Option<Duration> {
        self.tolerance.filter(|(_, until)| now < *until).map(|(queue, _)| queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);
    const ACKED: Bitrate = Bitrate::from_kbps(1_000);

    struct Watch {
        drain: Drain,
        now: Instant,
        sent: Bitrate,
    }

    impl Watch {
        fn new() -> Self {
            Self { drain: Drain::default(), now: Instant::now(), sent: ACKED }
        }

        /// A report every 50 ms with this queue, until one changes something.
        fn until_change(&mut self, limit: Duration, queue: impl Fn(u64) -> u64) -> Step {
            let (begin, before) = (self.now, self.drain.is_running());
            let unchanged = if before { Step::Draining } else { Step::Idle };
            while self.now < begin + limit {
                self.now += Duration::from_millis(50);
                let elapsed = u64::try_from((self.now - begin).as_millis()).unwrap();
                let queue = Duration::from_millis(queue(elapsed));
                let seen =
                    Seen { queue, explained: Duration::ZERO, acked: ACKED, sent: self.sent, rtt: RTT, rested: true };
                let step = self.drain.step(self.now, &seen);
                if step != unchanged {
                    return step;
                }
            }
            unchanged
        }
    }

    #[test]
    fn standing_queue_is_drained() {
        let mut watch = Watch::new();
        assert_eq!(watch.until_change(Duration::from_secs(60), |_| 55), Step::Idle);
        assert_eq!(watch.until_change(Duration::from_secs(60), |at| 20 + at % 150), Step::Idle, "it comes and goes");
        assert_eq!(watch.until_change(Duration::from_secs(1), |_| 100), Step::Begin(Bitrate::from_kbps(800)));
        let step = watch.until_change(Duration::from_secs(1), |at| 100u64.saturating_sub(at / 5));
        assert_eq!(step, Step::Drained(Bitrate::from_kbps(920)));
        assert!(!watch.drain.is_running());
    }

    #[test]
    fn queue_of_others_is_tolerated() {
        let mut watch = Watch::new();
        assert_eq!(watch.until_change(Duration::from_secs(1), |_| 200), Step::Begin(Bitrate::from_kbps(700)));
        let step = watch.until_change(Duration::from_secs(4), |at| 180 + at % 100);
        assert_eq!(step, Step::Failed(Bitrate::from_kbps(900)));
        assert_eq!(watch.until_change(Duration::from_secs(14), |at| 180 + at % 100), Step::Idle);
        let step = watch.until_change(Duration::from_secs(5), |at| 180 + at % 100);
        assert_eq!(step, Step::Begin(Bitrate::from_kbps(700)), "it is tried again");
    }

    #[test]
    fn longer_route_is_no_queue() {
        let mut watch = Watch::new();
        assert_eq!(watch.until_change(Duration::from_secs(1), |_| 100), Step::Begin(Bitrate::from_kbps(800)));
        let step = watch.until_change(Duration::from_secs(4), |at| 100 + at / 50 % 3);
        assert_eq!(step, Step::Rerouted(ACKED));
    }

    #[test]
    fn drain_begins_again_when_less_or_more_arrives() {
        let mut watch = Watch::new();
        assert_eq!(watch.until_change(Duration::from_secs(1), |_| 140), Step::Begin(Bitrate::from_kbps(800)));
        watch.sent = Bitrate::from_kbps(1_200);
        let begin = watch.now;
        assert_eq!(watch.until_change(Duration::from_secs(4), |_| 300), Step::Begin(Bitrate::from_kbps(700)));
        assert!(watch.now - begin < Duration::from_millis(700));
        // Now the queue shrinks, and is still long at the end.
        watch.sent = Bitrate::from_kbps(700);
        let step = watch.until_change(Duration::from_secs(4), |at| 300 - at / 20);
        assert_eq!(step, Step::Begin(Bitrate::from_kbps(700)));
    }
}
