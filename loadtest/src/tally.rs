//! What a receiver counts.

use crate::{
    latencies::Latencies,
    sendlog::{KeyLog, SendLog},
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The measured time: frames sent in it are expected, others are not counted. Set once media flows.
#[derive(Debug)]
pub(crate) struct Window {
    from_ns: AtomicU64,
    until_ns: AtomicU64,
}

impl Window {
    /// A window that holds nothing yet.
    pub(crate) fn closed() -> Self {
        Self { from_ns: AtomicU64::new(u64::MAX), until_ns: AtomicU64::new(u64::MAX) }
    }

    pub(crate) fn set(&self, from_ns: u64, until_ns: u64) {
        self.until_ns.store(until_ns, Ordering::Release);
        self.from_ns.store(from_ns, Ordering::Release);
    }

    pub(crate) fn contains(&self, at_ns: u64) -> bool {
        (self.from_ns.load(Ordering::Acquire)..self.until_ns.load(Ordering::Acquire)).contains(&at_ns)
    }
}

/// Counts of one receiver, of frames sent in the window only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Different frames that came.
    pub(crate) delivered: u64,
    /// Copies of frames that had come.
    pub(crate) duplicates: u64,
    /// Frames that came and did not open.
    pub(crate) undecryptable: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        self.undecryptable += other.undecryptable;
    }
}

/// One receiver's book: which frames of which publisher have come.
#[derive(Debug)]
pub(crate) struct Tally {
    logs: Arc<[Arc<SendLog>]>,
    window: Arc<Window>,
    seen: HashMap<u64, Seen>,
    pub(crate) counts: Counts,
}

#[derive(Debug)]
struct Seen {
    log: Arc<KeyLog>,
    bits: Vec<u64>,
}

/// What a frame is to the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Expected and new.
    New,
    /// Expected, and has come before.
    Duplicate,
    /// Sent outside of the measured time, or by nobody that is known.
    Uncounted,
}

impl Tally {
    pub(crate) fn new(logs: Arc<[Arc<SendLog>]>, window: Arc<Window>) -> Self {
        Self { logs, window, seen: HashMap::new(), counts: Counts::default() }
    }

    /// Notes that a frame arrived. Its latency is recorded if it is new.
    pub(crate) fn arrived(&mut self, kid: u64, ctr: u64, at_ns: u64, latencies: &mut Latencies) -> Arrival {
        let Some(seen) = self.seen(kid) else { return Arrival::Uncounted };
        let Some(sent_ns) = seen.log.sent_ns(ctr) else { return Arrival::Uncounted };
        let (word, bit) = ((ctr / 64) as usize, 1 << (ctr % 64));
        // The log holds the counter, so a publisher of this process has used it: the book cannot be made to grow.
        if seen.bits.len() <= word {
            seen.bits.resize(word + 1, 0);
        }
        let new = seen.bits.get_mut(word).is_some_and(|bits| {
            let new = *bits & bit == 0;
            *bits |= bit;
            new
        });
        if !self.window.contains(sent_ns) {
            return Arrival::Uncounted;
        }
        if !new {
            self.counts.duplicates += 1;
            return Arrival::Duplicate;
        }
        self.counts.delivered += 1;
        latencies.record(at_ns.saturating_sub(sent_ns) / 1_000);
        Arrival::New
    }

    /// Notes that a frame which arrived did not open.
    pub(crate) fn did_not_open(&mut self) {
        self.counts.undecryptable += 1;
    }

    /// Whether the frame was sent in the measured time.
    pub(crate) fn is_counted(&mut self, kid: u64, ctr: u64) -> bool {
        let sent_ns = self.seen(kid).and_then(|seen| seen.log.sent_ns(ctr));
        sent_ns.is_some_and(|sent_ns| self.window.contains(sent_ns))
    }

    fn seen(&mut self, kid: u64) -> Option<&mut Seen> {
        if !self.seen.contains_key(&kid) {
            let log = self.logs.iter().find_map(|log| log.key(kid))?;
            self.seen.insert(kid, Seen { log, bits: Vec::new() });
        }
        self.seen.get_mut(&kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_of_the_window_count_and_each_once() {
        let log = Arc::new(SendLog::new(64));
        let window = Arc::new(Window::closed());
        let mut tally = Tally::new(Arc::from([log.clone()]), window.clone());
        let mut latencies = Latencies::new();
        log.record(5, 0, 1_000);
        assert_eq!(tally.arrived(5, 0, 2_000, &mut latencies), Arrival::Uncounted, "the window is closed");
        window.set(10_000, 20_000);
        log.record(5, 1, 10_000);
        log.record(5, 2, 20_000);
        assert_eq!(tally.arrived(5, 1, 60_000, &mut latencies), Arrival::New);
        assert_eq!(tally.arrived(5, 1, 70_000, &mut latencies), Arrival::Duplicate);
        assert_eq!(tally.arrived(5, 2, 70_000, &mut latencies), Arrival::Uncounted);
        assert_eq!(tally.arrived(5, 3, 70_000, &mut latencies), Arrival::Uncounted, "never sent");
        assert_eq!(tally.arrived(6, 1, 70_000, &mut latencies), Arrival::Uncounted, "unknown key");
        assert_eq!(tally.counts, Counts { delivered: 1, duplicates: 1, undecryptable: 0 });
        assert_eq!((latencies.quantile(0.5), latencies.max()), (50, 50));
    }
}
