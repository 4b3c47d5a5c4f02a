//! Notices packets that a publisher's stream misses, and says when to ask for them.
//!
//! ```text
//!   gap seen ──(patience: 0, or what the stream reorders by)──► asked ──(1¼ round trips)──► asked again ─► …
//!      └─ came by itself: the stream reorders                     └─ answered: a round trip is known
//! ```
//! Where packets keep their order, a missing one is asked for the moment its gap shows. It is asked for once per round
//! trip until it comes, or until an answer would come too late.

use super::reordering::Reordering;
use crate::limits::REPAIR_WAIT;
use std::time::{Duration, Instant};

/// Asked for no more often than this, however short the path.
const SHORTEST_RETRY: Duration = Duration::from_millis(20);
/// Times that a packet is asked for.
const TRIES: u8 = 10;
/// More packets missing at once are no loss but an outage, to be ended by a key frame.
const MOST_MISSING: usize = 256;

#[derive(Debug)]
struct Missing {
    seq: u64,
    since: Instant,
    asked: Instant,
    tries: u8,
}

/// The missing packets of one stream.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// In ascending order of `seq`.
    missing: Vec<Missing>,
    highest: Option<u64>,
    /// More was lost than can be asked for; since when.
    outage: Option<Instant>,
    reordering: Reordering,
}

/// How a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// On its own stream, where retransmissions have another.
    Original,
    /// As a retransmission.
    Answer,
    /// On a stream that carries both.
    Either,
}

/// What [`Gaps::due`] asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing beyond the packets to ask for.
    Repairable,
    /// Packets were given up: only a key frame repairs the stream.
    Broken,
}

impl Gaps {
    /// Notes a packet.
    ///
    /// Gives the time from the question to the answer if this packet was asked for exactly once, and is the answer.
    pub(crate) fn on_packet(&mut self, now: Instant, extended: u64, arrival: Arrival) -> Option<Duration> {
        let Some(highest) = self.highest else {
            self.highest = Some(extended);
            return None;
        };
        if extended > highest {
            self.highest = Some(extended);
            let gap = extended - highest - 1;
            if gap > MOST_MISSING.saturating_sub(self.missing.len()) as u64 {
                self.missing.clear();
                self.outage = Some(now);
            } else {
                let new = |seq| Missing { seq, since: now, asked: now, tries: 0 };
                self.missing.extend((highest + 1..extended).map(new));
            }
            return None;
        }
        let found = self.missing.remove(self.find(extended)?);
        let itself = arrival == Arrival::Original || (arrival == Arrival::Either && found.tries == 0);
        if itself {
            self.reordering.observe(now, now.saturating_duration_since(found.since));
        }
        (found.tries == 1 && !itself).then(|| now.saturating_duration_since(found.asked))
    }

    /// Whether a packet is missing that may still come to use.
    pub(crate) fn is_missing(&self, extended: u64) -> bool {
        self.find(extended).is_some()
    }

    /// Asks no longer for what lies before this number.
    pub(crate) fn forget_before(&mut self, extended: u64) {
        let useless = self.missing.partition_point(|missing| missing.seq < extended);
        self.missing.drain(..useless);
    }

    /// Appends the packets that are to be asked for now.
    pub(crate) fn due(&mut self, now: Instant, rtt: Duration, ask_for: &mut Vec<u64>) -> Verdict {
        let mut broken = self.outage.take().is_some();
        let patience = self.reordering.patience(now, rtt);
        self.missing.retain_mut(|missing| {
            if missing.next(patience, rtt) > now {
                return true;
            }
            if missing.is_hopeless(now, rtt) {
                broken = true;
                return false;
            }
            missing.tries += 1;
            missing.asked = now;
            ask_for.push(missing.seq);
            true
        });
        if broken { Verdict::Broken } else { Verdict::Repairable }
    }

    /// When [`Self::due`] has something to do.
    pub(crate) fn deadline(&self, now: Instant, rtt: Duration) -> Option<Instant> {
        if self.missing.is_empty() {
            return self.outage;
        }
        let patience = self.reordering.patience(now, rtt);
        self.missing.iter().map(|missing| missing.next(patience, rtt)).chain(self.outage).min()
    }

    fn find(&self, extended: u64) -> Option<usize> {
        self.missing.binary_search_by_key(&extended, |missing| missing.seq).ok()
    }
}

impl Missing {
    /// When to ask, or to give up.
    fn next(&self, patience: Duration, rtt: Duration) -> Instant {
        let ask = match self.tries {
            0 => self.since + patience,
            _ => self.asked + (rtt + rtt / 4).max(SHORTEST_RETRY),
        };
        ask.min(self.since + REPAIR_WAIT)
    }

    /// Whether no question helps any more. The first one is put while anybody waits: the round trip may be shorter than
    /// it seems.
    fn is_hopeless(&self, now: Instant, rtt: Duration) -> bool {
        let age = now.saturating_duration_since(self.since);
        self.tries >= TRIES || age >= REPAIR_WAIT || (self.tries > 0 && age + rtt >= REPAIR_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, test_runner::RngSeed};

    const RTT: Duration = Duration::from_millis(40);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn due(gaps: &mut Gaps, now: Instant) -> (Vec<u64>, Verdict) {
        let mut ask_for = Vec::new();
        let verdict = gaps.due(now, RTT, &mut ask_for);
        (ask_for, verdict)
    }

    /// Runs until the missing packets are given up; gives when each question was put, after `start`.
    fn questions(gaps: &mut Gaps, start: Instant, rtt: Duration) -> (Vec<Duration>, Duration) {
        let (mut asked, mut ask_for) = (Vec::new(), Vec::new());
        loop {
            let at = gaps.deadline(start, rtt).unwrap();
            let verdict = gaps.due(at, rtt, &mut ask_for);
            if verdict == Verdict::Broken {
                return (asked, at - start);
            }
            asked.extend(ask_for.drain(..).map(|_| at - start));
        }
    }

    #[test]
    fn a_gap_is_asked_for_at_once_then_per_round_trip_until_it_comes() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        gaps.on_packet(start, 10, Arrival::Original);
        assert_eq!(gaps.deadline(start, RTT), None);
        gaps.on_packet(start, 13, Arrival::Original);
        assert_eq!(due(&mut gaps, start), (vec![11, 12], Verdict::Repairable));
        assert_eq!(due(&mut gaps, start + ms(49)), (vec![], Verdict::Repairable));
        let round_trip = gaps.on_packet(start + ms(45), 11, Arrival::Answer);
        assert_eq!(round_trip, Some(ms(45)), "one question, one answer");
        assert_eq!(gaps.deadline(start + ms(45), RTT), Some(start + ms(50)));
        assert_eq!(due(&mut gaps, start + ms(50)), (vec![12], Verdict::Repairable));
        assert_eq!(gaps.on_packet(start + ms(60), 12, Arrival::Answer), None, "an answer to which question?");
        assert_eq!(gaps.deadline(start + ms(60), RTT), None);
    }

    #[test]
    fn a_stream_that_reorders_is_given_the_time_it_needs() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        for seq in [1, 3] {
            gaps.on_packet(start, seq, Arrival::Original);
        }
        assert_eq!(due(&mut gaps, start).0, [2]);
        assert_eq!(gaps.on_packet(start + ms(8), 2, Arrival::Original), None, "no round trip, but a detour");
        gaps.on_packet(start + ms(20), 5, Arrival::Original);
        assert!(due(&mut gaps, start + ms(20)).0.is_empty());
        assert_eq!(gaps.deadline(start + ms(20), RTT), Some(start + ms(30)));
        gaps.on_packet(start + ms(28), 4, Arrival::Original);
        assert_eq!(gaps.deadline(start + ms(28), RTT), None, "never asked for");
    }

    #[test]
    fn a_packet_that_never_comes_is_given_up() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        gaps.on_packet(start, 1, Arrival::Original);
        gaps.on_packet(start, 3, Arrival::Original);
        let (asked, given_up) = questions(&mut gaps, start, RTT);
        assert_eq!(asked.len(), usize::from(TRIES));
        assert_eq!((gaps.deadline(start, RTT), gaps.is_missing(2)), (None, false));
        assert!(given_up < REPAIR_WAIT);
    }

    #[test]
    fn no_question_is_put_whose_answer_would_come_too_late() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        gaps.on_packet(start, 1, Arrival::Original);
        gaps.on_packet(start, 3, Arrival::Original);
        let (asked, given_up) = questions(&mut gaps, start, ms(300));
        assert_eq!((asked, given_up), (vec![ms(0), ms(375)], ms(750)));
        gaps.on_packet(start, 5, Arrival::Original);
        let (asked, given_up) = questions(&mut gaps, start, ms(2_000));
        assert_eq!((asked, given_up), (vec![ms(0)], REPAIR_WAIT), "one try always");
    }

    #[test]
    fn a_turn_that_comes_too_late_leaves_nothing_due() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        gaps.on_packet(start, 1, Arrival::Original);
        gaps.on_packet(start, 3, Arrival::Original);
        assert_eq!(due(&mut gaps, start + REPAIR_WAIT), (vec![], Verdict::Broken));
        assert_eq!(gaps.deadline(start + REPAIR_WAIT, RTT), None);
    }

    #[test]
    fn what_a_key_frame_replaces_is_not_asked_for() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        for seq in [1, 4, 6] {
            gaps.on_packet(start, seq, Arrival::Original);
        }
        gaps.forget_before(4);
        assert_eq!(due(&mut gaps, start), (vec![5], Verdict::Repairable));
    }

    #[test]
    fn an_outage_is_not_asked_for_packet_by_packet() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        gaps.on_packet(start, 1, Arrival::Original);
        gaps.on_packet(start, 20_000, Arrival::Original);
        assert_eq!(gaps.deadline(start, RTT), Some(start));
        assert_eq!(due(&mut gaps, start), (vec![], Verdict::Broken));
        assert_eq!(due(&mut gaps, start), (vec![], Verdict::Repairable));
    }

    proptest! {
        // What is needless is a matter of chance: always the same chance.
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        /// A stream of one packet a millisecond, each of them late by less than half a round trip, some lost: once its
        /// first overtaken packets have come, nearly none is asked for that was not lost, and every lost one soon is.
        #[test]
        fn the_lost_are_asked_for_and_the_late_are_not(
            jitter in 2u64..15, delays in prop::collection::vec(0u64..1_000, 2_000), lost in prop::collection::vec(0u32..20, 2_000),
        ) {
            let (mut gaps, start) = (Gaps::default(), Instant::now());
            let mut sent: Vec<(u64, u64)> = (0..2_000).map(|seq| (seq + delays[seq as usize] % jitter, seq)).collect();
            sent.retain(|&(_, seq)| lost[seq as usize] > 0);
            sent.sort_unstable();
            let (mut sent, mut asked) = (sent.into_iter().peekable(), vec![0; 2_000]);
            for at in 0..2_100 {
                let (now, mut ask_for) = (start + ms(at), Vec::new());
                while let Some((_, seq)) = sent.next_if(|&(arrives, _)| arrives <= at) {
                    gaps.on_packet(now, seq, Arrival::Original);
                }
                gaps.due(now, RTT, &mut ask_for);
                ask_for.iter().for_each(|&seq| asked[seq as usize] += 1);
                // Answered at once, which is sooner than any network does. For those that are only late, it is not.
                for seq in ask_for.into_iter().filter(|&seq| lost[seq as usize] == 0) {
                    gaps.on_packet(now, seq, Arrival::Answer);
                }
            }
            // Seen by what comes behind it, and what lies before the first packet is no gap.
            let seen = 20..1_900;
            let needless = seen.clone().filter(|&seq| lost[seq] > 0 && asked[seq] > 0 && seq > 200).count();
            prop_assert!(needless <= 20, "{needless} were only late");
            prop_assert!(seen.filter(|&seq| lost[seq] == 0).all(|seq| asked[seq] == 1));
        }
    }
}
