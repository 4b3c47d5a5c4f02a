//! On which worker a call goes: the least loaded one at the moment when the first participant comes.
//!
//! Load is what a worker does, packets a second as it measures them, and what it is about to do: its participants, who
//! count before they have sent anything, so that many calls that begin in one second do not meet on one worker. A call
//! stays where it is until everybody has left.

use crate::media::MediaPlane;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What a participant is thought to cost, in packets a second in both directions: sound in a small call. Who costs more
/// shows in the measured packets.
const PACKETS_PER_PARTICIPANT: u64 = 150;

/// Who is where.
#[derive(Debug)]
pub(crate) struct Placement {
    participants: Arc<[AtomicUsize]>,
}

/// A participant on a worker; dropping it says that it has left.
#[derive(Debug)]
pub(crate) struct Place {
    worker: usize,
    participants: Arc<[AtomicUsize]>,
}

impl Placement {
    pub(crate) fn new(workers: usize) -> Self {
        Self { participants: (0..workers.max(1)).map(|_| AtomicUsize::new(0)).collect() }
    }

    /// The worker for a call that begins: the first of the least loaded.
    pub(crate) fn least_loaded(&self, media: &dyn MediaPlane) -> usize {
        let load = |worker: usize, participants: &AtomicUsize| {
            let participants = participants.load(Ordering::Relaxed) as u64;
            media.packet_rate(worker).saturating_add(participants.saturating_mul(PACKETS_PER_PARTICIPANT))
        };
        let workers = self.participants.iter().enumerate();
        workers.min_by_key(|(worker, participants)| load(*worker, participants)).map_or(0, |(worker, _)| worker)
    }

    /// Notes a participant on a worker.
    pub(crate) fn enter(&self, worker: usize) -> Place {
        if let Some(participants) = self.participants.get(worker) {
            participants.fetch_add(1, Ordering::Relaxed);
        }
        Place { worker, participants: Arc::clone(&self.participants) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(participants) = self.participants.get(self.worker) {
            participants.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu_api::Request;

    /// Workers that say how many packets a second they move.
    struct Busy(Vec<u64>);

    impl MediaPlane for Busy {
        fn workers(&self) -> usize {
            self.0.len()
        }

        fn command(&self, _: usize, _: Request) {}

        fn packet_rate(&self, worker: usize) -> u64 {
            self.0[worker]
        }
    }

    #[test]
    fn calls_that_begin_together_are_spread_before_a_packet_flows() {
        let (placement, media) = (Placement::new(3), Busy(vec![0; 3]));
        let mut places = Vec::new();
        let workers: Vec<usize> = (0..6)
            .map(|_| {
                let worker = placement.least_loaded(&media);
                places.extend([placement.enter(worker), placement.enter(worker)]);
                worker
            })
            .collect();
        assert_eq!(workers, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_large_call_keeps_others_away_and_who_leaves_makes_room() {
        let placement = Placement::new(2);
        let here: Vec<Place> = (0..4).map(|_| placement.enter(1)).collect();
        assert_eq!(placement.least_loaded(&Busy(vec![60_000, 1_000])), 1, "few people who send much");
        assert_eq!(placement.least_loaded(&Busy(vec![0, 1_000])), 0);
        drop(here);
        assert_eq!(placement.least_loaded(&Busy(vec![10, 0])), 1);
    }
}
