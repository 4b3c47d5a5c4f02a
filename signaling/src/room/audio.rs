//! How listeners receive audio: each track that is not muted, or the loudest speakers of the room.
//!
//! ```text
//!             the 11th unmutes
//!    Tracks ───────────────────► Speakers
//!       ▲                            │
//!       └───── the 9th mutes ────────┘
//! ```

use super::slots::Wanted;
use sfu_api::SPEAKERS;
use tacet_proto::media::{Codec, SlotContent, SlotSpeaker};

/// Maximum number of audio slots of a listener, and of tracks up to which it receives each.
pub(super) const MAX_HEARD: usize = 10;
/// Number of unmuted tracks below which a listener receives each again.
const FEW: usize = 9;

/// How listeners receive audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AudioMode {
    /// Each unmuted track in a slot.
    #[default]
    Tracks,
    /// A slot for each position among the speakers.
    Speakers,
}

impl AudioMode {
    /// The mode with this number of unmuted tracks.
    pub(super) fn with(self, unmuted: usize) -> Self {
        match self {
            Self::Tracks if unmuted > MAX_HEARD => Self::Speakers,
            Self::Speakers if unmuted < FEW => Self::Tracks,
            unchanged => unchanged,
        }
    }
}

/// The slots' contents in [`AudioMode::Speakers`].
pub(super) fn speakers() -> Vec<Wanted> {
    let position = |speaker| Wanted { content: SlotContent::Speaker(SlotSpeaker { speaker }), codec: Codec::Opus };
    (0..SPEAKERS).map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_changes_at_eleven_and_below_nine() {
        let mut mode = AudioMode::default();
        let mut changes = Vec::new();
        for unmuted in [10, 11, 10, 11, 9, 10, 9, 8, 9, 10, 9, 8, 11, 9, 8] {
            let next = mode.with(unmuted);
            if next != mode {
                changes.push((unmuted, next));
            }
            mode = next;
        }
        use AudioMode::{Speakers, Tracks};
        assert_eq!(changes, [(11, Speakers), (8, Tracks), (11, Speakers), (8, Tracks)]);
    }
}
