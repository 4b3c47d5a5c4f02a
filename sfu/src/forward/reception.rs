//! What a receiver knows about a stream: the numbers of a report block (RFC 3550 sections 6.4.1, A.3 and A.8).

use crate::{ids::Ssrc, wire::rtcp::ReportBlock};
use std::time::{Duration, Instant};

/// Statistics of one received stream.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    first: Option<(u64, Instant)>,
    highest: u64,
    received: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// Lost according to the reports, until it is taken.
    lost: u64,
    /// Transit time of the last packet, in timestamp units, modulo 2³².
    transit: Option<u32>,
    /// Sixteen times the jitter.
    jitter: u64,
    /// Name and arrival of the last sender report.
    sender_report: Option<(u32, Instant)>,
}

impl Reception {
    /// Counts a packet of the stream itself, not of its retransmissions.
    pub(crate) fn on_packet(&mut self, now: Instant, extended: u64, timestamp: u32, clock: u32) {
        let &mut (_, started) = self.first.get_or_insert((extended, now));
        self.highest = self.highest.max(extended);
        self.received += 1;
        let arrival = ticks(now.saturating_duration_since(started), clock);
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let difference = u64::from(transit.wrapping_sub(last).cast_signed().unsigned_abs());
            self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
        }
    }

    /// Notes a sender report by the middle bits of its wall clock.
    pub(crate) fn on_sender_report(&mut self, now: Instant, compact_ntp: u32) {
        self.sender_report = Some((compact_ntp, now));
    }

    /// The report block on everything so far; `None` before the first packet.
    pub(crate) fn report(&mut self, now: Instant, ssrc: Ssrc) -> Option<ReportBlock> {
        let (first, _) = self.first?;
        let expected = (self.highest + 1).saturating_sub(first);
        let (expected_before, received_before) = std::mem::replace(&mut self.reported, (expected, self.received));
        let expected_since = expected.saturating_sub(expected_before);
        let lost_since = expected_since.saturating_sub(self.received.saturating_sub(received_before));
        self.lost += lost_since;
        let fraction = (lost_since << 8).checked_div(expected_since).unwrap_or(0).min(255);
        let lost = i64::try_from(expected).unwrap_or(i64::MAX) - i64::try_from(self.received).unwrap_or(i64::MAX);
        let (last_sr, delay) = self
            .sender_report
            .map_or((0, Duration::ZERO), |(name, arrived)| (name, now.saturating_duration_since(arrived)));
        Some(ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or_default(),
            // Extended numbers start one cycle up; the report's cycles start at zero.
            highest_seq: (self.highest.saturating_sub(1 << 16) & 0xffff_ffff) as u32,
            jitter: u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX),
            last_sr,
            delay_since_last_sr: ticks(delay, 65_536),
        })
    }

    /// Packets that reports have called lost since this was last asked.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

/// A duration in units of a clock, modulo 2³².
pub(crate) fn ticks(duration: Duration, clock: u32) -> u32 {
    ((duration.as_micros() * u128::from(clock) / 1_000_000) & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: u32 = 90_000;

    #[test]
    fn loss_is_counted_per_interval_and_in_all() {
        let (mut reception, start) = (Reception::default(), Instant::now());
        assert_eq!(reception.report(start, Ssrc(1)), None);
        for seq in (0..100).filter(|seq| seq % 4 != 1) {
            reception.on_packet(start + Duration::from_millis(10 * seq), 65_536 + seq, 900 * seq as u32, CLOCK);
        }
        let report = reception.report(start, Ssrc(1)).unwrap();
        assert_eq!((report.fraction_lost, report.cumulative_lost, report.highest_seq), (64, 25, 99));
        assert_eq!(report.jitter, 0, "packets came exactly when their timestamps said");
        assert_eq!((reception.take_lost(), reception.take_lost()), (25, 0));
        reception.on_packet(start + Duration::from_secs(1), 65_536 + 100, 90_000, CLOCK);
        assert_eq!(reception.report(start, Ssrc(1)).unwrap().fraction_lost, 0);
    }

    #[test]
    fn jitter_approaches_the_mean_deviation() {
        let (mut reception, start) = (Reception::default(), Instant::now());
        for seq in 0..1_000u64 {
            let arrival = Duration::from_millis(20 * seq + 10 * (seq % 2));
            reception.on_packet(start + arrival, 65_536 + seq, 1_800 * seq as u32, CLOCK);
        }
        let jitter = reception.report(start, Ssrc(1)).unwrap().jitter;
        assert!((850..=900).contains(&jitter), "{jitter} is not about 10 ms");
    }

    #[test]
    fn a_sender_report_is_named_with_its_age() {
        let (mut reception, start) = (Reception::default(), Instant::now());
        reception.on_packet(start, 65_536, 0, CLOCK);
        reception.on_sender_report(start, 0xabcd);
        let report = reception.report(start + Duration::from_millis(500), Ssrc(1)).unwrap();
        assert_eq!((report.last_sr, report.delay_since_last_sr), (0xabcd, 32_768));
    }
}
