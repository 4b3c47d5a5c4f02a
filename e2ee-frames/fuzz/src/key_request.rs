//! Key requests: whatever is requested, in whatever name, keys go only to the roster and at a limited rate.

use crate::stage::{ADA_SEAT, START, Stage, at, drain};
use e2ee_frames::key_exchange::{BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES};
use e2ee_frames::{Action, Event};
use tacet_fuzz::Script;

/// The target: edits of a key request at one time, and the answers within two seconds; then a genuine one.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut stage = Stage::new();
    let genuine = stage.key_request();
    while !script.0.is_empty() {
        let body = script.edit(&[&genuine]);
        // May be accepted or refused; the assertions below hold in both cases.
        let _ = stage.bob.handle(at(START), Event::KeyRequest(&body));
    }
    let times = [START, START + 1_000, START + 2_000];
    let batches: usize = times.map(|later| answers(&mut stage, later)).iter().sum();
    assert!(batches <= 2, "{batches} answers to one device");
    let later = START + 5_000;
    stage.bob.handle(at(later), Event::KeyRequest(&genuine)).expect("a genuine request");
    let batches: usize = [later, later + 1_000].map(|later| answers(&mut stage, later)).iter().sum();
    assert_eq!(batches, 1, "a genuine request is answered");
}

/// The number of batches that Bob sends at this time, all of them to Ada.
fn answers(stage: &mut Stage, now: u64) -> usize {
    stage.bob.handle(at(now), Event::Tick).expect("time passes");
    let actions = drain(&mut stage.bob).into_iter();
    let batches = actions.filter_map(|action| match action {
        Action::SendKeyBatch { body, .. } => Some(body),
        _ => None,
    });
    let to_ada = |body: &Vec<u8>| {
        let entries = body.get(BATCH_HEADER_BYTES..).unwrap_or_default();
        entries.chunks(BATCH_ENTRY_BYTES).all(|entry| entry.get(..2) == Some(&ADA_SEAT.0.to_be_bytes()[..]))
    };
    batches.inspect(|body| assert!(to_ada(body), "a key for a device that is not on the roster")).count()
}
