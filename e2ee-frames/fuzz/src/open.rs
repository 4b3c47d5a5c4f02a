//! Arbitrary bytes never open as frames.

use crate::stage::{START, Stage, at, drain};
use tacet_fuzz::Script;

/// The target: a codec, then a frame.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(codec) = crate::codec(&mut script) else { return };
    let mut stage = Stage::new();
    stage.hand_over_key();
    let mut frame = script.0.to_vec();
    assert!(stage.bob.open(at(START), codec, &mut frame).is_err(), "a forged frame was opened");
    drain(&mut stage.bob);
}
