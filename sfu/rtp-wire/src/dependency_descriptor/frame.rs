//! The frame that a packet belongs to.

use super::{
    ChainDifferences, DescriptorError, Differences, Indications, List, Structure,
    bits::BitReader,
    structure::{chain_differences, indications},
};

/// What the descriptor of a packet says about its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The packet is the first of the frame.
    pub starts: bool,
    /// The packet is the last of the frame.
    pub ends: bool,
    /// Number of the frame.
    pub number: u16,
    /// Spatial layer, from 0.
    pub spatial: u8,
    /// Temporal layer, from 0.
    pub temporal: u8,
    /// What the frame means for each decode target.
    pub indications: Indications,
    /// The frames that it refers to.
    pub differences: Differences,
    /// The frames before it in each chain.
    pub chain_differences: ChainDifferences,
    /// Mask of the decode targets that the sender produces from this frame on, if the packet tells. An attached
    /// structure alone tells all.
    pub active_targets: Option<u16>,
    /// A structure is attached: the frame is a key frame.
    pub structure: bool,
}

impl Frame {
    /// Returns the mask of the decode targets that contain the frame.
    #[must_use]
    #[inline]
    pub const fn targets(&self) -> u16 {
        self.indications.present()
    }

    /// Returns the mask of the decode targets that can be switched to at the frame.
    #[must_use]
    #[inline]
    pub const fn switch(&self) -> u16 {
        self.indications.switch()
    }
}

/// Flags of the extended fields.
#[derive(Clone, Copy, Debug, Default)]
struct Extended {
    structure: bool,
    active_targets: bool,
    indications: bool,
    differences: bool,
    chains: bool,
}

impl Extended {
    fn read(bits: &mut BitReader<'_>) -> Result<Self, DescriptorError> {
        Ok(Self {
            structure: bits.flag()?,
            active_targets: bits.flag()?,
            indications: bits.flag()?,
            differences: bits.flag()?,
            chains: bits.flag()?,
        })
    }
}

/// Reads the descriptor of a packet, against the attached structure or else the `known` one of its stream.
///
/// Returns the attached structure, if there is one, to be known from now on. Allocates only for that.
///
/// # Errors
/// [`DescriptorError`], if the descriptor is malformed, exceeds a bound of this module or does not belong to the known
/// structure.
#[inline]
pub fn read(bytes: &[u8], known: Option<&Structure>) -> Result<(Frame, Option<Structure>), DescriptorError> {
    let mut bits = BitReader::new(bytes);
    let (starts, ends) = (bits.flag()?, bits.flag()?);
    let (template, number) = (bits.byte(6)?, bits.word(16)?);
    let extended = if bytes.len() > 3 { Extended::read(&mut bits)? } else { Extended::default() };

    let attached = if extended.structure { Some(Structure::read(&mut bits)?) } else { None };
    let structure = attached.as_ref().or(known).ok_or(DescriptorError::NoStructure)?;
    let active_targets = if extended.active_targets {
        Some(bits.word(structure.targets().into())?)
    } else {
        attached.as_ref().map(Structure::all_targets)
    };

    let template = structure.template(template).ok_or(DescriptorError::UnknownTemplate)?;
    let mut frame = Frame {
        starts,
        ends,
        number,
        spatial: template.spatial,
        temporal: template.temporal,
        indications: template.indications,
        differences: template.differences,
        chain_differences: template.chain_differences,
        active_targets,
        structure: extended.structure,
    };
    if extended.indications {
        frame.indications = indications(&mut bits, structure.targets())?;
    }
    if extended.differences {
        frame.differences = differences(&mut bits)?;
    }
    if extended.chains {
        frame.chain_differences = chain_differences(&mut bits, structure.chains(), 8)?;
    }
    Ok((frame, attached))
}

/// Reads the differences of a frame that has not those of its template: each in as many half bytes as it needs.
fn differences(bits: &mut BitReader<'_>) -> Result<Differences, DescriptorError> {
    let mut differences = List::default();
    loop {
        let half_bytes = bits.bits(2)?;
        if half_bytes == 0 {
            return Ok(differences);
        }
        let difference = bits.word(half_bytes.saturating_mul(4))?.saturating_add(1);
        differences.push(difference).map_err(|_| DescriptorError::TooManyDifferences)?;
    }
}
