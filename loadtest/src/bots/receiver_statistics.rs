//! What a receiver knows of one RTP stream: what came, what is missing, what to tell the sender.

use crate::bots::rtcp::{ReceivedReport, ReportBlock};
use rtp_wire::seq::{SeqNum, Unwrapper, near};
use std::collections::BTreeMap;

/// ReceiverStatistics of one stream (RFC 3550 appendix A).
#[derive(Debug)]
pub(crate) struct ReceiverStatistics {
    ssrc: u32,
    /// RTP clock in Hz.
    clock: u64,
    /// Arrival minus RTP timestamp of the last packet, in RTP time.
    transit: Option<u32>,
    /// Interarrival jitter in RTP time, times 16.
    jitter: u64,
    /// The last sender report: middle 32 bits of its NTP time, and when it came.
    sender_report: Option<(u32, u64)>,
    /// Packets were given up since the last look.
    gave_up: bool,
    /// First and highest sequence number, extended by their wraps.
    range: Option<(u64, u64)>,
    received: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// Missing packets: when to ask next, and how often it was asked.
    missing: BTreeMap<u64, (u64, u32)>,
}

impl ReceiverStatistics {
    /// Missing packets that are asked for; beyond it, the oldest are given up.
    const MAX_MISSING: usize = 1_024;
    /// How long to wait between requests for the same packet.
    const RETRY_NS: u64 = 50_000_000;
    /// How often the same packet is asked for.
    const TRIES: u32 = 5;
    /// Where extended sequence numbers start: packets from before the first have a number, too.
    const START: u64 = 0x1_0000;
    /// A jump by more than this is a new start.
    const MAX_JUMP: u64 = 3_000;

    /// A stream from which nothing has come; `clock` is its RTP clock in Hz.
    pub(crate) fn new(ssrc: u32, clock: u32) -> Self {
        Self {
            ssrc,
            clock: u64::from(clock.max(1)),
            transit: None,
            jitter: 0,
            sender_report: None,
            gave_up: false,
            range: None,
            received: 0,
            reported: (0, 0),
            missing: BTreeMap::new(),
        }
    }

    /// SSRC of the stream.
    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Notes a packet, new or retransmitted; gives its sequence number without wraps.
    pub(crate) fn packet(&mut self, sequence: u16, now_ns: u64) -> u64 {
        self.received += 1;
        let Some((first, highest)) = self.range else {
            let start = Self::START + u64::from(sequence);
            self.range = Some((start, start));
            return start;
        };
        let extended = near(highest, SeqNum(sequence));
        if extended <= highest {
            self.missing.remove(&extended);
            return extended;
        }
        if extended - highest > Self::MAX_JUMP {
            self.range = Some((extended, extended));
            self.missing.clear();
            self.gave_up = true;
            return extended;
        }
        self.missing.extend((highest + 1..extended).map(|lost| (lost, (now_ns, 0))));
        while self.missing.len() > Self::MAX_MISSING {
            self.missing.pop_first();
            self.gave_up = true;
        }
        self.range = Some((first, extended));
        extended
    }

    /// Statistics how unevenly packets arrive (RFC 3550 section 6.4.1), retransmissions left out.
    pub(crate) fn time(&mut self, timestamp: u32, arrived_ns: u64) {
        let arrived = u128::from(arrived_ns) * u128::from(self.clock) / 1_000_000_000;
        let transit = (arrived as u32).wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let difference = u64::from((transit.wrapping_sub(last) as i32).unsigned_abs());
            // A new source in the slot has a time of its own: that is no jitter.
            if difference < 2 * self.clock {
                self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
            }
        }
    }

    /// The present jitter in microseconds.
    pub(crate) fn jitter_us(&self) -> u64 {
        (self.jitter >> 4) * 1_000_000 / self.clock
    }

    /// Notes a sender report of the stream.
    pub(crate) fn sender_report(&mut self, report: &ReceivedReport, now_ns: u64) {
        self.sender_report = Some((report.compact_ntp, now_ns));
    }

    /// Whether packets were given up since this was asked last: only a key frame helps then.
    pub(crate) fn take_gave_up(&mut self) -> bool {
        std::mem::take(&mut self.gave_up)
    }

    /// Packets to ask for now, in ascending order.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Vec<u16> {
        let before = self.missing.len();
        self.missing.retain(|_, (at, tries)| *tries < Self::TRIES || *at > now_ns);
        self.gave_up |= self.missing.len() < before;
        let due = self.missing.iter_mut().filter(|(_, (at, _))| *at <= now_ns).take(200);
        due.map(|(sequence, state)| {
            *state = (now_ns + Self::RETRY_NS, state.1 + 1);
            (*sequence & 0xffff) as u16
        })
        .collect()
    }

    /// The stream's part of a receiver report.
    pub(crate) fn report(&mut self, now_ns: u64) -> Option<ReportBlock> {
        let (first, highest) = self.range?;
        let expected = highest - first + 1;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let expected_since = expected.saturating_sub(expected_before);
        let lost_since = expected_since.saturating_sub(self.received.saturating_sub(received_before));
        let fraction = (lost_since * 256).checked_div(expected_since).unwrap_or_default().min(255);
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction as u8,
            lost: u32::try_from(expected.saturating_sub(self.received)).unwrap_or(u32::MAX),
            // Cycles are counted from 0.
            highest: (highest.saturating_sub(Self::START) & 0xffff_ffff) as u32,
            jitter: u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX),
            last_sender_report: self.sender_report.map_or(0, |(ntp, _)| ntp),
            // In units of 1/65,536 s.
            delay_since: self.sender_report.map_or(0, |(_, at)| {
                let delay = u128::from(now_ns.saturating_sub(at)) * 65_536 / 1_000_000_000;
                u32::try_from(delay).unwrap_or(u32::MAX)
            }),
        })
    }
}

/// Arrival times by transport-wide sequence number, for the next feedback.
#[derive(Debug, Default)]
pub(crate) struct TwccRecorder {
    times: BTreeMap<u64, u64>,
    numbers: Unwrapper,
    /// First number of the next feedback.
    next: Option<u64>,
    count: u8,
}

impl TwccRecorder {
    /// Packets of one feedback.
    const MAX: u64 = 400;

    /// Notes a packet.
    pub(crate) fn packet(&mut self, sequence: u16, arrived_ns: u64) {
        let extended = self.numbers.peek(SeqNum(sequence));
        self.numbers.accept(extended);
        self.times.insert(extended, arrived_ns / 1_000);
    }

    /// What to tell: number of the feedback, first sequence number, arrival times in microseconds.
    pub(crate) fn take(&mut self) -> Option<(u8, u16, Vec<Option<u64>>)> {
        let (first, last) = (*self.times.first_key_value()?.0, *self.times.last_key_value()?.0);
        // From where the last feedback ended, so that what was lost between is told.
        let base = self.next.unwrap_or(first).max(last.saturating_sub(Self::MAX - 1)).min(last);
        let arrivals = (base..=last).map(|sequence| self.times.get(&sequence).copied()).collect();
        self.times.clear();
        self.next = Some(last + 1);
        let count = self.count;
        self.count = self.count.wrapping_add(1);
        Some((count, (base & 0xffff) as u16, arrivals))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_asked_for_at_once_and_again_until_it_closes() {
        let mut reception = ReceiverStatistics::new(1, 90_000);
        for sequence in [65_534u16, 65_535, 2, 3] {
            reception.packet(sequence, 0);
        }
        assert_eq!(reception.take_due(0), [0, 1]);
        assert_eq!(reception.take_due(1_000), Vec::<u16>::new());
        reception.packet(1, 2_000);
        assert_eq!(reception.take_due(60_000_000), [0]);
        let asked = (2..20).filter(|n| !reception.take_due(n * 60_000_000).is_empty()).count();
        assert_eq!(asked, 3, "five times in all");
        assert!(reception.take_gave_up() && !reception.take_gave_up(), "once");
    }

    #[test]
    fn jitter_is_that_of_the_rfc() {
        // Packets of 20 ms that arrive 1 ms late and in time in alternation: |D| is always 1 ms.
        let mut reception = ReceiverStatistics::new(1, 48_000);
        for n in 0..400u64 {
            reception.time(960 * n as u32, n * 20_000_000 + (n % 2) * 1_000_000);
        }
        assert!((950..=1_000).contains(&reception.jitter_us()), "{}", reception.jitter_us());
        // Another source: one jump of time, and no jitter of it.
        reception.time(7, 400 * 20_000_000);
        assert!(reception.jitter_us() <= 1_000);
    }

    #[test]
    fn reports_tell_the_last_sender_report_and_its_age() {
        let mut reception = ReceiverStatistics::new(1, 90_000);
        reception.packet(1, 0);
        reception.sender_report(&ReceivedReport { ssrc: 1, compact_ntp: 77 }, 1_000_000_000);
        let report = reception.report(1_500_000_000).unwrap();
        assert_eq!((report.last_sender_report, report.delay_since), (77, 32_768));
    }

    #[test]
    fn reports_tell_loss_since_the_last() {
        let mut reception = ReceiverStatistics::new(1, 90_000);
        for sequence in (0..100).filter(|s| s % 4 != 1) {
            reception.packet(sequence, 0);
        }
        let report = reception.report(0).unwrap();
        assert_eq!((report.lost, report.fraction_lost), (25, 64));
        for sequence in 100..200 {
            reception.packet(sequence, 0);
        }
        let report = reception.report(0).unwrap();
        assert_eq!((report.lost, report.fraction_lost), (25, 0));
        assert_eq!(report.highest, 199);
    }

    #[test]
    fn arrivals_tell_what_was_lost_between_two_feedbacks() {
        let mut arrivals = TwccRecorder::default();
        arrivals.packet(65_535, 1_000_000);
        assert_eq!(arrivals.take().unwrap(), (0, 65_535, vec![Some(1_000)]));
        arrivals.packet(1, 3_000_000);
        assert_eq!(arrivals.take().unwrap(), (1, 0, vec![None, Some(3_000)]));
        assert_eq!(arrivals.take(), None);
    }
}
