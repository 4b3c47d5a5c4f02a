//! Whether the path has become longer, as after a handover or through a VPN, which looks like a queue of that length.
//!
//! ```text
//!   steady ── a jump ──► suspected ── 200 ms without change ──► eased, 200 ms at half ── no less delay ──► longer
//!                            │ grows, shrinks, or loses                 │ less delay, by what was not sent
//!                            └──────────────► a queue ◄─────────────────┘
//! ```
//!
//! A queue grows as fast as packets come in. A longer path jumps between two packets, and stays as long whatever is sent. So does the
//! delay of a link that has stood still, if all of it is used then: its queue neither grows nor shrinks. Therefore less is sent for a
//! moment, and what comes then decides. Meanwhile nothing else may be concluded from the delay.

use super::{
    base_delay::BaseDelay,
    groups::Deltas,
    packet::{Transit, micros},
};
use crate::units::{Bitrate, DataSize};
use std::time::{Duration, Instant};

/// Shortest jump, in microseconds, and in multiples of the jitter. A shorter one costs a decrease, which does not last.
const JUMP: i64 = 120_000;
const JUMP_JITTERS: i64 = 4;
/// The queue was shorter than this before: one that others were filling already goes on to grow.
const EMPTY: Duration = Duration::from_millis(30);
/// Time without change, in two halves of arrivals, and by how much these may differ.
const HALF: i64 = 100_000;
const FLAT: i64 = 12_000;
/// A delay that differs from that after the jump by this, and by some jitter, is that of a queue.
const CHANGED: i64 = 20_000;
const CHANGED_JITTERS: i64 = 2;
/// Loss that a full queue causes: packets, and one of this many.
const LOST: u32 = 3;
const LOST_ONE_OF: u32 = 6;
/// How long less is sent, and how much of what was sent before.
const EASED_FOR: Duration = Duration::from_millis(200);
const EASED_TO: u64 = 2;
/// What leaves this much later shows the effect, too.
const AFTER: i64 = 50_000;
/// A queue has shrunk by at least this.
const SHRUNK: i64 = 40_000;
/// The sender has eased if it has sent less than this share of what it sent before.
const HAS_EASED: f64 = 0.8;
/// Without an answer after this time, there is none.
const LONGEST: Duration = Duration::from_secs(4);
/// A delay that is not known.
const UNKNOWN: i64 = i64::MAX;

/// What the packets after a jump say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing yet.
    Open,
    /// The delay stays as it is: less is to be sent for a moment.
    Flat,
    /// The path has become longer.
    Longer,
    /// It is a queue, or unknown: the trend should see the jump.
    Queue,
}

/// A jump of the delay, and what followed.
#[derive(Clone, Copy, Debug)]
struct Jump {
    deltas: Deltas,
    begun: Instant,
    jitter: i64,
    /// When the first packet after it arrived.
    from: i64,
    /// Least delay of each half of the time that it takes to be flat.
    halves: [i64; 2],
    packets: u32,
    lost: u32,
    eased: Option<Eased>,
    finding: Finding,
}

/// A time in which less is sent.
#[derive(Clone, Copy, Debug)]
struct Eased {
    until: Instant,
    /// Departures of its packets.
    from: i64,
    /// What was sent before, and since.
    before: Bitrate,
    sent: DataSize,
    /// Least delay.
    lowest: i64,
}

/// Watches for jumps of the delay.
#[derive(Debug, Default)]
pub(super) struct LongerPath {
    jump: Option<Jump>,
}

impl LongerPath {
    /// Handles the difference between two groups. Returns whether it is a jump, which is withheld from the trend.
    pub(super) fn on_group(&mut self, now: Instant, deltas: Deltas, delay: &BaseDelay) -> bool {
        let jitter = micros(delay.jitter());
        if let Some(jump) = &mut self.jump {
            let change = deltas.delay - jump.deltas.delay;
            // A queue shrinks while less is sent: that is judged later.
            let change = if jump.eased.is_some() { change } else { change.abs() };
            if change > CHANGED + CHANGED_JITTERS * jump.jitter {
                jump.close();
            }
            return false;
        }
        let is_jump = deltas.longer() >= JUMP.max(JUMP_JITTERS * jitter)
            && delay.above_base(deltas.delay - deltas.longer()) < EMPTY;
        if is_jump {
            self.jump = Some(Jump::new(now, deltas, jitter));
        }
        is_jump
    }

    /// Handles a packet that feedback covers; `transit` is `None` if it is missing.
    #[inline]
    pub(super) fn on_packet(&mut self, sent: i64, transit: Option<Transit>, size: DataSize) {
        if let Some(jump) = &mut self.jump {
            jump.on_packet(sent, transit, size);
        }
    }

    /// What is found after a report, and the jump.
    pub(super) fn finding(&mut self, now: Instant) -> Option<(Finding, Deltas)> {
        let jump = self.jump.as_mut()?;
        if now.saturating_duration_since(jump.begun) >= LONGEST {
            jump.close();
        }
        let found = (jump.finding, jump.deltas);
        match jump.finding {
            Finding::Flat => jump.finding = Finding::Open,
            Finding::Longer | Finding::Queue => self.jump = None,
            Finding::Open => {}
        }
        Some(found)
    }

    /// Sends less for a moment. `sent` is what was sent until now, and `at` the time by the clock of departures.
    pub(super) fn ease(&mut self, now: Instant, at: i64, sent: Bitrate) {
        if let Some(jump) = &mut self.jump {
            let (until, size) = (now + EASED_FOR, DataSize::ZERO);
            jump.eased = Some(Eased { until, from: at, before: sent, sent: size, lowest: UNKNOWN });
        }
    }

    /// Bitrate at which video may leave, while less is sent.
    pub(super) fn eased(&self, now: Instant) -> Option<Bitrate> {
        let eased = self.jump?.eased.filter(|eased| now < eased.until)?;
        Some(eased.before / EASED_TO)
    }

    /// Whether it is open what a jump means.
    pub(super) fn is_open(&self) -> bool {
        self.jump.is_some()
    }
}

impl Jump {
    fn new(begun: Instant, deltas: Deltas, jitter: i64) -> Self {
        let (from, halves) = (deltas.at, [UNKNOWN; 2]);
        Self { deltas, begun, jitter, from, halves, packets: 0, lost: 0, eased: None, finding: Finding::Open }
    }

    fn close(&mut self) {
        self.finding = Finding::Queue;
    }

    fn on_packet(&mut self, sent: i64, transit: Option<Transit>, size: DataSize) {
        self.packets += 1;
        self.lost += u32::from(transit.is_none());
        if self.lost > LOST && self.lost > self.packets / LOST_ONE_OF {
            self.close();
        }
        if self.finding != Finding::Open {
            return;
        }
        match &mut self.eased {
            Some(eased) => {
                if let Some(finding) = eased.on_packet(sent, transit, size, self.halves[1]) {
                    self.finding = if finding { Finding::Longer } else { Finding::Queue };
                }
            }
            None => self.on_arrival(transit),
        }
    }

    fn on_arrival(&mut self, transit: Option<Transit>) {
        let Some(transit) = transit else { return };
        let half = (transit.received - self.from).div_euclid(HALF);
        if half >= 2 {
            let [first, second] = self.halves;
            let least = self.deltas.delay - self.deltas.longer() / 2;
            let is_known = first != UNKNOWN && second != UNKNOWN;
            let is_flat = is_known && (second - first).abs() <= FLAT.max(self.jitter) && first.min(second) >= least;
            self.finding = if is_flat { Finding::Flat } else { Finding::Queue };
        } else if let Some(least) = usize::try_from(half).ok().and_then(|half| self.halves.get_mut(half)) {
            *least = transit.delay().min(*least);
        }
    }
}

impl Eased {
    /// Counts a packet. Returns whether the path is longer, once that is known; `level` is the delay before.
    fn on_packet(&mut self, sent: i64, transit: Option<Transit>, size: DataSize, level: i64) -> Option<bool> {
        let (since, length) = (sent - self.from, micros(EASED_FOR));
        if (0..length).contains(&since) {
            self.sent += size;
        }
        if let Some(transit) = transit.filter(|_| (length / 2..length + AFTER).contains(&since)) {
            self.lowest = transit.delay().min(self.lowest);
        }
        let is_over = since >= length + AFTER && self.lowest != UNKNOWN;
        is_over.then(|| self.lowest > level - SHRUNK && self.has_eased())
    }

    fn has_eased(&self) -> bool {
        self.sent <= self.before.mul_f64(HAS_EASED) * EASED_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Bitrate = Bitrate::from_kbps(1_000);
    /// Between two packets, which are groups, in ms.
    const SPACING: i64 = 10;

    /// A packet each 10 ms, with a delay in ms; a report on each.
    struct Feed {
        longer: LongerPath,
        delay: BaseDelay,
        start: Instant,
        ms: i64,
        before: i64,
    }

    impl Feed {
        fn new() -> Self {
            Self {
                longer: LongerPath::default(),
                delay: BaseDelay::default(),
                start: Instant::now(),
                ms: 0,
                before: 50,
            }
        }

        /// The next packet; `None` is lost. Returns what is found, other than that nothing is yet.
        fn packet(&mut self, delay: Option<i64>, size: u64) -> Option<Finding> {
            self.ms += SPACING;
            let (now, sent) = (self.start + Duration::from_millis(self.ms.cast_unsigned()), self.ms * 1_000);
            let transit = delay.map(|delay| Transit { sent, received: sent + delay * 1_000 });
            self.longer.on_packet(sent, transit, DataSize::from_bytes(size));
            if let Some(transit) = transit {
                self.delay.add(transit);
                let longer = transit.delay() / 1_000 - std::mem::replace(&mut self.before, transit.delay() / 1_000);
                #[allow(clippy::cast_precision_loss)]
                let (sent, received) = (SPACING as f64, (SPACING + longer) as f64);
                let deltas = Deltas { sent, received, at: transit.received, delay: transit.delay() };
                self.longer.on_group(now, deltas, &self.delay);
            }
            let (finding, _) = self.longer.finding(now)?;
            if finding == Finding::Flat {
                self.longer.ease(now, sent, SENT);
            }
            Some(finding).filter(|finding| *finding != Finding::Open)
        }

        /// Packets until something is found, with a delay by the time in ms since the first of them.
        fn found(&mut self, delay: impl Fn(i64) -> Option<i64>) -> Option<Finding> {
            let (begin, eases) = (self.ms, |feed: &Self| {
                feed.longer.eased(feed.start + Duration::from_millis(feed.ms.cast_unsigned())).is_some()
            });
            (0..1_000).find_map(|_| {
                let size = if eases(self) { 600 } else { 1_250 };
                self.packet(delay(self.ms - begin), size)
            })
        }
    }

    #[test]
    fn delay_that_stays_after_a_jump_is_that_of_a_longer_path() {
        for longer in [130, 180, 980] {
            let mut feed = Feed::new();
            assert_eq!(feed.found(|_| Some(50)), None);
            assert_eq!(feed.found(|at| Some(50 + longer + at / 10 % 5)), Some(Finding::Flat));
            assert_eq!(feed.found(|at| Some(50 + longer + at / 10 % 5)), Some(Finding::Longer));
            assert!(!feed.longer.is_open());
        }
    }

    #[test]
    fn delay_that_falls_when_less_is_sent_is_that_of_a_queue() {
        let mut feed = Feed::new();
        assert_eq!(feed.found(|_| Some(50)), None);
        assert_eq!(feed.found(|_| Some(230)), Some(Finding::Flat));
        assert_eq!(feed.found(|at| Some(230 - at.min(200) / 2)), Some(Finding::Queue));
    }

    #[test]
    fn sender_that_does_not_ease_finds_nothing() {
        let mut feed = Feed::new();
        assert_eq!(feed.found(|_| Some(50)), None);
        assert_eq!(feed.found(|_| Some(230)), Some(Finding::Flat));
        assert_eq!((0..100).find_map(|_| feed.packet(Some(230), 1_250)), Some(Finding::Queue));
    }

    #[test]
    fn delay_that_grows_or_falls_and_loss_are_those_of_a_queue() {
        let grows = |at: i64| Some(180 + at);
        let falls = |at: i64| Some(230 - at.min(180));
        let loses = |at: i64| Some(330).filter(|_| at / 10 % 4 != 0);
        let delays: [&dyn Fn(i64) -> Option<i64>; 3] = [&grows, &falls, &loses];
        for delay in delays {
            let mut feed = Feed::new();
            assert_eq!(feed.found(|_| Some(50)), None);
            assert_eq!(feed.found(delay), Some(Finding::Queue));
        }
    }

    #[test]
    fn late_packet_is_no_jump_of_the_path() {
        let mut feed = Feed::new();
        assert_eq!(feed.found(|at| Some(if at == 500 { 200 } else { 50 })), Some(Finding::Queue));
        assert_eq!(feed.found(|at| Some(50 + at / 10 % 3 * 15)), None, "jitter");
    }
}
