//! The frames that an encoder with scalability produces (W3C "Scalable Video Coding Extension for WebRTC").
//!
//! Test senders and load generators need descriptors of plausible streams. A [`FrameSequence`] numbers the frames of a
//! mode and says what libwebrtc says about each. The frames of one instant, one for each spatial layer, are a temporal
//! unit. The templates of the structure are the frames of the first two periods.

use super::{Frame, Indication, List, MAX_TARGETS, Structure, StructureParts, Template, indications::bit};

/// Maximum number of spatial layers of a mode.
const MAX_SPATIAL: usize = 3;
/// Number of temporal units after which the temporal layers repeat, for every number of layers.
const PERIOD: usize = 4;

/// Layers of an encoding, and how spatial layers refer to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScalabilityMode {
    spatial: u8,
    temporal: u8,
    /// Spatial layers refer to lower ones at key frames only.
    key_only: bool,
}

impl ScalabilityMode {
    /// One layer.
    pub const L1T1: Self = Self { spatial: 1, temporal: 1, key_only: false };
    /// Two temporal layers.
    pub const L1T2: Self = Self { spatial: 1, temporal: 2, key_only: false };
    /// Three temporal layers.
    pub const L1T3: Self = Self { spatial: 1, temporal: 3, key_only: false };
    /// Three spatial by three temporal layers; every frame refers to the spatial layer below.
    pub const L3T3: Self = Self { spatial: 3, temporal: 3, key_only: false };
    /// Three spatial by three temporal layers; only at key frames they refer to the spatial layer below.
    pub const L3T3_KEY: Self = Self { spatial: 3, temporal: 3, key_only: true };

    /// Returns the number of spatial layers.
    #[must_use]
    pub const fn spatial(self) -> u8 {
        self.spatial
    }

    /// Returns the number of temporal layers.
    #[must_use]
    pub const fn temporal(self) -> u8 {
        self.temporal
    }

    /// Returns the decode target with these highest layers.
    #[must_use]
    pub const fn target(self, spatial: u8, temporal: u8) -> u8 {
        spatial.wrapping_mul(self.temporal).wrapping_add(temporal)
    }

    /// Returns the temporal layer of a unit, by its place in the period.
    fn layer_of(self, place: usize) -> u8 {
        match (self.temporal, place % PERIOD) {
            (_, 0) | (1, _) | (2, 2) => 0,
            (2, _) | (_, 2) => 1,
            _ => 2,
        }
    }

    /// Returns what a frame means for the target with these highest layers.
    fn indication(self, frame: &Frame, key: bool, spatial: u8, temporal: u8) -> Indication {
        let alone = self.key_only && !key && spatial != frame.spatial;
        if alone || spatial < frame.spatial || temporal < frame.temporal {
            Indication::NotPresent
        } else if spatial > frame.spatial && !key {
            Indication::Required
        } else if temporal == frame.temporal && temporal > 0 {
            Indication::Discardable
        } else {
            Indication::Switch
        }
    }
}

/// The frames of a stream, one temporal unit after another.
#[derive(Clone, Debug)]
pub struct FrameSequence {
    mode: ScalabilityMode,
    structure: Structure,
    units: Units,
}

impl FrameSequence {
    /// `sizes` are width and height of each spatial layer, lowest first. The structure has them if there is one for each.
    #[must_use]
    pub fn new(mode: ScalabilityMode, sizes: &[(u16, u16)]) -> Self {
        Self { mode, structure: structure(mode, sizes), units: Units::default() }
    }

    /// Returns the structure, which key frames carry.
    #[must_use]
    pub const fn structure(&self) -> &Structure {
        &self.structure
    }

    /// Returns the frames of the next temporal unit, lowest spatial layer first, each as if in a single packet. The first
    /// unit starts with a key frame, and every one with `key`.
    pub fn next_unit(&mut self, key: bool) -> List<Frame, MAX_SPATIAL> {
        self.units.next(self.mode, key)
    }
}

/// Numbers of the frames that later ones refer to.
#[derive(Clone, Debug, Default)]
struct Units {
    /// Place of the next unit in the period; `None` before the first one.
    place: Option<usize>,
    number: u16,
    /// By spatial and temporal layer: the latest frame.
    latest: [[u16; 3]; MAX_SPATIAL],
    /// By chain: the latest frame.
    chains: [u16; MAX_SPATIAL],
}

impl Units {
    fn next(&mut self, mode: ScalabilityMode, key: bool) -> List<Frame, MAX_SPATIAL> {
        let place = self.place.filter(|_| !key);
        let mut unit = List::default();
        for spatial in 0..mode.spatial {
            let frame = self.frame(mode, spatial, place);
            self.number = self.number.wrapping_add(1);
            // Always some, and there is room: no mode has more layers.
            let _ = frame.map(|frame| unit.push(frame));
        }
        self.place = Some(place.map_or(1, |place| place.wrapping_add(1) % PERIOD));
        unit
    }

    /// Makes the next frame; `place` is that of its unit in the period, `None` for a unit with a key frame.
    fn frame(&mut self, mode: ScalabilityMode, spatial: u8, place: Option<usize>) -> Option<Frame> {
        let (number, key) = (self.number, place.is_none());
        let temporal = mode.layer_of(place.unwrap_or_default());
        let mut frame = Frame { starts: true, ends: true, number, spatial, temporal, ..Frame::default() };
        for (target, (highest_spatial, highest_temporal)) in (0..).zip(targets(mode)) {
            frame.indications.set(target, mode.indication(&frame, key, highest_spatial, highest_temporal));
        }

        let latest = self.latest.get_mut(usize::from(spatial))?;
        if let Some(place) = place {
            let referred = match (temporal, place) {
                (2, 3) => latest.get(1)?,
                _ => latest.first()?,
            };
            frame.differences.push(number.wrapping_sub(*referred)).ok()?;
        }
        if spatial > 0 && (key || !mode.key_only) {
            frame.differences.push(1).ok()?;
        }
        *latest.get_mut(usize::from(temporal))? = number;

        let first = key && spatial == 0;
        for (chain, latest) in (0..mode.spatial).zip(&mut self.chains) {
            let difference = if first { 0 } else { number.wrapping_sub(*latest) };
            frame.chain_differences.push(difference as u8).ok()?;
            let protects = temporal == 0 && frame.targets() & bit(mode.target(chain, 0)) != 0;
            *latest = if protects { number } else { *latest };
        }
        if first {
            frame.structure = true;
            frame.active_targets = Some((0..).zip(targets(mode)).fold(0, |mask, (target, _)| mask | bit(target)));
        }
        Some(frame)
    }
}

/// Returns the highest layers of each target.
fn targets(mode: ScalabilityMode) -> impl Iterator<Item = (u8, u8)> {
    (0..mode.spatial).flat_map(move |spatial| (0..mode.temporal).map(move |temporal| (spatial, temporal)))
}

/// Makes the structure of a mode of the frames of two periods, after which they repeat.
fn structure(mode: ScalabilityMode, sizes: &[(u16, u16)]) -> Structure {
    let (mut units, mut templates) = (Units::default(), Vec::new());
    for _ in 0..2 * PERIOD {
        for frame in units.next(mode, false).iter() {
            let Frame { spatial, temporal, indications, differences, chain_differences, .. } = *frame;
            let template = Template { spatial, temporal, indications, differences, chain_differences };
            if !templates.contains(&template) {
                templates.push(template);
            }
        }
    }
    templates.sort_by_key(|template| (template.spatial, template.temporal));
    let mut protected_by = List::<u8, MAX_TARGETS>::default();
    for (spatial, _) in targets(mode) {
        let _ = protected_by.push(spatial);
    }
    let resolutions = if sizes.len() == usize::from(mode.spatial) { sizes } else { &[] };
    Structure::derive(StructureParts {
        template_id_offset: 0,
        targets: mode.spatial.wrapping_mul(mode.temporal),
        templates,
        protected_by,
        resolutions: resolutions.try_into().unwrap_or_default(),
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::{super::tests::template, *};

    const MODES: [ScalabilityMode; 5] = [
        ScalabilityMode::L1T1,
        ScalabilityMode::L1T2,
        ScalabilityMode::L1T3,
        ScalabilityMode::L3T3,
        ScalabilityMode::L3T3_KEY,
    ];

    fn templates(mode: ScalabilityMode) -> Vec<Template> {
        FrameSequence::new(mode, &[]).structure.parts().templates.clone()
    }

    /// As recorded from Chromium.
    #[test]
    fn three_temporal_layers_have_five_templates() {
        assert_eq!(
            templates(ScalabilityMode::L1T3),
            [
                template((0, 0), "SSS", &[], &[0]),
                template((0, 0), "SSS", &[4], &[4]),
                template((0, 1), "-DS", &[2], &[2]),
                template((0, 2), "--D", &[1], &[1]),
                template((0, 2), "--D", &[1], &[3]),
            ]
        );
    }

    #[test]
    fn spatial_layers_refer_down_at_key_frames() {
        let all = templates(ScalabilityMode::L3T3_KEY);
        assert_eq!(all.len(), 15);
        assert_eq!(all[0], template((0, 0), "SSSSSSSSS", &[], &[0, 0, 0]));
        assert_eq!(all[1], template((0, 0), "SSS------", &[12], &[12, 11, 10]));
        assert_eq!(all[5], template((1, 0), "---SSSSSS", &[1], &[1, 1, 1]));
        assert_eq!(all[13], template((2, 2), "--------D", &[3], &[5, 4, 3]));
    }

    #[test]
    fn full_prediction_refers_down_everywhere() {
        let all = templates(ScalabilityMode::L3T3);
        assert_eq!(all[1], template((0, 0), "SSSRRRRRR", &[12], &[12, 11, 10]));
        assert!(all.contains(&template((1, 1), "----DS-RR", &[6, 1], &[7, 6, 5])));
    }

    #[test]
    fn structures_can_be_expressed() {
        for mode in MODES {
            let sizes = &[(320, 180), (640, 360), (1280, 720)][..mode.spatial.into()];
            let structure = FrameSequence::new(mode, sizes).structure;
            assert_eq!(Structure::new(structure.parts().clone()), Some(structure.clone()));
            for (spatial, temporal) in targets(mode) {
                let target = mode.target(spatial, temporal);
                assert_eq!((structure.spatial_of(target), structure.temporal_of(target)), (spatial, temporal));
                assert_eq!(structure.resolution(spatial), Some(sizes[usize::from(spatial)]));
                assert_eq!(structure.chain_of(target), Some(spatial));
            }
        }
    }

    /// References and chain differences name earlier frames of the same targets, and none before a key frame.
    #[test]
    fn frames_refer_to_frames_of_their_targets() {
        for mode in MODES {
            let mut sequence = FrameSequence::new(mode, &[]);
            let (mut frames, mut key) = (Vec::<Frame>::new(), 0);
            for unit in 0..50 {
                for frame in sequence.next_unit(unit % 17 == 5).iter() {
                    key = if frame.structure { frame.number } else { key };
                    for difference in frame.differences.iter() {
                        let referred = frames[usize::from(frame.number - difference)];
                        assert!(referred.number >= key);
                        assert_eq!(referred.targets() & frame.targets(), frame.targets(), "{mode:?} {frame:?}");
                    }
                    assert!(frame.chain_differences.iter().all(|difference| (*difference == 0) == frame.structure));
                    for (chain, difference) in (0..).zip(frame.chain_differences.iter()).filter(|_| !frame.structure) {
                        let latest = frames[usize::from(frame.number - u16::from(*difference))];
                        assert!(latest.targets() & bit(mode.target(chain, 0)) != 0);
                    }
                    frames.push(*frame);
                }
            }
            assert!((0..).zip(&frames).all(|(number, frame)| frame.number == number));
        }
    }
}
