//! Notices packets that a publisher's stream misses, and says when to ask for them.
//!
//! A missing packet is asked for the moment its gap shows, then once per round trip, until it comes or is given up.
//! A reordered packet costs one needless retransmission; waiting to tell the two apart would cost every lost packet
//! that wait.

use std::time::{Duration, Instant};

/// Asked for no more often than this, however short the path.
const SHORTEST_RETRY: Duration = Duration::from_millis(20);
/// Times that a packet is asked for.
const TRIES: u8 = 10;
/// Age at which a packet is given up: receivers have stopped waiting for it.
const GIVEN_UP: Duration = Duration::from_millis(1_000);
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
    /// Notes a packet, on its own stream or as a retransmission.
    ///
    /// Gives the time from the question to the answer if this packet was asked for exactly once.
    pub(crate) fn on_packet(&mut self, now: Instant, extended: u64) -> Option<Duration> {
        let Some(highest) = self.highest else {
            self.highest = Some(extended);
            return None;
        };
        if extended > highest {
            self.highest = Some(extended);
            let gap = extended - highest - 1;
            if gap > (MOST_MISSING - self.missing.len()) as u64 {
                self.missing.clear();
                self.outage = Some(now);
            } else {
                let new = |seq| Missing { seq, since: now, asked: now, tries: 0 };
                self.missing.extend((highest + 1..extended).map(new));
            }
            return None;
        }
        let at = self.missing.binary_search_by_key(&extended, |missing| missing.seq).ok()?;
        let found = self.missing.remove(at);
        (found.tries == 1).then(|| now.saturating_duration_since(found.asked))
    }

    /// Appends the packets that are to be asked for now.
    pub(crate) fn due(&mut self, now: Instant, rtt: Duration, ask_for: &mut Vec<u64>) -> Verdict {
        let mut broken = self.outage.take().is_some();
        self.missing.retain_mut(|missing| {
            let given_up = now.saturating_duration_since(missing.since) >= GIVEN_UP;
            if given_up || (missing.tries == TRIES && now >= missing.retry_at(rtt)) {
                broken = true;
                return false;
            }
            if missing.tries < TRIES && now >= missing.retry_at(rtt) {
                missing.tries += 1;
                missing.asked = now;
                ask_for.push(missing.seq);
            }
            true
        });
        if broken { Verdict::Broken } else { Verdict::Repairable }
    }

    /// When [`Self::due`] has something to do.
    pub(crate) fn deadline(&self, rtt: Duration) -> Option<Instant> {
        let retries = self.missing.iter().map(|missing| missing.retry_at(rtt).min(missing.since + GIVEN_UP));
        retries.chain(self.outage).min()
    }
}

impl Missing {
    fn retry_at(&self, rtt: Duration) -> Instant {
        if self.tries == 0 { self.since } else { self.asked + (rtt + rtt / 4).max(SHORTEST_RETRY) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn due(gaps: &mut Gaps, now: Instant) -> (Vec<u64>, Verdict) {
        let mut ask_for = Vec::new();
        let verdict = gaps.due(now, RTT, &mut ask_for);
        (ask_for, verdict)
    }

    #[test]
    fn a_gap_is_asked_for_at_once_then_per_round_trip_until_it_comes() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        gaps.on_packet(start, 10);
        assert_eq!(gaps.deadline(RTT), None);
        gaps.on_packet(start, 13);
        assert_eq!(due(&mut gaps, start), (vec![11, 12], Verdict::Repairable));
        assert_eq!(due(&mut gaps, start + ms(49)), (vec![], Verdict::Repairable));
        assert_eq!(gaps.on_packet(start + ms(45), 11), Some(ms(45)), "one question, one answer: a round trip");
        assert_eq!(gaps.deadline(RTT), Some(start + ms(50)));
        assert_eq!(due(&mut gaps, start + ms(50)), (vec![12], Verdict::Repairable));
        assert_eq!(gaps.on_packet(start + ms(60), 12), None, "an answer to which question?");
        assert_eq!(gaps.deadline(RTT), None);
    }

    #[test]
    fn a_packet_that_never_comes_is_given_up() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        gaps.on_packet(start, 1);
        gaps.on_packet(start, 3);
        let mut asked = 0;
        loop {
            let at = gaps.deadline(RTT).unwrap();
            let (ask_for, verdict) = due(&mut gaps, at);
            asked += ask_for.len();
            if verdict == Verdict::Broken {
                break;
            }
        }
        assert_eq!(asked, usize::from(TRIES));
        assert_eq!(gaps.deadline(RTT), None);
    }

    #[test]
    fn an_outage_is_not_asked_for_packet_by_packet() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        gaps.on_packet(start, 1);
        gaps.on_packet(start, 20_000);
        assert_eq!(gaps.deadline(RTT), Some(start));
        assert_eq!(due(&mut gaps, start), (vec![], Verdict::Broken));
        assert_eq!(due(&mut gaps, start), (vec![], Verdict::Repairable));
    }
}
