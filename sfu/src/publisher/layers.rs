//! What the Dependency Descriptors of an encoding say: its structure, and for each packet the decode targets that contain it.
//!
//! The structure comes with key frames and holds until the next one changes it. A packet without a descriptor, or with a
//! malformed one, belongs to all targets. An encoding that sends none has a single target.
//!
//! Where packets are reordered, some come before the structure that their descriptors refer to. They are marked as unread,
//! to be read again when it has come.

use super::{numbering::FramePlace, packet_store::PacketMeta};
use crate::wire::dependency_descriptor::{self, DescriptorError, Frame, MAX_SPATIAL_LAYERS, Structure};

/// The only target of an encoding without a structure.
const SINGLE_TARGET: u16 = 1;

/// Why a descriptor could not be read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It refers to a structure, and none has come.
    NoStructure,
    /// It refers to another structure than the newest. Which targets contain the packet is not known.
    OtherStructure,
}

/// The layers of one encoding.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    known: Option<Box<Known>>,
    /// Packets with malformed descriptors, or such that exceed the bounds of the parser.
    pub(crate) malformed: u64,
}

/// A structure, and what is derived from it once.
#[derive(Debug)]
struct Known {
    structure: Structure,
    /// Index of the packet that it came with.
    since: u64,
    /// For each spatial layer, the mask of the targets of which it is the highest one.
    top_of: [u16; MAX_SPATIAL_LAYERS],
    /// Mask of the targets that the publisher produces at present.
    active: u16,
}

impl Known {
    fn new(structure: Structure, since: u64) -> Self {
        let mut top_of = [0; MAX_SPATIAL_LAYERS];
        for target in 0..structure.targets() {
            if let Some(mask) = top_of.get_mut(usize::from(structure.spatial_of(target))) {
                *mask |= 1 << target;
            }
        }
        let active = structure.all_targets();
        Self { structure, since, top_of, active }
    }
}

impl Layers {
    /// Reads a packet's descriptor, and writes what it says into the packet's metadata, whose marker is set. Returns the
    /// packet's place in its frame, if it tells.
    pub(crate) fn read(&mut self, index: u64, dependency: Option<&[u8]>, meta: &mut PacketMeta) -> Option<FramePlace> {
        meta.unread = None;
        if let Some(bytes) = dependency {
            return self.read_descriptor(index, bytes, meta);
        }
        self.belongs_to_all(meta);
        None
    }

    fn read_descriptor(&mut self, index: u64, bytes: &[u8], meta: &mut PacketMeta) -> Option<FramePlace> {
        match dependency_descriptor::read(bytes, self.structure()) {
            Ok((frame, attached)) => return Some(self.apply(index, &frame, attached, meta)),
            Err(DescriptorError::UnknownTemplate) => meta.unread = Some(Unread::OtherStructure),
            Err(DescriptorError::NoStructure) => meta.unread = Some(Unread::NoStructure),
            Err(_) => self.malformed += 1,
        }
        self.belongs_to_all(meta);
        None
    }

    /// Notes that a packet says nothing about its layers.
    fn belongs_to_all(&self, meta: &mut PacketMeta) {
        let all = self.known.as_deref().map_or(SINGLE_TARGET, |known| known.structure.all_targets());
        (meta.targets, meta.last_of) = (all, if meta.marker { all } else { 0 });
        (meta.starts_frame, meta.ends_frame) = (true, meta.marker);
    }

    /// The structure of the newest key frame that had one.
    pub(crate) fn structure(&self) -> Option<&Structure> {
        self.known.as_deref().map(|known| &known.structure)
    }

    /// Number of decode targets.
    pub(crate) fn targets(&self) -> u8 {
        self.structure().map_or(1, Structure::targets)
    }

    /// The highest spatial layer of a target.
    pub(crate) fn spatial_of(&self, target: u8) -> u8 {
        self.structure().map_or(0, |structure| structure.spatial_of(target))
    }

    /// The highest temporal layer of a target.
    pub(crate) fn temporal_of(&self, target: u8) -> u8 {
        self.structure().map_or(0, |structure| structure.temporal_of(target))
    }

    /// The target of the same resolution with the next lower frame rate.
    pub(crate) fn lower_frame_rate(&self, target: u8) -> Option<u8> {
        let structure = self.structure()?;
        let (spatial, temporal) = (structure.spatial_of(target), structure.temporal_of(target));
        let contained = structure.contained_in(target);
        let of_same_size = (0..structure.targets())
            .filter(|&other| contained & (1 << other) != 0 && structure.spatial_of(other) == spatial);
        of_same_size
            .filter(|&other| structure.temporal_of(other) < temporal)
            .max_by_key(|&other| structure.temporal_of(other))
    }

    /// Lines of a spatial layer: as the structure says, or else halves of what the publisher announced for the highest one.
    pub(crate) fn height_of(&self, spatial: u8, announced: Option<u16>) -> Option<u16> {
        let Some(structure) = self.structure() else { return announced };
        let (_, height) = structure.resolution(spatial).unzip();
        let highest = (0..structure.targets()).map(|target| structure.spatial_of(target)).max().unwrap_or(0);
        height.or_else(|| announced.map(|lines| lines >> highest.saturating_sub(spatial).min(15)))
    }

    /// Mask of the targets that the publisher produces.
    pub(crate) fn active_targets(&self) -> u16 {
        self.known.as_deref().map_or(SINGLE_TARGET, |known| known.active)
    }

    fn apply(&mut self, index: u64, frame: &Frame, attached: Option<Structure>, meta: &mut PacketMeta) -> FramePlace {
        if let Some(structure) = attached {
            match self.known.as_deref_mut() {
                Some(known) if index < known.since => {}
                Some(known) if known.structure == structure => known.since = index,
                _ => self.known = Some(Box::new(Known::new(structure, index))),
            }
        }
        let targets = frame.targets();
        meta.targets = targets;
        meta.switch = frame.switch();
        (meta.starts_frame, meta.ends_frame) = (frame.starts, frame.ends);
        meta.last_of = if meta.marker { targets } else { 0 };
        if let Some(known) = self.known.as_deref_mut().filter(|known| known.since <= index) {
            if let Some(active) = frame.active_targets {
                known.active = active;
            }
            if frame.ends {
                let top_of = known.top_of.get(usize::from(frame.spatial)).copied().unwrap_or_default();
                meta.last_of |= top_of & targets;
            }
            for (target, chain) in (0..).zip(&mut meta.chain) {
                let protected_by = known.structure.chain_of(target);
                let difference = protected_by.and_then(|chain| frame.chain_differences.get(usize::from(chain)));
                *chain = difference.copied().unwrap_or_default();
            }
        }
        let &Frame { number, spatial, starts, ends, .. } = frame;
        FramePlace { number, targets, spatial, starts, ends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dependency_descriptor::{FrameSequence, ScalabilityMode, write};

    /// Reads the descriptor of a frame in one packet. Returns what the packet's metadata says.
    fn read(layers: &mut Layers, index: u64, frame: &Frame, of: &FrameSequence, marker: bool) -> PacketMeta {
        let (mut bytes, mut meta) = (Vec::new(), PacketMeta { marker, ..PacketMeta::default() });
        write(&mut bytes, frame, of.structure()).unwrap();
        layers.read(index, Some(&bytes), &mut meta).expect("a descriptor that can be read");
        meta
    }

    #[test]
    fn marker_of_a_target_is_on_its_highest_layer() {
        let (mut layers, mut frames) = (Layers::default(), FrameSequence::new(ScalabilityMode::L3T3_KEY, &[]));
        let target = |spatial| 1u16 << ScalabilityMode::L3T3_KEY.target(spatial, 0);
        let unit = frames.next_unit(true);
        let key: Vec<_> =
            (1..).zip(unit.iter()).map(|(n, frame)| read(&mut layers, n, frame, &frames, n == 3)).collect();
        for (spatial, meta) in (0u8..).zip(&key) {
            for other in 0..3u8 {
                assert_eq!(meta.targets & target(other) != 0, other >= spatial, "a key frame serves all layers above");
                assert_eq!(meta.last_of & target(other) != 0, other == spatial);
            }
        }
        let unit = frames.next_unit(false);
        let delta = read(&mut layers, 4, &unit[1], &frames, false);
        assert_eq!(delta.targets & (target(0) | target(2)), 0, "other layers do not refer to it");
        assert_eq!(delta.last_of, delta.targets & layers.known.as_ref().unwrap().top_of[1]);
    }

    #[test]
    fn chain_differences_are_by_target() {
        let (mut layers, mut frames) = (Layers::default(), FrameSequence::new(ScalabilityMode::L1T3, &[]));
        let key = read(&mut layers, 1, &frames.next_unit(true)[0], &frames, true);
        let second = read(&mut layers, 2, &frames.next_unit(false)[0], &frames, true);
        assert_eq!((&key.chain[..3], &second.chain[..3]), (&[0; 3][..], &[1; 3][..]));
        assert_eq!(second.chain[3..], [0; 9], "no such targets");
    }

    #[test]
    fn packet_without_a_descriptor_belongs_to_all_targets() {
        let (mut layers, mut frames) = (Layers::default(), FrameSequence::new(ScalabilityMode::L1T3, &[]));
        let mut meta = PacketMeta { marker: true, ..PacketMeta::default() };
        assert!(layers.read(1, None, &mut meta).is_none());
        assert_eq!((meta.targets, meta.last_of, layers.targets()), (1, 1, 1), "the only one");
        read(&mut layers, 2, &frames.next_unit(true)[0], &frames, true);
        layers.read(3, None, &mut meta);
        assert_eq!((meta.targets, meta.last_of, layers.targets()), (0b111, 0b111, 3));
        layers.read(4, Some(&[0xc0, 0]), &mut meta);
        assert_eq!((meta.targets, meta.unread, layers.malformed), (0b111, None, 1));
    }

    #[test]
    fn descriptor_of_a_structure_to_come_is_unread() {
        let (mut layers, mut meta, unknown) = (Layers::default(), PacketMeta::default(), [0xc0 | 0x3f, 0, 9]);
        assert!(layers.read(1, Some(&unknown), &mut meta).is_none());
        assert_eq!(meta.unread, Some(Unread::NoStructure));
        let mut frames = FrameSequence::new(ScalabilityMode::L1T3, &[]);
        read(&mut layers, 2, &frames.next_unit(true)[0], &frames, true);
        assert!(layers.read(3, Some(&unknown), &mut meta).is_none());
        assert_eq!((meta.unread, layers.malformed), (Some(Unread::OtherStructure), 0));
    }

    #[test]
    fn late_key_frame_does_not_bring_an_old_structure_back() {
        let mut layers = Layers::default();
        let [mut old, mut new] =
            [ScalabilityMode::L1T2, ScalabilityMode::L1T3].map(|mode| FrameSequence::new(mode, &[]));
        read(&mut layers, 9, &new.next_unit(true)[0], &new, true);
        read(&mut layers, 5, &old.next_unit(true)[0], &old, true);
        assert_eq!(layers.structure(), Some(new.structure()));
    }

    #[test]
    fn heights_come_from_the_structure_or_the_publication() {
        let (mut layers, mode) = (Layers::default(), ScalabilityMode::L3T3_KEY);
        assert_eq!(layers.height_of(0, Some(720)), Some(720));
        let mut without = FrameSequence::new(mode, &[]);
        read(&mut layers, 1, &without.next_unit(true)[0], &without, false);
        assert_eq!([0, 1, 2].map(|spatial| layers.height_of(spatial, Some(720))), [180, 360, 720].map(Some));
        assert_eq!(layers.height_of(1, None), None);
        let mut with = FrameSequence::new(mode, &[(320, 180), (640, 360), (1_280, 720)]);
        read(&mut layers, 2, &with.next_unit(true)[0], &with, false);
        assert_eq!([0, 1, 2].map(|spatial| layers.height_of(spatial, Some(90))), [180, 360, 720].map(Some));
    }
}
