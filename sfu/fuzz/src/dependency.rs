//! The Dependency Descriptor: descriptors of a stream are read one after another, each against the structure that the
//! last key frame brought. What was read is written and read again without a difference; so are structures and frames that
//! the script makes up.

use rtp_wire::dependency_descriptor::{
    Frame, Indication, MAX_TARGETS, Structure, StructureParts, Template, WriteError, read, write,
};
use tacet_fuzz::Script;

/// Input: a kind, and then descriptors with their lengths, or the parts of a structure and its frames.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    match script.byte() {
        Some(kind) if kind % 2 == 0 => stream(script),
        Some(_) => drop(made_up(script)),
        None => {}
    }
}

/// Reads descriptors as a server does.
fn stream(mut script: Script<'_>) {
    let mut known = None;
    while let Some(length) = script.byte() {
        let descriptor = script.bytes(length.into());
        let Ok((frame, attached)) = read(descriptor, known.as_ref()) else { continue };
        assert_eq!(frame.structure, attached.is_some());
        if let Some(structure) = &attached {
            consistent(structure);
            assert!(frame.active_targets.is_some());
        }
        known = attached.or(known);
        let structure = known.as_ref().expect("a frame was read against a structure");
        assert_eq!(frame.targets() & !structure.all_targets(), 0);
        assert_eq!(frame.chain_differences.len(), usize::from(structure.chains()));
        assert_eq!(written_and_read(&frame, structure), Ok(frame));
    }
}

/// Makes a structure and frames of it, which the format can express or not.
fn made_up(mut script: Script<'_>) -> Option<()> {
    let [offset, targets, chains, count, sizes] =
        [script.byte()?, script.byte()?, script.byte()?, script.byte()?, script.byte()?];
    let mut parts = StructureParts { template_id_offset: offset, targets, ..StructureParts::default() };
    for _ in 0..count {
        let dependencies = frame(&mut script, targets, chains)?;
        let Frame { spatial, temporal, indications, differences, chain_differences, .. } = dependencies;
        parts.templates.push(Template { spatial, temporal, indications, differences, chain_differences });
    }
    for _ in 0..if chains == 0 { 0 } else { targets } {
        parts.protected_by.push(script.byte()?).ok()?;
    }
    for _ in 0..sizes {
        parts.resolutions.push((script.word()?, script.word()?)).ok()?;
    }
    let structure = Structure::new(parts)?;
    consistent(&structure);
    loop {
        let mut frame = frame(&mut script, targets, chains)?;
        let flags = script.byte()?;
        frame.structure = flags & 1 != 0;
        frame.active_targets =
            (flags & 2 != 0).then_some(script.word()?).or(frame.structure.then_some(structure.all_targets()));
        if let Ok(read) = written_and_read(&frame, &structure) {
            assert_eq!(read, frame);
        }
    }
}

fn frame(script: &mut Script<'_>, targets: u8, chains: u8) -> Option<Frame> {
    let mut frame = Frame { spatial: script.byte()?, temporal: script.byte()?, number: 7, ..Frame::default() };
    for target in 0..targets {
        let indication = match script.byte()? % 4 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        };
        frame.indications.set(target, indication);
    }
    for _ in 0..script.byte()? {
        frame.differences.push(script.word()?).ok()?;
    }
    for _ in 0..chains {
        frame.chain_differences.push(script.byte()?).ok()?;
    }
    Some(frame)
}

/// Reads the descriptor that the writer makes of a frame. Whatever it writes can be read.
fn written_and_read(frame: &Frame, structure: &Structure) -> Result<Frame, WriteError> {
    let mut bytes = Vec::new();
    write(&mut bytes, frame, structure)?;
    let known = (!frame.structure).then_some(structure);
    let (read, attached) = read(&bytes, known).expect("a written descriptor can be read");
    assert_eq!(attached.as_ref(), frame.structure.then_some(structure));
    Ok(read)
}

/// What holds for every structure.
fn consistent(structure: &Structure) {
    assert!((1..=MAX_TARGETS).contains(&structure.targets().into()));
    assert_eq!(Structure::new(structure.parts().clone()).as_ref(), Some(structure));
    for outer in 0..structure.targets() {
        let contained = structure.contained_in(outer);
        assert_eq!(contained & !structure.all_targets(), 0);
        assert!(contained >> outer & 1 == 1, "a target contains itself");
        for inner in (0..structure.targets()).filter(|inner| contained >> inner & 1 == 1) {
            assert_eq!(structure.contained_in(inner) & !contained, 0, "containment is transitive");
            assert!(structure.spatial_of(inner) <= structure.spatial_of(outer));
            assert!(structure.temporal_of(inner) <= structure.temporal_of(outer));
        }
        assert!(structure.chain_of(outer).is_none_or(|chain| chain < structure.chains()));
    }
}
