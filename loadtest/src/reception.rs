//! What a receiver knows of one RTP stream: what came, what is missing, what to tell the sender.

use crate::rtcp::ReportBlock;
use std::collections::BTreeMap;

/// Reception of one stream (RFC 3550 appendix A, without jitter: latency is measured better elsewhere).
#[derive(Debug)]
pub(crate) struct Reception {
    ssrc: u32,
    /// First and highest sequence number, extended by their wraps.
    range: Option<(u64, u64)>,
    received: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// Missing packets: when to ask next, and how often it was asked.
    missing: BTreeMap<u64, (u64, u32)>,
}

impl Reception {
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

    pub(crate) fn new(ssrc: u32) -> Self {
        Self { ssrc, range: None, received: 0, reported: (0, 0), missing: BTreeMap::new() }
    }

    /// SSRC of the stream.
    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Notes a packet, new or retransmitted.
    pub(crate) fn packet(&mut self, sequence: u16, now_ns: u64) {
        self.received += 1;
        let Some((first, highest)) = self.range else {
            let start = Self::START + u64::from(sequence);
            self.range = Some((start, start));
            return;
        };
        let extended = extend(sequence, highest);
        if extended <= highest {
            self.missing.remove(&extended);
            return;
        }
        if extended - highest > Self::MAX_JUMP {
            self.range = Some((extended, extended));
            self.missing.clear();
            return;
        }
        self.missing.extend((highest + 1..extended).map(|lost| (lost, (now_ns, 0))));
        while self.missing.len() > Self::MAX_MISSING {
            self.missing.pop_first();
        }
        self.range = Some((first, extended));
    }

    /// Packets to ask for now, in ascending order.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Vec<u16> {
        self.missing.retain(|_, (_, tries)| *tries < Self::TRIES);
        let due = self.missing.iter_mut().filter(|(_, (at, _))| *at <= now_ns).take(200);
        due.map(|(sequence, state)| {
            *state = (now_ns + Self::RETRY_NS, state.1 + 1);
            (*sequence & 0xffff) as u16
        })
        .collect()
    }

    /// The stream's part of a receiver report.
    pub(crate) fn report(&mut self) -> Option<ReportBlock> {
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
            jitter: 0,
        })
    }
}

/// The extended sequence number nearest to `near`.
fn extend(sequence: u16, near: u64) -> u64 {
    let ahead = i64::from(sequence.wrapping_sub((near & 0xffff) as u16) as i16);
    near.saturating_add_signed(ahead)
}

/// Arrival times by transport-wide sequence number, for the next feedback.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    times: BTreeMap<u64, u64>,
    highest: Option<u64>,
    /// First number of the next feedback.
    next: Option<u64>,
    count: u8,
}

impl Arrivals {
    /// Packets of one feedback.
    const MAX: u64 = 400;

    /// Notes a packet.
    pub(crate) fn packet(&mut self, sequence: u16, arrived_ns: u64) {
        let extended = extend(sequence, self.highest.unwrap_or(0x1_0000 + u64::from(sequence)));
        self.highest = Some(self.highest.map_or(extended, |highest| highest.max(extended)));
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
        let mut reception = Reception::new(1);
        for sequence in [65_534u16, 65_535, 2, 3] {
            reception.packet(sequence, 0);
        }
        assert_eq!(reception.take_due(0), [0, 1]);
        assert_eq!(reception.take_due(1_000), Vec::<u16>::new());
        reception.packet(1, 2_000);
        assert_eq!(reception.take_due(60_000_000), [0]);
        let asked = (2..20).filter(|n| !reception.take_due(n * 60_000_000).is_empty()).count();
        assert_eq!(asked, 3, "five times in all");
    }

    #[test]
    fn reports_tell_loss_since_the_last() {
        let mut reception = Reception::new(1);
        for sequence in (0..100).filter(|s| s % 4 != 1) {
            reception.packet(sequence, 0);
        }
        let report = reception.report().unwrap();
        assert_eq!((report.lost, report.fraction_lost), (25, 64));
        for sequence in 100..200 {
            reception.packet(sequence, 0);
        }
        let report = reception.report().unwrap();
        assert_eq!((report.lost, report.fraction_lost), (25, 0));
        assert_eq!(report.highest, 199);
    }

    #[test]
    fn arrivals_tell_what_was_lost_between_two_feedbacks() {
        let mut arrivals = Arrivals::default();
        arrivals.packet(65_535, 1_000_000);
        assert_eq!(arrivals.take().unwrap(), (0, 65_535, vec![Some(1_000)]));
        arrivals.packet(1, 3_000_000);
        assert_eq!(arrivals.take().unwrap(), (1, 0, vec![None, Some(3_000)]));
        assert_eq!(arrivals.take(), None);
    }
}
