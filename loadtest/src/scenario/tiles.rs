//! What a receiver shows.

use super::check::{ScenarioError, check};
use serde::{Deserialize, Serialize};

/// Tiles in which a receiver shows video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tiles {
    /// Heights in device pixels, the last one for all further tiles. Receivers have the layouts in rotation.
    pub layouts: Vec<Vec<u16>>,
    /// Tiles of a page; 0: all tracks are visible.
    pub page: usize,
    /// Seconds after which a receiver shows the next page, in the next layout; 0: never.
    pub change_every_s: f64,
}

impl Default for Tiles {
    fn default() -> Self {
        Self { layouts: vec![vec![720, 180], vec![360], vec![180]], page: 0, change_every_s: 0.0 }
    }
}

impl Tiles {
    /// Tiles that a receiver asks for at most: more do not fit the message.
    const MAX: usize = 50;

    /// Checks the values.
    ///
    /// # Errors
    /// [`ScenarioError`] names the field.
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        let heights = self.layouts.iter().flatten().all(|height| (1..=4_320).contains(height));
        let layouts = !self.layouts.is_empty() && self.layouts.iter().all(|layout| !layout.is_empty());
        check(layouts && heights, "tiles.layouts", "must be lists of heights, each 1 to 4320")?;
        check(self.page <= Self::MAX, "tiles.page", format!("must be at most {}", Self::MAX))?;
        let every = self.change_every_s;
        check(every == 0.0 || (0.25..=3_600.0).contains(&every), "tiles.change_every_s", "must be 0, or 0.25 to 3600")
    }

    /// Height of a tile in a layout.
    pub(crate) fn height(layout: &[u16], tile: usize) -> u16 {
        layout.get(tile).or(layout.last()).copied().unwrap_or_default()
    }
}
