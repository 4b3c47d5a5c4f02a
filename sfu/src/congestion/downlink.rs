//! The path from the server to one client.

use super::{
    BandwidthEstimator, ClusterId, PacketResult,
    pacer::{self, Pace, Pacer},
    probe_sender::ProbeSender,
    repair_budget::RepairBudget,
    report::{Arrival, PacketName, ReceiverClock, Report},
    reported_cause::ReportedCause,
    rtt::Rtt,
    send_history::{self, Lookup, SendHistory, SentPacket},
    video_budget::{Spendable, VideoBudget},
};
use crate::{
    event::DownlinkState,
    units::{Bitrate, DataSize},
    wire::seq::low,
};
use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

/// Headers of IPv4 and UDP, and the tag of SRTP.
const DATAGRAM_OVERHEAD: DataSize = DataSize::from_bytes(20 + 8 + 16);

/// The size on the wire of a packet of `len` clear bytes.
pub(crate) fn wire_size(len: usize) -> DataSize {
    DataSize::from_len(len) + DATAGRAM_OVERHEAD
}

/// An RTP header with the extensions that most packets have, about.
const HEADER: DataSize = DataSize::from_bytes(30);

/// The size on the wire of a packet whose header is not known yet, with a payload of `len` bytes.
pub(crate) fn about_on_wire(len: usize) -> DataSize {
    wire_size(len) + HEADER
}

/// What is assumed of a path until feedback says more.
const START: Bitrate = Bitrate::from_kbps(600);
/// A client that has sent no feedback this long after its first packet sends none, and gets everything.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// What the assumption is worth shows within this time of the first feedback. Until then, nothing leaves faster than it.
const ASSUMED_FOR: Duration = Duration::from_millis(500);
/// With a longer queue than this, more is sent than the path carries, whatever is assumed of it.
const FULL_QUEUE: Duration = Duration::from_millis(150);
/// The estimator looks at the time as long as feedback has come within this time.
const WATCHED: Duration = Duration::from_secs(30);

/// What a receiver's slots need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Bitrate of all that is wished, on the wire.
    pub wanted: Bitrate,
    /// Of that, audio.
    pub audio: Bitrate,
    /// Bitrate of what is sent, with the cheapest improvement.
    pub next: Bitrate,
}

/// Packets that feedback covers. One that was reported before is not counted again, unless it has arrived since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Packets that arrived.
    pub arrived: u64,
    /// Packets that did not arrive, or not before the feedback was sent.
    pub missing: u64,
    /// Packets that were never sent.
    pub unknown: u64,
    /// Packets sent too long ago to be known: more was under way than the history has room for.
    pub overrun: u64,
}

impl AddAssign for DeliveryReport {
    fn add_assign(&mut self, other: Self) {
        self.arrived = self.arrived.saturating_add(other.arrived);
        self.missing = self.missing.saturating_add(other.missing);
        self.unknown = self.unknown.saturating_add(other.unknown);
        self.overrun = self.overrun.saturating_add(other.overrun);
    }
}

/// State of one downlink. It belongs to a transport.
#[derive(Debug, Default)]
pub struct Downlink {
    pub(crate) rtt: Rtt,
    /// Packets that have a transport-wide number.
    numbered: u64,
    repair_budget: RepairBudget,
    reported: DeliveryReport,
    clock: ReceiverClock,
    /// With a pacer, or from the first feedback on that comes while there is video: clients that send none, or only listen, cost
    /// nothing.
    measured: Option<Box<Measured>>,
    /// It has sent no feedback for long.
    is_silent: bool,
    /// The packets take another path since the last tick.
    has_moved: bool,
}

/// What feedback is compared with, and what follows from it.
#[derive(Debug)]
struct Measured {
    history: SendHistory,
    estimator: BandwidthEstimator,
    /// When the first packet left, and when the first and the last feedback came.
    begun: Option<Instant>,
    heard: Option<Instant>,
    last_feedback: Instant,
    needs: Needs,
    reported: Option<DownlinkState>,
    cause: ReportedCause,
    probe: Option<ProbeSender>,
    /// Of receivers that are adapted to.
    pacer: Option<Pacer>,
    spendable: Spendable,
    /// Budget that the allocated video needs, if less of it could be sent.
    needed: Bitrate,
}

impl Downlink {
    /// The sum of all feedback.
    #[must_use]
    pub fn reported(&self) -> DeliveryReport {
        self.reported
    }

    /// A packet of `size` on the wire leaves now. Returns its transport-wide sequence number.
    #[inline]
    pub(crate) fn on_packet(&mut self, now: Instant, size: DataSize) -> u16 {
        let number = self.next_number();
        self.numbered += 1;
        if let Some(measured) = &mut self.measured {
            measured.on_packet(now, size);
        }
        low(number)
    }

    /// The extended number of the next packet.
    fn next_number(&self) -> u64 {
        send_history::FIRST + self.numbered
    }

    /// Holds back video from now on, if it would leave faster than the path carries it. Before the first feedback that is an
    /// assumption, and a client that sends none is soon held back no more.
    pub(crate) fn begin_pacing(&mut self, now: Instant) {
        if self.measured.is_none() && !self.is_silent {
            self.measured = Some(Box::new(Measured::new(now, self.next_number())));
        }
        if let Some(measured) = &mut self.measured {
            measured.pacer.get_or_insert_with(|| Pacer::new(now));
        }
    }

    /// Whether anything may have to wait.
    #[inline]
    pub(crate) fn is_paced(&self) -> bool {
        self.measured.as_ref().is_some_and(|measured| measured.pacer.is_some())
    }

    /// Whether a packet has to wait: others do, or too much has left.
    pub(crate) fn must_wait(&mut self, now: Instant, size: DataSize) -> bool {
        self.refill_pacer(now);
        let is_silent = self.measured.as_ref().is_some_and(|measured| measured.is_silent(now));
        let Some(pacer) = self.pacer() else { return false };
        let waits = pacer.waiting() > DataSize::ZERO || !pacer.permits(size);
        if is_silent && !waits {
            (self.measured, self.is_silent) = (None, true);
        }
        waits
    }

    /// Lets time pass for the pacer.
    pub(crate) fn refill_pacer(&mut self, now: Instant) {
        if let Some(measured) = &mut self.measured {
            let pace = measured.pace(now);
            measured.pacer.iter_mut().for_each(|pacer| pacer.refill(now, pace));
        }
    }

    /// Whether a packet that waits may leave.
    pub(crate) fn permits(&mut self, size: DataSize) -> bool {
        self.pacer().is_some_and(|pacer| pacer.permits(size))
    }

    /// A packet of `size` waits from now on.
    pub(crate) fn add_waiting(&mut self, size: DataSize) {
        if let Some(pacer) = self.pacer() {
            pacer.add(size);
        }
    }

    /// Sets how much waits. Returns whether it is too much.
    pub(crate) fn set_waiting(&mut self, size: DataSize) -> bool {
        self.pacer().is_some_and(|pacer| pacer.set_waiting(size))
    }

    /// Lets what waits leave in time: at whatever bitrate that takes, as long as video is not kept to a budget.
    pub(crate) fn hurry(&mut self, now: Instant, size: DataSize) {
        let is_kept = self.video_budget(now).is_some();
        let most = self.estimate().filter(|_| is_kept).unwrap_or(Bitrate::MAX);
        if let Some(pacer) = self.pacer() {
            pacer.hurry(size, most);
        }
    }

    fn pacer(&mut self) -> Option<&mut Pacer> {
        self.measured.as_mut()?.pacer.as_mut()
    }

    /// Whether a retransmission of `size` on the wire is within the repair budget; it counts as sent.
    pub(crate) fn admits_repair(&mut self, now: Instant, size: DataSize) -> bool {
        let assumed = self.measured.as_ref().map(|measured| measured.estimator.estimate());
        self.repair_budget.spend(now, assumed, size)
    }

    /// Handles feedback of the client. Returns what it reports. `results` is a buffer.
    pub(crate) fn on_feedback(
        &mut self,
        now: Instant,
        report: &Report<'_>,
        results: &mut Vec<PacketResult>,
    ) -> DeliveryReport {
        let next_number = self.next_number();
        let Some(measured) = &mut self.measured else {
            // What the first feedback is about was sent before anything was recorded.
            let mut measured = Box::new(Measured::new(now, next_number));
            measured.heard = Some(now);
            self.measured = Some(measured);
            return DeliveryReport::default();
        };
        if measured.heard.is_none() {
            (measured.heard, measured.spendable) = (Some(now), Spendable::new(now));
        }
        results.clear();
        let counted = measured.look_up(report, &mut self.clock, results);
        measured.history.on_feedback(now);
        measured.last_feedback = now;
        if let Some(sent) = results.iter().filter(|result| result.received_micros.is_some()).map(|one| one.sent).max() {
            self.rtt.sample(now.saturating_duration_since(sent));
        }
        if !results.is_empty() {
            measured.estimator.on_report(now, results);
        }
        if counted.overrun > 0 {
            measured.estimator.on_overrun(now);
        }
        measured.note(now);
        self.reported += counted;
        counted
    }

    /// Handles a round trip that a receiver report tells. Feedback tells more of them.
    pub(crate) fn on_round_trip(&mut self, sample: Duration) {
        if !self.is_estimated() {
            self.rtt.sample(sample);
        }
    }

    /// The packets take another path from now on. The first path is no change.
    pub(crate) fn on_path_change(&mut self) {
        self.has_moved = self.is_estimated();
    }

    /// Lets time pass for the estimator. Returns whether it is to be called again.
    pub(crate) fn on_tick(&mut self, now: Instant) -> bool {
        let has_moved = std::mem::take(&mut self.has_moved);
        let Some(measured) = self.measured.as_mut().filter(|measured| measured.heard.is_some()) else { return false };
        if has_moved {
            measured.estimator.on_path_change(now);
        }
        measured.estimator.on_tick(now);
        measured.note(now);
        measured.spendable.add(now, measured.estimator.estimate());
        if measured.estimator.queue() > FULL_QUEUE {
            measured.spendable.end_assumption();
        }
        now.saturating_duration_since(measured.last_feedback) < WATCHED
    }

    /// Begins the next probe, if one is due and none is under way. Returns whether it has begun.
    pub(crate) fn begin_probe(&mut self, now: Instant) -> bool {
        let Some(measured) = self.measured.as_deref_mut().filter(|measured| measured.may_probe()) else { return false };
        measured.probe = measured.estimator.next_probe(now).map(|cluster| ProbeSender::new(now, cluster));
        measured.probe.is_some()
    }

    /// How much of the probe is due now, beyond media; `None` if none is under way any more.
    pub(crate) fn probe_due(&mut self, now: Instant) -> Option<DataSize> {
        let probe = &mut self.measured.as_mut()?.probe;
        let due = probe.as_ref()?.due(now);
        if due.is_none() {
            *probe = None;
        }
        due
    }

    /// Ends a probe that cannot be sent.
    pub(crate) fn cancel_probe(&mut self) {
        if let Some(measured) = &mut self.measured {
            measured.probe = None;
        }
    }

    /// What video may use; `None` while too little is known.
    pub(crate) fn video_budget(&self, now: Instant) -> Option<VideoBudget> {
        let Measured { spendable, estimator, needs, .. } = self.estimated()?;
        spendable.budget(now, estimator.estimate(), *needs, estimator.estimate() < START)
    }

    /// Sets the budget that the allocated video needs; zero if it cannot be less.
    pub(crate) fn set_needed(&mut self, needed: Bitrate) {
        if let Some(measured) = &mut self.measured {
            measured.needed = needed;
        }
    }

    /// Whether less video has to be allocated: the budget has fallen below what it needs.
    pub(crate) fn is_overdrawn(&self, now: Instant) -> bool {
        let needed = self.measured.as_ref().map_or(Bitrate::ZERO, |measured| measured.needed);
        self.video_budget(now).is_some_and(|budget| needed > budget.now)
    }

    /// Whether feedback has come, so that there is an estimate.
    pub(crate) fn is_estimated(&self) -> bool {
        self.estimated().is_some()
    }

    /// Whether packets are recorded, so that feedback can be compared with them.
    pub(crate) fn is_recorded(&self) -> bool {
        self.measured.is_some()
    }

    fn estimated(&self) -> Option<&Measured> {
        self.measured.as_deref().filter(|measured| measured.heard.is_some())
    }

    /// Sets what the receiver's slots need. Nothing changes before the first feedback.
    pub(crate) fn set_needs(&mut self, needs: Needs) {
        if let Some(measured) = &mut self.measured
            && std::mem::replace(&mut measured.needs, needs) != needs
        {
            measured.estimator.set_wanted(needs.wanted, needs.next);
        }
    }

    /// The bitrate that the path carries; `None` without feedback.
    #[must_use]
    pub fn estimate(&self) -> Option<Bitrate> {
        self.estimated().map(|measured| measured.estimator.estimate())
    }

    /// What is known of the path; `None` without feedback.
    #[must_use]
    pub fn state(&self) -> Option<DownlinkState> {
        let Measured { estimator, needs, cause, .. } = self.estimated()?;
        let kbps = |rate: Bitrate| u32::try_from(rate.bps() / 1_000).unwrap_or(u32::MAX);
        Some(DownlinkState {
            kbps: kbps(estimator.estimate()),
            cause: cause.of(estimator.cause()),
            queue: estimator.queue(),
            wanted_kbps: kbps(needs.wanted),
        })
    }

    /// What is known of the path, if it differs much from what was returned last.
    pub(crate) fn take_change(&mut self) -> Option<DownlinkState> {
        let state = self.state()?;
        let reported = &mut self.measured.as_mut()?.reported;
        let is_known = reported.is_some_and(|reported| is_like(&reported, &state));
        (!is_known).then(|| *reported.insert(state))
    }
}

impl Measured {
    fn new(now: Instant, next_number: u64) -> Self {
        Self {
            history: SendHistory::new(now, next_number),
            estimator: BandwidthEstimator::new(START),
            begun: None,
            heard: None,
            last_feedback: now,
            needs: Needs::default(),
            reported: None,
            cause: ReportedCause::default(),
            probe: None,
            pacer: None,
            spendable: Spendable::new(now),
            needed: Bitrate::ZERO,
        }
    }

    /// Whether another probe may begin.
    fn may_probe(&self) -> bool {
        self.heard.is_some() && self.probe.is_none()
    }

    /// Follows the estimate, for what is reported of it.
    fn note(&mut self, now: Instant) {
        self.cause.note(now, self.estimator.cause(), self.estimator.estimate());
    }

    /// At which bitrate video may leave.
    fn pace(&self, now: Instant) -> Pace {
        let Self { estimator, heard, .. } = self;
        let estimate = estimator.estimate();
        let is_assumed = heard.is_none_or(|heard| now.saturating_duration_since(heard) < ASSUMED_FOR);
        match (estimator.eased(now), estimator.own_queue(now)) {
            _ if self.is_silent(now) => Pace::Any,
            (Some(eased), _) => Pace::Even(eased),
            (None, queue) if is_assumed => Pace::Even(pacer::with_queue(estimate, queue)),
            (None, queue) => Pace::Bursts { estimate, queue },
        }
    }

    /// Whether it seems that the client sends no feedback.
    fn is_silent(&self, now: Instant) -> bool {
        let has_waited = |begun| now.saturating_duration_since(begun) >= SILENT_AFTER;
        self.heard.is_none() && self.begun.is_some_and(has_waited)
    }

    /// A packet of `size` on the wire leaves now.
    fn on_packet(&mut self, now: Instant, size: DataSize) {
        if self.begun.is_none() {
            self.begun = Some(now);
            self.history.on_feedback(now);
        }
        let cluster = self.probe.as_mut().map(|probe| probe.on_packet(size));
        self.history.record(now, size, cluster.map_or(0, ClusterId::get));
        self.estimator.on_sent(now, size);
        if let Some(pacer) = &mut self.pacer {
            pacer.on_packet(size);
        }
    }

    /// Looks up the packets of a report, and appends those that it reports for the first time to `results`.
    fn look_up(
        &mut self,
        report: &Report<'_>,
        clock: &mut ReceiverClock,
        results: &mut Vec<PacketResult>,
    ) -> DeliveryReport {
        let mut counted = DeliveryReport::default();
        report.visit(clock, |name, arrival| {
            let has_arrived = arrival != Arrival::Missing;
            let lookup = match name {
                PacketName::Transport(seq) => self.history.report(seq, has_arrived),
                // No answer accepts this form of feedback.
                PacketName::Stream(..) => Lookup::Unknown,
            };
            match lookup {
                Lookup::Sent(SentPacket { sent, size, cluster }) => {
                    counted.arrived += u64::from(has_arrived);
                    counted.missing += u64::from(!has_arrived);
                    let received_micros = match arrival {
                        Arrival::Missing => None,
                        Arrival::At(micros) => Some(micros),
                        // Neither lost nor of any use.
                        Arrival::Untimed => return,
                    };
                    let cluster = ClusterId::from_number(cluster);
                    results.push(PacketResult { sent, size, received_micros, cluster });
                }
                Lookup::Settled => {}
                Lookup::Overrun => counted.overrun += 1,
                Lookup::Unknown => counted.unknown += 1,
            }
        });
        counted
    }
}

/// Whether a state is not worth another event: bitrates are within 5 %, and the queue within 25 ms.
fn is_like(reported: &DownlinkState, state: &DownlinkState) -> bool {
    let near = |a: u32, b: u32| a.abs_diff(b) <= a / 20;
    reported.cause == state.cause
        && near(reported.kbps, state.kbps)
        && near(reported.wanted_kbps, state.wanted_kbps)
        && reported.queue.abs_diff(state.queue) <= Duration::from_millis(25)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::DownlinkCause,
        ids::Ssrc,
        wire::rtcp::{
            self, Rtcp, ccfb,
            twcc::{self, Arrival},
        },
    };

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn transport_seq_wraps_around() {
        let (now, size) = (Instant::now(), wire_size(100));
        let mut downlink = Downlink { numbered: u16::MAX.into(), ..Downlink::default() };
        let numbers = [0; 3].map(|_| downlink.on_packet(now, size));
        assert_eq!(numbers, [u16::MAX, 0, 1]);
    }

    /// Feedback of packets that arrived, and of those between them that did not.
    fn feed(downlink: &mut Downlink, now: Instant, arrived: impl IntoIterator<Item = u64>) -> DeliveryReport {
        let arrivals: Vec<_> = arrived.into_iter().map(|seq| Arrival { seq, micros: seq * 1_000 }).collect();
        let mut packet = Vec::new();
        twcc::write(&mut packet, Ssrc(1), Ssrc(2), 0, arrivals[0].seq, &arrivals).unwrap();
        let Some(Rtcp::Twcc(feedback)) = rtcp::parse(&packet).next() else { panic!("no feedback") };
        downlink.on_feedback(now, &Report::Twcc(feedback), &mut Vec::new())
    }

    /// A downlink with the first feedback behind it, and the number of its next packet.
    fn downlink(now: Instant) -> (Downlink, u64) {
        let mut downlink = Downlink::default();
        downlink.on_packet(now, wire_size(100));
        assert_eq!(feed(&mut downlink, now, [0]), DeliveryReport::default());
        (downlink, 1)
    }

    #[test]
    fn feedback_is_counted_once() {
        let start = Instant::now();
        let (mut downlink, first) = downlink(start);
        for n in 0..10 {
            downlink.on_packet(start + n * MS, wire_size(100));
        }
        let numbers = || (first..first + 10).filter(|seq| *seq != 4);
        let counted = DeliveryReport { arrived: 9, missing: 1, ..DeliveryReport::default() };
        assert_eq!(feed(&mut downlink, start + 59 * MS, numbers()), counted);
        assert_eq!(downlink.rtt.estimate(), 50 * MS, "of the newest packet");
        assert_eq!(feed(&mut downlink, start + 900 * MS, numbers()), DeliveryReport::default());
        assert_eq!(feed(&mut downlink, start + 900 * MS, [0]), DeliveryReport::default(), "of before");
        assert_eq!((downlink.reported(), downlink.rtt.estimate()), (counted, 50 * MS));
        let late = DeliveryReport { arrived: 1, ..DeliveryReport::default() };
        assert_eq!(feed(&mut downlink, start + 900 * MS, [4]), late);
    }

    #[test]
    fn feedback_of_what_was_not_sent_changes_nothing_but_a_counter() {
        let start = Instant::now();
        let (mut downlink, first) = downlink(start);
        downlink.on_packet(start, wire_size(100));
        let unknown = DeliveryReport { unknown: 101, ..DeliveryReport::default() };
        assert_eq!(feed(&mut downlink, start + MS, (first + 1..first + 102).step_by(2)), unknown);
        let mut packet = Vec::new();
        let reception = Some(ccfb::Reception { ecn: 0, age: Some(1) });
        let stream = ccfb::StreamReport { ssrc: Ssrc(9), base: 1, packets: &[reception; 3] };
        ccfb::write(&mut packet, Ssrc(1), 7, &[stream]);
        let Some(Rtcp::Ccfb(feedback)) = rtcp::parse(&packet).next() else { panic!("no feedback") };
        let counted = downlink.on_feedback(start + MS, &Report::Ccfb(feedback), &mut Vec::new());
        assert_eq!(counted, DeliveryReport { unknown: 3, ..DeliveryReport::default() });
        assert_eq!(downlink.rtt.estimate(), Rtt::default().estimate());
    }

    #[test]
    fn another_path_carries_half_until_it_is_known() {
        let now = Instant::now();
        let mut first_path = Downlink::default();
        first_path.on_path_change();
        feed(&mut first_path, now, [0]);
        first_path.on_tick(now + MS);
        assert_eq!(first_path.estimate(), Some(START));
        first_path.on_path_change();
        first_path.on_tick(now + 2 * MS);
        assert_eq!(first_path.estimate(), Some(START / 2));
        assert_eq!(first_path.state().unwrap().cause, DownlinkCause::PathChange);
    }

    #[test]
    fn measuring_a_downlink_takes_at_most_6_kb() {
        let history = 64 * 8;
        let bytes = size_of::<Downlink>() + size_of::<Measured>() + history;
        assert!(bytes <= 6_000, "{bytes} bytes");
    }

    /// All 65,535 numbers that one feedback can cover.
    #[test]
    fn feedback_of_a_whole_cycle_is_survived() {
        let start = Instant::now();
        let (mut downlink, _) = downlink(start);
        for n in 0..70_000 {
            downlink.on_packet(start + n * MS / 10, wire_size(100));
        }
        let mut packet = vec![0x8f, 205, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0x12, 0x34, 0xff, 0xff, 0, 0, 0, 0];
        packet.extend([0x7f, 0xff].repeat(8));
        packet.extend([0x60, 0x07, 0, 0]);
        let Some(Rtcp::Twcc(feedback)) = rtcp::parse(&packet).next() else { panic!("no feedback") };
        let counted = downlink.on_feedback(start + 7_000 * MS, &Report::Twcc(feedback), &mut Vec::new());
        assert_eq!(counted.missing, 0);
        assert!(counted.arrived <= 4_096 && counted.unknown <= 32_768, "{counted:?}");
        assert_eq!(downlink.on_feedback(start + 7_001 * MS, &Report::Twcc(feedback), &mut Vec::new()).arrived, 0);
    }
}
