//! Answers a receiver's NACKs: decides which packets are sent again, on the slot's RTX stream (RFC 4588).
//!
//! A packet is never sent again under the slot's own SSRC: that would repeat its AES-GCM nonce.

use crate::{ids::Ssrc, wire::seq::SeqNum};
use std::time::{Duration, Instant};

/// Number of retransmissions remembered per slot.
const REMEMBERED: usize = 64;
/// Maximum number of retransmissions of one packet.
const MAX_RETRANSMISSIONS: u8 = 6;
/// Unit of the times of retransmissions, in µs.
const TICK: u128 = 100;
/// Requests for one packet closer together than this are answered once, however short the path.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// The RTX stream of a slot.
#[derive(Debug)]
pub(crate) struct NackResponder {
    pub(crate) ssrc: Ssrc,
    pub(crate) payload_type: u8,
    next_seq: u16,
    /// A ring by sequence number; empty until the first request.
    retransmissions: Vec<Retransmission>,
    /// Time of the first request.
    epoch: Option<Instant>,
}

/// A packet that was sent again; of none, the count is 0.
#[derive(Clone, Copy, Debug, Default)]
struct Retransmission {
    /// When it was sent last, in ticks since the epoch, modulo 2³²: five days.
    at: u32,
    seq: u16,
    count: u8,
}

impl NackResponder {
    /// An RTX stream that begins with the sequence number `seq`.
    pub(crate) fn new(ssrc: Ssrc, payload_type: u8, seq: u16) -> Self {
        Self { ssrc, payload_type, next_seq: seq, retransmissions: Vec::new(), epoch: None }
    }

    /// Whether to answer a request for `seq` now; it counts as answered.
    pub(crate) fn admit(&mut self, now: Instant, seq: SeqNum, rtt: Duration) -> bool {
        if self.retransmissions.is_empty() {
            self.retransmissions.resize(REMEMBERED, Retransmission::default());
        }
        let at = ticks(now.saturating_duration_since(*self.epoch.get_or_insert(now)));
        let Some(entry) = self.retransmissions.get_mut(usize::from(seq.0) % REMEMBERED) else { return false };
        let before = if entry.seq == seq.0 { entry.count } else { 0 };
        // The receiver cannot have missed a retransmission that is younger than half a round trip.
        let too_soon = at.wrapping_sub(entry.at) < ticks((rtt / 2).max(MIN_INTERVAL));
        if before > 0 && too_soon || before == MAX_RETRANSMISSIONS {
            return false;
        }
        *entry = Retransmission { at, seq: seq.0, count: before + 1 };
        true
    }

    /// Takes the next sequence number of the RTX stream.
    pub(crate) fn take_seq(&mut self) -> SeqNum {
        let seq = SeqNum(self.next_seq);
        self.next_seq = self.next_seq.wrapping_add(1);
        seq
    }
}

fn ticks(time: Duration) -> u32 {
    // Modulo 2³².
    (time.as_micros() / TICK) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    #[test]
    fn packet_is_sent_again_once_per_half_rtt_and_six_times() {
        let (mut rtx, start) = (NackResponder::new(Ssrc(1), 97, 65_535), Instant::now());
        let answered = (0..1_000).filter(|&ms| rtx.admit(start + Duration::from_millis(ms), SeqNum(5), RTT));
        assert_eq!(answered.collect::<Vec<_>>(), [0, 50, 100, 150, 200, 250]);
        assert!(rtx.admit(start, SeqNum(6), RTT), "another packet");
    }

    #[test]
    fn sequence_numbers_wrap_around() {
        let mut rtx = NackResponder::new(Ssrc(1), 97, 65_535);
        assert_eq!((rtx.take_seq(), rtx.take_seq()), (SeqNum(65_535), SeqNum(0)));
    }
}
