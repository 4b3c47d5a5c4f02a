//! The relation between a publisher's wall clock and the RTP timestamps of a stream, from sender reports.

use crate::{units::rtp_ticks, wire::rtcp::SenderInfo};
use std::time::{Duration, Instant};

/// The last sender report of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SenderClock {
    info: SenderInfo,
    arrived: Instant,
}

impl SenderClock {
    /// The clock according to a report that arrived at `now`.
    pub(crate) fn new(now: Instant, info: SenderInfo) -> Self {
        Self { info, arrived: now }
    }

    /// Wall clock (NTP format) and RTP timestamp at `now`, extrapolated from the report.
    pub(crate) fn at(&self, now: Instant, clock_rate: u32) -> (u64, u32) {
        let elapsed = now.saturating_duration_since(self.arrived);
        (self.info.ntp.wrapping_add(ntp(elapsed)), self.info.timestamp.wrapping_add(rtp_ticks(elapsed, clock_rate)))
    }

    /// The wall clock (NTP format) at an RTP timestamp within hours of the report.
    pub(crate) fn wall_clock(&self, timestamp: u32, clock_rate: u32) -> u64 {
        let ticks = i64::from(timestamp.wrapping_sub(self.info.timestamp).cast_signed());
        let elapsed = (ticks << 32).checked_div(clock_rate.into()).unwrap_or(0);
        self.info.ntp.wrapping_add_signed(elapsed)
    }
}

/// A duration in NTP format (RFC 3550 section 4).
fn ntp(duration: Duration) -> u64 {
    (duration.as_secs() << 32) | ((u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_and_timestamp_advance_together() {
        let start = Instant::now();
        let info = SenderInfo { ntp: 5 << 32, timestamp: u32::MAX, packets: 0, octets: 0 };
        let clock = SenderClock::new(start, info);
        assert_eq!(clock.at(start + Duration::from_millis(1_500), 48_000), ((6 << 32) + (1 << 31), 71_999));
        assert_eq!(clock.wall_clock(71_999, 48_000), (6 << 32) + (1 << 31));
        assert_eq!(clock.wall_clock(u32::MAX - 24_000, 48_000), (4 << 32) + (1 << 31), "before the report");
    }
}
