//! The rules of the format, and round trips between reader and writer.

#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{Indication::*, *};
use proptest::prelude::*;

/// A template in the notation of codecs: `-` not present, `D` discardable, `S` switch, `R` required.
pub(super) fn template(
    (spatial, temporal): (u8, u8),
    indications: &str,
    differences: &[u16],
    chains: &[u8],
) -> Template {
    let indication = |letter| match letter {
        'D' => Discardable,
        'S' => Switch,
        'R' => Required,
        _ => NotPresent,
    };
    Template {
        spatial,
        temporal,
        indications: indications.chars().map(indication).collect(),
        differences: differences.try_into().unwrap(),
        chain_differences: chains.try_into().unwrap(),
    }
}

/// Two spatial by two temporal layers, in which the upper spatial layer refers to the lower one at key frames only.
fn l2t2_key() -> Structure {
    Structure::new(StructureParts {
        template_id_offset: 60,
        targets: 4,
        templates: vec![
            template((0, 0), "SSSS", &[], &[0, 0]),
            template((0, 0), "SS--", &[4], &[4, 3]),
            template((0, 1), "-D--", &[2], &[2, 1]),
            template((1, 0), "--SS", &[1], &[1, 1]),
            template((1, 0), "--SS", &[4], &[1, 4]),
            template((1, 1), "---D", &[2], &[3, 2]),
        ],
        protected_by: (&[0, 0, 1, 1][..]).try_into().unwrap(),
        resolutions: (&[(320, 180), (640, 360)][..]).try_into().unwrap(),
    })
    .unwrap()
}

/// A frame like a template of the structure.
fn like(structure: &Structure, template: usize) -> Frame {
    let Template { spatial, temporal, indications, differences, chain_differences } =
        structure.parts().templates[template];
    Frame {
        starts: true,
        number: 7,
        spatial,
        temporal,
        indications,
        differences,
        chain_differences,
        ..Frame::default()
    }
}

fn written(frame: &Frame, structure: &Structure) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, frame, structure).unwrap();
    bytes
}

#[test]
fn structure_tells_layers_sizes_and_chains_of_each_target() {
    let structure = l2t2_key();
    let layers = |target| (structure.spatial_of(target), structure.temporal_of(target));
    assert_eq!([0, 1, 2, 3].map(layers), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!([0, 1, 2].map(|spatial| structure.resolution(spatial)), [Some((320, 180)), Some((640, 360)), None]);
    assert_eq!([0, 2, 3, 4].map(|target| structure.chain_of(target)), [Some(0), Some(1), Some(1), None]);
    assert_eq!((structure.targets(), structure.all_targets(), structure.chains()), (4, 0b1111, 2));
}

/// Without prediction between spatial layers, a target does not contain those of lower layers.
#[test]
fn target_contains_another_if_it_has_all_of_its_frames() {
    let key_only = l2t2_key();
    assert_eq!([0, 1, 2, 3].map(|target| key_only.contained_in(target)), [0b0001, 0b0011, 0b0100, 0b1100]);

    let mut parts = key_only.parts().clone();
    for (template, indications) in parts.templates.iter_mut().zip(["SSSS", "SSRR", "-D-R", "--SS", "--SS", "---D"]) {
        template.indications = self::template((0, 0), indications, &[], &[]).indications;
    }
    let full = Structure::new(parts).unwrap();
    assert_eq!([0, 1, 2, 3].map(|target| full.contained_in(target)), [0b0001, 0b0011, 0b0101, 0b1111]);
}

#[test]
fn key_frame_brings_the_structure_for_later_frames() {
    let structure = l2t2_key();
    let key = Frame { structure: true, active_targets: Some(0b1111), ..like(&structure, 0) };
    assert_eq!(read(&written(&key, &structure), None), Ok((key, Some(structure.clone()))));

    let delta = Frame { ends: true, ..like(&structure, 2) };
    let bytes = written(&delta, &structure);
    assert_eq!(bytes.len(), 3, "the mandatory fields suffice");
    assert_eq!(read(&bytes, Some(&structure)), Ok((delta, None)));
    assert_eq!(read(&bytes, None), Err(DescriptorError::NoStructure));
}

/// Ids of templates continue behind those of the structure before, so an old structure is noticed.
#[test]
fn frame_of_another_structure_is_refused() {
    let old = l2t2_key();
    let new = Structure::new(StructureParts { template_id_offset: 2, ..old.parts().clone() }).unwrap();
    let bytes = written(&like(&new, 3), &new);
    assert_eq!(read(&bytes, Some(&old)), Err(DescriptorError::UnknownTemplate));
    assert_eq!(read(&bytes, Some(&new)), Ok((like(&new, 3), None)));
}

/// A sender that numbers the frames of several encodings together sends such differences.
#[test]
fn frame_can_differ_from_its_template() {
    let structure = l2t2_key();
    let mut frame = like(&structure, 4);
    frame.differences = (&[1, 16, 17, 256, 257, 4_096][..]).try_into().unwrap();
    frame.chain_differences = (&[0, 255][..]).try_into().unwrap();
    frame.indications = [NotPresent, Required, Discardable, Switch].into_iter().collect();
    assert_eq!(read(&written(&frame, &structure), Some(&structure)), Ok((frame, None)));
}

#[test]
fn sender_can_stop_targets() {
    let structure = l2t2_key();
    let delta = Frame { active_targets: Some(0b0011), ..like(&structure, 1) };
    assert_eq!(read(&written(&delta, &structure), Some(&structure)), Ok((delta, None)));
    let key = Frame { structure: true, active_targets: Some(0b0111), ..like(&structure, 0) };
    assert_eq!(read(&written(&key, &structure), None), Ok((key, Some(structure))));
}

#[test]
fn truncated_descriptor_is_refused() {
    let structure = l2t2_key();
    let key = Frame { structure: true, active_targets: Some(0b0111), ..like(&structure, 0) };
    let bytes = written(&key, &structure);
    for length in 4..bytes.len() {
        assert_eq!(read(&bytes[..length], None), Err(DescriptorError::Truncated), "{length} of {} bytes", bytes.len());
    }
    assert_eq!(read(&bytes[..3], None), Err(DescriptorError::NoStructure));
    assert_eq!(read(&bytes[..2], Some(&structure)), Err(DescriptorError::Truncated));
}

/// The specification pads descriptors to whole bytes and permits more.
#[test]
fn padding_is_ignored() {
    let structure = l2t2_key();
    let mut bytes = written(&like(&structure, 2), &structure);
    bytes.extend([0; 3]);
    assert_eq!(read(&bytes, Some(&structure)), Ok((like(&structure, 2), None)));
}

#[test]
fn bounds_are_enforced() {
    // The mandatory fields, the structure flag, template offset 0, and then the rest.
    let structure = |targets: u32, rest: &dyn Fn(&mut bits::BitWriter<'_>)| {
        let mut bytes = vec![0x80, 0, 1];
        let mut bits = bits::BitWriter::new(&mut bytes);
        bits.bits(5, 0b10000);
        bits.bits(6, 0);
        bits.bits(5, targets - 1);
        rest(&mut bits);
        bytes.extend([0; 64]);
        read(&bytes, None).map(|(_, structure)| structure.unwrap())
    };
    let steps = |count, step| move |bits: &mut bits::BitWriter<'_>| (0..count).for_each(|_| bits.bits(2, step));
    let end = |bits: &mut bits::BitWriter<'_>| bits.bits(2, 3);

    assert_eq!(structure(12, &end).unwrap().targets(), 12);
    assert_eq!(structure(13, &end), Err(DescriptorError::TooManyTargets));
    assert_eq!(
        structure(1, &|bits| {
            steps(63, 0)(bits);
            end(bits)
        })
        .unwrap()
        .parts()
        .templates
        .len(),
        64
    );
    assert_eq!(structure(1, &steps(64, 0)), Err(DescriptorError::TooManyTemplates));
    assert!(
        structure(1, &|bits| {
            steps(7, 1)(bits);
            end(bits)
        })
        .is_ok()
    );
    assert_eq!(structure(1, &steps(8, 1)), Err(DescriptorError::TooManyLayers));
    assert!(
        structure(1, &|bits| {
            steps(3, 2)(bits);
            end(bits)
        })
        .is_ok()
    );
    assert_eq!(structure(1, &steps(4, 2)), Err(DescriptorError::TooManyLayers));
    let differences = |count| {
        move |bits: &mut bits::BitWriter<'_>| {
            end(bits);
            bits.bits(2, 2);
            (0..count).for_each(|_| bits.bits(5, 0b10000));
            bits.flag(false);
        }
    };
    assert_eq!(structure(1, &differences(8)).unwrap().parts().templates[0].differences.len(), 8);
    assert_eq!(structure(1, &differences(9)), Err(DescriptorError::TooManyDifferences));
}

#[test]
fn writer_refuses_what_the_format_cannot_express() {
    let structure = l2t2_key();
    let refusal = |edit: &dyn Fn(&mut Frame)| {
        let (mut frame, mut bytes) = (like(&structure, 0), vec![]);
        edit(&mut frame);
        let refusal = write(&mut bytes, &frame, &structure);
        assert!(bytes.is_empty(), "{bytes:?}");
        refusal.unwrap_err()
    };
    assert_eq!(refusal(&|frame| frame.temporal = 2), WriteError::UnknownLayer);
    assert_eq!(refusal(&|frame| frame.differences.push(0).unwrap()), WriteError::Inexpressible);
    assert_eq!(refusal(&|frame| frame.differences.push(4_097).unwrap()), WriteError::Inexpressible);
    assert_eq!(refusal(&|frame| frame.chain_differences.push(1).unwrap()), WriteError::Inexpressible);
    assert_eq!(refusal(&|frame| frame.indications.set(4, Switch)), WriteError::Inexpressible);
    assert_eq!(refusal(&|frame| frame.active_targets = Some(0b10000)), WriteError::Inexpressible);
}

#[test]
fn structure_that_the_format_cannot_express_is_refused() {
    let refused = |edit: &dyn Fn(&mut StructureParts)| {
        let mut parts = l2t2_key().parts().clone();
        edit(&mut parts);
        assert_eq!(Structure::new(parts), None);
    };
    refused(&|parts| parts.template_id_offset = 64);
    refused(&|parts| parts.targets = 3);
    refused(&|parts| parts.targets = 0);
    refused(&|parts| parts.templates.clear());
    refused(&|parts| parts.templates.swap(2, 3));
    refused(&|parts| drop(parts.templates.drain(..3)));
    refused(&|parts| parts.templates[1].differences = (&[17][..]).try_into().unwrap());
    refused(&|parts| parts.templates[1].chain_differences = (&[16, 1][..]).try_into().unwrap());
    refused(&|parts| parts.templates[1].chain_differences = (&[1][..]).try_into().unwrap());
    refused(&|parts| parts.protected_by = (&[0, 0, 1, 2][..]).try_into().unwrap());
    refused(&|parts| parts.protected_by = List::default());
    refused(&|parts| parts.resolutions.push((1, 1)).unwrap());
}

fn some_indications(targets: u8) -> impl Strategy<Value = Indications> {
    let indication = prop_oneof![Just(NotPresent), Just(Discardable), Just(Switch), Just(Required)];
    prop::collection::vec(indication, usize::from(targets)).prop_map(|all| all.into_iter().collect())
}

fn some_list<T: Copy + Default + std::fmt::Debug, const N: usize>(
    values: impl Strategy<Value = T>,
    length: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = List<T, N>> {
    prop::collection::vec(values, length).prop_map(|values| values[..].try_into().unwrap())
}

fn some_template(targets: u8, chains: u8) -> impl Strategy<Value = (Template, u32)> {
    let lists = (some_list(1..=16u16, 0..=MAX_DIFFERENCES), some_list(0..=15u8, usize::from(chains)));
    (some_indications(targets), lists, 0..=2u32).prop_map(|(indications, (differences, chain_differences), step)| {
        (Template { indications, differences, chain_differences, ..Template::default() }, step)
    })
}

/// Numbers of targets and chains.
fn some_counts() -> impl Strategy<Value = (u8, u8)> {
    (1..=MAX_TARGETS as u8).prop_flat_map(|targets| (Just(targets), 0..=targets))
}

prop_compose! {
    fn some_structure()((targets, chains) in some_counts())(
        templates in prop::collection::vec(some_template(targets, chains), 1..=MAX_TEMPLATES),
        protected_by in some_list(0..chains.max(1), if chains == 0 { 0 } else { usize::from(targets) }),
        sizes in prop::option::of(some_list(1..=u16::MAX, 2 * MAX_SPATIAL_LAYERS)),
        targets in Just(targets), template_id_offset in 0..64u8,
    ) -> Structure {
        let (mut spatial, mut temporal) = (0, 0);
        let templates: Vec<_> = templates.into_iter().map(|(template, step)| {
            let template = Template { spatial, temporal, ..template };
            match step {
                1 if temporal + 1 < MAX_TEMPORAL_LAYERS as u8 => temporal += 1,
                2 if spatial + 1 < MAX_SPATIAL_LAYERS as u8 => (spatial, temporal) = (spatial + 1, 0),
                _ => {}
            }
            template
        }).collect();
        let spatial_layers = usize::from(templates.last().unwrap().spatial) + 1;
        let mut resolutions = List::default();
        if let Some(sizes) = sizes as Option<List<u16, { 2 * MAX_SPATIAL_LAYERS }>> {
            sizes.chunks(2).take(spatial_layers).for_each(|size| resolutions.push((size[0], size[1])).unwrap());
        }
        let parts = StructureParts { template_id_offset, targets, templates, protected_by, resolutions };
        Structure::new(parts).unwrap()
    }
}

fn some_frame(structure: Structure) -> impl Strategy<Value = (Structure, Frame)> {
    let templates = 0..structure.parts().templates.len();
    let custom = (
        prop::option::of(some_indications(structure.targets())),
        prop::option::of(some_list(1..=4_096u16, 0..=MAX_DIFFERENCES)),
        prop::option::of(some_list(any::<u8>(), usize::from(structure.chains()))),
        prop::option::of(0..=structure.all_targets()),
    );
    let fields = (templates, any::<[bool; 3]>(), any::<u16>());
    (Just(structure), custom, fields).prop_map(|(structure, (indications, differences, chains, active), fields)| {
        let (template, [starts, ends, attached], number) = fields;
        let template = like(&structure, template);
        let frame = Frame {
            starts,
            ends,
            number,
            indications: indications.unwrap_or(template.indications),
            differences: differences.unwrap_or(template.differences),
            chain_differences: chains.unwrap_or(template.chain_differences),
            active_targets: active.or(attached.then_some(structure.all_targets())),
            structure: attached,
            ..template
        };
        (structure, frame)
    })
}

proptest! {
    #[test]
    fn written_frame_is_read_again((structure, frame) in some_structure().prop_flat_map(some_frame)) {
        let (read_frame, attached) = read(&written(&frame, &structure), Some(&structure)).unwrap();
        prop_assert_eq!(read_frame, frame);
        prop_assert_eq!(attached, frame.structure.then_some(structure));
    }

    /// By the definition: a target contains another if each frame of the other is one of its frames too.
    #[test]
    fn containment_follows_from_the_templates(structure in some_structure()) {
        for outer in 0..structure.targets() {
            for inner in 0..structure.targets() {
                let contains = structure.parts().templates.iter().map(|template| template.indications.present())
                    .all(|present| present >> inner & 1 == 0 || present >> outer & 1 == 1);
                prop_assert_eq!(structure.contained_in(outer) >> inner & 1 == 1, contains);
            }
        }
    }

    #[test]
    fn reading_is_total(bytes in prop::collection::vec(any::<u8>(), 0..96), known in prop::option::of(some_structure())) {
        if let Ok((frame, attached)) = read(&bytes, known.as_ref()) {
            let structure = attached.or(known).unwrap();
            let again = written(&frame, &structure);
            prop_assert_eq!(read(&again, Some(&structure)).unwrap().0, frame);
        }
    }
}
