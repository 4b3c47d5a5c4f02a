//! The packet loss that a receiver last reported of a slot.

use crate::wire::rtcp::ReportBlock;
use std::time::{Duration, Instant};

/// How long a report counts: two of those that browsers send on audio, five seconds apart.
const LIFETIME: Duration = Duration::from_secs(10);

/// The last report that was about packets.
#[derive(Debug, Default)]
pub(crate) struct ReportedLoss {
    last: Option<Report>,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    at: Instant,
    /// In units of 1/256.
    fraction: u8,
    highest: u32,
}

impl ReportedLoss {
    /// Handles a report block. One that covers no packets since the last says nothing: the slot was silent.
    pub(crate) fn on_report(&mut self, now: Instant, block: &ReportBlock) {
        if self.last.is_none_or(|last| last.highest != block.highest_seq) {
            self.last = Some(Report { at: now, fraction: block.fraction_lost, highest: block.highest_seq });
        }
    }

    /// The fraction lost, in units of 1/256, by a report that still counts.
    pub(crate) fn fraction(&self, now: Instant) -> Option<u8> {
        let last = self.last.filter(|last| now.saturating_duration_since(last.at) < LIFETIME)?;
        Some(last.fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ssrc;

    fn report(highest_seq: u32, fraction_lost: u8) -> ReportBlock {
        ReportBlock {
            ssrc: Ssrc(1),
            fraction_lost,
            cumulative_lost: 0,
            highest_seq,
            jitter: 0,
            last_sr: 0,
            delay_since_last_sr: 0,
        }
    }

    #[test]
    fn silence_does_not_improve_a_path() {
        let (mut loss, start) = (ReportedLoss::default(), Instant::now());
        assert_eq!(loss.fraction(start), None);
        loss.on_report(start, &report(100, 26));
        loss.on_report(start + Duration::from_secs(5), &report(100, 0));
        assert_eq!(loss.fraction(start + Duration::from_secs(9)), Some(26));
        assert_eq!(loss.fraction(start + LIFETIME), None, "long ago");
        loss.on_report(start + LIFETIME, &report(200, 0));
        assert_eq!(loss.fraction(start + LIFETIME), Some(0));
    }
}
