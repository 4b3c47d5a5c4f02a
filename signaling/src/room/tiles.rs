//! What a client shows, and how large.

use super::{Refusal, refusal};
use sfu_api::{Mid, Wish};
use std::{cmp::Reverse, collections::BTreeSet};
use tacet_proto::{
    ErrorCode, TrackId,
    client::{MAX_TILES, Tile},
};

/// The tiles of a client, the most important first; `None` until it says what it shows.
#[derive(Debug, Default)]
pub(super) struct Tiles(Option<Vec<Tile>>);

impl Tiles {
    /// Replaces all tiles.
    pub(super) fn replace(&mut self, mut tiles: Vec<Tile>) -> Result<(), Refusal> {
        let tracks: BTreeSet<_> = tiles.iter().map(|tile| tile.track).collect();
        if tiles.len() > MAX_TILES || tracks.len() < tiles.len() {
            return Err(refusal(ErrorCode::BadMessage, "tiles: at most 50, one for each track"));
        }
        tiles.sort_by_key(|tile| Reverse((tile.pinned, tile.height)));
        self.0 = Some(tiles);
        Ok(())
    }

    /// The tracks of which media are wanted, the most important first, if the client says what it shows.
    pub(super) fn wanted(&self) -> Option<impl Iterator<Item = TrackId>> {
        let tiles = self.0.as_ref()?;
        Some(tiles.iter().filter(|tile| !tile.paused).map(|tile| tile.track))
    }

    /// What the media plane is to know of a track in a slot. One without a tile is paused.
    pub(super) fn wish(&self, mid: Mid, track: TrackId) -> Option<Wish> {
        let tile = self.0.as_ref()?.iter().find(|tile| tile.track == track);
        Some(match tile {
            Some(&Tile { height, pinned, paused, .. }) => Wish { mid, height, pinned, paused },
            None => Wish { mid, height: 0, pinned: false, paused: true },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tile(track: u32, height: u16, pinned: bool, paused: bool) -> Tile {
        Tile { track: TrackId(track), height, pinned, paused }
    }

    #[test]
    fn pinned_tiles_come_first_and_then_the_largest() {
        let mut tiles = Tiles::default();
        assert!(tiles.wanted().is_none(), "it has not said so yet");
        tiles
            .replace(vec![
                tile(1, 180, false, false),
                tile(2, u16::MAX, false, false),
                tile(3, 0, true, false),
                tile(4, 720, true, true),
                tile(5, 180, false, false),
            ])
            .unwrap();
        let order: Vec<_> = tiles.wanted().unwrap().map(|track| track.0).collect();
        assert_eq!(order, [3, 2, 1, 5]);
    }

    #[test]
    fn track_without_a_tile_is_paused() {
        let (mut tiles, mid) = (Tiles::default(), Mid::new("r0").unwrap());
        assert_eq!(tiles.wish(mid, TrackId(1)), None);
        tiles.replace(vec![tile(1, 360, true, false)]).unwrap();
        assert_eq!(tiles.wish(mid, TrackId(1)), Some(Wish { mid, height: 360, pinned: true, paused: false }));
        assert_eq!(tiles.wish(mid, TrackId(2)), Some(Wish { mid, height: 0, pinned: false, paused: true }));
    }

    #[test]
    fn refused_tiles_change_nothing() {
        let mut tiles = Tiles::default();
        tiles.replace(vec![tile(1, 360, false, false)]).unwrap();
        assert!(tiles.replace((0..51).map(|track| tile(track, 1, false, false)).collect()).is_err());
        assert!(tiles.replace(vec![tile(2, 1, false, false), tile(2, 9, false, true)]).is_err());
        assert_eq!(tiles.wanted().unwrap().collect::<Vec<_>>(), [TrackId(1)]);
    }
}
