//! Decides at which packet a slot changes to another layer.
//!
//! | from → to, within one encoding | where |
//! |---|---|
//! | `to` is contained in `from`: a lower frame rate, or a lower resolution of full SVC | the next temporal unit |
//! | a frame of `from`, with nothing missing before it, is marked as a switch to `to`: a higher frame rate | that frame |
//! | anything else: a higher resolution, any other resolution of K-SVC | a key frame |
//!
//! Between encodings it is always a key frame of the new one. Until then the layer stays, or loses temporal layers if the
//! change is a step down. No wish outlives the
//! next one, which may be to stay.

use super::segment::{Layer, bit};
use crate::{keys::EncodingKey, publisher::packet_store::PacketMeta, wire::dependency_descriptor::Structure};

/// The mask of the targets that a target contains, itself among them.
pub(crate) fn contained_in(target: u8, structure: Option<&Structure>) -> u16 {
    structure.map_or(bit(target), |structure| structure.contained_in(target))
}

/// The layer that a slot is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) layer: Layer,
    /// The target of the present encoding to show until then.
    pub(crate) meanwhile: Option<u8>,
}

impl Wanted {
    /// A target of this number stands for the highest one that there is when the encoding begins.
    pub(crate) const HIGHEST: u8 = u8::MAX;

    /// Replaces [`Self::HIGHEST`] by the target that it has come to.
    pub(crate) fn resolve(&mut self, begun: Layer) {
        if self.layer.encoding == begun.encoding && self.layer.target == Self::HIGHEST {
            self.layer = begun;
        }
    }
}

/// A packet at which the layer could change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opportunity<'a> {
    pub(crate) encoding: EncodingKey,
    pub(crate) meta: &'a PacketMeta,
    /// Of the packet's encoding.
    pub(crate) structure: Option<&'a Structure>,
    /// Newer than everything that was sent of its encoding.
    pub(crate) is_newest: bool,
    /// Of another temporal unit than the packet sent last.
    pub(crate) is_new_unit: bool,
    /// No packet of the present layer is missing right before it.
    pub(crate) is_intact: bool,
}

impl Opportunity<'_> {
    /// The layer to change to at the packet; `None` to go on as before.
    pub(crate) fn select(&self, current: Option<Layer>, wanted: Wanted) -> Option<Layer> {
        if !self.is_newest {
            return None;
        }
        let current = current.filter(|current| current.encoding == self.encoding);
        let goal = (wanted.layer.encoding == self.encoding).then_some(wanted.layer.target);
        let target = if self.meta.starts_key_frame {
            self.existing(goal.or(current.map(|current| current.target))?)
        } else {
            let from = current?.target;
            [goal, wanted.meanwhile].into_iter().flatten().find(|&to| self.reaches(from, to))?
        };
        let layer = Layer { encoding: self.encoding, target };
        (current != Some(layer)).then_some(layer)
    }

    /// Whether a receiver of one target can decode the other from this packet on, which starts no key frame.
    fn reaches(&self, from: u8, to: u8) -> bool {
        let contained = contained_in(from, self.structure) & bit(to) != 0;
        let is_switch = self.meta.targets & bit(from) != 0 && self.meta.switch & bit(to) != 0;
        self.meta.starts_frame && (contained && self.is_new_unit || is_switch && self.is_intact)
    }

    /// The target itself, or the next lower one that the key frame is part of, or else the next higher one.
    fn existing(&self, target: u8) -> u8 {
        let exists = |other: &u8| self.meta.targets & bit(*other) != 0;
        (0..=target).rev().chain(target..=u8::MAX).find(exists).unwrap_or(target)
    }
}
