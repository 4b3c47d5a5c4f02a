//! Statistics of a received stream, for the report blocks of receiver reports (RFC 3550 sections 6.4.1, A.3 and A.8).

use crate::{ids::Ssrc, units::rtp_ticks, wire::rtcp::ReportBlock};
use std::time::{Duration, Instant};

/// Statistics of one received stream.
#[derive(Debug, Default)]
pub(crate) struct ReceiverStatistics {
    first: Option<(u64, Instant)>,
    highest: u64,
    received: u64,
    /// Packets expected and received up to the last report.
    reported: (u64, u64),
    /// Packets that reports have called lost since they were last taken.
    lost: u64,
    /// Transit time of the last packet, in timestamp units, modulo 2³².
    transit: Option<u32>,
    /// Sixteen times the jitter.
    jitter: u64,
    /// Middle 32 bits of the NTP timestamp of the last sender report, and its arrival.
    sender_report: Option<(u32, Instant)>,
}

impl ReceiverStatistics {
    /// Counts a packet of the media stream. Retransmissions do not count.
    pub(crate) fn on_packet(&mut self, now: Instant, extended: u64, timestamp: u32, clock_rate: u32) {
        let &mut (_, started) = self.first.get_or_insert((extended, now));
        self.highest = self.highest.max(extended);
        self.received += 1;
        let arrival = rtp_ticks(now.saturating_duration_since(started), clock_rate);
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let difference = u64::from(transit.wrapping_sub(last).cast_signed().unsigned_abs());
            self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
        }
    }

    /// Records a sender report by the middle 32 bits of its NTP timestamp.
    pub(crate) fn on_sender_report(&mut self, now: Instant, compact_ntp: u32) {
        self.sender_report = Some((compact_ntp, now));
    }

    /// The report block, whose interval began at the last one; `None` before the first packet.
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
            .map_or((0, Duration::ZERO), |(ntp, arrived)| (ntp, now.saturating_duration_since(arrived)));
        Some(ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or_default(),
            // Extended numbers start at cycle 1; those of a report at cycle 0.
            highest_seq: (self.highest.saturating_sub(1 << 16) & 0xffff_ffff) as u32,
            jitter: u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX),
            last_sr,
            delay_since_last_sr: rtp_ticks(delay, 65_536),
        })
    }

    /// Takes the number of packets that reports have called lost since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK_RATE: u32 = 90_000;

    #[test]
    fn loss_is_counted_per_interval_and_cumulatively() {
        let (mut statistics, start) = (ReceiverStatistics::default(), Instant::now());
        assert_eq!(statistics.report(start, Ssrc(1)), None);
        for seq in (0..100).filter(|seq| seq % 4 != 1) {
            statistics.on_packet(start + Duration::from_millis(10 * seq), 65_536 + seq, 900 * seq as u32, CLOCK_RATE);
        }
        let report = statistics.report(start, Ssrc(1)).unwrap();
        assert_eq!((report.fraction_lost, report.cumulative_lost, report.highest_seq), (64, 25, 99));
        assert_eq!(report.jitter, 0, "packets arrive exactly as their timestamps say");
        assert_eq!((statistics.take_lost(), statistics.take_lost()), (25, 0));
        statistics.on_packet(start + Duration::from_secs(1), 65_536 + 100, 90_000, CLOCK_RATE);
        assert_eq!(statistics.report(start, Ssrc(1)).unwrap().fraction_lost, 0);
    }

    #[test]
    fn jitter_approaches_the_mean_deviation() {
        let (mut statistics, start) = (ReceiverStatistics::default(), Instant::now());
        for seq in 0..1_000u64 {
            let arrival = Duration::from_millis(20 * seq + 10 * (seq % 2));
            statistics.on_packet(start + arrival, 65_536 + seq, 1_800 * seq as u32, CLOCK_RATE);
        }
        let jitter = statistics.report(start, Ssrc(1)).unwrap().jitter;
        assert!((850..=900).contains(&jitter), "{jitter} is not about 10 ms");
    }

    #[test]
    fn report_refers_to_the_last_sender_report() {
        let (mut statistics, start) = (ReceiverStatistics::default(), Instant::now());
        statistics.on_packet(start, 65_536, 0, CLOCK_RATE);
        statistics.on_sender_report(start, 0xabcd);
        let report = statistics.report(start + Duration::from_millis(500), Ssrc(1)).unwrap();
        assert_eq!((report.last_sr, report.delay_since_last_sr), (0xabcd, 32_768));
    }
}
