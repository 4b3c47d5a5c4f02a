//! The template dependency structure of a stream (section A.8.3), which a key frame carries.

use super::{
    ChainDifferences, DescriptorError, Differences, Indication, Indications, List, MAX_SPATIAL_LAYERS, MAX_TARGETS,
    MAX_TEMPLATES, MAX_TEMPORAL_LAYERS, bits::BitReader, indications::bit,
};

/// How frames of one kind depend on others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Spatial layer, from 0.
    pub spatial: u8,
    /// Temporal layer, from 0.
    pub temporal: u8,
    /// What the frame means for each decode target.
    pub indications: Indications,
    /// The frames that it refers to; in a template at most 16 back.
    pub differences: Differences,
    /// The frames before it in each chain; in a template at most 15 back.
    pub chain_differences: ChainDifferences,
}

/// What a [`Structure`] is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StructureParts {
    /// Id of the first template, 6 bits. A new structure takes ids that the one before it does not use, so that a frame
    /// of a structure that was lost is not taken for one of the old structure.
    pub template_id_offset: u8,
    /// Number of decode targets, 1 to [`MAX_TARGETS`].
    pub targets: u8,
    /// The templates, 1 to [`MAX_TEMPLATES`], in order of spatial and then temporal layer without gaps.
    pub templates: Vec<Template>,
    /// The chain that protects each decode target; empty without chains.
    pub protected_by: List<u8, MAX_TARGETS>,
    /// Largest width and height in pixels of each spatial layer; empty if unknown.
    pub resolutions: List<(u16, u16), MAX_SPATIAL_LAYERS>,
}

/// A template dependency structure, with what follows from it for each decode target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    parts: StructureParts,
    targets: [Target; MAX_TARGETS],
}

/// What follows from the templates for one decode target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Target {
    spatial: u8,
    temporal: u8,
    contains: u16,
}

impl Structure {
    /// Reads a structure.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self, DescriptorError> {
        let template_id_offset = bits.byte(6)?;
        let targets = bits.byte(5)?.saturating_add(1);
        if usize::from(targets) > MAX_TARGETS {
            return Err(DescriptorError::TooManyTargets);
        }
        let mut templates = layers(bits)?;
        for template in &mut templates {
            template.indications = indications(bits, targets)?;
        }
        for template in &mut templates {
            while bits.flag()? {
                let difference = bits.word(4)?.saturating_add(1);
                template.differences.push(difference).map_err(|_| DescriptorError::TooManyDifferences)?;
            }
        }
        let protected_by = chains(bits, targets, &mut templates)?;
        let spatial_layers = templates.last().map_or(0, |template| template.spatial.saturating_add(1));
        let resolutions = if bits.flag()? { resolutions(bits, spatial_layers)? } else { List::default() };
        Ok(Self::derive(StructureParts { template_id_offset, targets, templates, protected_by, resolutions }))
    }

    /// Makes a structure; `None` if the format cannot express it.
    #[must_use]
    pub fn new(parts: StructureParts) -> Option<Self> {
        is_expressible(&parts).then(|| Self::derive(parts))
    }

    pub(super) fn derive(parts: StructureParts) -> Self {
        let mut targets = [Target::default(); MAX_TARGETS];
        for (target, index) in targets.iter_mut().zip(0..parts.targets) {
            let frames = || parts.templates.iter().filter(|template| template.indications.present() & bit(index) != 0);
            target.spatial = frames().map(|template| template.spatial).max().unwrap_or_default();
            target.temporal = frames().map(|template| template.temporal).max().unwrap_or_default();
            // What every frame outside of this target lacks as well.
            let outside = |template: &&Template| template.indications.present() & bit(index) == 0;
            let elsewhere =
                parts.templates.iter().filter(outside).fold(0, |mask, one| mask | one.indications.present());
            target.contains = mask(parts.targets) & !elsewhere;
        }
        Self { parts, targets }
    }

    /// Returns what the structure is made of.
    #[must_use]
    pub const fn parts(&self) -> &StructureParts {
        &self.parts
    }

    /// Returns the number of decode targets, 1 to [`MAX_TARGETS`].
    #[must_use]
    #[inline]
    pub const fn targets(&self) -> u8 {
        self.parts.targets
    }

    /// Returns the mask of all decode targets.
    #[must_use]
    #[inline]
    pub fn all_targets(&self) -> u16 {
        mask(self.parts.targets)
    }

    /// Returns the highest spatial layer of a decode target.
    #[must_use]
    #[inline]
    pub fn spatial_of(&self, target: u8) -> u8 {
        self.target(target).spatial
    }

    /// Returns the highest temporal layer of a decode target.
    #[must_use]
    #[inline]
    pub fn temporal_of(&self, target: u8) -> u8 {
        self.target(target).temporal
    }

    /// Returns the mask of the decode targets that `target` contains, itself among them: every frame of theirs is one of
    /// it too.
    ///
    /// Follows from the templates. A frame whose indications differ from its template can break it.
    #[must_use]
    #[inline]
    pub fn contained_in(&self, target: u8) -> u16 {
        self.target(target).contains
    }

    /// Returns the largest width and height in pixels of a spatial layer, if the structure tells.
    #[must_use]
    pub fn resolution(&self, spatial: u8) -> Option<(u16, u16)> {
        self.parts.resolutions.get(usize::from(spatial)).copied()
    }

    /// Returns the number of chains.
    #[must_use]
    pub fn chains(&self) -> u8 {
        self.parts.templates.first().map_or(0, |template| template.chain_differences.len() as u8)
    }

    /// Returns the chain that protects a decode target: a receiver of all of its frames can decode the next frame of
    /// the target.
    #[must_use]
    #[inline]
    pub fn chain_of(&self, target: u8) -> Option<u8> {
        self.parts.protected_by.get(usize::from(target)).copied()
    }

    /// Returns the template with an id of 6 bits.
    #[inline]
    pub(super) fn template(&self, id: u8) -> Option<&Template> {
        self.parts.templates.get(usize::from(id.wrapping_sub(self.parts.template_id_offset) & 0x3f))
    }

    #[inline]
    fn target(&self, target: u8) -> Target {
        self.targets.get(usize::from(target)).copied().unwrap_or_default()
    }
}

/// Step from the layer of one template to that of the next (`next_layer_idc`).
pub(super) mod next_layer {
    pub(in super::super) const SAME: u32 = 0;
    pub(in super::super) const TEMPORAL: u32 = 1;
    pub(in super::super) const SPATIAL: u32 = 2;
    pub(in super::super) const NONE: u32 = 3;
}

/// Reads the layers of all templates.
fn layers(bits: &mut BitReader<'_>) -> Result<Vec<Template>, DescriptorError> {
    let (mut templates, mut next) = (Vec::new(), Template::default());
    loop {
        if templates.len() == MAX_TEMPLATES {
            return Err(DescriptorError::TooManyTemplates);
        }
        templates.push(next);
        match bits.bits(2)? {
            next_layer::SAME => {}
            next_layer::TEMPORAL => next.temporal = next.temporal.saturating_add(1),
            next_layer::SPATIAL => (next.spatial, next.temporal) = (next.spatial.saturating_add(1), 0),
            _ => return Ok(templates),
        }
        if !is_layer(&next) {
            return Err(DescriptorError::TooManyLayers);
        }
    }
}

fn is_layer(template: &Template) -> bool {
    usize::from(template.spatial) < MAX_SPATIAL_LAYERS && usize::from(template.temporal) < MAX_TEMPORAL_LAYERS
}

/// Reads the indication of one frame for each target.
pub(super) fn indications(bits: &mut BitReader<'_>, targets: u8) -> Result<Indications, DescriptorError> {
    let mut all = Indications::default();
    for target in 0..targets {
        all.set(target, Indication::from_code(bits.bits(2)?));
    }
    Ok(all)
}

/// Reads which chain protects each target, and the chain differences of all templates.
fn chains(
    bits: &mut BitReader<'_>,
    targets: u8,
    templates: &mut [Template],
) -> Result<List<u8, MAX_TARGETS>, DescriptorError> {
    let mut protected_by = List::default();
    let chains = bits.below(targets.saturating_add(1))?;
    if chains == 0 {
        return Ok(protected_by);
    }
    for _ in 0..targets {
        protected_by.push(bits.below(chains)?).map_err(|_| DescriptorError::TooManyTargets)?;
    }
    for template in templates {
        template.chain_differences = chain_differences(bits, chains, 4)?;
    }
    Ok(protected_by)
}

/// Reads one difference of `width` bits for each chain.
pub(super) fn chain_differences(
    bits: &mut BitReader<'_>,
    chains: u8,
    width: u32,
) -> Result<ChainDifferences, DescriptorError> {
    let mut differences = List::default();
    for _ in 0..chains {
        differences.push(bits.byte(width)?).map_err(|_| DescriptorError::TooManyTargets)?;
    }
    Ok(differences)
}

/// Reads the resolution of each spatial layer. One of 65,536 pixels counts as 65,535.
fn resolutions(
    bits: &mut BitReader<'_>,
    spatial_layers: u8,
) -> Result<List<(u16, u16), MAX_SPATIAL_LAYERS>, DescriptorError> {
    let mut resolutions = List::default();
    for _ in 0..spatial_layers {
        let resolution = (bits.word(16)?.saturating_add(1), bits.word(16)?.saturating_add(1));
        resolutions.push(resolution).map_err(|_| DescriptorError::TooManyLayers)?;
    }
    Ok(resolutions)
}

/// Returns the mask of the first `targets` targets.
fn mask(targets: u8) -> u16 {
    1u16.wrapping_shl(targets.into()).wrapping_sub(1)
}

fn is_expressible(parts: &StructureParts) -> bool {
    let StructureParts { template_id_offset, targets, templates, protected_by, resolutions } = parts;
    let (Some(first), Some(last)) = (templates.first(), templates.last()) else { return false };
    let chains = first.chain_differences.len();
    *template_id_offset < 64
        && (1..=MAX_TARGETS).contains(&usize::from(*targets))
        && templates.len() <= MAX_TEMPLATES
        && (first.spatial, first.temporal) == (0, 0)
        && templates.windows(2).all(|pair| matches!(pair, [one, next] if step(one, next).is_some()))
        && templates.iter().all(|template| {
            is_layer(template)
                && template.indications.present() & !mask(*targets) == 0
                && template.differences.iter().all(|difference| (1..=16).contains(difference))
                && template.chain_differences.len() == chains
                && template.chain_differences.iter().all(|difference| *difference < 16)
        })
        && chains <= usize::from(*targets)
        && protected_by.len() == if chains == 0 { 0 } else { usize::from(*targets) }
        && protected_by.iter().all(|chain| usize::from(*chain) < chains)
        && (resolutions.is_empty() || resolutions.len() == usize::from(last.spatial).saturating_add(1))
        && resolutions.iter().all(|(width, height)| *width > 0 && *height > 0)
}

/// Returns the `next_layer_idc` that leads from one template to the next; `None` if none does.
pub(super) fn step(one: &Template, next: &Template) -> Option<u32> {
    let (spatial, temporal) = (next.spatial.checked_sub(one.spatial)?, next.temporal);
    match (spatial, temporal) {
        (0, same) if same == one.temporal => Some(next_layer::SAME),
        (0, above) if above.checked_sub(1) == Some(one.temporal) => Some(next_layer::TEMPORAL),
        (1, 0) => Some(next_layer::SPATIAL),
        _ => None,
    }
}
