//! Retransmission to a receiver: which of the packets it asks for are sent again, and on which stream (RFC 4588).
//!
//! A packet is never sent again under its own SSRC: that would repeat its AES-GCM nonce.

use crate::{ids::Ssrc, wire::seq::SeqNum};
use std::time::{Duration, Instant};

/// Requests remembered per slot.
const REMEMBERED: usize = 64;
/// Times that one packet is sent again.
const MOST_REPEATS: u8 = 6;
/// Requests closer together than this are answered once, however short the path.
const SHORTEST_REPEAT: Duration = Duration::from_millis(10);

/// The retransmission stream of a slot.
#[derive(Debug)]
pub(crate) struct Retransmitter {
    pub(crate) ssrc: Ssrc,
    pub(crate) payload_type: u8,
    next_seq: u16,
    /// By sequence number, modulo its length; empty until the first request.
    answered: Vec<Option<Answer>>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    seq: SeqNum,
    at: Instant,
    repeats: u8,
}

impl Retransmitter {
    /// A stream whose first packet has the number `seq`.
    pub(crate) fn new(ssrc: Ssrc, payload_type: u8, seq: u16) -> Self {
        Self { ssrc, payload_type, next_seq: seq, answered: Vec::new() }
    }

    /// Whether a request for `seq` is to be answered now; it counts as answered.
    pub(crate) fn admit(&mut self, now: Instant, seq: SeqNum, rtt: Duration) -> bool {
        if self.answered.is_empty() {
            self.answered.resize(REMEMBERED, None);
        }
        let Some(place) = self.answered.get_mut(usize::from(seq.0) % REMEMBERED) else { return false };
        let repeats = match place {
            Some(answer) if answer.seq == seq => {
                // Half a round trip is the soonest that an answer could have been missed.
                let too_soon = now.saturating_duration_since(answer.at) < (rtt / 2).max(SHORTEST_REPEAT);
                if too_soon || answer.repeats == MOST_REPEATS {
                    return false;
                }
                answer.repeats + 1
            }
            _ => 1,
        };
        *place = Some(Answer { seq, at: now, repeats });
        true
    }

    /// Takes the number of the next packet of the stream.
    pub(crate) fn take_seq(&mut self) -> SeqNum {
        let seq = SeqNum(self.next_seq);
        self.next_seq = self.next_seq.wrapping_add(1);
        seq
    }
}

/// Bytes that may be spent on retransmission to one receiver: a token bucket.
#[derive(Debug)]
pub(crate) struct RepairBudget {
    bytes: u64,
    refilled: Option<Instant>,
}

impl RepairBudget {
    /// Refill per second.
    const RATE: u64 = 500_000;
    /// A lost key frame or two.
    const BURST: u64 = 300_000;

    /// Spends bytes, if there are enough.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) -> bool {
        let elapsed = self.refilled.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let refill = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).saturating_mul(Self::RATE) / 1_000_000;
        if refill > 0 || self.refilled.is_none() {
            self.bytes = self.bytes.saturating_add(refill).min(Self::BURST);
            self.refilled = Some(now);
        }
        let enough = self.bytes.checked_sub(bytes as u64);
        self.bytes = enough.unwrap_or(self.bytes);
        enough.is_some()
    }
}

impl Default for RepairBudget {
    fn default() -> Self {
        Self { bytes: Self::BURST, refilled: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    #[test]
    fn a_request_is_answered_once_per_half_round_trip_and_not_forever() {
        let (mut rtx, start) = (Retransmitter::new(Ssrc(1), 97, 65_535), Instant::now());
        let answers = (0..1_000).filter(|&ms| rtx.admit(start + Duration::from_millis(ms), SeqNum(5), RTT));
        assert_eq!(answers.collect::<Vec<_>>(), [0, 50, 100, 150, 200, 250]);
        assert!(rtx.admit(start, SeqNum(6), RTT), "another packet");
    }

    #[test]
    fn numbers_of_the_stream_wrap_around() {
        let mut rtx = Retransmitter::new(Ssrc(1), 97, 65_535);
        assert_eq!((rtx.take_seq(), rtx.take_seq()), (SeqNum(65_535), SeqNum(0)));
    }

    #[test]
    fn a_receiver_cannot_ask_for_more_than_its_budget() {
        let (mut budget, start) = (RepairBudget::default(), Instant::now());
        let spent = |budget: &mut RepairBudget, now| (0..10_000).filter(|_| budget.spend(now, 1_200)).count() as u64;
        assert_eq!(spent(&mut budget, start), RepairBudget::BURST / 1_200);
        assert_eq!(spent(&mut budget, start + Duration::from_millis(120)), RepairBudget::RATE * 120 / 1_000 / 1_200);
    }
}
