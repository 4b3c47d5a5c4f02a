//! Announces: an altered one admits only the device that made it, under its own name, and keys go to no other.

use crate::stage::{START, STREAM, Stage, at, drain, tell};
use e2ee_frames::key_exchange::{BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES};
use e2ee_frames::{Action, Event, Seat};
use tacet_fuzz::Script;

/// The target: edits of an announces message. Bob has an open stream, so that newcomers receive his key.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut stage = Stage::new();
    stage.seat_bob();
    tell(&mut stage.bob, Event::StreamOpened(STREAM));
    let genuine = stage.announcements();
    let genuine: Vec<_> = genuine.iter().map(Vec::as_slice).collect();
    let mut shown = Vec::new();
    while !script.0.is_empty() {
        let body = script.edit(&genuine);
        // May be accepted or refused; the assertions below hold in both cases.
        let _ = stage.bob.handle(at(START), Event::Announces(&body));
        watch(drain(&mut stage.bob), &mut shown);
    }
    if shown.is_empty() {
        watch(tell(&mut stage.bob, Event::Announces(&stage.announces)), &mut shown);
        assert_eq!(shown.len(), 1, "a genuine announce was refused");
    }
    let later = START + 2_000;
    stage.bob.handle(at(later), Event::Tick).expect("time passes");
    watch(drain(&mut stage.bob), &mut shown);
}

/// Only Ada is ever shown, once at a time, and keys are sealed only to shown devices.
fn watch(actions: Vec<Action>, shown: &mut Vec<(e2ee_frames::ParticipantId, Seat)>) {
    for action in actions {
        match action {
            Action::ParticipantVerified { participant, seat, name } => {
                assert_eq!(name, "Ada");
                assert!(seat <= Seat::MAX);
                shown.push((participant, seat));
                assert_eq!(shown.len(), 1, "one device is one participant");
            }
            Action::ParticipantRemoved { participant } => {
                let before = shown.len();
                shown.retain(|(other, _)| *other != participant);
                assert_eq!(shown.len() + 1, before, "removed without being shown");
            }
            Action::SendKeyBatch { body, .. } => {
                for entry in body.get(BATCH_HEADER_BYTES..).unwrap_or_default().chunks(BATCH_ENTRY_BYTES) {
                    let to = Seat(u16::from_be_bytes([entry[0], entry[1]]));
                    assert!(shown.iter().any(|(_, seat)| *seat == to), "a key for a device that is not on the roster");
                }
            }
            _ => {}
        }
    }
}
