//! How listeners receive audio: each track that is not muted, or the loudest speakers of the room.
//!
//! ```text
//!             the 11th unmutes
//!    tracks ───────────────────► speakers
//!       ▲                            │
//!       └── fewer than 9 for 10 s ───┤
//!       └── at most 10 for 30 s ─────┘
//! ```
//!
//! Both the gap and the time keep a few people who mute and unmute, or a guest who means to disturb, from moving everyone's
//! slots.

use super::slots::Wanted;
use crate::config::MAX_SPEAKERS;
use std::time::{Duration, Instant};
use tacet_proto::media::{Codec, SlotContent, SlotSpeaker};

/// Maximum number of audio slots of a listener, and of tracks up to which it receives each.
pub(super) const MAX_HEARD: usize = MAX_SPEAKERS as usize;
/// Number of unmuted tracks below which a listener soon receives each again.
const FEW: usize = 9;
/// How long few must be unmuted before that …
const PATIENCE: Duration = Duration::from_secs(10);
/// … and how long there must be a slot for each: one more may come at any time.
const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// How listeners receive audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AudioMode {
    /// Number of positions among the speakers.
    positions: u8,
    /// Whether by the positions among the speakers, and not each unmuted track.
    speakers: bool,
    /// Since when few are unmuted, and since when there is a slot for each, in spite of that.
    few_since: Option<Instant>,
    fit_since: Option<Instant>,
}

impl AudioMode {
    /// Each unmuted track, until there are too many; then this many speakers.
    pub(super) fn new(positions: u8) -> Self {
        Self { positions, speakers: false, few_since: None, fit_since: None }
    }

    /// Whether the slots have the positions among the speakers.
    pub(super) fn is_speakers(self) -> bool {
        self.speakers
    }

    /// Follows the number of unmuted tracks. Returns whether the mode changed.
    pub(super) fn update(&mut self, now: Instant, unmuted: usize) -> bool {
        let before = self.speakers;
        self.speakers |= unmuted > MAX_HEARD;
        let since = |before: Option<Instant>, holds: bool| holds.then(|| before.unwrap_or(now));
        self.few_since = since(self.few_since, self.speakers && unmuted < FEW);
        self.fit_since = since(self.fit_since, self.speakers && unmuted <= MAX_HEARD);
        if self.deadline().is_some_and(|at| at <= now) {
            *self = Self::new(self.positions);
        }
        self.speakers != before
    }

    /// When the mode changes if no one unmutes.
    pub(super) fn deadline(self) -> Option<Instant> {
        let few = self.few_since.map(|since| since + PATIENCE);
        few.into_iter().chain(self.fit_since.map(|since| since + LONG_PATIENCE)).min()
    }

    /// What the slots have while listeners hear speakers.
    pub(super) fn wanted_speakers(self) -> Vec<Wanted> {
        let position = |speaker| Wanted { content: SlotContent::Speaker(SlotSpeaker { speaker }), codec: Codec::Opus };
        (0..self.positions).map(position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows these numbers of unmuted tracks, a second each, and returns at which of them the mode changed.
    fn changes(mode: &mut AudioMode, start: Instant, unmuted: &[usize]) -> Vec<usize> {
        let at = |second: usize| start + Duration::from_secs(second as u64);
        let seconds = unmuted.iter().enumerate();
        seconds.filter(|(second, count)| mode.update(at(*second), **count)).map(|(second, _)| second).collect()
    }

    #[test]
    fn speakers_begin_at_eleven_and_end_after_ten_seconds_below_nine() {
        let (mut mode, start) = (AudioMode::new(6), Instant::now());
        assert_eq!(changes(&mut mode, start, &[10, 9, 10, 11, 10, 11, 9, 10, 9]), [3]);
        assert_eq!((mode.is_speakers(), mode.deadline()), (true, Some(start + Duration::from_secs(36))));
        let later = start + Duration::from_secs(30);
        assert_eq!(changes(&mut mode, later, &[&[11][..], &[8; 11]].concat()), [11]);
        assert!(!mode.is_speakers() && mode.deadline().is_none());
    }

    /// With ten or nine, the six loudest are not all.
    #[test]
    fn speakers_end_after_half_a_minute_with_a_slot_for_each() {
        let (mut mode, start) = (AudioMode::new(6), Instant::now());
        assert_eq!(changes(&mut mode, start, &[&[12; 5][..], &[9, 10].repeat(20)].concat()), [0, 35]);
        assert!(!mode.is_speakers() && mode.deadline().is_none());
        let later = start + Duration::from_secs(100);
        assert_eq!(changes(&mut mode, later, &[&[12][..], &[10; 29], &[11], &[10; 29]].concat()), [0]);
    }

    /// The eleventh unmutes and the ninth mutes, ten times.
    #[test]
    fn mode_does_not_oscillate() {
        let (mut mode, start) = (AudioMode::new(6), Instant::now());
        assert_eq!(changes(&mut mode, start, &[11, 8].repeat(10)), [0]);
        assert_eq!(mode.deadline(), Some(start + Duration::from_secs(29)));
    }
}
