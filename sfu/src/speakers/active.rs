//! The active speakers of a room, as its page shows them: loudest first, reported on change.
//!
//! A report is a message to each participant. In a large room, one that follows another soon waits and has the changes of a
//! second.

use crate::ids::ParticipantId;
use std::time::{Duration, Instant};

/// Interval at which active speakers are determined.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);
/// A participant takes the first place when it is this many dB louder than the first.
const LEAD: u8 = 6;

/// In a room of more than this many participants, two reports are apart by this time for each of them …
const SMALL: usize = 20;
const APART: Duration = Duration::from_millis(10);
/// … and by this at most.
const FARTHEST: Duration = Duration::from_secs(1);

/// Who is first for this many intervals is featured: a word does not take the place of a speech.
const FEATURED_AFTER: u32 = 10;

/// The active speakers of a room, as last reported.
#[derive(Debug, Default)]
pub(crate) struct ActiveSpeakers {
    reported: Vec<(ParticipantId, u8)>,
    reported_at: Option<Instant>,
    featured: Option<ParticipantId>,
    /// Another one that is first now, and for how many intervals it has been.
    rising: Option<(ParticipantId, u32)>,
}

impl ActiveSpeakers {
    /// Whether the last report was empty.
    pub(crate) fn is_quiet(&self) -> bool {
        self.reported.is_empty()
    }

    /// The participant whose video matters most: who spoke last for more than a moment.
    pub(crate) fn featured(&self) -> Option<ParticipantId> {
        self.featured
    }

    fn feature(&mut self, first: Option<ParticipantId>) {
        let Some(first) = first.filter(|first| self.featured != Some(*first)) else {
            self.rising = None;
            return;
        };
        let before = self.rising.filter(|(rising, _)| *rising == first).map_or(0, |(_, intervals)| intervals);
        self.rising = Some((first, before + 1));
        if self.featured.is_none() || before + 1 >= FEATURED_AFTER {
            (self.featured, self.rising) = (Some(first), None);
        }
    }

    /// Handles the participants that speak now, in any order and each at most once. Returns them, loudest first, if a
    /// participant started or stopped speaking, or another one is clearly the loudest, and it is time to report that to this number of
    /// `listeners`.
    pub(crate) fn update(
        &mut self,
        now: Instant,
        listeners: usize,
        speaking: &mut [(ParticipantId, u8)],
    ) -> Option<&[(ParticipantId, u8)]> {
        speaking.sort_unstable_by_key(|&(participant, level)| (level, participant));
        if let (Some(&(first, _)), Some(&(_, loudest))) = (self.reported.first(), speaking.first())
            && let Some(place) = speaking.iter().position(|&(participant, _)| participant == first)
            && let Some(&(_, level)) = speaking.get(place)
            && level < loudest.saturating_add(LEAD)
            && let Some(up_to) = speaking.get_mut(..=place)
        {
            up_to.rotate_right(1);
        }
        self.feature(speaking.first().map(|first| first.0));
        let same_members = speaking.len() == self.reported.len()
            && speaking
                .iter()
                .all(|(participant, _)| self.reported.iter().any(|(reported, _)| reported == participant));
        let same_first = speaking.first().map(|first| first.0) == self.reported.first().map(|first| first.0);
        let is_too_soon = self.reported_at.is_some_and(|at| now.saturating_duration_since(at) < apart(listeners));
        if same_members && same_first || is_too_soon {
            return None;
        }
        self.reported_at = Some(now);
        self.reported.clear();
        self.reported.extend_from_slice(speaking);
        Some(&self.reported)
    }
}

/// The least time between two reports to this number of participants.
fn apart(listeners: usize) -> Duration {
    if listeners <= SMALL {
        return Duration::ZERO;
    }
    let listeners = u32::try_from(listeners).unwrap_or(u32::MAX);
    APART.saturating_mul(listeners).min(FARTHEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ParticipantId = ParticipantId(1);
    const B: ParticipantId = ParticipantId(2);

    #[test]
    fn only_clear_changes_are_reported() {
        let (mut speakers, now) = (ActiveSpeakers::default(), Instant::now());
        let mut update =
            |speaking: &[(ParticipantId, u8)]| speakers.update(now, SMALL, &mut speaking.to_vec()).map(<[_]>::to_vec);
        assert_eq!(update(&[]), None);
        assert_eq!(update(&[(A, 30)]), Some(vec![(A, 30)]));
        assert_eq!(update(&[(A, 35)]), None);
        assert_eq!(update(&[(A, 30), (B, 27)]), Some(vec![(A, 30), (B, 27)]), "a newcomer, not much louder");
        assert_eq!(update(&[(A, 32), (B, 27)]), None);
        assert_eq!(update(&[(A, 40), (B, 27)]), Some(vec![(B, 27), (A, 40)]));
        assert_eq!(update(&[]), Some(vec![]));
        assert!(speakers.is_quiet());
    }

    #[test]
    fn changes_in_a_large_room_are_reported_together() {
        let start = Instant::now();
        let times = |listeners: usize| {
            let mut speakers = ActiveSpeakers::default();
            let mut is_reported = |n: u32| {
                let speaking = &mut [(A, 30), (B, 30)][..1 + n as usize % 2];
                speakers.update(start + n * INTERVAL, listeners, speaking).is_some()
            };
            (0..20).filter(|n| is_reported(*n)).collect::<Vec<_>>()
        };
        assert_eq!(times(SMALL).len(), 20);
        assert_eq!(times(50), [0, 3, 6, 9, 12, 15, 18]);
        assert_eq!(times(2_000), [0, 5, 10, 15], "the first at once");
    }

    #[test]
    fn featured_speaker_changes_after_two_seconds_of_another() {
        let (mut speakers, now) = (ActiveSpeakers::default(), Instant::now());
        let mut featured = |first: Option<ParticipantId>, intervals| {
            for _ in 0..intervals {
                speakers.update(now, SMALL, &mut first.map(|first| (first, 30)).into_iter().collect::<Vec<_>>());
            }
            speakers.featured()
        };
        assert_eq!(featured(None, 5), None);
        assert_eq!(featured(Some(A), 1), Some(A), "the first one at once");
        assert_eq!(featured(Some(B), 9), Some(A));
        assert_eq!(featured(Some(A), 1), Some(A));
        assert_eq!(featured(Some(B), 9), Some(A), "counted from the beginning");
        assert_eq!(featured(Some(B), 1), Some(B));
        assert_eq!(featured(None, 50), Some(B), "until another one speaks");
    }
}
