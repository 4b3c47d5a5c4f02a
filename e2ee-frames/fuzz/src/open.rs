//! Frames that nobody sealed never open, whatever they are.

use crate::{
    script::Script,
    stage::{START, Stage, drain},
};

/// The target: a codec, then a frame.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(codec) = script.codec() else { return };
    let mut stage = Stage::new();
    stage.hand_over_key();
    let mut frame = script.0.to_vec();
    assert!(stage.bob.open(START, codec, &mut frame).is_err(), "a frame that nobody sealed was opened");
    drain(&mut stage.bob);
}
