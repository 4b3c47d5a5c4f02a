//! A probe on its way out: packets faster than the estimate, for a short time, media included.

use super::{ClusterId, ProbeCluster};
use crate::units::DataSize;
use std::time::{Duration, Instant};

/// Between two looks at how much of a probe is due.
pub(crate) const STEP: Duration = Duration::from_millis(5);
/// A probe that has not got its packets out by then is given up.
const MAX_DURATION: Duration = Duration::from_millis(500);

/// Counts what is sent of a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProbeSender {
    cluster: ProbeCluster,
    begun: Instant,
    sent: DataSize,
    packets: u32,
}

impl ProbeSender {
    pub(super) fn new(now: Instant, cluster: ProbeCluster) -> Self {
        Self { cluster, begun: now, sent: DataSize::ZERO, packets: 0 }
    }

    /// A packet leaves. Returns the probe that it counts for.
    pub(super) fn on_packet(&mut self, size: DataSize) -> ClusterId {
        self.sent += size;
        self.packets = self.packets.saturating_add(1);
        self.cluster.id
    }

    /// How much is to be sent now, beyond the media that was sent; `None` once the probe is over.
    pub(super) fn due(&self, now: Instant) -> Option<DataSize> {
        let elapsed = now.saturating_duration_since(self.begun);
        let has_enough = elapsed >= self.cluster.duration && self.packets >= self.cluster.min_packets;
        if has_enough || elapsed >= MAX_DURATION {
            return None;
        }
        let until_next = self.cluster.rate * (elapsed + STEP);
        Some(until_next.checked_sub(self.sent).unwrap_or(DataSize::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bitrate;

    fn probe(now: Instant) -> ProbeSender {
        let id = ClusterId::from_number(7).unwrap();
        let (rate, duration) = (Bitrate::from_kbps(1_600), Duration::from_millis(20));
        ProbeSender::new(now, ProbeCluster { id, rate, duration, min_packets: 5 })
    }

    #[test]
    fn probe_fills_up_what_media_leaves() {
        let start = Instant::now();
        let mut probe = probe(start);
        assert_eq!(probe.due(start), Some(DataSize::from_bytes(1_000)));
        probe.on_packet(DataSize::from_bytes(1_700));
        assert_eq!(probe.due(start), Some(DataSize::ZERO), "media was more");
        assert_eq!(probe.due(start + STEP), Some(DataSize::from_bytes(300)));
        for _ in 0..4 {
            probe.on_packet(DataSize::from_bytes(800));
        }
        assert!(probe.due(start + 3 * STEP).is_some());
        assert_eq!(probe.due(start + 4 * STEP), None);
    }

    #[test]
    fn probe_without_packets_is_given_up() {
        let start = Instant::now();
        let probe = probe(start);
        assert!(probe.due(start + MAX_DURATION - STEP).is_some());
        assert_eq!(probe.due(start + MAX_DURATION), None);
    }
}
