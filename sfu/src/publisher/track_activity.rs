//! Whether packets of a track arrive.
//!
//! Nothing is noted per packet. A timer of the room looks at each unmuted track every [`INTERVAL`] and compares the number
//! of its newest packet, summed over its encodings, with that of the look before. So silence is noticed [`TRACK_SILENCE`] to one interval more after
//! the last packet, and a packet within an interval. Looks are counted, not time: a worker that was stopped for a while,
//! and has not read its socket yet, calls no track silent.

use crate::event::TRACK_SILENCE;
use std::time::Duration;

/// Time between two looks at the tracks of a room.
pub(crate) const INTERVAL: Duration = Duration::from_millis(250);
/// Looks without a packet after which a track is silent.
const LOOKS: u8 = (TRACK_SILENCE.as_millis() / INTERVAL.as_millis()) as u8;

/// What is known of a track that is published and not muted.
#[derive(Debug)]
pub(crate) struct TrackActivity {
    /// Number of the newest packet at the last look.
    newest: u64,
    /// Looks without a packet until the track is silent.
    left: u8,
    /// Whether packets arrived by the last report; `None` before the first.
    reported: Option<bool>,
}

impl TrackActivity {
    /// Begins to watch a track whose newest packet has this number. The first look may follow at once, and does not count
    /// as one without a packet.
    pub(crate) fn since(newest: u64) -> Self {
        Self { newest, left: LOOKS + 1, reported: None }
    }

    /// Looks at the number of the newest packet. Returns whether packets arrive, unless that was the last report.
    pub(crate) fn look(&mut self, newest: u64) -> Option<bool> {
        let active = newest != std::mem::replace(&mut self.newest, newest);
        self.left = if active { LOOKS } else { self.left.saturating_sub(1) };
        if !active && self.left > 0 {
            return None;
        }
        (self.reported.replace(active) != Some(active)).then_some(active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(activity: &mut TrackActivity, newest: impl IntoIterator<Item = u64>) -> Vec<Option<bool>> {
        newest.into_iter().map(|newest| activity.look(newest)).collect()
    }

    #[test]
    fn activity_is_reported_on_change_only() {
        let mut activity = TrackActivity::since(0);
        assert_eq!(looks(&mut activity, [0, 5, 9]), [None, Some(true), None]);
        let silent = looks(&mut activity, [9; 20]);
        assert_eq!(silent.iter().position(Option::is_some), Some(usize::from(LOOKS) - 1));
        assert_eq!(silent.iter().flatten().collect::<Vec<_>>(), [&false]);
        assert_eq!(looks(&mut activity, [10, 11]), [Some(true), None]);
    }

    #[test]
    fn track_without_any_packet_is_silent_after_a_whole_silence() {
        let mut activity = TrackActivity::since(7);
        let silent = looks(&mut activity, [7; 20]);
        assert_eq!(silent.iter().position(Option::is_some), Some(usize::from(LOOKS)), "the first look does not count");
        assert_eq!(silent.iter().flatten().collect::<Vec<_>>(), [&false]);
    }
}
