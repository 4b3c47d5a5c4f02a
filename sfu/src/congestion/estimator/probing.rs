//! When to probe, and how fast.
//!
//! ```text
//!   initial: 3 and 6 times the start rate, once
//!   waiting ── wish unmet, queue empty, calm ──► sniff, up to three times ── more there ──► confirm ──► estimate
//!      ▲                                                │ no                                  │
//!      └───────── 2, 4, 8, 12 s ────────────────────────┴─────────────────────────────────────┘
//! ```
//!
//! Jitter spoils single short probes, and long ones fill a queue: so the best of three short ones decides whether a longer
//! one is sent, and at which rate.

use super::{
    cluster::{Cluster, ClusterId, Measured, ProbeCluster, Purpose},
    packet::Transit,
};
use crate::units::{Bitrate, DataSize};
use std::time::{Duration, Instant};

/// First probes, in multiples of the estimate, and when they are sent after the first packet.
const INITIAL: [f64; 2] = [3.0, 6.0];
const INITIAL_AFTER: Duration = Duration::from_millis(50);
const AFTER_INITIAL: Duration = Duration::from_millis(600);
/// A second initial probe makes sense above this multiple of the first.
const INITIAL_APART: f64 = 1.5;
/// Length of short probes, and the bounds of long ones, which are this many times the jitter.
const SHORT: Duration = Duration::from_millis(20);
const LONG: (Duration, Duration) = (Duration::from_millis(60), Duration::from_millis(120));
const LONG_JITTERS: u32 = 8;
const MIN_PACKETS: u32 = 5;
/// Bounds of a sniff's rate, in multiples of the estimate, and its preferred value.
const SNIFF: (f64, f64) = (1.1, 2.0);
const SNIFF_AT: f64 = 1.6;
/// A sniff asks for this much above the cost of what is wanted next.
const ABOVE_NEXT: f64 = 1.1;
const SNIFFS: u32 = 3;
const BETWEEN_SNIFFS: Duration = Duration::from_millis(120);
/// A sniff with this share of its rate, or a confirmation, has succeeded.
const SUCCESS: f64 = 0.85;
/// It is confirmed if that is above this multiple of the estimate.
const WORTH_CONFIRMING: f64 = 1.1;
/// A confirmed rate becomes the estimate above this multiple.
const WORTH_RAISING: f64 = 1.02;
/// It raises the estimate by at least this factor, or counts as a failure.
const PROGRESS: f64 = 1.05;
/// Loss above the inherent one with which a probe says nothing.
const LOSS: f64 = 0.15;
/// Wait after a failure: the first, and the bound of its doubling.
const WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(12));
/// The wait while less is sent than the estimate allows, since only a probe can find more then, and there is room for one; and
/// after the path has fallen.
const WAIT_HOPEFUL: Duration = Duration::from_secs(4);
const AFTER_SUCCESS: Duration = Duration::from_millis(50);
const AFTER_SNIFF: Duration = Duration::from_secs(1);
/// For this time after a report of a probe, a growing queue may be that of the probe.
const ECHO: Duration = Duration::from_millis(300);
/// An estimate above this share of the wish meets it.
const MET: f64 = 0.97;
/// With more queue than this, none begins; with more than this, sniffs are given up.
const QUEUE: Duration = Duration::from_millis(20);
const QUEUE_SNIFFING: Duration = Duration::from_millis(25);
/// No probe within this time of a decrease.
pub(super) const CALM: Duration = Duration::from_secs(2);
/// Probes in flight: two initial ones, or one.
const CLUSTERS: usize = 2;

/// What probing depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    pub(super) estimate: Bitrate,
    /// What all that is wished costs, and the cheapest improvement.
    pub(super) wanted: Bitrate,
    pub(super) next: Bitrate,
    /// Highest estimate that is of use.
    pub(super) ceiling: Bitrate,
    pub(super) queue: Duration,
    /// Whether that queue belongs to others.
    pub(super) tolerated: bool,
    pub(super) jitter: Duration,
    /// Less is sent than the estimate allows.
    pub(super) limited: bool,
    /// There was much more a while ago, and there is room for probes.
    pub(super) fallen: bool,
    /// A drain or a loss experiment is running.
    pub(super) busy: bool,
    /// There was a decrease within [`CALM`].
    pub(super) decreased: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Before the initial probes.
    Initial,
    Waiting,
    /// Sniffs at `rate` so far, and the best result.
    Sniffing {
        rate: Bitrate,
        sniffs: u32,
        best: Bitrate,
    },
    /// A sniff has found this rate.
    Found(Bitrate),
}

/// Decides about probes.
#[derive(Debug)]
pub(super) struct Prober {
    stage: Stage,
    /// Earliest time of the next probe; `None` before the first packet.
    next: Option<Instant>,
    wait: Duration,
    failed: Option<Instant>,
    in_flight: [Option<Cluster>; CLUSTERS],
    /// Requested, and not yet taken by the sender.
    requested: [Option<ProbeCluster>; CLUSTERS],
    last_id: ClusterId,
    /// When a packet of a probe was reported last.
    reported: Option<Instant>,
}

impl Default for Prober {
    fn default() -> Self {
        Self {
            stage: Stage::Initial,
            next: None,
            wait: WAIT.0,
            failed: None,
            in_flight: [None; CLUSTERS],
            requested: [None; CLUSTERS],
            last_id: ClusterId(u16::MAX),
            reported: None,
        }
    }
}

impl Prober {
    /// The first packet has left: probes may follow.
    pub(super) fn on_first_sent(&mut self, now: Instant) {
        self.next.get_or_insert(now + INITIAL_AFTER);
    }

    /// The path is another one, or has been silent: begins with initial probes again.
    pub(super) fn restart(&mut self, now: Instant) {
        let last_id = self.last_id;
        *self = Self { next: Some(now), last_id, ..Self::default() };
    }

    /// More may be there than before: a drain has ended, or something else is wished.
    pub(super) fn encourage(&mut self, now: Instant, after: Duration) {
        self.wait = WAIT.0;
        self.next = self.next.map(|next| next.min(now + after));
    }

    /// The next probe to send. One that no one has taken in time is not sent any more.
    pub(super) fn take(&mut self, now: Instant) -> Option<ProbeCluster> {
        let requested = self.requested.iter_mut().find_map(Option::take)?;
        let in_time = |cluster: &Cluster| cluster.id() == requested.id && !cluster.is_expired(now);
        self.in_flight.iter().flatten().any(in_time).then_some(requested)
    }

    /// Counts a packet of a probe that feedback covers; `transit` is `None` if it is missing.
    pub(super) fn add(&mut self, now: Instant, id: ClusterId, transit: Option<Transit>, size: DataSize) {
        if let Some(cluster) = self.in_flight.iter_mut().flatten().find(|cluster| cluster.id() == id) {
            cluster.add(transit, size);
            self.reported = Some(now);
        }
    }

    /// Whether a queue that grows now may be that of a probe. It drains by itself.
    pub(super) fn echoes(&self, now: Instant) -> bool {
        self.reported.is_some_and(|at| now.saturating_duration_since(at) <= ECHO)
    }

    /// Requests probes that are due.
    pub(super) fn poll(&mut self, now: Instant, conditions: &Conditions) {
        for slot in &mut self.in_flight {
            slot.take_if(|cluster| cluster.is_expired(now));
        }
        let waited = self.failed.is_some_and(|failed| now.saturating_duration_since(failed) >= WAIT_HOPEFUL);
        let is_hopeful = conditions.limited || conditions.fallen;
        let Some(due) = self.next.map(|next| now >= next || is_hopeful && waited) else { return };
        if conditions.busy || self.in_flight.iter().any(Option::is_some) {
            return;
        }
        match self.stage {
            Stage::Found(_) if conditions.queue >= QUEUE_SNIFFING => self.fail(now),
            Stage::Found(rate) => {
                self.stage = Stage::Waiting;
                let length = (conditions.jitter * LONG_JITTERS).clamp(LONG.0, LONG.1);
                self.request(now, rate, length, Purpose::Confirm);
            }
            // The first sniff has filled a queue: there is no more.
            Stage::Sniffing { .. } if conditions.queue >= QUEUE_SNIFFING => self.fail(now),
            Stage::Sniffing { rate, .. } if due => self.request(now, rate, SHORT, Purpose::Sniff),
            Stage::Initial if due && conditions.queue <= QUEUE => self.initial(now, conditions),
            Stage::Waiting if due => self.sniff(now, conditions),
            Stage::Sniffing { .. } | Stage::Initial | Stage::Waiting => {}
        }
    }

    /// Requests the initial probes. Without a wish, they wait for it.
    fn initial(&mut self, now: Instant, conditions: &Conditions) {
        let mut least = conditions.estimate.mul_f64(PROGRESS);
        for factor in INITIAL {
            let rate = conditions.estimate.mul_f64(factor).min(conditions.ceiling);
            if rate > least {
                self.request(now, rate, SHORT, Purpose::Confirm);
                self.stage = Stage::Waiting;
                self.next = Some(now + AFTER_INITIAL);
                least = rate.mul_f64(INITIAL_APART);
            }
        }
    }

    fn sniff(&mut self, now: Instant, conditions: &Conditions) {
        let estimate = conditions.estimate;
        let met = estimate >= conditions.wanted.mul_f64(MET);
        if met || conditions.decreased || conditions.queue > QUEUE && !conditions.tolerated {
            return;
        }
        let rate = estimate.mul_f64(SNIFF_AT).max(conditions.next.mul_f64(ABOVE_NEXT)).min(estimate.mul_f64(SNIFF.1));
        let rate = rate.min(conditions.ceiling).max(estimate.mul_f64(SNIFF.0));
        self.stage = Stage::Sniffing { rate, sniffs: 0, best: Bitrate::ZERO };
        self.failed = None;
        self.next = Some(now + AFTER_SNIFF);
        self.request(now, rate, SHORT, Purpose::Sniff);
    }

    fn request(&mut self, now: Instant, rate: Bitrate, duration: Duration, purpose: Purpose) {
        self.last_id = self.last_id.following();
        let request = ProbeCluster { id: self.last_id, rate, duration, min_packets: MIN_PACKETS };
        // The caller has seen that a place is free.
        let mut places = self.in_flight.iter_mut().zip(&mut self.requested);
        if let Some((cluster, requested)) = places.find(|(cluster, _)| cluster.is_none()) {
            *cluster = Some(Cluster::new(now, request, purpose));
            *requested = Some(request);
        }
    }

    /// Handles probes that are complete. Returns the rate that one has confirmed.
    pub(super) fn results(&mut self, now: Instant, estimate: Bitrate, inherent_loss: f64) -> Option<Bitrate> {
        let mut confirmed = None;
        for index in 0..CLUSTERS {
            let slot = self.in_flight.get_mut(index)?;
            if let Some(measured) = slot.and_then(|cluster| cluster.measured()) {
                *slot = None;
                let estimate = confirmed.unwrap_or(estimate);
                confirmed = self.result(now, measured, estimate, inherent_loss).or(confirmed);
            }
        }
        confirmed
    }

    fn result(&mut self, now: Instant, measured: Measured, estimate: Bitrate, inherent_loss: f64) -> Option<Bitrate> {
        if measured.loss > inherent_loss + LOSS {
            self.fail(now);
            return None;
        }
        match (measured.purpose, self.stage) {
            (Purpose::Sniff, Stage::Sniffing { rate, sniffs, best }) => {
                let (sniffs, best) = (sniffs + 1, best.max(measured.carried));
                if measured.carried < measured.asked.mul_f64(SUCCESS) && sniffs < SNIFFS {
                    self.stage = Stage::Sniffing { rate, sniffs, best };
                    self.next = Some(now + BETWEEN_SNIFFS);
                } else if best > estimate.mul_f64(WORTH_CONFIRMING) {
                    self.stage = Stage::Found(best);
                } else {
                    self.fail(now);
                }
                None
            }
            // Given up meanwhile.
            (Purpose::Sniff, _) => None,
            (Purpose::Confirm, _) => {
                let progress = measured.carried > estimate.mul_f64(PROGRESS);
                if progress {
                    self.wait = WAIT.0;
                }
                if progress && measured.carried > measured.asked.mul_f64(SUCCESS) {
                    self.next = Some(now + AFTER_SUCCESS);
                } else {
                    self.fail(now);
                }
                Some(measured.carried).filter(|carried| *carried > estimate.mul_f64(WORTH_RAISING))
            }
        }
    }

    fn fail(&mut self, now: Instant) {
        self.stage = Stage::Waiting;
        self.next = Some(now + self.wait);
        self.failed = Some(now);
        self.wait = (self.wait * 2).min(WAIT.1);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::packet::micros, *};

    fn rate(kbps: u64) -> Bitrate {
        Bitrate::from_kbps(kbps)
    }

    /// A prober, and a path that carries a bitrate.
    struct Probe {
        prober: Prober,
        conditions: Conditions,
        carries: Bitrate,
        now: Instant,
    }

    impl Probe {
        fn new(estimate: u64, wanted: u64, carries: u64) -> Self {
            let conditions = Conditions {
                estimate: rate(estimate),
                wanted: rate(wanted),
                next: rate(wanted),
                ceiling: rate(wanted * 12 / 10),
                queue: Duration::ZERO,
                tolerated: false,
                limited: false,
                fallen: false,
                jitter: Duration::from_millis(5),
                busy: false,
                decreased: false,
            };
            let now = Instant::now();
            let mut prober = Prober::default();
            prober.on_first_sent(now);
            Self { prober, conditions, carries: rate(carries), now }
        }

        /// The probes that are requested until `time` has passed or one is.
        fn requests(&mut self, time: Duration) -> Vec<ProbeCluster> {
            let end = self.now + time;
            while self.now < end {
                self.now += Duration::from_millis(5);
                self.prober.poll(self.now, &self.conditions);
                let requests: Vec<_> = std::iter::from_fn(|| self.prober.take(self.now)).collect();
                if !requests.is_empty() {
                    return requests;
                }
            }
            Vec::new()
        }

        /// Reports all packets of a probe. Returns the confirmed rate.
        fn report(&mut self, probe: ProbeCluster) -> Option<Bitrate> {
            let size = DataSize::from_bytes(500);
            let (mut sent, mut received) = (0, 0);
            while sent <= micros(probe.duration) {
                self.prober.add(self.now, probe.id, Some(Transit { sent, received }), size);
                let spacing = |rate: Bitrate| 4_000_000_000 / rate.bps().cast_signed();
                sent += spacing(probe.rate);
                received += spacing(probe.rate.min(self.carries));
            }
            let confirmed = self.prober.results(self.now, self.conditions.estimate, 0.0);
            self.conditions.estimate = confirmed.unwrap_or(self.conditions.estimate);
            confirmed
        }

        /// The time until the next probe, in seconds, which is reported.
        fn wait(&mut self) -> f64 {
            let begin = self.now;
            let probes = self.requests(Duration::from_secs(60));
            let wait = self.now - begin;
            probes.into_iter().for_each(|probe| _ = self.report(probe));
            wait.as_secs_f64()
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn initial_probes_are_three_and_six_times_the_estimate() {
        let mut probe = Probe::new(600, 10_000, 10_000);
        let probes = probe.requests(SECOND);
        assert_eq!(probes.iter().map(|probe| probe.rate).collect::<Vec<_>>(), [rate(1_800), rate(3_600)]);
        assert!(probe.report(probes[0]).is_some_and(|confirmed| confirmed > rate(1_700)));
        assert!(probe.report(probes[1]).is_some_and(|confirmed| confirmed > rate(3_400)));
    }

    #[test]
    fn initial_probes_wait_for_a_wish() {
        let mut probe = Probe::new(600, 0, 10_000);
        assert!(probe.requests(10 * SECOND).is_empty());
        (probe.conditions.wanted, probe.conditions.ceiling) = (rate(700), rate(840));
        let probes = probe.requests(SECOND);
        assert_eq!(probes.iter().map(|probe| probe.rate).collect::<Vec<_>>(), [rate(840)], "one, at the ceiling");
    }

    #[test]
    fn sniff_is_confirmed_by_a_longer_probe() {
        let mut probe = Probe::new(600, 10_000, 3_000);
        probe.prober.stage = Stage::Waiting;
        let sniff = probe.requests(SECOND)[0];
        assert_eq!((sniff.rate, sniff.duration), (rate(1_200), SHORT));
        assert_eq!(probe.report(sniff), None);
        let confirmation = probe.requests(SECOND)[0];
        assert_eq!(confirmation.duration, LONG.0);
        assert!(confirmation.rate > rate(1_100));
        assert!(probe.report(confirmation).is_some_and(|confirmed| confirmed > rate(1_050)));
        assert!(!probe.requests(Duration::from_millis(100)).is_empty(), "after a success, the next follows at once");
    }

    #[test]
    fn waits_double_after_failures() {
        let mut probe = Probe::new(600, 10_000, 600);
        probe.prober.stage = Stage::Waiting;
        let mut waits = Vec::new();
        for _ in 0..18 {
            let wait = probe.wait();
            // The second and third sniff follow soon.
            if wait > 1.0 {
                waits.push(wait.round());
            }
        }
        assert_eq!(waits, [2.0, 4.0, 8.0, 12.0, 12.0]);
        let now = probe.now;
        probe.prober.encourage(now, SECOND);
        assert!(probe.wait() <= 1.0);
        let hopes: [fn(&mut Conditions); 2] = [|one| one.limited = true, |one| one.fallen = true];
        for hope in hopes {
            (0..3).for_each(|_| probe.prober.fail(probe.now));
            hope(&mut probe.conditions);
            assert!((3.9..4.1).contains(&probe.wait()));
            (probe.conditions.limited, probe.conditions.fallen) = (false, false);
        }
    }

    #[test]
    fn nothing_is_probed_for_without_need_or_room() {
        type Change = fn(&mut Conditions);
        let reasons: [Change; 5] = [
            |conditions| conditions.estimate = conditions.wanted,
            |conditions| conditions.queue = QUEUE * 2,
            |conditions| conditions.decreased = true,
            |conditions| conditions.busy = true,
            |conditions| conditions.wanted = Bitrate::ZERO,
        ];
        for reason in reasons {
            let mut probe = Probe::new(600, 10_000, 10_000);
            probe.prober.stage = Stage::Waiting;
            reason(&mut probe.conditions);
            assert!(probe.requests(30 * SECOND).is_empty(), "{:?}", probe.conditions);
        }
        let mut probe = Probe::new(600, 10_000, 10_000);
        probe.prober.stage = Stage::Waiting;
        (probe.conditions.queue, probe.conditions.tolerated) = (QUEUE * 2, true);
        assert!(!probe.requests(30 * SECOND).is_empty(), "a queue of others is no reason");
    }

    #[test]
    fn lost_probes_say_nothing() {
        let mut probe = Probe::new(600, 10_000, 10_000);
        let probes = probe.requests(SECOND);
        for _ in 0..2 {
            probe.prober.add(probe.now, probes[0].id, None, DataSize::ZERO);
        }
        assert_eq!(probe.report(probes[0]), None);
    }

    #[test]
    fn probe_that_is_not_taken_is_not_sent_later() {
        let mut probe = Probe::new(600, 10_000, 10_000);
        let now = probe.now + SECOND;
        probe.prober.poll(now, &probe.conditions);
        assert_eq!(probe.prober.take(now + 3 * SECOND), None);
    }
}
