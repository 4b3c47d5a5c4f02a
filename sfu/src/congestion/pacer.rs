//! When video may leave, of which receivers are adapted to.
//!
//! A key frame that leaves at once fills the queue of a slow path, and the audio of the next half second waits there, or is lost.
//! So video leaves at a multiple of the estimate at most: a token bucket. What has to wait stays in its
//! [slot](crate::subscriber::waiting), and the pacer knows how much it is. Audio takes tokens, and waits for none.

use crate::units::{Bitrate, DataSize};
use std::time::{Duration, Instant};

/// Between two looks at what may leave.
pub(crate) const STEP: Duration = Duration::from_millis(5);
/// Video leaves at most at this multiple of the estimate: frames differ in size, and a lower one would delay each key frame.
const FACTOR: f64 = 2.5;
/// Until more has left than a path with this estimate carries in this time; then at this multiple. A large key frame would fill
/// the queue of a path that carries no more than the estimate.
const AHEAD: Duration = Duration::from_millis(150);
const FACTOR_AHEAD: f64 = 1.0;
/// With more than this queued on the path, only what it carries leaves: a queue drains by nothing else.
const LONG_QUEUE: Duration = Duration::from_millis(60);
/// With more than this, the queue may be full, and half of that leaves: what comes to a full queue is lost.
const FULL_QUEUE: Duration = Duration::from_millis(200);
/// The bucket holds what may leave in this time, or ten full packets: fewer would make runs of packets short. On a slow path it
/// holds what that carries in [`AHEAD`], or two packets.
const BURST_TIME: Duration = Duration::from_millis(40);
const BURST: DataSize = DataSize::from_bytes(12_000);
/// Without bursts, a single packet.
const BURST_EVEN: DataSize = DataSize::from_bytes(1_500);
const LEAST_BURST: DataSize = DataSize::from_bytes(2_500);
/// More than leaves in this time is too much.
const MAX_WAIT: Duration = Duration::from_millis(400);
/// What waits leaves within this time, whatever the estimate is, until video is kept to that, and unless the path has a queue:
/// packets are not stored for much longer.
const LONGEST_WAIT: Duration = Duration::from_millis(600);

/// How fast video may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At this bitrate, without bursts.
    Even(Bitrate),
    /// As a path with this estimate and queue carries it.
    Bursts { estimate: Bitrate, queue: Duration },
    /// At any bitrate: nothing is known, nor will be.
    Any,
}

/// Token bucket of one downlink.
#[derive(Debug)]
pub(super) struct Pacer {
    tokens: DataSize,
    refilled: Instant,
    rate: Bitrate,
    /// What has left, and has not left a path that carries the estimate.
    ahead: DataSize,
    /// Size of all that waits.
    waiting: DataSize,
    /// At which what waits leaves within [`LONGEST_WAIT`], if it was too much; zero once nothing waits.
    floor: Bitrate,
    /// Without bursts, and without haste.
    is_even: bool,
}

/// What may leave on a path with this estimate, and with this queue.
pub(super) fn with_queue(estimate: Bitrate, queue: Duration) -> Bitrate {
    if queue > FULL_QUEUE { estimate / 2 } else { estimate }
}

impl Pacer {
    pub(super) fn new(now: Instant) -> Self {
        let zero = DataSize::ZERO;
        let (rate, floor) = (Bitrate::ZERO, Bitrate::ZERO);
        Self { tokens: BURST, refilled: now, rate, ahead: zero, waiting: zero, floor, is_even: false }
    }

    /// Adds the tokens of the time that has passed.
    pub(super) fn refill(&mut self, now: Instant, pace: Pace) {
        let elapsed = now.saturating_duration_since(self.refilled);
        self.is_even = matches!(pace, Pace::Even(_));
        let carried = match pace {
            Pace::Even(rate) | Pace::Bursts { estimate: rate, .. } => rate,
            Pace::Any => Bitrate::MAX,
        };
        self.rate = match pace {
            Pace::Even(rate) => rate,
            // What the path does not carry would be lost, however long it has waited.
            Pace::Bursts { estimate, queue } if queue > LONG_QUEUE => {
                with_queue(estimate, queue).max(self.floor.min(estimate))
            }
            Pace::Bursts { estimate, .. } => {
                let factor = if self.ahead > estimate * AHEAD { FACTOR_AHEAD } else { FACTOR };
                estimate.mul_f64(factor).max(self.floor)
            }
            Pace::Any => Bitrate::MAX,
        };
        let tokens = self.rate * elapsed;
        let burst = BURST.min((carried * AHEAD).max(LEAST_BURST));
        let most = if self.is_even { BURST_EVEN } else { burst.max(self.rate * BURST_TIME) };
        if tokens > DataSize::ZERO {
            let ahead = self.ahead.checked_sub(carried * elapsed).unwrap_or(DataSize::ZERO);
            self.ahead = ahead.min(carried * AHEAD * 2);
            self.refilled = now;
        }
        self.tokens = (self.tokens + tokens).min(most);
    }

    /// Whether there are tokens for a packet.
    pub(super) fn permits(&self, size: DataSize) -> bool {
        self.tokens >= size
    }

    /// A packet leaves, whether there are tokens for it or not.
    pub(super) fn on_packet(&mut self, size: DataSize) {
        self.tokens = self.tokens.checked_sub(size).unwrap_or(DataSize::ZERO);
        self.ahead += size;
    }

    /// Size of all that waits.
    pub(super) fn waiting(&self) -> DataSize {
        self.waiting
    }

    /// A packet has to wait.
    pub(super) fn add(&mut self, size: DataSize) {
        self.waiting += size;
    }

    /// Sets the size of all that waits. Returns whether it is more than should.
    pub(super) fn set_waiting(&mut self, waiting: DataSize) -> bool {
        self.waiting = waiting;
        if waiting == DataSize::ZERO {
            self.floor = Bitrate::ZERO;
        }
        waiting > self.rate * MAX_WAIT
    }

    /// Lets what waits leave in time, at this bitrate at most, unless it is to leave evenly.
    pub(super) fn hurry(&mut self, waiting: DataSize, most: Bitrate) {
        self.waiting = waiting;
        if !self.is_even {
            self.floor = self.floor.max(waiting / LONGEST_WAIT).min(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const ESTIMATE: Bitrate = Bitrate::from_kbps(800);
    const USUAL: Pace = Pace::Bursts { estimate: ESTIMATE, queue: Duration::ZERO };
    const PACKET: DataSize = DataSize::from_bytes(1_000);

    /// Sends as much as is permitted each millisecond until `until`. Returns the bytes of each.
    fn sent(pacer: &mut Pacer, start: Instant, until: u32, queue: Duration) -> Vec<u64> {
        let each = (0..until).map(|ms| {
            pacer.refill(start + ms * MS, Pace::Bursts { estimate: ESTIMATE, queue });
            let mut bytes = 0;
            while pacer.permits(PACKET) {
                pacer.on_packet(PACKET);
                bytes += PACKET.bytes();
            }
            bytes
        });
        each.collect()
    }

    #[test]
    fn video_leaves_at_a_multiple_of_the_estimate_after_a_burst() {
        let start = Instant::now();
        let each = sent(&mut Pacer::new(start), start, 1_001, Duration::ZERO);
        assert_eq!(each[0], 12_000);
        assert_eq!(each[1..=16].iter().sum::<u64>(), 4_000);
        assert!(each[1..].iter().all(|bytes| *bytes <= 1_000), "evenly");
        // The path would need 150 ms for what is ahead, and no more follows than it carries.
        let all: u64 = each.iter().sum();
        assert!((112_000..=117_000).contains(&all), "{all} bytes");
    }

    #[test]
    fn long_queue_of_the_path_leaves_what_it_carries() {
        let start = Instant::now();
        for (queue, expected) in [(61 * MS, 100_000), (201 * MS, 50_000)] {
            let each = sent(&mut Pacer::new(start), start, 1_001, queue);
            assert_eq!(each[1..].iter().sum::<u64>(), expected);
        }
    }

    #[test]
    fn even_pacer_has_nothing_saved_up() {
        let (start, rate) = (Instant::now(), Bitrate::from_kbps(400));
        let mut pacer = Pacer::new(start);
        let mut sent = 0;
        for ms in 1..=200 {
            pacer.refill(start + ms * MS, Pace::Even(rate));
            while pacer.permits(PACKET) {
                pacer.on_packet(PACKET);
                sent += PACKET.bytes();
            }
        }
        assert_eq!(sent, 11_000);
    }

    #[test]
    fn bucket_is_bounded_after_a_pause() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        for (estimate, most) in [(ESTIMATE, 12), (Bitrate::from_kbps(8_000), 100)] {
            let pace = Pace::Bursts { estimate, queue: Duration::ZERO };
            pacer.refill(start + Duration::from_secs(60 * most), pace);
            assert!(pacer.permits(PACKET * most) && !pacer.permits(PACKET * (most + 1)));
        }
    }

    #[test]
    fn what_leaves_without_tokens_makes_no_debt() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        pacer.on_packet(PACKET * 1_000);
        pacer.refill(start + 10 * MS, USUAL);
        assert!(pacer.permits(PACKET));
    }

    /// 300 kB at 800 kbit/s would take 3 s: they leave in 600 ms.
    #[test]
    fn what_waits_leaves_in_time() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        pacer.refill(start + MS, USUAL);
        assert!(!pacer.set_waiting(PACKET * 100));
        pacer.add(PACKET * 300);
        let mut left = pacer.waiting();
        assert!(pacer.set_waiting(left));
        pacer.hurry(left, Bitrate::MAX);
        let took = (2..).find(|ms| {
            pacer.refill(start + *ms * MS, USUAL);
            while left > DataSize::ZERO && pacer.permits(PACKET) {
                pacer.on_packet(PACKET);
                left = left.checked_sub(PACKET).unwrap();
            }
            pacer.set_waiting(left);
            left == DataSize::ZERO
        });
        assert!(took.is_some_and(|ms| (500..=600).contains(&ms)), "{took:?} ms");
        assert_eq!(pacer.floor, Bitrate::ZERO);
    }
}
