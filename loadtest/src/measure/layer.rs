//! Layers as accounting knows them: packets of an encoding that a server forwards, or drops, together.

/// Packets of an encoding that are in the same decode targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    /// Whether higher spatial layers are predicted from these frames: in K-SVC those of key images alone.
    pub(crate) shared: bool,
}

impl Layer {
    /// Whether a decode target contains the layer.
    pub(crate) fn is_in(&self, spatial: u8, temporal: u8) -> bool {
        self.temporal <= temporal && (self.spatial == spatial || (self.shared && self.spatial < spatial))
    }
}

/// An image size of a track: an encoding of simulcast, or a spatial layer of SVC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) height: u16,
    pub(crate) encoding: u8,
    pub(crate) spatial: u8,
}

/// What a slot shows, as the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nothing.
    Paused,
    /// An image size, with the temporal layers up to this one.
    Step(Step, u8),
}

impl Target {
    /// Whether it excludes a layer of an encoding. It says nothing of other encodings: one goes on until the next begins.
    pub(crate) fn excludes(&self, encoding: u8, layer: Layer) -> bool {
        match *self {
            Self::Paused => true,
            Self::Step(step, temporal) => step.encoding == encoding && !layer.is_in(step.spatial, temporal),
        }
    }

    /// Whether it contains a layer of an encoding.
    pub(crate) fn contains(&self, encoding: u8, layer: Layer) -> bool {
        matches!(self, Self::Step(step, _) if step.encoding == encoding) && !self.excludes(encoding, layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k_svc_target_has_lower_layers_of_key_images_only() {
        let layer = |spatial, shared| Layer { spatial, temporal: 0, shared };
        assert!(layer(1, false).is_in(1, 2) && layer(0, true).is_in(1, 0));
        assert!(!layer(0, false).is_in(1, 2) && !layer(2, true).is_in(1, 2));
        assert!(!Layer { temporal: 2, ..layer(1, false) }.is_in(1, 1));
    }

    #[test]
    fn target_leaves_other_encodings_alone() {
        let target = Target::Step(Step { height: 720, encoding: 2, spatial: 0 }, 1);
        let top = Layer { temporal: 2, ..Layer::default() };
        assert!(target.excludes(2, top) && !target.excludes(1, top));
        assert!(target.contains(2, Layer::default()) && !target.contains(1, Layer::default()));
        assert!(Target::Paused.excludes(1, Layer::default()));
    }
}
