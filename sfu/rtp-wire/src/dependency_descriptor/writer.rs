//! Writer of descriptors: the inverse of [`read`](super::read).

use super::{
    Frame, Structure, StructureParts, Template,
    bits::BitWriter,
    structure::{next_layer, step},
};

/// Why a frame cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The structure has no template of this spatial and temporal layer.
    #[error("no template of this layer")]
    UnknownLayer,
    /// A difference of 0 or above 4,096, a target that the structure does not have, or another number of chains.
    #[error("the frame does not belong to the structure")]
    Inexpressible,
}

/// Appends the descriptor of a packet; `frame.structure` attaches the structure.
///
/// Names the template that is most like the frame, and writes only what differs from it. The result is longer than the
/// 255 bytes of a header extension only for structures with dozens of templates.
///
/// # Errors
/// [`WriteError`] if the frame is none of the structure; nothing is appended then.
pub fn write(out: &mut Vec<u8>, frame: &Frame, structure: &Structure) -> Result<(), WriteError> {
    let parts = structure.parts();
    let (index, template) = best_template(frame, &parts.templates).ok_or(WriteError::UnknownLayer)?;
    let targets = structure.all_targets();
    let belongs = (frame.targets() | frame.active_targets.unwrap_or_default()) & !targets == 0
        && frame.chain_differences.len() == usize::from(structure.chains())
        && frame.differences.iter().all(|difference| (1..=4_096).contains(difference));
    if !belongs {
        return Err(WriteError::Inexpressible);
    }

    let mut bits = BitWriter::new(out);
    bits.flag(frame.starts);
    bits.flag(frame.ends);
    bits.bits(6, index.wrapping_add(parts.template_id_offset.into()));
    bits.bits(16, frame.number.into());

    // An attached structure makes all targets active.
    let active = frame.active_targets.filter(|active| !frame.structure || *active != targets);
    let [indications, differences, chains] = unlike(frame, template);
    if !(frame.structure || active.is_some() || indications || differences || chains) {
        return Ok(());
    }
    for flag in [frame.structure, active.is_some(), indications, differences, chains] {
        bits.flag(flag);
    }
    if frame.structure {
        write_structure(&mut bits, parts);
    }
    if let Some(active) = active {
        bits.bits(parts.targets.into(), active.into());
    }
    if indications {
        write_indications(&mut bits, frame.indications, parts.targets);
    }
    if differences {
        write_differences(&mut bits, &frame.differences);
    }
    if chains {
        frame.chain_differences.iter().for_each(|difference| bits.bits(8, (*difference).into()));
    }
    Ok(())
}

/// Returns the template of the frame's layer that differs from it in the fewest fields, with its index.
fn best_template<'a>(frame: &Frame, templates: &'a [Template]) -> Option<(u32, &'a Template)> {
    let same_layer = |template: &Template| (template.spatial, template.temporal) == (frame.spatial, frame.temporal);
    (0..)
        .zip(templates)
        .filter(|(_, template)| same_layer(template))
        .min_by_key(|(_, template)| unlike(frame, template).into_iter().filter(|differs| *differs).count())
}

/// Returns whether indications, differences and chain differences are other than the template's.
fn unlike(frame: &Frame, template: &Template) -> [bool; 3] {
    [
        frame.indications != template.indications,
        frame.differences != template.differences,
        frame.chain_differences != template.chain_differences,
    ]
}

fn write_structure(bits: &mut BitWriter<'_>, parts: &StructureParts) {
    let StructureParts { template_id_offset, targets, templates, protected_by, resolutions } = parts;
    bits.bits(6, (*template_id_offset).into());
    bits.bits(5, targets.saturating_sub(1).into());
    for pair in templates.windows(2) {
        let [one, next] = pair else { continue };
        bits.bits(2, step(one, next).unwrap_or(next_layer::SAME));
    }
    bits.bits(2, next_layer::NONE);
    for template in templates {
        write_indications(bits, template.indications, *targets);
    }
    for template in templates {
        for difference in template.differences.iter() {
            bits.flag(true);
            bits.bits(4, difference.saturating_sub(1).into());
        }
        bits.flag(false);
    }
    let chains = templates.first().map_or(0, |template| template.chain_differences.len() as u8);
    bits.below(targets.saturating_add(1), chains);
    protected_by.iter().for_each(|chain| bits.below(chains, *chain));
    for template in templates {
        template.chain_differences.iter().for_each(|difference| bits.bits(4, (*difference).into()));
    }
    bits.flag(!resolutions.is_empty());
    for (width, height) in resolutions.iter() {
        bits.bits(16, width.saturating_sub(1).into());
        bits.bits(16, height.saturating_sub(1).into());
    }
}

fn write_indications(bits: &mut BitWriter<'_>, indications: super::Indications, targets: u8) {
    (0..targets).for_each(|target| bits.bits(2, indications.get(target).code()));
}

fn write_differences(bits: &mut BitWriter<'_>, differences: &[u16]) {
    for difference in differences {
        let less_one = u32::from(difference.saturating_sub(1));
        let half_bytes = match less_one {
            0..=0xf => 1,
            0x10..=0xff => 2,
            _ => 3,
        };
        bits.bits(2, half_bytes);
        bits.bits(half_bytes.saturating_mul(4), less_one);
    }
    bits.bits(2, 0);
}
