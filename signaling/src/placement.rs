//! Places each call on the worker that is least loaded when the first participant enters.
//!
//! Load is the measured packet rate of a worker plus an allowance for each participant. Participants count before they
//! have sent anything, so that calls that begin in the same second are spread. A call stays on its worker until the last
//! participant has left. Workers that have more to send than they can come last.

use crate::media::MediaPlane;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Assumed cost of a participant in packets per second, both directions together: audio in a small call. Higher costs
/// show in the measured rate.
const PACKETS_PER_PARTICIPANT: u64 = 150;

/// Number of participants on each worker.
#[derive(Debug)]
pub(crate) struct Placement {
    participants: Arc<[AtomicUsize]>,
}

/// A participant on a worker; dropping it takes the participant off.
#[derive(Debug)]
pub(crate) struct Place {
    worker: usize,
    participants: Arc<[AtomicUsize]>,
}

impl Placement {
    pub(crate) fn new(workers: usize) -> Self {
        Self { participants: (0..workers.max(1)).map(|_| AtomicUsize::new(0)).collect() }
    }

    /// The worker for a new call: the first of the least loaded.
    pub(crate) fn least_loaded(&self, media: &dyn MediaPlane) -> usize {
        let load = |worker: usize, participants: &AtomicUsize| {
            let participants = participants.load(Ordering::Relaxed) as u64;
            let packets = participants.saturating_mul(PACKETS_PER_PARTICIPANT);
            (media.is_overloaded(worker), media.packet_rate(worker).saturating_add(packets))
        };
        let workers = self.participants.iter().enumerate();
        workers.min_by_key(|(worker, participants)| load(*worker, participants)).map_or(0, |(worker, _)| worker)
    }

    /// Number of participants on all workers.
    pub(crate) fn participants(&self) -> usize {
        self.participants.iter().map(|participants| participants.load(Ordering::Relaxed)).sum()
    }

    /// Counts a participant on a worker.
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

    /// Packet rate of a worker from which it is overloaded.
    const CAPACITY: u64 = 100_000;

    /// Workers with these packet rates.
    struct Busy(Vec<u64>);

    impl MediaPlane for Busy {
        fn workers(&self) -> usize {
            self.0.len()
        }

        fn command(&self, _: usize, _: Request) {}

        fn packet_rate(&self, worker: usize) -> u64 {
            self.0[worker]
        }

        fn is_overloaded(&self, worker: usize) -> bool {
            self.0[worker] >= CAPACITY
        }
    }

    #[test]
    fn overloaded_worker_gets_calls_only_if_all_are() {
        let placement = Placement::new(3);
        let _here = [(); 9].map(|()| placement.enter(2));
        let place = |rates: [u64; 3]| placement.least_loaded(&Busy(rates.to_vec()));
        assert_eq!(place([CAPACITY, CAPACITY - 1, CAPACITY - 1]), 1);
        assert_eq!(place([CAPACITY, CAPACITY, CAPACITY - 1]), 2, "has participants");
        assert_eq!(place([CAPACITY + 1, CAPACITY, CAPACITY]), 1);
    }

    #[test]
    fn simultaneous_calls_are_spread() {
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
    fn load_is_packets_and_participants() {
        let placement = Placement::new(2);
        let here: Vec<Place> = (0..4).map(|_| placement.enter(1)).collect();
        assert_eq!(placement.least_loaded(&Busy(vec![60_000, 1_000])), 1, "few participants with much traffic");
        assert_eq!(placement.least_loaded(&Busy(vec![0, 1_000])), 0);
        drop(here);
        assert_eq!(placement.least_loaded(&Busy(vec![10, 0])), 1);
    }
}
