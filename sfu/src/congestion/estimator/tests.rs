//! The estimator on a link in virtual time: one bottleneck with a queue, a delay, loss, and feedback every 50 ms.

use super::*;
use std::collections::VecDeque;

const STEP: Duration = Duration::from_millis(5);
const FEEDBACK: Duration = Duration::from_millis(50);
/// Bytes of a packet.
const PACKET: u64 = 1_200;
/// Packets beyond this waiting time are dropped.
const LONGEST_QUEUE: Duration = Duration::from_millis(300);
/// The receiver's clock is ahead of ours by this.
const CLOCK: u64 = 1 << 40;

/// What a path does to packets. It can change at any time.
struct Path {
    capacity: Bitrate,
    delay: Duration,
    /// Adds up to this, in order.
    jitter: Duration,
    /// One of this many packets is lost, at irregular places; 0 for none.
    loses_one_of: u64,
    /// No feedback arrives.
    silent: bool,
}

/// A sender that follows the estimate, up to `source`, over a path.
struct Call {
    estimator: BandwidthEstimator,
    path: Path,
    source: Bitrate,
    start: Instant,
    now: Instant,
    link_free: Instant,
    /// Bytes that the source may send now.
    credit: DataSize,
    probe: Option<(ProbeCluster, Instant)>,
    /// The sender pays no heed to estimate and probes.
    heedless: bool,
    unreported: VecDeque<(Instant, PacketResult)>,
    last_arrival: Instant,
    reported: Instant,
    probes: usize,
    random: u64,
}

impl Call {
    fn new(capacity_kbps: u64) -> Self {
        let (now, capacity) = (Instant::now(), Bitrate::from_kbps(capacity_kbps));
        let mut estimator = BandwidthEstimator::new(Bitrate::from_kbps(600));
        estimator.set_wanted(Bitrate::from_kbps(2_000), Bitrate::from_kbps(2_000));
        Self {
            estimator,
            path: Path {
                capacity,
                delay: Duration::from_millis(25),
                jitter: Duration::ZERO,
                loses_one_of: 0,
                silent: false,
            },
            source: Bitrate::from_kbps(2_000),
            start: now,
            now,
            link_free: now,
            credit: DataSize::ZERO,
            probe: None,
            heedless: false,
            unreported: VecDeque::new(),
            last_arrival: now,
            reported: now,
            probes: 0,
            random: 1,
        }
    }

    fn send(&mut self, cluster: Option<ClusterId>) {
        let size = DataSize::from_bytes(PACKET);
        self.estimator.on_sent(self.now, size);
        let waits = self.link_free.saturating_duration_since(self.now);
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lost = self.path.loses_one_of > 0 && (self.random >> 33).is_multiple_of(self.path.loses_one_of);
        let dropped = waits > LONGEST_QUEUE;
        if !dropped {
            let transmission = Duration::from_secs_f64(PACKET as f64 * 8.0 / self.path.capacity.as_f64());
            self.link_free = self.link_free.max(self.now) + transmission;
        }
        let jitter = self.path.jitter.mul_f64((self.random >> 40) as f64 / (1u64 << 24) as f64);
        let mut arrival = self.link_free + self.path.delay + jitter;
        if !self.path.jitter.is_zero() {
            arrival = arrival.max(self.last_arrival);
        }
        self.last_arrival = arrival;
        let micros = u64::try_from((arrival - self.start).as_micros()).unwrap() + CLOCK;
        let received_micros = (!lost && !dropped).then_some(micros);
        self.unreported.push_back((arrival, PacketResult { sent: self.now, size, received_micros, cluster }));
    }

    fn step(&mut self) {
        self.now += STEP;
        self.estimator.on_tick(self.now);
        if let Some(probe) = self.estimator.next_probe(self.now) {
            self.probes += 1;
            self.probe = Some((probe, self.now));
        }
        let eased = self.estimator.eased(self.now).unwrap_or(Bitrate::MAX);
        let rate = if self.heedless { self.source } else { self.source.min(self.estimator.estimate()).min(eased) };
        self.credit += rate * STEP;
        while let Some(left) = self.credit.checked_sub(DataSize::from_bytes(PACKET)) {
            self.credit = left;
            self.send(None);
        }
        if let Some((probe, begun)) = self.probe.filter(|_| !self.heedless) {
            let packets = (probe.rate * STEP).bytes().div_ceil(PACKET);
            (0..packets).for_each(|_| self.send(Some(probe.id)));
            if self.now >= begun + probe.duration {
                self.probe = None;
            }
        }
        if self.now >= self.reported + FEEDBACK {
            self.reported = self.now;
            let arrived = self.unreported.partition_point(|(at, _)| *at + self.path.delay <= self.now);
            let results: Vec<_> = self.unreported.drain(..arrived).map(|(_, result)| result).collect();
            if !self.path.silent {
                self.estimator.on_report(self.now, &results);
            }
        }
    }

    fn run(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.step();
        }
    }

    /// Runs until the condition holds; panics after `seconds`.
    fn run_until(&mut self, seconds: u64, condition: impl Fn(&BandwidthEstimator) -> bool) -> Duration {
        let begin = self.now;
        while !condition(&self.estimator) {
            self.step();
            let elapsed = self.now - begin;
            assert!(elapsed < Duration::from_secs(seconds), "{:?}", self.estimator);
        }
        self.now - begin
    }

    fn kbps(&self) -> u64 {
        self.estimator.estimate().bps() / 1_000
    }

    /// The lowest estimate of the next seconds.
    fn lowest(&mut self, seconds: f64) -> u64 {
        let end = self.now + Duration::from_secs_f64(seconds);
        let mut lowest = u64::MAX;
        while self.now < end {
            self.step();
            lowest = lowest.min(self.kbps());
        }
        lowest
    }
}

#[test]
fn probes_find_the_capacity() {
    let mut call = Call::new(10_000);
    call.run_until(2, |estimator| estimator.estimate() >= Bitrate::from_kbps(2_000));
    call.run(10.0);
    assert_eq!(call.estimator.estimate(), Bitrate::from_kbps(2_400), "1.2 times what is wanted");
    let probes = call.probes;
    call.run(60.0);
    assert_eq!(call.probes, probes, "nothing is probed for once the wish is met");
}

#[test]
fn estimate_converges_below_the_capacity() {
    let mut call = Call::new(1_000);
    call.run(10.0);
    for _ in 0..60 {
        call.run(1.0);
        // A drain leaves 0.7 of what arrives.
        assert!((650..1_250).contains(&call.kbps()), "{:?}", call.estimator);
        assert!(call.estimator.queue() < Duration::from_millis(250));
    }
}

#[test]
fn queue_is_gone_soon_after_a_capacity_drop() {
    let mut call = Call::new(5_000);
    call.run(15.0);
    call.path.capacity = Bitrate::from_kbps(500);
    call.run(0.5);
    let taken = call.run_until(3, |estimator| estimator.queue() < Duration::from_millis(50));
    assert!(taken < Duration::from_millis(2_500), "{taken:?}");
    assert!(matches!(call.estimator.cause(), Cause::Trend | Cause::Queue), "{:?}", call.estimator.cause());
    call.run(5.0);
    call.path.capacity = Bitrate::from_kbps(5_000);
    call.run_until(9, |estimator| estimator.estimate() >= Bitrate::from_kbps(1_600));
}

/// A longer or shorter route is no congestion: what the estimate loses, it has again within seconds.
#[test]
fn step_of_the_base_delay_lowers_nothing_for_long() {
    for (before, after) in [(25, 55), (25, 125), (25, 250), (250, 25)] {
        let mut call = Call::new(10_000);
        call.path.delay = Duration::from_millis(before);
        call.run(20.0);
        assert!(call.kbps() >= 2_000);
        call.path.delay = Duration::from_millis(after);
        call.run(12.0);
        let lowest = call.lowest(30.0);
        assert!(lowest >= 1_900, "{before} to {after} ms: {lowest} kbit/s");
    }
}

/// A handover: the path is longer from one packet to the next. Little less is sent, and only for a moment.
#[test]
fn path_that_becomes_much_longer_costs_nothing_for_long() {
    for (longer, jitter) in [(180, 0), (180, 5), (480, 0), (480, 5), (980, 0), (980, 5)] {
        let mut call = Call::new(10_000);
        call.path.jitter = Duration::from_millis(jitter);
        call.source = Bitrate::from_kbps(5_600);
        call.estimator.set_wanted(call.source, call.source);
        call.run(20.0);
        let before = call.kbps();
        assert!(before >= 5_600, "{before}");
        call.path.delay += Duration::from_millis(longer);
        call.run(3.0);
        let lowest = call.lowest(30.0);
        assert!(lowest * 10 >= before * 9, "{longer} ms longer, {jitter} ms of jitter: {before}, then {lowest} kbit/s");
        assert!(call.estimator.queue() < Duration::from_millis(10), "{:?}", call.estimator.queue());
    }
}

/// A link that has stood still has a queue, which stands if all of the link is used: that looks like a longer path, and is drained.
#[test]
fn queue_of_a_stall_is_drained() {
    for stall in [150, 250] {
        let mut call = Call::new(1_500);
        call.run(20.0);
        call.link_free = call.link_free.max(call.now) + Duration::from_millis(stall);
        call.run(3.0);
        let queued = call.link_free.saturating_duration_since(call.now);
        assert!(queued < Duration::from_millis(60), "{stall} ms: {queued:?}");
    }
}

/// 2 Mbit/s become 0.5, before a queue of 300 ms.
#[test]
fn queue_of_a_drop_is_no_longer_path() {
    let mut call = Call::new(2_000);
    call.run(20.0);
    call.path.capacity = Bitrate::from_kbps(500);
    call.run(0.5);
    let taken = call.run_until(3, |estimator| estimator.queue() < Duration::from_millis(50));
    assert!(taken < Duration::from_millis(2_500), "{taken:?}");
    assert!(call.kbps() < 600, "{}", call.kbps());
}

#[test]
fn random_loss_with_an_empty_queue_is_not_congestion() {
    let mut call = Call::new(3_000);
    call.path.loses_one_of = 10;
    call.run(15.0);
    let lowest = call.lowest(30.0);
    assert!(lowest > 1_000, "{lowest} kbit/s");
}

/// Who looks each second reads that loss is what keeps the estimate below the wish.
#[test]
fn much_loss_is_reported_as_the_cause() {
    let mut call = Call::new(3_000);
    call.path.loses_one_of = 3;
    call.estimator.set_wanted(Bitrate::from_kbps(4_000), Bitrate::from_kbps(4_000));
    call.run(5.0);
    let seconds = (0..30).filter(|_| {
        call.run(1.0);
        call.estimator.cause() == Cause::Loss
    });
    let seconds = seconds.count();
    assert!(seconds >= 25, "{seconds} of 30 s, {} kbit/s", call.kbps());
}

#[test]
fn silence_lowers_the_estimate_to_a_floor() {
    let mut call = Call::new(10_000);
    call.run(10.0);
    call.path.silent = true;
    call.run(0.9);
    assert_eq!(call.kbps(), 2_400);
    let taken = call.run_until(10, |estimator| estimator.estimate() <= SILENT_FLOOR);
    assert!(taken > Duration::from_secs(3) && call.estimator.cause() == Cause::NoFeedback);
    call.run(5.0);
    assert_eq!(call.estimator.estimate(), SILENT_FLOOR);
    call.path.silent = false;
    let taken = call.run_until(6, |estimator| estimator.estimate() >= Bitrate::from_kbps(2_000));
    assert!(taken < Duration::from_secs(5), "probes begin again: {taken:?}");
}

/// Audio alone for ten minutes, then video: the estimate is not trusted, and probes restore it.
#[test]
fn unused_estimate_is_probed_again() {
    let mut call = Call::new(3_000);
    call.run(10.0);
    call.source = Bitrate::from_kbps(40);
    call.estimator.set_wanted(Bitrate::ZERO, Bitrate::ZERO);
    call.run(50.0);
    assert!(call.kbps() >= 2_000, "proven within the minute");
    let probes = call.probes;
    call.run(540.0);
    assert_eq!(call.kbps(), 600, "what a call starts with");
    assert_eq!(call.probes, probes, "without a wish, nothing is probed for");
    call.source = Bitrate::from_kbps(2_000);
    call.estimator.set_wanted(Bitrate::from_kbps(2_000), Bitrate::from_kbps(2_000));
    let taken = call.run_until(5, |estimator| estimator.estimate() >= Bitrate::from_kbps(1_500));
    assert!(taken < Duration::from_secs(1), "{taken:?}");
}

/// Where nothing paces and probes, the estimate follows what arrives.
#[test]
fn estimate_of_a_heedless_sender_is_what_arrives() {
    let mut call = Call::new(3_000);
    call.heedless = true;
    call.run_until(5, |estimator| estimator.estimate() >= Bitrate::from_kbps(1_900));
    call.path.capacity = Bitrate::from_kbps(1_000);
    call.run(3.0);
    let lowest = call.lowest(10.0);
    assert!((700..1_200).contains(&lowest), "{lowest} kbit/s of 1,000");
}

#[test]
fn path_change_keeps_half_and_probes() {
    let mut call = Call::new(10_000);
    call.run(10.0);
    call.estimator.on_path_change(call.now);
    assert_eq!((call.kbps(), call.estimator.cause()), (1_200, Cause::PathChange));
    call.path.delay = Duration::from_millis(200);
    call.run_until(2, |estimator| estimator.estimate() >= Bitrate::from_kbps(2_000));
}

#[test]
fn report_without_results_changes_nothing() {
    let mut call = Call::new(1_000);
    call.run(10.0);
    let before = format!("{:?}", call.estimator);
    call.estimator.on_report(call.now, &[]);
    assert_eq!(format!("{:?}", call.estimator), before);
}

/// A peer's feedback may say anything: the estimate stays within its bounds, and nothing panics.
#[test]
fn estimator_survives_any_feedback() {
    let mut estimator = BandwidthEstimator::new(Bitrate::from_kbps(600));
    estimator.set_wanted(Bitrate::from_kbps(2_000), Bitrate::from_kbps(700));
    let start = Instant::now();
    let mut random = 7u64;
    let mut draw = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 20
    };
    for number in 0..20_000u64 {
        let now = start + Duration::from_millis(number * 7);
        estimator.on_tick(now);
        let cluster = estimator.next_probe(now).map(|probe| probe.id);
        estimator.on_sent(now, DataSize::from_bytes(draw() % 1_500));
        let results: Vec<_> = (0..draw() % 30)
            .map(|_| PacketResult {
                sent: start + Duration::from_millis(draw() % (number * 7 + 1)),
                size: DataSize::from_bytes(if draw().is_multiple_of(100) { u64::MAX } else { draw() % 1_500 }),
                received_micros: match draw() % 8 {
                    0 => None,
                    1 => Some(draw() << 20),
                    2 => Some(u64::MAX - draw() % 3),
                    3 => Some(0),
                    _ => Some(number * 7_000 + draw() % 100_000),
                },
                cluster: cluster.or_else(|| ClusterId::from_number((draw() % 256) as u16)),
            })
            .collect();
        estimator.on_report(now, &results);
        assert!(estimator.estimate() >= FLOOR && estimator.estimate() <= Bitrate::from_kbps(2_400));
        let _ = (estimator.rtt(), estimator.queue(), estimator.cause().as_str());
        if number % 5_000 == 4_999 {
            estimator.on_path_change(now);
        }
    }
}

/// Feedback about packets that have left the history lowers the estimate, once for each round trip.
#[test]
fn overrun_is_congestion() {
    let mut call = Call::new(10_000);
    call.run(10.0);
    let before = call.kbps();
    call.estimator.on_overrun(call.now);
    call.estimator.on_overrun(call.now);
    assert_eq!(call.estimator.cause(), Cause::NoFeedback);
    assert!(call.kbps().abs_diff(before * 82 / 100) <= 1);
}

/// What a participant's downlink costs in memory.
#[test]
fn estimator_is_small() {
    let size = std::mem::size_of::<BandwidthEstimator>();
    assert!(size <= 3_100, "{size} bytes");
}
