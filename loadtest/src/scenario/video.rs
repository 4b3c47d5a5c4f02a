//! Video of one camera, and the sizes in which it is sent.

use super::check::{ScenarioError, check, spread};
use serde::{Deserialize, Serialize};

/// Frames with the sizes of real video.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Video {
    /// Frames a second.
    pub frames_per_second: u32,
    /// Bitrate; with layers, of the largest image.
    pub kilobits_per_second: u32,
    /// Seconds from a key frame to the next; 0: only when a receiver needs one.
    pub key_frame_every_s: f64,
    /// Size of a key frame in other frames.
    pub key_frame_size: f64,
    /// Standard deviation of the logarithm of frame sizes.
    pub size_spread: f64,
    /// Mean seconds between changes of scene, each a large frame; 0: never.
    pub scene_every_s: f64,
    /// Size of a change of scene in other frames.
    pub scene_size: f64,
    /// Layers among which the server chooses for each receiver; absent, there is one encoding without layers.
    pub layers: Option<Layers>,
}

/// How video is encoded in layers: images of 180, 360 and 720 lines, each in three temporal layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layers {
    /// Three encodings of VP8 (RIDs q, h and f) in mode L1T3.
    Simulcast,
    /// One encoding of VP9 in mode L3T3_KEY: spatial layers refer to each other in key frames only.
    Svc,
}

impl Default for Video {
    fn default() -> Self {
        Self {
            frames_per_second: 30,
            kilobits_per_second: 1_200,
            key_frame_every_s: 10.0,
            key_frame_size: 6.0,
            size_spread: 0.3,
            scene_every_s: 15.0,
            scene_size: 4.0,
            layers: None,
        }
    }
}

/// An image size of a camera: an encoding of simulcast, or a spatial layer of SVC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ImageSize {
    /// Its rate as a share of that of the largest image.
    pub(crate) share: f64,
    /// Its height in lines, if there are several.
    pub(crate) height: Option<u16>,
    /// RID of its encoding, if it has a separate one.
    pub(crate) rid: Option<&'static str>,
}

impl ImageSize {
    /// That of a camera without layers.
    pub(crate) const ONLY: Self = Self { share: 1.0, height: None, rid: None };
}

impl Video {
    /// Checks the values.
    ///
    /// # Errors
    /// [`ScenarioError`] names the field.
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        check((1..=240).contains(&self.frames_per_second), "video.frames_per_second", "must be 1 to 240")?;
        let rate = (10..=100_000).contains(&self.kilobits_per_second);
        check(rate, "video.kilobits_per_second", "must be 10 to 100000")?;
        let interval = (0.0..=3_600.0).contains(&self.key_frame_every_s);
        check(interval, "video.key_frame_every_s", "must be 0 to 3600")?;
        check((1.0..=50.0).contains(&self.key_frame_size), "video.key_frame_size", "must be 1 to 50")?;
        spread(self.size_spread, "video.size_spread")?;
        check((0.0..=3_600.0).contains(&self.scene_every_s), "video.scene_every_s", "must be 0 to 3600")?;
        check((1.0..=50.0).contains(&self.scene_size), "video.scene_size", "must be 1 to 50")
    }

    /// Maximum number of encodings.
    pub(crate) const MAX_ENCODINGS: usize = 3;

    /// Number of encodings.
    pub(crate) fn encodings(&self) -> usize {
        if self.layers == Some(Layers::Simulcast) { self.sizes().count() } else { 1 }
    }

    /// The image sizes, the smallest first. The proportions are those of a browser that sends 1280 × 720, 640 × 360 and
    /// 320 × 180 with 1,700, 500 and 150 kbit/s.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = ImageSize> + use<> {
        let layers = self.layers;
        let size = move |(height, kbps, rid): (u16, f64, &'static str)| ImageSize {
            share: kbps / 1_700.0,
            height: Some(height),
            rid: (layers == Some(Layers::Simulcast)).then_some(rid),
        };
        let several = [(180, 150.0, "q"), (360, 500.0, "h"), (720, 1_700.0, "f")].map(size);
        let sizes = if layers.is_some() { several.to_vec() } else { vec![ImageSize::ONLY] };
        sizes.into_iter()
    }
}
