//! What a client shows, and how large.

use super::{Refusal, refusal};
use sfu_api::{Mid, Wish};
use std::{cmp::Reverse, collections::BTreeSet};
use tacet_proto::{
    ErrorCode, TrackId,
    client::{MAX_TILES, Tile},
};

/// What has a slot counts as this much higher, in percent: a layout that moves by some pixels moves no video out of its slot.
const KEPT: u32 = 110;

/// The tiles of a client; `None` until it says what it shows.
#[derive(Debug, Default)]
pub(super) struct Tiles(Option<Vec<Tile>>);

impl Tiles {
    /// Replaces all tiles.
    pub(super) fn replace(&mut self, tiles: Vec<Tile>) -> Result<(), Refusal> {
        let tracks: BTreeSet<_> = tiles.iter().map(|tile| tile.track).collect();
        if tiles.len() > MAX_TILES || tracks.len() < tiles.len() {
            return Err(refusal(ErrorCode::BadMessage, "tiles: at most 50, one for each track"));
        }
        self.0 = Some(tiles);
        Ok(())
    }

    /// Whether the client says what it shows.
    pub(super) fn are_known(&self) -> bool {
        self.0.is_some()
    }

    /// The tracks of which media are wanted, the most important first, if the client says what it shows: what is pinned, then
    /// what is large. `holds` says which tracks are in a slot.
    pub(super) fn wanted(&self, holds: impl Fn(TrackId) -> bool) -> Option<impl Iterator<Item = TrackId>> {
        let mut shown: Vec<_> = self.0.as_ref()?.iter().filter(|tile| !tile.paused).collect();
        shown.sort_by_cached_key(|tile| {
            let percent = if holds(tile.track) { KEPT } else { 100 };
            Reverse((tile.pinned, u32::from(tile.height) * percent))
        });
        Some(shown.into_iter().map(|tile| tile.track))
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
        assert!(!tiles.are_known());
        tiles
            .replace(vec![
                tile(1, 180, false, false),
                tile(2, u16::MAX, false, false),
                tile(3, 0, true, false),
                tile(4, 720, true, true),
                tile(5, 180, false, false),
            ])
            .unwrap();
        let order: Vec<_> = tiles.wanted(|_| false).unwrap().map(|track| track.0).collect();
        assert_eq!(order, [3, 2, 1, 5]);
    }

    #[test]
    fn slightly_larger_tile_does_not_come_before_what_has_a_slot() {
        let mut tiles = Tiles::default();
        let shown = [tile(1, 180, false, false), tile(2, 190, false, false), tile(3, 199, false, false)];
        tiles.replace(shown.to_vec()).unwrap();
        let order = |held: u32| tiles.wanted(|track| track.0 == held).unwrap().map(|track| track.0).collect::<Vec<_>>();
        assert_eq!((order(2), order(1)), (vec![2, 3, 1], vec![3, 1, 2]));
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
        assert_eq!(tiles.wanted(|_| false).unwrap().collect::<Vec<_>>(), [TrackId(1)]);
    }
}
