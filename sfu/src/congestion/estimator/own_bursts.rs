//! The queue that our own bursts fill on a path that carries the estimate: key frames leave faster than that.
//!
//! A queue that is no longer than this is no sign that the path carries less than the estimate. Probes are bursts, too, but what their
//! queues mean is known to the prober.

use crate::units::{Bitrate, DataSize};
use std::time::{Duration, Instant};

/// A path at the estimate is taken to drain a little faster than it, so that what is sent at just the estimate adds up to nothing.
const DRAINS: f64 = 1.1;
/// A burst that fills less is as usual frames are, whose queue is part of what is judged.
const SHORTEST: Duration = Duration::from_millis(50);
/// A longer queue is never explained: audio waits in it, too.
const LONGEST: Duration = Duration::from_millis(200);
/// What was sent shows in reports within two to three of these intervals.
const INTERVAL: Duration = Duration::from_millis(200);
const SHOWS: usize = 3;
/// A burst is one only if less than this share of the estimate was sent over all intervals: three seconds.
const INTERVALS: usize = 15;
const ROOM: f64 = 0.9;
/// A probe takes a little longer than it should.
const PROBE_MARGIN: Duration = Duration::from_millis(100);

/// What was sent beyond the estimate, and has not left a path that carries it.
#[derive(Debug, Default)]
pub(super) struct OwnBursts {
    excess: DataSize,
    at: Option<Instant>,
    /// The last intervals, the newest first.
    intervals: [Interval; INTERVALS],
    interval_end: Option<Instant>,
    /// Until then, what is sent is that of a probe.
    probing_until: Option<Instant>,
}

/// Bytes of one interval.
#[derive(Clone, Copy, Debug, Default)]
struct Interval {
    /// The most excess.
    peak: u32,
    sent: u32,
}

impl OwnBursts {
    /// What leaves in this time is that of a probe.
    pub(super) fn on_probe(&mut self, now: Instant, duration: Duration) {
        self.probing_until = Some(now + duration + PROBE_MARGIN);
    }

    /// A packet leaves, on a path that carries `estimate`.
    #[inline]
    pub(super) fn on_sent(&mut self, now: Instant, size: DataSize, estimate: Bitrate) {
        let elapsed = self.at.replace(now).map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        let drained = estimate.mul_f64(DRAINS) * elapsed;
        self.excess = self.excess.checked_sub(drained).unwrap_or(DataSize::ZERO);
        if self.probing_until.is_none_or(|until| now >= until) {
            self.excess += size;
        }
        if self.interval_end.is_none_or(|end| now >= end) {
            self.begin_interval(now);
        }
        let [newest, ..] = &mut self.intervals;
        newest.peak = newest.peak.max(bytes(self.excess));
        newest.sent = newest.sent.saturating_add(bytes(size));
    }

    /// Begins the next interval.
    #[cold]
    fn begin_interval(&mut self, now: Instant) {
        let silent = self.interval_end.map_or(Duration::ZERO, |end| now.saturating_duration_since(end));
        let skipped =
            usize::try_from(silent.as_millis() / INTERVAL.as_millis()).unwrap_or(INTERVALS).min(INTERVALS - 1);
        self.intervals.rotate_right(skipped + 1);
        self.intervals.iter_mut().take(skipped + 1).for_each(|interval| *interval = Default::default());
        self.interval_end = Some(now + INTERVAL);
    }

    /// The queue that bursts of the last half second explain, on a path that carries `estimate`.
    pub(super) fn explained(&self, estimate: Bitrate) -> Duration {
        let sent = self.intervals.iter().map(|interval| u64::from(interval.sent)).sum();
        if DataSize::from_bytes(sent) > estimate.mul_f64(ROOM) * (INTERVAL * INTERVALS as u32) {
            return Duration::ZERO;
        }
        let most = self.intervals.iter().take(SHOWS).map(|interval| interval.peak).max().unwrap_or_default();
        let seconds = f64::from(most) * 8.0 / estimate.as_f64().max(1.0);
        let queue = Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()));
        if queue < SHORTEST { Duration::ZERO } else { queue }
    }
}

fn bytes(size: DataSize) -> u32 {
    u32::try_from(size.bytes()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTIMATE: Bitrate = Bitrate::from_kbps(1_000);
    const PACKET: DataSize = DataSize::from_bytes(1_250);
    const MS: Duration = Duration::from_millis(1);

    /// A number of packets, one each `every`. Returns the end.
    fn send(bursts: &mut OwnBursts, from: Instant, every: Duration, packets: u32) -> Instant {
        (0..packets).for_each(|number| bursts.on_sent(from + every * number, PACKET, ESTIMATE));
        from + every * packets
    }

    fn explained(bursts: &OwnBursts) -> u128 {
        bursts.explained(ESTIMATE).as_millis()
    }

    #[test]
    fn burst_explains_the_queue_that_it_fills_for_half_a_second() {
        let mut bursts = OwnBursts::default();
        let begin = send(&mut bursts, Instant::now(), 20 * MS, 150);
        assert_eq!(explained(&bursts), 0, "half of the estimate, evenly");
        // 20 packets at 2.5 times the estimate: of 200 ms, 76 have passed, in which 84 ms have drained.
        let end = send(&mut bursts, begin, 4 * MS, 20);
        assert!((110..=125).contains(&explained(&bursts)), "{} ms", explained(&bursts));
        let later = send(&mut bursts, end, 20 * MS, 15);
        assert!(explained(&bursts) >= 110);
        send(&mut bursts, later, 20 * MS, 40);
        assert_eq!(explained(&bursts), 0);
    }

    #[test]
    fn what_uses_the_whole_estimate_has_no_bursts() {
        let mut bursts = OwnBursts::default();
        let begin = send(&mut bursts, Instant::now(), 10 * MS, 300);
        send(&mut bursts, begin, 4 * MS, 20);
        assert_eq!(explained(&bursts), 0);
    }

    #[test]
    fn probe_explains_nothing() {
        let (mut bursts, start) = (OwnBursts::default(), Instant::now());
        bursts.on_probe(start, 60 * MS);
        send(&mut bursts, start, 4 * MS, 20);
        assert_eq!(explained(&bursts), 0);
    }

    #[test]
    fn long_queue_is_never_explained() {
        let mut bursts = OwnBursts::default();
        send(&mut bursts, Instant::now(), Duration::ZERO, 100);
        assert_eq!(bursts.explained(ESTIMATE), LONGEST);
        send(&mut bursts, Instant::now() + 60_000 * MS, MS, 1);
        assert_eq!(explained(&bursts), 0, "long ago");
    }
}
