//! Sender reports sent into a slot, kept to measure round-trip times from the receiver's report blocks.

use std::time::{Duration, Instant};

/// The last reports sent into a slot.
#[derive(Debug, Default)]
pub(crate) struct SentReports {
    /// Middle 32 bits of the NTP timestamp, and the time of sending.
    recent: [Option<(u32, Instant)>; 4],
    next: usize,
}

impl SentReports {
    /// Records a report that is sent now.
    pub(crate) fn on_sent(&mut self, now: Instant, compact_ntp: u32) {
        if let Some(entry) = self.recent.get_mut(self.next) {
            *entry = Some((compact_ntp, now));
        }
        self.next = (self.next + 1) % self.recent.len();
    }

    /// The round-trip time, from a report block's LSR and DLSR fields (RFC 3550 section 6.4.1).
    pub(crate) fn round_trip(&self, now: Instant, last_sr: u32, delay_since_last_sr: u32) -> Option<Duration> {
        let &(_, sent) = self.recent.iter().flatten().find(|(compact_ntp, _)| *compact_ntp == last_sr)?;
        let held = Duration::from_nanos(u64::from(delay_since_last_sr) * 1_000_000_000 / 65_536);
        now.saturating_duration_since(sent).checked_sub(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_excludes_the_receivers_delay() {
        let (mut sent, start) = (SentReports::default(), Instant::now());
        sent.on_sent(start, 77);
        let now = start + Duration::from_millis(540);
        assert_eq!(sent.round_trip(now, 77, 32_768), Some(Duration::from_millis(40)));
        assert_eq!(sent.round_trip(now, 78, 0), None, "no such report");
        assert_eq!(sent.round_trip(now, 77, u32::MAX), None, "held longer than it exists");
    }
}
