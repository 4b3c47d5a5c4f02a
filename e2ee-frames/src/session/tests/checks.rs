//! A receiver's checks of a key batch, in order, each with a batch that fails only this check.

use super::world::World;
use crate::{
    Action, Event, ParticipantId, Problem, StreamId,
    keys::batch::{self, HEADER_BYTES},
};
use alloc::{vec, vec::Vec};

/// Where fields of a batch lie.
const TYPE: usize = 2;
const ROOM: usize = 6;
const CALL: usize = 22;
const JOIN_ID: usize = 40;
const ANNOUNCE_SEQ: usize = 56;
const CREATED: usize = 73;
const COMMITMENT: usize = 113;
const RECIPIENT_SEAT: usize = HEADER_BYTES;
const RECIPIENT_ANNOUNCE_SEQ: usize = HEADER_BYTES + 2;
const BOX: usize = HEADER_BYTES + 6;

const UNKNOWN: ParticipantId = ParticipantId(u32::MAX);

/// The last key that one device sealed to another, as the server delivers it.
fn last_batch(world: &World, from: ParticipantId, to: ParticipantId) -> Vec<u8> {
    let seat = world.devices[&to].seat.0.to_be_bytes();
    let cut = |body: &Vec<u8>| {
        let (header, entries) = body.split_at(HEADER_BYTES);
        let entry = entries.chunks(batch::ENTRY_BYTES).find(|entry| entry.starts_with(&seat))?;
        Some([header, entry].concat())
    };
    world.batches(from).iter().rev().find_map(cut).unwrap()
}

/// Ada's next generation, made for Bob and not delivered to him yet, and the one that he has.
fn undelivered() -> (World, ParticipantId, ParticipantId, Vec<u8>, Vec<u8>) {
    let mut world = World::new(1);
    let (ada, bob, carol) = (world.join("Ada"), world.join("Bob"), world.join("Carol"));
    world.open_stream(ada, StreamId::MICROPHONE);
    world.run(2_000);
    world.hears(bob, ada).unwrap();
    let old = last_batch(&world, ada, bob);
    world.weather.drop_percent = 100;
    world.leave(carol);
    world.run(500);
    let new = last_batch(&world, ada, bob);
    assert_ne!(old, new);
    (world, ada, bob, old, new)
}

/// The outcome of a batch for Bob: keys installed, problems reported, batches held.
fn outcome(world: &mut World, bob: ParticipantId, batch: &[u8]) -> (usize, Vec<(ParticipantId, Problem)>, usize) {
    let before = world.device(bob).log.len();
    let held = world.device(bob).session.held.len();
    world.event(bob, Event::Keys(&[&[1], batch].concat()));
    let log = &world.devices[&bob].log[before..];
    let installed = log.iter().filter(|action| matches!(action, Action::KeyInstalled { .. })).count();
    let problem = |action: &Action| match action {
        Action::Problem { participant, problem } => Some((*participant, *problem)),
        _ => None,
    };
    (installed, log.iter().filter_map(problem).collect(), world.devices[&bob].session.held.len() - held)
}

#[test]
fn key_batch_checks_refuse_alone() {
    let (mut world, ada, bob, old, new) = undelivered();
    let own_join_id = world.device(bob).session.identity.join_id;
    let nothing = (0, vec![], 0);
    let refused = |sender| (0, vec![(sender, Problem::KeysRefused)], 0);
    let changed = |at: usize, xor: u8| {
        let mut batch = new.clone();
        batch[at] ^= xor;
        batch
    };
    let mut mine = new.clone();
    mine[JOIN_ID..JOIN_ID + 16].copy_from_slice(own_join_id.prefix());
    let mut of_the_old = old.clone();
    *of_the_old.last_mut().unwrap() ^= 1;
    let checks = [
        ("a header of this version", changed(TYPE, 1), refused(UNKNOWN)),
        ("this room", changed(ROOM, 1), refused(UNKNOWN)),
        ("this call", changed(CALL, 1), refused(UNKNOWN)),
        ("not reflected", mine, refused(UNKNOWN)),
        ("a sender on the roster, else it waits", changed(JOIN_ID, 1), (0, vec![], 1)),
        ("an announce that has come, else it waits", changed(ANNOUNCE_SEQ + 3, 2), (0, vec![], 1)),
        ("an announce that still counts", changed(ANNOUNCE_SEQ + 3, 1), nothing.clone()),
        ("the same key again is no news", old.clone(), nothing.clone()),
        ("the same epoch again in a box that does not open", of_the_old, refused(ada)),
        ("an entry for this seat", changed(RECIPIENT_SEAT + 1, 0x20), refused(ada)),
        ("an entry for an announce of this device", changed(RECIPIENT_ANNOUNCE_SEQ + 3, 8), nothing),
        ("a box that opens", changed(BOX, 1), refused(ada)),
        ("the context in the box", changed(CREATED, 1), refused(ada)),
        ("the commitment, which the context binds", changed(COMMITMENT, 1), refused(ada)),
    ];
    for (check, batch, expected) in checks {
        assert_eq!(outcome(&mut world, bob, &batch), expected, "{check}");
    }
    // The server shows Ada on another seat than the one that she seals for.
    let announce = world.device(ada).announces();
    let mut elsewhere = announce.clone();
    elsewhere[5..7].copy_from_slice(&9_u16.to_be_bytes());
    world.event(bob, Event::Announces(&elsewhere));
    assert_eq!(outcome(&mut world, bob, &new), refused(ada), "the sender's seat on the roster");
    world.event(bob, Event::Announces(&announce));
    // The true one passes all of them; then it is old itself, and so is the one before.
    assert_eq!(outcome(&mut world, bob, &new), (1, vec![], 0));
    assert_eq!(outcome(&mut world, bob, &new), (0, vec![], 0));
    assert_eq!(outcome(&mut world, bob, &old), (0, vec![], 0), "no way back");
    world.run(20_000);
    assert_eq!(outcome(&mut world, bob, &old), (0, vec![], 0), "nor when the old key is long erased");
}

#[test]
fn withheld_key_is_refused_after_newer_one() {
    let (mut world, ada, bob, _, withheld) = undelivered();
    world.run(1_000);
    let dave = world.join("Dave");
    world.run(1_000);
    world.leave(dave);
    world.run(500);
    let newer = last_batch(&world, ada, bob);
    assert_eq!(outcome(&mut world, bob, &newer), (1, vec![], 0));
    // Bob never had it, and its box opens; a server that kept it for who has left gains nothing.
    assert_eq!(outcome(&mut world, bob, &withheld), (0, vec![], 0));
}
