//! Retransmission to a receiver: which of the packets it asks for are sent again, and on which stream (RFC 4588).
//!
//! A packet is never sent again under its own SSRC: that would repeat its AES-GCM nonce.

use crate::{
    ids::Ssrc,
    limits::{REPAIR_BURST, REPAIR_RATE, REPAIR_SHARE},
    wire::seq::SeqNum,
};
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

/// Bytes that may be spent on retransmission to one receiver: a token bucket. Its rate is a share of what arrives there,
/// so that a line that is too slow for its media is not filled with repairs.
#[derive(Debug)]
pub(crate) struct RepairBudget {
    bytes: u64,
    refilled: Option<Instant>,
}

impl RepairBudget {
    /// Spends bytes, if there are enough. `arriving` is the rate at which the receiver gets anything, if it is known.
    pub(crate) fn spend(&mut self, now: Instant, arriving: Option<u64>, bytes: usize) -> bool {
        let rate = arriving.map_or(REPAIR_RATE.unknown, |rate| rate / REPAIR_SHARE);
        let rate = rate.clamp(REPAIR_RATE.least, REPAIR_RATE.most);
        let elapsed = self.refilled.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let refill = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).saturating_mul(rate) / 1_000_000;
        if refill > 0 || self.refilled.is_none() {
            // A second of repairs may come at once.
            self.bytes = self.bytes.saturating_add(refill).min(rate.max(REPAIR_BURST));
            self.refilled = Some(now);
        }
        let enough = self.bytes.checked_sub(bytes as u64);
        self.bytes = enough.unwrap_or(self.bytes);
        enough.is_some()
    }
}

impl Default for RepairBudget {
    fn default() -> Self {
        Self { bytes: REPAIR_BURST, refilled: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    /// Packets of 1,000 bytes that are sent again in the second after a first moment, asked for every millisecond.
    fn repaired(budget: &mut RepairBudget, start: Instant, arriving: Option<u64>) -> (u64, u64) {
        let at_once = (0..10_000).filter(|_| budget.spend(start, arriving, 1_000)).count() as u64;
        let later = (1..=1_000).map(|ms| start + Duration::from_millis(ms));
        let later = later.map(|now| (0..100).filter(|_| budget.spend(now, arriving, 1_000)).count() as u64).sum();
        (at_once, later)
    }

    #[test]
    fn a_fresh_connection_can_repair_a_key_frame_and_no_more_than_a_share_of_what_arrives() {
        let start = Instant::now();
        let repaired = |arriving| repaired(&mut RepairBudget::default(), start, arriving);
        let burst = REPAIR_BURST / 1_000;
        assert_eq!(repaired(None), (burst, REPAIR_RATE.unknown / 1_000));
        assert_eq!(repaired(Some(18_750)), (burst, 6), "150 kbit/s");
        assert_eq!(repaired(Some(300_000)), (burst, 100), "2.4 Mbit/s");
        assert_eq!(repaired(Some(0)), (burst, REPAIR_RATE.least / 1_000));
        assert_eq!(repaired(Some(u64::MAX)), (burst, REPAIR_RATE.most / 1_000));
    }

    #[test]
    fn what_was_not_spent_is_kept_for_a_second_at_most() {
        let (mut budget, start) = (RepairBudget::default(), Instant::now());
        assert!(budget.spend(start, Some(900_000), 1_000));
        let later = start + Duration::from_secs(60);
        assert_eq!((0..10_000).filter(|_| budget.spend(later, Some(900_000), 1_000)).count(), 300);
    }

    proptest! {
        /// Whatever is asked for when, repairs stay below the burst and the share.
        #[test]
        fn repairs_never_exceed_burst_and_share(
            arriving in prop::option::of(0u64..3_000_000), asks in prop::collection::vec((0u64..50_000, 0usize..1_500), 1..500),
        ) {
            let (mut budget, start) = (RepairBudget::default(), Instant::now());
            let (mut micros, mut spent) = (0, 0);
            let rate = arriving.map_or(REPAIR_RATE.unknown, |rate| rate / REPAIR_SHARE);
            let rate = rate.clamp(REPAIR_RATE.least, REPAIR_RATE.most);
            for (wait, bytes) in asks {
                micros += wait;
                if budget.spend(start + Duration::from_micros(micros), arriving, bytes) {
                    spent += bytes as u64;
                }
                prop_assert!(spent <= REPAIR_BURST + rate * micros / 1_000_000);
            }
        }
    }
}
