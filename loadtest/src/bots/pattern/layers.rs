//! A camera that is encoded in layers: several encodings at once (simulcast), or one with spatial layers (SVC), each in
//! three temporal layers.
//!
//! ```text
//!   image      0   1   2   3   4   5
//!   layer      T0  T2  T1  T2  T0  T2        the same in every encoding
//! ```
//! All encodings encode the same images, and a key frame is one in all of them, as in browsers.

use super::{Frame, Frames, VideoPattern};
use crate::measure::{clock::Time, layer::Layer};
use rtp_wire::dependency_descriptor::{FrameSequence, ScalabilityMode, Structure};

/// Size of the frames of each temporal layer, in mean frames: 40, 20 and 40 % of the bits.
const SIZES: [f64; 3] = [1.6, 0.8, 0.8];

/// The layers of an encoding that a server forwards or drops as a whole.
pub(crate) fn layers(mode: ScalabilityMode) -> Vec<Layer> {
    let all = |spatial| (0..mode.temporal()).map(move |temporal| Layer { spatial, temporal, shared: false });
    let shared = (0..mode.spatial()).map(|spatial| Layer { spatial, temporal: 0, shared: true });
    (0..mode.spatial()).flat_map(all).chain(shared.filter(|_| mode.spatial() > 1)).collect()
}

/// Times and sizes of the frames of all encodings.
#[derive(Debug)]
pub(crate) struct LayersPattern(Vec<LayeredEncoding>);

/// One encoding, or the only one of SVC.
#[derive(Debug)]
pub(crate) struct LayeredEncoding {
    sequence: FrameSequence,
    layers: Vec<Layer>,
    /// By spatial layer.
    sizes: Vec<VideoPattern>,
}

impl LayeredEncoding {
    /// An encoding whose spatial layers, the lowest first, have these resolutions and sizes.
    pub(crate) fn new(mode: ScalabilityMode, resolutions: &[(u16, u16)], sizes: Vec<VideoPattern>) -> Self {
        Self { sequence: FrameSequence::new(mode, resolutions), layers: layers(mode), sizes }
    }

    /// The frames of the next image, the lowest spatial layer first.
    fn frames(&mut self, key_wanted: bool) -> Frames {
        let sized: Vec<Frame> = self.sizes.iter_mut().map(|sizes| sizes.frame(key_wanted)).collect();
        let key = sized.iter().any(|frame| frame.key);
        let mut frames = Frames::default();
        for (unit, sized) in self.sequence.next_unit(key).iter().zip(sized) {
            let factor = if key { 1.0 } else { SIZES.get(usize::from(unit.temporal)).copied().unwrap_or(1.0) };
            let bytes = (sized.bytes as f64 * factor) as usize;
            let layer = Layer { spatial: unit.spatial, temporal: unit.temporal, shared: key && self.sizes.len() > 1 };
            // There is room for the spatial layers of every mode.
            let _ = frames.push(Frame {
                bytes: bytes.max(VideoPattern::SMALLEST_BYTES),
                // Decoding starts at the lowest spatial layer.
                key: key && unit.spatial == 0,
                layer: self.layers.iter().position(|of| *of == layer).unwrap_or_default() as u8,
                descriptor: Some(*unit),
                level: None,
            });
        }
        frames
    }
}

impl LayersPattern {
    /// The encodings of one camera, the lowest quality first. They need the same seed and frame rate, so that changes of scene
    /// and key frames are in the same images.
    pub(crate) fn new(encodings: Vec<LayeredEncoding>) -> Self {
        Self(encodings)
    }

    pub(super) fn encodings(&self) -> usize {
        self.0.len()
    }

    /// The structure of an encoding's descriptors.
    pub(super) fn structure(&self, encoding: usize) -> Option<&Structure> {
        Some(self.0.get(encoding)?.sequence.structure())
    }

    /// The pattern whose schedule is that of all.
    pub(super) fn clock(&self) -> Option<&VideoPattern> {
        self.0.first()?.sizes.first()
    }

    pub(super) fn clock_mut(&mut self) -> Option<&mut VideoPattern> {
        self.0.first_mut()?.sizes.first_mut()
    }

    pub(super) fn start(&mut self, now: Time) {
        self.clock_mut().into_iter().for_each(|first| first.start(now));
    }

    /// The frames of one encoding in the present image.
    pub(super) fn frames(&mut self, encoding: usize, key_wanted: bool) -> Frames {
        self.0.get_mut(encoding).map(|of| of.frames(key_wanted)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Video;

    fn sizes(video: &Video, kbps: &[f64]) -> Vec<VideoPattern> {
        kbps.iter().map(|kbps| VideoPattern::new(video, kbps * 1e3, 30, 1, 0)).collect()
    }

    fn simulcast(video: &Video) -> LayersPattern {
        let encoding = |kbps| LayeredEncoding::new(ScalabilityMode::L1T3, &[(640, 360)], sizes(video, &[kbps]));
        LayersPattern::new([150.0, 1_500.0].map(encoding).into())
    }

    /// Frames of both encodings.
    fn images(pattern: &mut LayersPattern, count: usize, key_at: usize) -> Vec<[Frame; 2]> {
        (0..count).map(|n| [0, 1].map(|encoding| pattern.frames(encoding, n == key_at)[0])).collect()
    }

    #[test]
    fn temporal_layers_repeat_from_key_frame() {
        let mut pattern = simulcast(&Video { key_frame_every_s: 0.0, ..Video::default() });
        images(&mut pattern, 1, 0);
        let images = images(&mut pattern, 9, 3);
        let layers: Vec<u8> = images.iter().map(|[low, _]| low.layer).collect();
        assert_eq!(layers, [2, 1, 2, 0, 2, 1, 2, 0, 2]);
        assert!(images.iter().all(|[low, high]| (low.layer, low.key) == (high.layer, high.key)));
        assert!(images[3][1].key && images[3][1].descriptor.is_some_and(|unit| unit.structure));
    }

    #[test]
    fn key_frames_at_intervals_are_in_all_encodings() {
        let mut pattern = simulcast(&Video { key_frame_every_s: 1.0, ..Video::default() });
        let images = images(&mut pattern, 100, 10);
        let keys: Vec<usize> = (0..100).filter(|n| images[*n][0].key).collect();
        assert_eq!(keys, [0, 10, 40, 70]);
        assert!(images.iter().all(|[low, high]| low.key == high.key));
    }

    #[test]
    fn layers_keep_the_rate() {
        let video = Video { key_frame_every_s: 0.0, scene_every_s: 0.0, ..Video::default() };
        let images = images(&mut simulcast(&video), 8_000, 0);
        let bytes: usize = images.iter().map(|[_, high]| high.bytes).sum();
        let kbps = bytes as f64 * 8.0 / 1e3 / (8_000.0 / 30.0);
        assert!((1_450.0..1_550.0).contains(&kbps), "{kbps}");
    }

    #[test]
    fn spatial_layers_are_shared_in_key_images() {
        let video = Video::default();
        let mode = ScalabilityMode::L3T3_KEY;
        let encoding = LayeredEncoding::new(mode, &[], sizes(&video, &[150.0, 500.0, 1_700.0]));
        let mut pattern = LayersPattern::new(vec![encoding]);
        let of =
            |frames: &Frames| frames.iter().map(|frame| layers(mode)[usize::from(frame.layer)]).collect::<Vec<_>>();
        let key = pattern.frames(0, true);
        assert_eq!(key.iter().map(|frame| frame.key).collect::<Vec<_>>(), [true, false, false]);
        assert!((0..).zip(of(&key)).all(|(spatial, layer)| layer == Layer { spatial, temporal: 0, shared: true }));
        let next = of(&pattern.frames(0, false));
        assert!((0..).zip(next).all(|(spatial, layer)| layer == Layer { spatial, temporal: 2, shared: false }));
    }
}
