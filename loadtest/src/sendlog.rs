//! When each frame left its publisher, by the clear KID and CTR of its SFrame header.
//!
//! One writer, many readers, no lock but when a key changes: an entry's time is stored before its counter, so a reader
//! who finds the counter finds the time that belongs to it.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

/// Times of the last frames of a publisher.
#[derive(Debug)]
pub(crate) struct SendLog {
    entries: usize,
    keys: RwLock<Vec<Arc<KeyLog>>>,
}

/// Times of the frames under one KID.
#[derive(Debug)]
pub(crate) struct KeyLog {
    kid: u64,
    ring: Box<[Entry]>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Counter plus one; zero is empty.
    ctr: AtomicU64,
    sent_ns: AtomicU64,
}

impl SendLog {
    /// Keys that are remembered: a session keeps fewer.
    const KEYS: usize = 16;

    /// A log that remembers at least `frames` frames of each key.
    pub(crate) fn new(frames: usize) -> Self {
        Self { entries: frames.clamp(64, 1 << 22).next_power_of_two(), keys: RwLock::default() }
    }

    /// Notes that a frame leaves now.
    pub(crate) fn record(&self, kid: u64, ctr: u64, sent_ns: u64) {
        let log = self.key(kid).unwrap_or_else(|| self.add_key(kid));
        if let Some(entry) = log.entry(ctr) {
            entry.ctr.store(0, Ordering::Release);
            entry.sent_ns.store(sent_ns, Ordering::Release);
            entry.ctr.store(ctr.wrapping_add(1), Ordering::Release);
        }
    }

    /// The log of one KID, if frames were sent under it.
    pub(crate) fn key(&self, kid: u64) -> Option<Arc<KeyLog>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).iter().rev().find(|log| log.kid == kid).cloned()
    }

    fn add_key(&self, kid: u64) -> Arc<KeyLog> {
        let ring = (0..self.entries).map(|_| Entry::default()).collect();
        let log = Arc::new(KeyLog { kid, ring });
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= Self::KEYS {
            keys.remove(0);
        }
        keys.push(log.clone());
        log
    }
}

impl KeyLog {
    fn entry(&self, ctr: u64) -> Option<&Entry> {
        // The ring's length is a power of two.
        self.ring.get(usize::try_from(ctr).ok()? & (self.ring.len() - 1))
    }

    /// When the frame with this counter left, if it did, and not too long ago.
    pub(crate) fn sent_ns(&self, ctr: u64) -> Option<u64> {
        let entry = self.entry(ctr)?;
        let wanted = ctr.wrapping_add(1);
        let found = entry.ctr.load(Ordering::Acquire) == wanted;
        let sent_ns = entry.sent_ns.load(Ordering::Acquire);
        (found && entry.ctr.load(Ordering::Acquire) == wanted).then_some(sent_ns)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_by_its_key_and_counter_until_it_is_overwritten() {
        let log = SendLog::new(64);
        for ctr in 0..70 {
            log.record(7, ctr, 1_000 + ctr);
        }
        let key = log.key(7).unwrap();
        assert_eq!(key.sent_ns(69), Some(1_069));
        assert_eq!(key.sent_ns(6), Some(1_006));
        assert_eq!(key.sent_ns(5), None, "overwritten by 69");
        assert_eq!(key.sent_ns(70), None, "not sent yet");
        assert!(log.key(8).is_none());
    }

    #[test]
    fn old_keys_are_forgotten() {
        let log = SendLog::new(64);
        for kid in 0..20 {
            log.record(kid, 0, 1);
        }
        assert!(log.key(3).is_none() && log.key(4).is_some());
    }
}
