//! Which problems are news.
//!
//! A member may send messages that are rejected, thirty a second. The application is notified of each kind once a minute, so that
//! neither its events nor a person's screen fill up.

use e2ee_frames::Problem;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tacet_proto::ParticipantId;

/// Time after which the same problem of the same participant is news again.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Maximum number of problems that are remembered: the server may name as many participants as it likes.
const CAPACITY: usize = 256;

/// The problems that the application knows of.
#[derive(Debug, Default)]
pub(super) struct ProblemLog(HashMap<(Option<ParticipantId>, Problem), Instant>);

impl ProblemLog {
    /// Whether to emit a problem that was found now; then it counts as emitted.
    pub(super) fn is_news(&mut self, now: Instant, participant: Option<ParticipantId>, problem: Problem) -> bool {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < AGAIN_AFTER;
        let key = (participant, problem);
        if self.0.get(&key).is_some_and(recent) {
            return false;
        }
        if self.0.len() >= CAPACITY {
            self.0.retain(|_, at| recent(at));
        }
        if self.0.len() >= CAPACITY {
            return false;
        }
        self.0.insert(key, now);
        true
    }

    /// A problem that lasted is over. Returns whether the application knows of it.
    pub(super) fn solved(&mut self, participant: ParticipantId, problem: Problem) -> bool {
        self.0.remove(&(Some(participant), problem)).is_some()
    }

    /// Forgets everything. Returns the problems that lasted: another session finds them again if they are still there.
    pub(super) fn clear(&mut self) -> Vec<(ParticipantId, Problem)> {
        let lasted = |((participant, problem), _): ((Option<ParticipantId>, Problem), Instant)| {
            let lasts = matches!(problem, Problem::RosterDiffers | Problem::KeyMissing);
            participant.filter(|_| lasts).map(|participant| (participant, problem))
        };
        self.0.drain().filter_map(lasted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ADA: Option<ParticipantId> = Some(ParticipantId(1));

    #[test]
    fn flood_of_rejected_messages_is_one_event_a_minute() {
        let (mut log, start) = (ProblemLog::default(), Instant::now());
        let flood = (0..29 * 120).map(|n| start + SECOND / 29 * n);
        let events = flood.filter(|now| log.is_news(*now, ADA, Problem::KeysRefused)).count();
        assert_eq!(events, 2);
        assert!(log.is_news(start + 120 * SECOND, ADA, Problem::Equivocation), "another one");
        assert!(log.is_news(start + 120 * SECOND, Some(ParticipantId(2)), Problem::KeysRefused));
    }

    #[test]
    fn problem_that_comes_back_is_news() {
        let (mut log, now) = (ProblemLog::default(), Instant::now());
        assert!(log.is_news(now, ADA, Problem::KeyMissing));
        assert!(log.solved(ParticipantId(1), Problem::KeyMissing));
        assert!(!log.solved(ParticipantId(1), Problem::KeyMissing), "the application knows of none");
        assert!(log.is_news(now, ADA, Problem::KeyMissing));
        assert!(log.is_news(now, ADA, Problem::KeysRefused));
        assert_eq!(log.clear(), [(ParticipantId(1), Problem::KeyMissing)]);
        assert_eq!(log.clear(), []);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut log, now) = (ProblemLog::default(), Instant::now());
        let of = |n: usize| Some(ParticipantId(n as u32));
        let events = (0..10 * CAPACITY).filter(|n| log.is_news(now, of(*n), Problem::AnnounceRefused)).count();
        assert_eq!((events, log.0.len()), (CAPACITY, CAPACITY));
        assert!(log.is_news(now + AGAIN_AFTER, of(0), Problem::AnnounceRefused));
        assert_eq!(log.0.len(), 1, "old ones are forgotten");
    }
}
