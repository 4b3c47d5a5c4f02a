//! Estimates the bitrate that a path carries, from what transport feedback says of the packets sent over it.
//!
//! ```text
//!              ┌─► groups ─► longer path ─► line, trend ─────┐
//!              ├─► base delay ─► drain of a standing queue ──┤
//!   report ────┼─► acked rate, limited ──────────────────────┼─► rate control ─► estimate, cause
//!              ├─► loss window ─► loss model, experiment ────┤
//!              └─► clusters ─► probing ──────────────────────┘
//! ```
//!
//! The signals are those of Google Congestion Control (draft-ietf-rmcat-gcc-02, and what libwebrtc made of it), and three
//! that it lacks: a queue that stands still is seen and drained; probes ask for what is wished, in two stages; and loss is
//! taken for congestion only if sending less loses less.
//!
//! A pure state machine: time is an argument. It allocates nothing and has a fixed size. Arrival times that a peer reports
//! may be wrong in any way; then the estimate for that peer is wrong, within its bounds.

mod base_delay;
mod cluster;
mod drain;
mod groups;
mod known_capacity;
mod line;
mod longer_path;
mod loss;
mod loss_experiment;
mod loss_model;
mod overshoot;
mod own_bursts;
mod packet;
mod probing;
mod proven;
mod rate_control;
mod rate_window;
mod silence;
mod spare;
mod swings;
#[cfg(test)]
mod tests;
mod trend;

pub use crate::event::DownlinkCause as Cause;
pub use cluster::{ClusterId, ProbeCluster};
pub use packet::PacketResult;

use super::rtt::Rtt;
use crate::units::{Bitrate, DataSize};
use base_delay::BaseDelay;
use drain::{Drain, Seen, Step};
use groups::Groups;
use longer_path::{Finding, LongerPath};
use loss::{Covered, LossWindow};
use loss_experiment::LossExperiment;
use loss_model::{LossModel, Verdict};
use overshoot::Overshoot;
use own_bursts::OwnBursts;
use packet::{Transit, duration, micros};
use probing::{CALM, Conditions, Prober};
use proven::Proven;
use rate_control::{FLOOR, RateControl};
use rate_window::RateWindow;
use silence::Silence;
use spare::{Spare, has_just_risen};
use std::time::{Duration, Instant};
use swings::Swings;
use trend::{Trend, Usage};

/// The estimate is at most this multiple of what is wished: more is of no use, and a little above it shows that the wish is
/// met with room to spare.
const ABOVE_WANTED: f64 = 1.2;
/// Sending less than this share of the estimate does not test it.
const LIMITED: f64 = 0.7;
/// The path has fallen, and may soon carry more again, if this multiple of the estimate has arrived within the last minute. There
/// is room for probes if less than this share of the estimate is sent.
const FALLEN: f64 = 1.5;
const ROOM: f64 = 0.9;
/// The acknowledged bitrate is known once arrivals span this many microseconds.
const ACKED_AFTER: i64 = 250_000;
/// Loss is judged once this many packets are covered.
const LOSS_PACKETS: u32 = 20;
/// Loss that is reported as the cause of an estimate below the wish, whatever has moved it last.
const LOSS_REPORTED: f64 = 0.1;
/// Loss that needs no experiment while the queue is short: a share, and packets of small streams.
const LOSS_ALLOWED: f64 = 0.05;
const LOSS_ALLOWED_RATE: f64 = 75_000.0;
const LOSS_ALLOWED_QUEUE: Duration = Duration::from_millis(30);
/// Loss that counts beside the inherent one: a factor, and a share.
const LOSS_ABOVE_INHERENT: (f64, f64) = (1.3, 0.03);
/// With more queue than this at the end of an experiment, the loss is congestion.
const RESTORE_QUEUE: Duration = Duration::from_millis(40);
/// What arrives with more queue than this proves nothing.
const CALM_QUEUE: Duration = Duration::from_millis(20);
/// After a decrease, no queue is taken for that of a burst for this long.
const UNEXPLAINED: Duration = Duration::from_secs(1);
/// A queue above this is not that of a probe alone.
const ECHO_QUEUE: Duration = Duration::from_millis(60);
/// A jump of the delay within this time of a decrease for want of feedback explains the silence.
const SILENCE_EXPLAINED: Duration = Duration::from_secs(1);
/// What nothing has followed for this long drains from a queue, though no packet shows it.
const IDLE: Duration = Duration::from_millis(500);
/// What each decrease without feedback leaves, and the least: audio and the lowest layer.
const SILENT_SHARE: f64 = 0.7;
const SILENT_FLOOR: Bitrate = Bitrate::from_kbps(150);

/// The bandwidth estimator of one path.
#[derive(Debug)]
pub struct BandwidthEstimator {
    /// Zero of our clock here: the first moment of which the estimator heard.
    zero: Option<Instant>,
    last_sent: Option<Instant>,
    start: Bitrate,
    wanted: Bitrate,
    next: Bitrate,
    /// A wish has risen above the estimate, and the prober has yet to hear of it.
    unmet: bool,
    cause: Cause,
    /// Less is sent than would test the estimate.
    limited: bool,
    rtt: Rtt,
    groups: Groups,
    longer: LongerPath,
    trend: Trend,
    delay: BaseDelay,
    /// By arrival, and by departure.
    acked: RateWindow,
    sent: RateWindow,
    loss: LossWindow,
    experiment: LossExperiment,
    loss_model: LossModel,
    /// Whether the loss allows growth.
    lossless: bool,
    drain: Drain,
    rate: RateControl,
    prober: Prober,
    overshoot: Overshoot,
    bursts: OwnBursts,
    silence: Silence,
    /// The estimate before the last silence, until it is known why there was one.
    before_silence: Option<Bitrate>,
    spare: Spare,
    swings: Swings,
    proven: Proven,
}

impl BandwidthEstimator {
    /// An estimator that assumes `start` until it knows more.
    #[must_use]
    pub fn new(start: Bitrate) -> Self {
        Self {
            zero: None,
            last_sent: None,
            start,
            wanted: Bitrate::ZERO,
            next: Bitrate::ZERO,
            unmet: false,
            cause: Cause::Start,
            limited: false,
            rtt: Rtt::default(),
            groups: Groups::default(),
            longer: LongerPath::default(),
            trend: Trend::default(),
            delay: BaseDelay::default(),
            acked: RateWindow::default(),
            sent: RateWindow::default(),
            loss: LossWindow::default(),
            experiment: LossExperiment::default(),
            loss_model: LossModel::default(),
            lossless: true,
            drain: Drain::default(),
            rate: RateControl::new(start),
            prober: Prober::default(),
            overshoot: Overshoot::default(),
            bursts: OwnBursts::default(),
            silence: Silence::default(),
            before_silence: None,
            spare: Spare::default(),
            swings: Swings::default(),
            proven: Proven::default(),
        }
    }

    /// Sets what all that is wished costs, and what would be spent with the cheapest improvement over what is sent now.
    ///
    /// Nothing is probed for beyond `wanted`, and the estimate does not grow above 1.2 times that.
    pub fn set_wanted(&mut self, wanted: Bitrate, next: Bitrate) {
        self.unmet |= wanted > self.wanted && wanted > self.estimate();
        (self.wanted, self.next) = (wanted, next);
    }

    /// Counts a packet that leaves.
    pub fn on_sent(&mut self, now: Instant, size: DataSize) {
        let at = self.since_zero(now);
        self.sent.add(micros(at), size);
        self.bursts.on_sent(now, size, self.rate.estimate());
        self.last_sent = Some(now);
        self.silence.on_sent(now);
        self.prober.on_first_sent(now);
    }

    /// Handles what one piece of feedback says, in the order of departures. Each packet should be reported once as arrived,
    /// and before that at most once as missing. Without results, nothing changes.
    pub fn on_report(&mut self, now: Instant, results: &[PacketResult]) {
        let Some(first) = results.first() else { return };
        let zero = *self.zero.get_or_insert(first.sent);
        let (mut covered, mut size) = (Covered::default(), DataSize::ZERO);
        // Departures of the last packet, and of the last one that arrived.
        let (mut last_sent, mut last_arrived) = (0, None);
        for result in results {
            let sent = micros(result.sent.saturating_duration_since(zero));
            let transit = result.received_micros.map(|received| Transit::new(sent, received));
            covered.packets += 1;
            size += result.size;
            last_sent = sent.max(last_sent);
            if let Some(id) = result.cluster {
                self.prober.add(now, id, transit, result.size);
            }
            self.longer.on_packet(sent, transit, result.size);
            let Some(transit) = transit else {
                covered.lost += 1;
                continue;
            };
            last_arrived = Some(sent);
            self.delay.add(transit);
            self.acked.add(transit.received, result.size);
            if let Some(deltas) = self.groups.add(transit)
                && !self.longer.on_group(now, deltas, &self.delay)
            {
                self.trend.add(deltas);
            }
        }
        let at = now.saturating_duration_since(zero);
        if let Some(sent) = last_arrived {
            self.rtt.sample(at.saturating_sub(duration(sent)));
        }
        if self.silence.on_report(now) {
            self.prober.restart(now);
        }
        self.loss.add(at, covered);
        let observed = self.loss_model.add(duration(last_sent), covered, size);
        if let Some(rate) = self.prober.results(now, self.rate.estimate(), self.experiment.inherent()) {
            self.rate.on_probe(now, rate.min(self.ceiling()));
            self.cause = Cause::Probe;
        }
        if self.judge_path(now) {
            self.rate.hold(now);
        } else {
            self.control(now, observed);
        }
    }

    /// Lets time pass; to be called every 5 to 25 ms.
    pub fn on_tick(&mut self, now: Instant) {
        if self.silence.is_due(now) {
            self.before_silence.get_or_insert(self.rate.estimate());
            let lower = self.rate.estimate().mul_f64(SILENT_SHARE).max(SILENT_FLOOR);
            self.rate.decrease_to(now, lower);
            self.cause = Cause::NoFeedback;
        }
        if std::mem::take(&mut self.unmet) {
            if self.proven.is_unused(now) {
                self.prober.restart(now);
            } else {
                self.prober.encourage(now, CALM);
            }
        }
        let (at, estimate) = (self.since_zero(now), self.estimate());
        let sent = self.sent.rate_at(micros(at));
        let conditions = Conditions {
            estimate,
            wanted: self.wanted,
            next: self.next,
            ceiling: self.ceiling(),
            queue: self.queue_at(now),
            tolerated: self.drain.tolerated(now).is_some(),
            jitter: self.delay.jitter(),
            limited: self.limited && !self.proven.is_unused(now),
            fallen: sent < estimate.mul_f64(ROOM) && self.proven.best() > estimate.mul_f64(FALLEN),
            busy: self.is_busy(now),
            decreased: self.rate.decreased_within(now, CALM),
        };
        self.prober.poll(now, &conditions);
    }

    /// The next probe to send: packets at its rate for its duration, which then stand in results with its id.
    pub fn next_probe(&mut self, now: Instant) -> Option<ProbeCluster> {
        let probe = self.prober.take(now)?;
        self.bursts.on_probe(now, probe.duration);
        Some(probe)
    }

    /// The packets take another path from now on, of which nothing is known.
    pub fn on_path_change(&mut self, now: Instant) {
        self.rate.decrease_to(now, self.estimate() / 2);
        self.rate.forget_capacity();
        self.cause = Cause::PathChange;
        self.groups = Groups::default();
        (self.longer, self.before_silence) = (LongerPath::default(), None);
        self.trend = Trend::default();
        self.delay = BaseDelay::default();
        self.drain = Drain::default();
        self.experiment.forget();
        self.loss_model = LossModel::default();
        self.proven.forget();
        self.prober.restart(now);
    }

    /// Handles feedback about packets that left so long ago that the history does not know them any more: the path, or the
    /// way back, is congested.
    pub fn on_overrun(&mut self, now: Instant) {
        if self.rate.on_overuse(now, self.estimate(), self.rtt(), self.wanted) {
            self.cause = Cause::NoFeedback;
        }
    }

    /// Judges a jump of the delay. Returns whether it is open what it means: then nothing else is concluded from the delay.
    fn judge_path(&mut self, now: Instant) -> bool {
        match self.longer.finding(now) {
            None => {
                if !self.rate.decreased_within(now, SILENCE_EXPLAINED) {
                    self.before_silence = None;
                }
                return false;
            }
            Some((Finding::Open, _)) => return true,
            Some((Finding::Flat, _)) => {
                let at = micros(self.since_zero(now));
                self.longer.ease(now, at, self.sent.rate_at(at));
                // Nothing was lost: the feedback was late, not the path broken.
                if let Some(before) = self.before_silence.take() {
                    self.rate.raise_to(before);
                }
                return true;
            }
            Some((Finding::Longer, _)) => self.delay.rebase(),
            Some((Finding::Queue, jump)) => self.trend.add_late(jump),
        }
        self.before_silence = None;
        false
    }

    /// Moves the estimate after a report.
    fn control(&mut self, now: Instant, observed: bool) {
        let Some(acked) = self.acked.rate(ACKED_AFTER) else { return };
        let at = self.since_zero(now);
        let sent = self.sent.rate_at(micros(at));
        self.limited = sent < self.rate.estimate().mul_f64(LIMITED);
        self.proven.add(now, acked, sent, self.rate.estimate());
        if let Some(limit) = self.proven.limit(now) {
            self.rate.cap(limit.max(self.start));
        }
        if observed && !self.experiment.is_running() && !self.drain.is_running() {
            self.explain_loss(acked);
        }
        if self.judge_loss(now, acked) || self.drain_queue(now, acked, sent) {
            self.rate.hold(now);
            return;
        }
        let calm = self.trend.usage() == Usage::Normal && self.lossless && self.delay.queue() < CALM_QUEUE;
        if self.overshoot.step(now, calm && !self.prober.echoes(now), acked, self.estimate()) {
            self.rate.raise_to(acked);
        }
        self.swings.step(now, self.delay.queue());
        let has_room = self.spare.step(now, sent, self.estimate());
        match self.trend.usage() {
            Usage::Overuse if self.prober.echoes(now) && self.delay.queue() < ECHO_QUEUE => {
                self.rate.hold(now);
            }
            Usage::Overuse if self.delay.queue() <= self.explained_queue(now) => {
                self.rate.hold(now);
            }
            Usage::Overuse if has_room && has_just_risen(acked, sent, self.delay.queue()) => {
                self.rate.hold(now);
            }
            Usage::Overuse if self.swings.excuse(now, self.delay.queue()) => {
                self.rate.hold(now);
            }
            Usage::Overuse => {
                if self.rate.on_overuse(now, acked, self.rtt(), self.wanted) {
                    self.cause = Cause::Trend;
                }
                self.rate.hold(now);
            }
            Usage::Normal
                if sent >= self.rate.estimate().mul_f64(LIMITED) && self.lossless && !self.experiment.is_running() =>
            {
                if self.rate.exceeds_capacity(acked) {
                    self.prober.encourage(now, Duration::ZERO);
                }
                if self.rate.grow(now, acked, self.rtt(), self.ceiling(), has_room) {
                    self.cause = Cause::Growth;
                }
            }
            Usage::Normal | Usage::Underuse => {
                self.rate.hold(now);
                if self.limited {
                    self.cause = Cause::Limited;
                }
            }
        }
    }

    /// Lets the loss model judge the estimate after an observation.
    fn explain_loss(&mut self, acked: Bitrate) {
        let verdict = self.loss_model.judge(self.estimate(), acked, self.allowed_loss());
        self.lossless = verdict == Verdict::Grow;
        if let Verdict::Decrease(rate) = verdict {
            self.rate.cap(rate);
            self.cause = Cause::Loss;
        }
    }

    /// Begins and ends loss experiments. Returns whether one has begun.
    fn judge_loss(&mut self, now: Instant, acked: Bitrate) -> bool {
        self.experiment.fade(now);
        if self.experiment.is_running() {
            let zero = self.zero.unwrap_or(now);
            let loss = &self.loss;
            let queued = self.delay.queue() >= RESTORE_QUEUE;
            let covered = |since: Instant| loss.since(since.saturating_duration_since(zero));
            if let Some(estimate) = self.experiment.end(now, queued, covered) {
                self.rate.raise_to(estimate);
            }
            return false;
        }
        let covered = self.loss.last_second();
        let rested = !self.rate.decreased_within(now, self.rtt() + Duration::from_millis(200));
        if covered.loss() <= self.allowed_loss()
            || covered.packets <= LOSS_PACKETS
            || !rested
            || self.drain.is_running()
        {
            return false;
        }
        self.experiment.begin(now, self.rtt(), self.estimate(), covered.loss());
        self.rate.decrease_to(now, acked.mul_f64(loss_experiment::SHARE));
        self.cause = Cause::Loss;
        true
    }

    /// Share of packets that may be lost without a doubt about the estimate.
    fn allowed_loss(&self) -> f64 {
        let inherent = self.experiment.inherent() * LOSS_ABOVE_INHERENT.0 + LOSS_ABOVE_INHERENT.1;
        if self.delay.queue() < LOSS_ALLOWED_QUEUE {
            inherent.max(LOSS_ALLOWED + LOSS_ALLOWED_RATE / self.estimate().max(FLOOR).as_f64())
        } else {
            inherent
        }
    }

    /// Drains a standing queue. Returns whether that decides about the estimate.
    fn drain_queue(&mut self, now: Instant, acked: Bitrate, sent: Bitrate) -> bool {
        let rested = !self.rate.decreased_within(now, self.rtt());
        let explained = self.explained_queue(now);
        let seen = Seen { queue: self.delay.queue(), explained, acked, sent, rtt: self.rtt(), rested };
        match self.drain.step(now, &seen) {
            Step::Idle => return false,
            Step::Draining => return true,
            Step::Begin(rate) => {
                self.experiment.abandon();
                self.rate.decrease_to(now, rate);
                self.cause = Cause::Queue;
                return true;
            }
            Step::Drained(rate) => {
                // The loss was that of the queue.
                (self.loss, self.loss_model, self.lossless) = (LossWindow::default(), LossModel::default(), true);
                self.prober.encourage(now, CALM);
                self.rate.raise_to(rate);
            }
            Step::Failed(rate) => self.rate.raise_to(rate),
            Step::Rerouted(rate) => {
                self.delay.rebase();
                self.rate.raise_to(rate);
            }
        }
        false
    }

    /// How much of the queue our own bursts explain. Soon after a decrease nothing is: what was sent before it was too much.
    fn explained_queue(&self, now: Instant) -> Duration {
        if self.rate.decreased_within(now, UNEXPLAINED) {
            Duration::ZERO
        } else {
            self.bursts.explained(self.estimate())
        }
    }

    /// Whether a drain or an experiment is running. Without packets neither would end.
    fn is_busy(&self, now: Instant) -> bool {
        let is_idle = self.idle(now) >= IDLE && self.queue_at(now).is_zero();
        !is_idle && (self.drain.is_running() || self.experiment.is_running())
    }

    /// Time since the last packet.
    fn idle(&self, now: Instant) -> Duration {
        self.last_sent.map_or(Duration::ZERO, |last| now.saturating_duration_since(last))
    }

    /// Waiting time in queues, less what has drained since the last packet.
    fn queue_at(&self, now: Instant) -> Duration {
        let idle = self.idle(now);
        if idle < IDLE { self.delay.queue() } else { self.delay.queue().saturating_sub(idle) }
    }

    fn ceiling(&self) -> Bitrate {
        self.wanted.mul_f64(ABOVE_WANTED)
    }

    fn since_zero(&mut self, at: Instant) -> Duration {
        at.saturating_duration_since(*self.zero.get_or_insert(at))
    }

    /// Bitrate that the path carries, on the wire.
    #[must_use]
    pub fn estimate(&self) -> Bitrate {
        self.rate.estimate()
    }

    /// What changed the estimate last, or keeps it below the wish.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let rises = matches!(self.cause, Cause::Growth | Cause::Probe | Cause::Limited);
        let loss = self.loss.last_second();
        let is_lossy = loss.packets > LOSS_PACKETS && loss.loss() >= LOSS_REPORTED;
        if rises && is_lossy && self.estimate() < self.wanted { Cause::Loss } else { self.cause }
    }

    /// Smoothed round-trip time, with the time that feedback waits at the receiver.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        self.rtt.estimate()
    }

    /// How long packets wait in the queues of the path, at least.
    #[must_use]
    pub fn queue(&self) -> Duration {
        self.delay.queue()
    }

    /// The same, but nothing while others fill the queue, or the path may be longer: sending less would not empty it.
    #[must_use]
    pub fn own_queue(&self, now: Instant) -> Duration {
        let is_others = self.drain.tolerated(now).is_some() || self.longer.is_open();
        if is_others { Duration::ZERO } else { self.queue() }
    }

    /// For a moment, video should leave at this bitrate only: whether the delay falls says what it is.
    #[must_use]
    pub fn eased(&self, now: Instant) -> Option<Bitrate> {
        self.longer.eased(now)
    }

    /// Whether less is sent than the estimate allows.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limited
    }
}
