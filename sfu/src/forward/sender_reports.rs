//! Sender reports, translated from a publisher's timeline to a slot's.
//!
//! A report ties a stream's timestamps to the publisher's wall clock. The slot's report keeps the wall clock and
//! shifts the timestamp like the slot's packets, so sound and picture of one publisher meet again at the receiver.

use super::reception::ticks;
use crate::wire::rtcp::SenderInfo;
use std::time::{Duration, Instant};

/// The last report of a publisher's stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublisherClock {
    info: SenderInfo,
    arrived: Instant,
}

impl PublisherClock {
    /// Notes a report as it arrived.
    pub(crate) fn new(now: Instant, info: SenderInfo) -> Self {
        Self { info, arrived: now }
    }

    /// Wall clock (NTP format) and timestamp of this moment: both move on since the report.
    pub(crate) fn at(&self, now: Instant, clock: u32) -> (u64, u32) {
        let elapsed = now.saturating_duration_since(self.arrived);
        (self.info.ntp.wrapping_add(ntp(elapsed)), self.info.timestamp.wrapping_add(ticks(elapsed, clock)))
    }
}

/// A duration in NTP format.
fn ntp(duration: Duration) -> u64 {
    (duration.as_secs() << 32) | ((u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000)
}

/// Reports sent into a slot, to recognise in the receiver's answers.
#[derive(Debug, Default)]
pub(crate) struct SentReports {
    /// Compact wall clock and time of sending.
    recent: [Option<(u32, Instant)>; 4],
    next: usize,
}

impl SentReports {
    /// Notes a report that is sent now.
    pub(crate) fn on_sent(&mut self, now: Instant, compact_ntp: u32) {
        if let Some(place) = self.recent.get_mut(self.next) {
            *place = Some((compact_ntp, now));
        }
        self.next = (self.next + 1) % self.recent.len();
    }

    /// The round-trip time, from the receiver's mention of a report and of how long it held it, in 1/65,536 s.
    pub(crate) fn round_trip(&self, now: Instant, last_sr: u32, delay: u32) -> Option<Duration> {
        let &(_, sent) = self.recent.iter().flatten().find(|(name, _)| *name == last_sr)?;
        let held = Duration::from_nanos(u64::from(delay) * 1_000_000_000 / 65_536);
        now.saturating_duration_since(sent).checked_sub(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_and_timestamp_move_on_together() {
        let start = Instant::now();
        let info = SenderInfo { ntp: 5 << 32, timestamp: u32::MAX, packets: 0, octets: 0 };
        let clock = PublisherClock::new(start, info);
        assert_eq!(clock.at(start + Duration::from_millis(1_500), 48_000), ((6 << 32) + (1 << 31), 71_999));
    }

    #[test]
    fn a_mention_of_a_report_gives_the_round_trip() {
        let (mut sent, start) = (SentReports::default(), Instant::now());
        sent.on_sent(start, 77);
        let now = start + Duration::from_millis(540);
        assert_eq!(sent.round_trip(now, 77, 32_768), Some(Duration::from_millis(40)));
        assert_eq!(sent.round_trip(now, 78, 0), None, "a report that was never sent");
        assert_eq!(sent.round_trip(now, 77, u32::MAX), None, "held longer than it exists");
    }
}
