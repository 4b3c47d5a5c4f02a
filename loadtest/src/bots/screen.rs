//! What a receiver shows: which tracks, in tiles of which heights, on which page.
//!
//! The bot says so to the server in `layers`, at most four times a second, as a page that is scrolled does.

use crate::scenario::Tiles;
use std::time::Duration;
use tacet_proto::{
    TrackId,
    layers::{MAX_TILES, Tile},
    media::Kind,
    server::Tracks,
};
use tokio::time::Instant;

/// Minimum time between two messages.
const INTERVAL: Duration = Duration::from_millis(250);

/// The tiles of one receiver.
#[derive(Debug)]
pub(crate) struct Screen {
    tiles: Tiles,
    /// Number of the receiver, from which its layout and its first track follow.
    number: usize,
    /// Video tracks of the others, in the order of their ids, so that receivers with the same number see the same.
    tracks: Vec<TrackId>,
    /// How often the page was changed.
    changes: usize,
    page_at: Option<Instant>,
    /// When what is shown must be said.
    say_at: Option<Instant>,
    said_at: Option<Instant>,
}

impl Screen {
    /// The screen of a receiver that has just joined: it shows nothing yet, and says so at once.
    pub(crate) fn new(tiles: &Tiles, number: usize, now: Instant) -> Self {
        let every = (tiles.change_every_s > 0.0).then(|| Duration::from_secs_f64(tiles.change_every_s));
        // Receivers do not change their pages together.
        let page_at = every.map(|every| now + every + every.mul_f64((number % 16) as f64 / 16.0));
        let (tracks, changes) = (Vec::new(), 0);
        Self { tiles: tiles.clone(), number, tracks, changes, page_at, say_at: Some(now), said_at: None }
    }

    /// Takes a change of the tracks of the others.
    pub(crate) fn tracks_changed(&mut self, change: &Tracks, now: Instant) {
        let before = self.tracks.clone();
        self.tracks.retain(|track| !change.del.contains(track));
        let video = change.add.iter().filter(|track| track.kind == Kind::Video).map(|track| track.track);
        self.tracks.extend(video);
        self.tracks.sort_unstable_by_key(|track| track.0);
        self.tracks.dedup();
        if self.tracks != before {
            self.changed(now);
        }
    }

    fn changed(&mut self, now: Instant) {
        let earliest = self.said_at.map_or(now, |said_at| said_at + INTERVAL);
        self.say_at.get_or_insert(earliest.max(now));
    }

    /// When [`Screen::take`] is due.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.say_at.into_iter().chain(self.page_at).min()
    }

    /// Shows the next page if it is time, and returns all tiles if they must be said.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Vec<Tile>> {
        if let Some(at) = self.page_at.filter(|at| *at <= now) {
            self.changes += 1;
            self.page_at = Some(at.max(now) + Duration::from_secs_f64(self.tiles.change_every_s));
            self.changed(now);
        }
        self.say_at.filter(|at| *at <= now)?;
        (self.say_at, self.said_at) = (None, Some(now));
        Some(self.tiles())
    }

    /// The tiles of the present page.
    fn tiles(&self) -> Vec<Tile> {
        let Self { tiles, number, tracks, changes, .. } = self;
        let layout = tiles.layouts.get((number + changes) % tiles.layouts.len().max(1)).map_or(&[][..], Vec::as_slice);
        let shown = if tiles.page == 0 { tracks.len() } else { tracks.len().min(tiles.page) };
        let tile = |n: usize| {
            let track = *tracks.get((number + changes * tiles.page + n) % tracks.len().max(1))?;
            Some(Tile { track, height: Tiles::height(layout, n), pinned: false, paused: false })
        };
        (0..shown.min(MAX_TILES)).filter_map(tile).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::{
        ParticipantId,
        media::{Codec, Source, Track},
    };

    fn tracks(ids: impl IntoIterator<Item = u32>) -> Tracks {
        let track = |id| Track {
            track: TrackId(id),
            participant: ParticipantId(id),
            kind: Kind::Video,
            source: Source::Camera,
            codec: Codec::Vp8,
            muted: false,
            stalled: false,
        };
        Tracks { add: ids.into_iter().map(track).collect(), del: Vec::new(), upd: Vec::new() }
    }

    fn shown(tiles: &[Tile]) -> Vec<(u32, u16)> {
        tiles.iter().map(|tile| (tile.track.0, tile.height)).collect()
    }

    fn screen(tiles: Tiles, number: usize, now: Instant) -> Screen {
        let mut screen = Screen::new(&tiles, number, now);
        assert_eq!(screen.take(now).unwrap(), [], "nothing is shown at first");
        screen
    }

    #[test]
    fn tiles_follow_the_layout() {
        let now = Instant::now();
        let tiles = Tiles { layouts: vec![vec![720, 180], vec![360]], ..Tiles::default() };
        let mut screen = screen(tiles, 2, now);
        screen.tracks_changed(&tracks([9, 3, 7, 5]), now);
        assert_eq!(shown(&screen.take(now + INTERVAL).unwrap()), [(7, 720), (9, 180), (3, 180), (5, 180)]);
        screen.tracks_changed(&Tracks { del: vec![TrackId(7)], ..tracks([]) }, now + INTERVAL);
        assert_eq!(shown(&screen.take(now + 2 * INTERVAL).unwrap()), [(9, 720), (3, 180), (5, 180)]);
    }

    #[test]
    fn changes_are_said_at_most_four_times_a_second() {
        let now = Instant::now();
        let mut screen = screen(Tiles::default(), 0, now);
        assert_eq!(screen.due_at(), None);
        let mut said = 0;
        for ms in (0..1_000u32).step_by(10) {
            let at = now + Duration::from_millis(ms.into());
            screen.tracks_changed(&tracks([ms]), at);
            said += usize::from(screen.take(at).is_some());
        }
        assert_eq!(said, 3, "and once before");
    }

    #[test]
    fn next_page_has_the_next_layout() {
        let now = Instant::now();
        let layouts = vec![vec![720], vec![180]];
        let mut screen = screen(Tiles { layouts, page: 2, change_every_s: 3.0 }, 0, now);
        screen.tracks_changed(&tracks(1..=5), now);
        assert_eq!(shown(&screen.take(now + INTERVAL).unwrap()), [(1, 720), (2, 720)]);
        let changed = screen.due_at().unwrap();
        assert_eq!(changed, now + Duration::from_secs(3));
        assert_eq!(shown(&screen.take(changed).unwrap()), [(3, 180), (4, 180)]);
        assert_eq!(shown(&screen.take(screen.due_at().unwrap()).unwrap()), [(5, 720), (1, 720)]);
    }
}
