//! Receiver statistics of one RTP stream, its NACK generator, and the TWCC recorder of a transport.

use crate::bots::rtcp::ReceptionReport;
use crate::measure::clock::Time;
use rtp_wire::seq::{SeqNum, Unwrapper, near};
use std::collections::BTreeMap;
use std::time::Duration;

/// Statistics of one received stream (RFC 3550 appendix A).
#[derive(Debug)]
pub(crate) struct ReceiverStatistics {
    ssrc: u32,
    /// RTP clock in Hz.
    clock: u64,
    /// Arrival minus RTP timestamp of the last packet, in RTP time.
    transit: Option<u32>,
    /// Interarrival jitter in RTP time, times 16.
    jitter: u64,
    /// The last sender report: middle 32 bits of its NTP time, and when it arrived.
    sender_report: Option<(u32, Time)>,
    /// Whether packets were given up since this was last read.
    gave_up: bool,
    /// First and highest sequence number, extended by their wraps.
    range: Option<(u64, u64)>,
    received: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// Missing packets: when to send the next NACK, and how many were sent.
    missing: BTreeMap<u64, (Time, u32)>,
}

impl ReceiverStatistics {
    /// Maximum number of missing packets; beyond it, the oldest are given up.
    const MAX_MISSING: usize = 1_024;
    /// Time between NACKs for the same packet.
    const RETRY: Duration = Duration::from_millis(50);
    /// Maximum number of NACKs for a packet.
    const TRIES: u32 = 5;
    /// Where extended sequence numbers start, so that packets before the first have one, too.
    const START: u64 = 0x1_0000;
    /// A jump by more than this restarts the statistics.
    const MAX_JUMP: u64 = 3_000;

    /// A stream of which nothing was received; `clock` is its RTP clock in Hz.
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

    /// Records a packet, new or retransmitted; returns its sequence number, extended by its wraps.
    pub(crate) fn packet(&mut self, sequence: u16, now: Time) -> u64 {
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
        self.missing.extend((highest + 1..extended).map(|lost| (lost, (now, 0))));
        while self.missing.len() > Self::MAX_MISSING {
            self.missing.pop_first();
            self.gave_up = true;
        }
        self.range = Some((first, extended));
        extended
    }

    /// Statistics how unevenly packets arrive (RFC 3550 section 6.4.1), retransmissions left out.
    pub(crate) fn time(&mut self, timestamp: u32, arrived_at: Time) {
        let arrived = u128::from(arrived_at.as_nanos()) * u128::from(self.clock) / 1_000_000_000;
        let transit = (arrived as u32).wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let difference = u64::from((transit.wrapping_sub(last) as i32).unsigned_abs());
            // A new source in the slot has another clock: that is no jitter.
            if difference < 2 * self.clock {
                self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
            }
        }
    }

    /// The present jitter in microseconds.
    pub(crate) fn jitter_us(&self) -> u64 {
        (self.jitter >> 4) * 1_000_000 / self.clock
    }

    /// Records the middle 32 bits of a sender report's NTP time.
    pub(crate) fn sender_report(&mut self, compact_ntp: u32, now: Time) {
        self.sender_report = Some((compact_ntp, now));
    }

    /// Whether packets were given up since the last call: only a key frame helps then.
    pub(crate) fn take_gave_up(&mut self) -> bool {
        std::mem::take(&mut self.gave_up)
    }

    /// Packets to send NACKs for now, in ascending order.
    pub(crate) fn take_due(&mut self, now: Time) -> Vec<u16> {
        let before = self.missing.len();
        self.missing.retain(|_, (at, tries)| *tries < Self::TRIES || *at > now);
        self.gave_up |= self.missing.len() < before;
        let due = self.missing.iter_mut().filter(|(_, (at, _))| *at <= now).take(200);
        due.map(|(sequence, state)| {
            *state = (now + Self::RETRY, state.1 + 1);
            (*sequence & 0xffff) as u16
        })
        .collect()
    }

    /// The stream's part of a receiver report.
    pub(crate) fn report(&mut self, now: Time) -> Option<ReceptionReport> {
        let (first, highest) = self.range?;
        let expected = highest - first + 1;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let expected_since = expected.saturating_sub(expected_before);
        let lost_since = expected_since.saturating_sub(self.received.saturating_sub(received_before));
        let fraction = (lost_since * 256).checked_div(expected_since).unwrap_or_default().min(255);
        Some(ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: fraction as u8,
            total_lost: expected.saturating_sub(self.received).min(0x7f_ffff) as u32,
            // Cycles are counted from 0.
            last_sequence_number: (highest.saturating_sub(Self::START) & 0xffff_ffff) as u32,
            jitter: u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX),
            last_sender_report: self.sender_report.map_or(0, |(ntp, _)| ntp),
            // In units of 1/65,536 s.
            delay: self.sender_report.map_or(0, |(_, at)| {
                let delay = now.since(at).as_nanos() * 65_536 / 1_000_000_000;
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
    /// Maximum number of packets in one feedback.
    const MAX: u64 = 400;

    /// Records a packet.
    pub(crate) fn packet(&mut self, sequence: u16, arrived_at: Time) {
        let extended = self.numbers.peek(SeqNum(sequence));
        self.numbers.accept(extended);
        self.times.insert(extended, arrived_at.as_nanos() / 1_000);
    }

    /// The next feedback: its number, first sequence number, arrival times in microseconds.
    pub(crate) fn take(&mut self) -> Option<(u8, u16, Vec<Option<u64>>)> {
        let (first, last) = (*self.times.first_key_value()?.0, *self.times.last_key_value()?.0);
        // From where the last feedback ended, so that packets lost in between are reported.
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

    fn ns(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn nack_is_repeated_until_gap_closes() {
        let mut reception = ReceiverStatistics::new(1, 90_000);
        for sequence in [65_534u16, 65_535, 2, 3] {
            reception.packet(sequence, ns(0));
        }
        assert_eq!(reception.take_due(ns(0)), [0, 1]);
        assert_eq!(reception.take_due(ns(1_000)), Vec::<u16>::new());
        reception.packet(1, ns(2_000));
        assert_eq!(reception.take_due(ns(60_000_000)), [0]);
        let asked = (2..20).filter(|n| !reception.take_due(ns(n * 60_000_000)).is_empty()).count();
        assert_eq!(asked, 3, "five times in all");
        assert!(reception.take_gave_up() && !reception.take_gave_up(), "once");
    }

    #[test]
    fn jitter_follows_rfc_3550() {
        // Packets of 20 ms that arrive 1 ms late and in time in alternation: |D| is always 1 ms.
        let mut reception = ReceiverStatistics::new(1, 48_000);
        for n in 0..400u64 {
            reception.time(960 * n as u32, ns(n * 20_000_000 + (n % 2) * 1_000_000));
        }
        assert!((950..=1_000).contains(&reception.jitter_us()), "{}", reception.jitter_us());
        // Another source: one jump of time, and no jitter of it.
        reception.time(7, ns(400 * 20_000_000));
        assert!(reception.jitter_us() <= 1_000);
    }

    #[test]
    fn report_has_last_sender_report() {
        let mut reception = ReceiverStatistics::new(1, 90_000);
        reception.packet(1, ns(0));
        reception.sender_report(77, ns(1_000_000_000));
        let report = reception.report(ns(1_500_000_000)).unwrap();
        assert_eq!((report.last_sender_report, report.delay), (77, 32_768));
    }

    #[test]
    fn report_counts_loss_since_the_last() {
        let mut reception = ReceiverStatistics::new(1, 90_000);
        for sequence in (0..100).filter(|s| s % 4 != 1) {
            reception.packet(sequence, ns(0));
        }
        let report = reception.report(ns(0)).unwrap();
        assert_eq!((report.total_lost, report.fraction_lost), (25, 64));
        for sequence in 100..200 {
            reception.packet(sequence, ns(0));
        }
        let report = reception.report(ns(0)).unwrap();
        assert_eq!((report.total_lost, report.fraction_lost), (25, 0));
        assert_eq!(report.last_sequence_number, 199);
    }

    #[test]
    fn twcc_covers_loss_between_feedbacks() {
        let mut arrivals = TwccRecorder::default();
        arrivals.packet(65_535, ns(1_000_000));
        assert_eq!(arrivals.take().unwrap(), (0, 65_535, vec![Some(1_000)]));
        arrivals.packet(1, ns(3_000_000));
        assert_eq!(arrivals.take().unwrap(), (1, 0, vec![None, Some(3_000)]));
        assert_eq!(arrivals.take(), None);
    }
}
