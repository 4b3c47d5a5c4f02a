//! Measures how long participants wait from `join` until their media are connected.

use crate::metrics::Metrics;
use std::{collections::HashMap, time::Instant};
use tacet_proto::ParticipantId;

/// Participants of a room that have joined and are not connected yet.
#[derive(Debug, Default)]
pub(super) struct JoinTimes {
    joined: HashMap<ParticipantId, Instant>,
}

impl JoinTimes {
    /// The participant has joined.
    pub(super) fn joined(&mut self, now: Instant, participant: ParticipantId) {
        self.joined.insert(participant, now);
    }

    /// The participant's media are connected; the first time is recorded.
    pub(super) fn connected(&mut self, now: Instant, participant: ParticipantId, metrics: &Metrics) {
        if let Some(joined) = self.joined.remove(&participant) {
            metrics.connected(now.saturating_duration_since(joined));
        }
    }

    /// The participant has left.
    pub(super) fn left(&mut self, participant: ParticipantId) {
        self.joined.remove(&participant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn join_time_is_recorded_once() {
        let (mut times, metrics, start) = (JoinTimes::default(), Metrics::default(), Instant::now());
        let [ada, bob] = [1, 2].map(ParticipantId);
        times.joined(start, ada);
        times.joined(start, bob);
        times.left(bob);
        for participant in [ada, ada, bob] {
            times.connected(start + Duration::from_millis(300), participant, &metrics);
        }
        assert_eq!((metrics.joins().count(), metrics.joins().sum()), (1, Duration::from_millis(300)));
    }
}
