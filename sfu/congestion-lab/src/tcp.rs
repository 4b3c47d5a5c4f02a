//! A download: TCP NewReno with selective acknowledgements (RFC 6582, RFC 6675), enough of it to fill queues as it does.

use crate::scenario::TcpFlow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tacet_impair::Random;

/// Bytes of a full packet.
pub(crate) const SEGMENT: usize = 1_500;
/// First congestion window (RFC 6928).
const FIRST_WINDOW: f64 = 10.0;
const TIMEOUT: Duration = Duration::from_secs(1);
/// Later segments acknowledged after which one counts as lost.
const REORDERED: u64 = 3;
/// Mean pause of short flows.
const PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Tcp {
    short: bool,
    random: Random,
    end: Instant,
    window: f64,
    threshold: f64,
    next: u64,
    unacknowledged: VecDeque<(u64, Instant)>,
    /// Losses before this number belong to a loss that was answered.
    recovered: u64,
    acknowledged_at: Instant,
    /// Bytes still to be sent.
    left: i64,
    idle_until: Instant,
}

impl Tcp {
    pub(crate) fn new(flow: &TcpFlow, start: Instant, end: Instant, random: Random) -> Self {
        let mut tcp = Self {
            short: flow.short,
            random,
            end,
            window: FIRST_WINDOW,
            threshold: f64::INFINITY,
            next: 0,
            unacknowledged: VecDeque::new(),
            recovered: 0,
            acknowledged_at: start,
            left: i64::MAX / 2,
            idle_until: start,
        };
        if flow.short {
            tcp.left = tcp.file();
            if !flow.begins {
                tcp.idle_until = start + tcp.pause();
            }
        }
        tcp
    }

    fn file(&mut self) -> i64 {
        30_000 + self.random.below(20_000) as i64
    }

    fn pause(&mut self) -> Duration {
        PAUSE.mul_f64(-(1.0 - self.random.fraction()).ln())
    }

    /// When it acts without an acknowledgement.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let due = match self.unacknowledged.front() {
            Some((_, sent)) => (*sent).max(self.acknowledged_at) + TIMEOUT,
            None => self.idle_until,
        };
        (due < self.end && (self.left > 0 || !self.unacknowledged.is_empty())).then_some(due)
    }

    pub(crate) fn on_acknowledgement(&mut self, now: Instant, number: u64) {
        self.acknowledged_at = now;
        if let Ok(place) = self.unacknowledged.binary_search_by_key(&number, |(number, _)| *number) {
            self.unacknowledged.remove(place);
            self.window += if self.window < self.threshold { 1.0 } else { 1.0 / self.window };
        }
        let lost = self.unacknowledged.partition_point(|(sent, _)| sent + REORDERED <= number);
        if lost > 0 {
            self.unacknowledged.drain(..lost);
            self.left += (SEGMENT * lost) as i64;
            if number >= self.recovered {
                self.threshold = (self.window / 2.0).max(2.0);
                self.window = self.threshold;
                self.recovered = self.next;
            }
        }
    }

    /// The segments to send now.
    pub(crate) fn send(&mut self, now: Instant) -> std::ops::Range<u64> {
        let first = self.next;
        if now >= self.end || now < self.idle_until {
            return first..first;
        }
        let timed_out = |(_, sent): &(u64, Instant)| now >= (*sent).max(self.acknowledged_at) + TIMEOUT;
        if self.unacknowledged.front().is_some_and(timed_out) {
            self.left += (SEGMENT * self.unacknowledged.len()) as i64;
            self.unacknowledged.clear();
            self.threshold = (self.window / 2.0).max(2.0);
            self.window = 2.0;
            self.recovered = self.next;
            self.acknowledged_at = now;
        }
        while (self.unacknowledged.len() as f64) < self.window && self.left > 0 {
            self.unacknowledged.push_back((self.next, now));
            self.next += 1;
            self.left -= SEGMENT as i64;
        }
        if self.short && self.left <= 0 && self.unacknowledged.is_empty() {
            self.left = self.file();
            self.idle_until = now + self.pause();
            self.window = FIRST_WINDOW;
            self.threshold = f64::INFINITY;
        }
        first..self.next
    }
}
