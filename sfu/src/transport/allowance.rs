//! How much one client may send, whatever it is: above that, packets are dropped before they cost a cipher's time.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);
/// A camera in three layers and a screen with sound are 2,000 packets in a second of key frames.
const PACKETS: u32 = 20_000;
/// 200 Mbit/s.
const BYTES: u64 = 25_000_000;

/// What a client has sent in the current second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    since: Instant,
    packets: u32,
    bytes: u64,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, packets: 0, bytes: 0 }
    }

    /// Takes a datagram of so many bytes from the allowance; false: it is used up.
    pub(super) fn take(&mut self, now: Instant, bytes: usize) -> bool {
        if now.saturating_duration_since(self.since) >= WINDOW {
            *self = Self::new(now);
        }
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.packets <= PACKETS && self.bytes <= BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_a_second_are_limited() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert_eq!((0..2 * PACKETS).filter(|_| allowance.take(start, 100)).count(), PACKETS as usize);
        assert!(!allowance.take(start + Duration::from_millis(999), 100));
        assert!(allowance.take(start + WINDOW, 100));
    }

    #[test]
    fn bytes_of_a_second_are_limited() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert_eq!((0..30_000).filter(|_| allowance.take(start, 25_000)).count(), 1_000);
    }
}
