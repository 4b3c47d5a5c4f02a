//! Which video tracks the application shows, and how high: what the server chooses layers and slots by.

use std::time::{Duration, Instant};
use tacet_proto::{
    ParticipantId,
    layers::{MAX_TILES, Tile},
    media::Source,
};

/// Minimum time between two messages: scrolling changes many tiles in a short time.
const INTERVAL: Duration = Duration::from_millis(250);

/// A video that the application shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoTile {
    /// Who sends it.
    pub participant: ParticipantId,
    /// [`Source::Camera`] or [`Source::Screen`].
    pub source: Source,
    /// Height in pixels of the device.
    pub height: u16,
    /// Whether it comes before all tiles that are not pinned.
    pub pinned: bool,
    /// Whether nothing of it is wanted for now.
    pub paused: bool,
}

impl VideoTile {
    /// A tile of this height, neither pinned nor paused.
    #[must_use]
    pub fn new(participant: ParticipantId, source: Source, height: u16) -> Self {
        Self { participant, source, height, pinned: false, paused: false }
    }
}

/// What the server was last sent on a connection.
#[derive(Debug, Default)]
pub(super) struct TileRequests {
    sent: Option<Vec<Tile>>,
    sent_at: Option<Instant>,
}

impl TileRequests {
    /// The tiles to send to the server now, if they differ from what it knows. `wanted` is `None` as long as the
    /// application has said nothing. More than [`MAX_TILES`] do not fit: the first ones count.
    pub(super) fn due(&mut self, wanted: Option<Vec<Tile>>, now: Instant) -> Option<Vec<Tile>> {
        let mut wanted = wanted?;
        wanted.truncate(MAX_TILES);
        let too_soon = self.sent_at.is_some_and(|sent_at| now.saturating_duration_since(sent_at) < INTERVAL);
        if too_soon || self.sent.as_ref() == Some(&wanted) {
            return None;
        }
        (self.sent, self.sent_at) = (Some(wanted.clone()), Some(now));
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tacet_proto::TrackId;

    fn tiles(heights: &[u16]) -> Option<Vec<Tile>> {
        let tile = |(n, height): (u32, &u16)| Tile { track: TrackId(n), height: *height, pinned: false, paused: false };
        Some((0..).zip(heights).map(tile).collect())
    }

    #[test]
    fn changes_are_sent_once_and_coalesced() {
        let (mut requests, now) = (TileRequests::default(), Instant::now());
        assert_eq!(requests.due(None, now), None, "the application has said nothing");
        assert_eq!(requests.due(tiles(&[180]), now), tiles(&[180]));
        assert_eq!(requests.due(tiles(&[180]), now + INTERVAL), None);
        let soon = now + INTERVAL / 2;
        assert_eq!(requests.due(tiles(&[360]), soon), None);
        assert_eq!(requests.due(tiles(&[360, 720]), now + INTERVAL), tiles(&[360, 720]));
        assert_eq!(requests.due(tiles(&[]), now + 2 * INTERVAL), tiles(&[]), "nothing is visible any more");
    }

    #[test]
    fn tiles_are_bounded() {
        let sent = TileRequests::default().due(tiles(&[90; 60]), Instant::now());
        assert_eq!(sent.map(|sent| sent.len()), Some(MAX_TILES));
    }
}
