//! A lost connection to the server, and batches that it has not accepted: nothing is sent, nothing is lost, and what a
//! device that left can read has an end.

use super::world::World;
use crate::{
    Action, Event, OpenError, ParticipantId, ResumeOperation, ResumeStatement, SealError, StreamId,
    keys::sender::LIFE_AFTER_LEAVE,
};
use alloc::vec::Vec;

const MIC: StreamId = StreamId::MICROPHONE;
const LIFE_MS: u64 = LIFE_AFTER_LEAVE.as_millis() as u64;

/// A world with this many devices, all sending.
fn talking(seed: u64, devices: usize) -> (World, Vec<ParticipantId>) {
    let mut world = World::new(seed);
    let ids: Vec<_> = (0..devices).map(|_| world.join("x")).collect();
    ids.iter().for_each(|id| world.open_stream(*id, MIC));
    world.run(2_000);
    (world, ids)
}

/// The last number of a device's key batches.
fn last_batch(world: &World, id: ParticipantId) -> u32 {
    let numbers = world.devices[&id].log.iter().rev().find_map(|action| match action {
        Action::SendKeyBatch { number, .. } => Some(*number),
        _ => None,
    });
    numbers.unwrap()
}

#[test]
fn switch_waits_for_acceptance() {
    let (mut world, ids) = talking(1, 3);
    world.accepts = false;
    world.leave(ids[2]);
    world.run(5_000);
    world.hears(ids[1], ids[0]).unwrap();
    assert_eq!(world.epochs(ids[0]).last(), Some(&(0, 0)), "the window is over, but nothing is accepted");
    let number = last_batch(&world, ids[0]);
    world.event(ids[0], Event::KeyBatchAccepted { number: number + 1 });
    assert_eq!(world.epochs(ids[0]).last(), Some(&(0, 0)), "of a batch that was never sent");
    world.event(ids[0], Event::KeyBatchAccepted { number });
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
    world.hears(ids[1], ids[0]).unwrap();
}

#[test]
fn acceptance_does_not_shorten_window() {
    let (mut world, ids) = talking(2, 3);
    world.leave(ids[2]);
    world.run(999);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(0, 0)));
    world.run(1);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
}

#[test]
fn first_key_waits_for_acceptance() {
    let mut world = World::new(3);
    world.accepts = false;
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.run(0);
    world.open_stream(ada, MIC);
    world.run(2_000);
    assert_eq!(world.seal(ada, MIC, b"early"), Err(SealError::NoKey));
    let ready = |world: &World| world.devices[&ada].log.contains(&Action::StreamReady { stream: MIC });
    assert!(!ready(&world));
    let number = last_batch(&world, ada);
    world.event(ada, Event::KeyBatchAccepted { number });
    assert!(ready(&world));
    world.hears(bob, ada).unwrap();
}

#[test]
fn device_alone_in_call_needs_no_acceptance() {
    let mut world = World::new(4);
    world.accepts = false;
    let ada = world.join("Ada");
    world.open_stream(ada, MIC);
    world.seal(ada, MIC, b"to no one").unwrap();
}

/// A step of the ratchet can be computed by all who hold the generation, so only newcomers depend on the batch.
#[test]
fn newcomers_are_served_without_acceptance() {
    let (mut world, ids) = talking(5, 2);
    world.hears(ids[1], ids[0]).unwrap();
    world.accepts = false;
    let late = world.join("late");
    world.run(1_000);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(0, 1)));
    world.hears(ids[1], ids[0]).unwrap();
    world.hears(late, ids[0]).unwrap();
}

/// Joins during a rotation do not put the switch off.
#[test]
fn switch_does_not_wait_for_batches_to_newcomers() {
    let (mut world, ids) = talking(6, 3);
    world.leave(ids[2]);
    world.run(100);
    world.accepts = false;
    world.join("late");
    world.run(900);
    assert_eq!(world.epochs(ids[0]).last().unwrap().0, 1);
}

#[test]
fn device_that_left_reads_no_more_after_45_s_whatever_server_accepts() {
    let (mut world, ids) = talking(7, 3);
    world.accepts = false;
    let mut gone = world.leave(ids[2]);
    world.run(LIFE_MS - 1);
    let last = world.seal(ids[0], MIC, b"last").unwrap();
    let clock = world.clock();
    assert!(super::world::open_with(&mut gone.session, clock, &last).is_ok());
    world.run(1);
    assert_eq!(world.seal(ids[0], MIC, b"x"), Err(SealError::NoKey), "silent rather than overheard");
    // The server comes to its senses.
    world.accepts = true;
    let number = last_batch(&world, ids[0]);
    world.event(ids[0], Event::KeyBatchAccepted { number });
    world.run(100);
    let frame = world.seal(ids[0], MIC, b"again").unwrap();
    assert_eq!(world.open(ids[1], &frame), Ok((ids[0], b"again".to_vec())));
    let clock = world.clock();
    assert!(super::world::open_with(&mut gone.session, clock, &frame).is_err());
}

/// A participant left while no device sent: the key that it holds never seals a frame.
#[test]
fn leave_while_muted_erases_key_at_once() {
    let mut world = World::new(8);
    let ids: Vec<_> = (0..3).map(|_| world.join("x")).collect();
    world.run(2_000);
    world.accepts = false;
    world.leave(ids[2]);
    world.run(0);
    world.open_stream(ids[0], MIC);
    assert_eq!(world.seal(ids[0], MIC, b"x"), Err(SealError::NoKey));
    let number = last_batch(&world, ids[0]);
    world.event(ids[0], Event::KeyBatchAccepted { number });
    world.run(0);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
    world.hears(ids[1], ids[0]).unwrap();
}

#[test]
fn leave_of_unknown_participant_rotates() {
    let (mut world, ids) = talking(9, 2);
    world.event(ids[0], Event::Left(&[ParticipantId(99)]));
    world.event(ids[1], Event::Left(&[ParticipantId(99)]));
    world.run(1_000);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
    world.event(ids[0], Event::Left(&[]));
    world.run(2_000);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)), "no one left");
    world.run(LIFE_MS);
    world.hears(ids[1], ids[0]).unwrap();
}

/// The sender does not hear of the leave: its key dies at the receiver all the same, also a later step of it.
#[test]
fn keys_die_45_s_after_leave_at_receiver() {
    let (mut world, ids) = talking(10, 3);
    world.hears(ids[1], ids[0]).unwrap();
    let gone = world.devices.remove(&ids[2]).unwrap();
    world.event(ids[1], Event::Left(&[gone.id]));
    world.run(LIFE_MS - 1);
    world.hears(ids[1], ids[0]).unwrap();
    let withheld = world.seal(ids[0], MIC, b"withheld").unwrap();
    world.join("late");
    world.run(1);
    assert_eq!(world.open(ids[1], &withheld), Err(OpenError::MissingKey));
    // The next step of the same generation, which the sender seals when it is asked, is as old as the first.
    world.run(1_000);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(0, 1)));
    for _ in 0..4 {
        assert_eq!(world.hears(ids[1], ids[0]), Err(OpenError::MissingKey));
        world.run(1_000);
    }
    // A new generation is not affected.
    world.event(ids[0], Event::Left(&[gone.id]));
    world.run(2_000);
    world.hears(ids[1], ids[0]).unwrap();
    world.run(LIFE_MS);
    world.hears(ids[1], ids[0]).unwrap();
}

#[test]
fn periodic_rotation_kills_no_keys() {
    let (mut world, ids) = talking(11, 2);
    world.run(11 * 60_000);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
    world.run(LIFE_MS + 1_000);
    world.hears(ids[1], ids[0]).unwrap();
}

#[test]
fn media_goes_on_while_detached() {
    let (mut world, ids) = talking(12, 3);
    world.detach(ids[0]);
    world.leave(ids[2]);
    for _ in 0..30 {
        world.run(1_000);
        world.hears(ids[1], ids[0]).unwrap();
        world.hears(ids[0], ids[1]).unwrap_or_else(|error| assert_eq!(error, OpenError::MissingKey));
    }
    assert_eq!(world.epochs(ids[0]).last(), Some(&(0, 0)));
    world.attach(ids[0], false);
    world.run(999);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(0, 0)), "the window begins when the leave is heard of");
    world.run(1);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
    world.hears(ids[1], ids[0]).unwrap();
    world.hears(ids[0], ids[1]).unwrap();
    world.run(LIFE_MS);
    world.hears(ids[1], ids[0]).unwrap();
}

/// A rotation whose window ends without a connection: the switch follows on the next one.
#[test]
fn switch_waits_for_connection() {
    let (mut world, ids) = talking(13, 3);
    world.leave(ids[2]);
    world.run(500);
    world.detach(ids[0]);
    world.run(10_000);
    world.hears(ids[1], ids[0]).unwrap();
    assert_eq!(world.epochs(ids[0]).last(), Some(&(0, 0)));
    world.attach(ids[0], false);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
    world.hears(ids[1], ids[0]).unwrap();
}

/// A batch was on its way when the connection broke. It arrives twice, and does harm at no receiver.
#[test]
fn batch_is_sent_again_after_outage() {
    let (mut world, ids) = talking(14, 3);
    world.accepts = false;
    world.leave(ids[2]);
    world.run(100);
    world.detach(ids[0]);
    world.accepts = true;
    world.run(20_000);
    world.attach(ids[0], false);
    world.run(100);
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
    world.hears(ids[1], ids[0]).unwrap();
    assert!(world.problems(ids[1]).is_empty());
    let installed = Action::KeyInstalled { participant: ids[0], seat: world.devices[&ids[0]].seat };
    let times = world.devices[&ids[1]].log.iter().filter(|action| **action == installed).count();
    assert_eq!(times, 2, "the first key and the next, each once");
}

#[test]
fn what_falls_due_while_detached_runs_at_once_afterwards() {
    let (mut world, ids) = talking(15, 2);
    world.detach(ids[0]);
    let sent = |world: &World| {
        let log = &world.devices[&ids[0]].log;
        let announces = log.iter().filter(|action| matches!(action, Action::SendAnnounce { .. })).count();
        (announces, world.batches(ids[0]).len())
    };
    let before = sent(&world);
    // Longer than its announce is valid, so that the other removes it meanwhile.
    world.run(16 * 60_000);
    assert_eq!(sent(&world), before);
    assert!(!world.devices[&ids[1]].shown.contains_key(&ids[0]));
    world.attach(ids[0], false);
    assert_eq!(sent(&world).0, before.0 + 1, "renewed at once");
    world.run(2_000);
    assert!(world.devices[&ids[1]].shown.contains_key(&ids[0]));
    world.hears(ids[1], ids[0]).unwrap();
    world.hears(ids[0], ids[1]).unwrap();
}

#[test]
fn missing_key_is_requested_after_outage() {
    let (mut world, ids) = talking(16, 2);
    world.detach(ids[1]);
    let late = world.join("late");
    world.open_stream(late, MIC);
    world.run(10_000);
    assert_eq!(world.hears(ids[1], late), Err(OpenError::UnknownSender));
    world.attach(ids[1], false);
    world.run(100);
    world.hears(ids[1], late).unwrap();
    world.hears(late, ids[1]).unwrap_or_else(|error| assert_eq!(error, OpenError::MissingKey));
    world.run(1_000);
    world.hears(late, ids[1]).unwrap();
}

/// A server that has forgotten all devices: they join again on their seats. No key changes, and none leaves.
#[test]
fn restarted_server_rotates_nothing() {
    let (mut world, ids) = talking(17, 3);
    world.hears(ids[1], ids[0]).unwrap();
    let before: Vec<_> = ids.iter().map(|id| (world.epochs(*id), world.batches(*id).len())).collect();
    let removed = |world: &World| {
        let log = ids.iter().flat_map(|id| &world.devices[id].log);
        log.filter(|action| matches!(action, Action::ParticipantRemoved { .. })).count()
    };
    ids.iter().for_each(|id| world.detach(*id));
    for id in &ids {
        world.run(1_000);
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            world.hears(ids[to], ids[from]).unwrap();
        }
        world.attach(*id, true);
    }
    world.run(5_000);
    let after: Vec<_> = ids.iter().map(|id| (world.epochs(*id), world.batches(*id).len())).collect();
    assert_eq!(after, before);
    assert_eq!(removed(&world), 0);
    assert!(ids.iter().all(|id| world.problems(*id).is_empty()));
    // The announces are new ones, with new ephemeral keys, to which keys are sealed from now on.
    assert!(ids.iter().all(|id| world.devices[id].session.ephemeral.seq == 2));
    world.join("late");
    world.run(2_000);
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        world.hears(ids[to], ids[from]).unwrap();
    }
}

#[test]
fn nothing_but_announce_is_sent_before_server_has_admitted_again() {
    let (mut world, ids) = talking(18, 3);
    world.detach(ids[0]);
    let gone = world.leave(ids[2]);
    world.run(1_000);
    let clock = world.clock();
    let session = &mut world.device(ids[0]).session;
    session.handle(clock, Event::Attached { fresh: true }).unwrap();
    let Some(Action::SendAnnounce { first: true, .. }) = session.poll() else { panic!("no announce") };
    session.handle(clock, Event::Left(&[gone.id])).unwrap();
    let removed = Action::ParticipantRemoved { participant: gone.id };
    assert_eq!(session.poll(), Some(removed));
    assert!(matches!((session.poll(), session.poll()), (Some(Action::CallCodeChanged(_)), None)));
    session.handle(clock, Event::Joined { seat: crate::Seat(1) }).unwrap();
    assert!(matches!(session.poll(), Some(Action::SendKeyBatch { .. })));
}

#[test]
fn stream_that_opens_while_detached_goes_on_with_its_key() {
    let mut world = World::new(19);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.run(2_000);
    world.detach(ada);
    world.open_stream(ada, MIC);
    world.hears(bob, ada).unwrap();
    let late = world.join("late");
    world.run(2_000);
    assert!(world.hears(late, ada).is_err());
    world.attach(ada, false);
    world.run(1_000);
    world.hears(late, ada).unwrap();
    world.hears(bob, ada).unwrap();
}

#[test]
fn proof_of_resume_outlives_sleep() {
    let (mut world, ids) = talking(20, 1);
    let statement = ResumeStatement {
        operation: ResumeOperation::Session,
        origin: "https://call.example",
        room: super::world::ROOM,
        call: super::world::CALL,
        session: [7; 16],
        participant: ids[0].0,
        token: b"token",
        nonce: [8; 32],
    };
    let device = world.device(ids[0]).session.identity.device;
    let proof = world.device(ids[0]).session.prove_resume(&statement).unwrap();
    assert!(e2ee_core::resume::verify(&device, &statement, &proof));
    let jumped = crate::Clock { wall: crate::WallTime::from_millis(1), ..world.clock() };
    let session = &mut world.device(ids[0]).session;
    assert!(session.handle(jumped, Event::Tick).is_err());
    let later = ResumeStatement { nonce: [9; 32], ..statement };
    assert!(e2ee_core::resume::verify(&device, &later, &session.prove_resume(&later).unwrap()));
}
