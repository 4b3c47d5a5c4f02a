//! Key batches: an altered one installs no key but the sender's, and removes none.

use crate::stage::{ADA, ADA_SEAT, START, Stage, at, drain, seal};
use e2ee_frames::{Action, Codec, Event, FrameKind, OpenError};
use tacet_fuzz::Script;

/// The target: edits of a keys message; the genuine one comes last.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut stage = Stage::new();
    stage.introduce_ada();
    let mut installed = 0;
    while !script.0.is_empty() {
        let body = script.edit(&[&stage.keys]);
        // May be accepted or refused; the assertions below hold in both cases.
        let _ = stage.bob.handle(at(START), Event::Keys(&body));
        for action in drain(&mut stage.bob) {
            if let Action::KeyInstalled { participant, seat } = action {
                assert_eq!((participant, seat), (ADA, ADA_SEAT));
                installed += 1;
            }
        }
        hears(&mut stage, installed > 0);
    }
    assert!(installed <= 1, "one key is installed once");
    stage.bob.handle(at(START), Event::Keys(&stage.keys)).expect("a genuine message");
    drain(&mut stage.bob);
    hears(&mut stage, true);
}

/// Asserts that Bob opens Ada's frames if and only if he has her key.
fn hears(stage: &mut Stage, has_key: bool) {
    let (mut frame, _) =
        seal(&mut stage.ada, at(START), Codec::Opus, FrameKind::Delta, b"audio").expect("Ada has a key");
    match stage.bob.open(at(START), Codec::Opus, &mut frame) {
        Ok(opened) => assert!(has_key && frame.get(opened.range) == Some(b"audio".as_slice())),
        Err(error) => assert!(!has_key && error == OpenError::MissingKey, "{error}"),
    }
}
