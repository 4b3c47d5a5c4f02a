//! Rosters that differ are reported, and those of an honest server never do.

use super::world::{Dice, INVITE, World, announces};
use crate::{Action, Event, ParticipantId, Problem, Seat, StreamId};
use alloc::vec::Vec;
use core::time::Duration;

const MIC: StreamId = StreamId::MICROPHONE;

/// A device that is nowhere in the world, as the server would announce it.
fn ghost(world: &mut World, number: u16) -> (ParticipantId, Vec<u8>) {
    let mut session = world.session_with("Eve", INVITE);
    let Some(Action::SendAnnounce { announce, display, .. }) = session.poll() else { panic!("no announce") };
    let id = ParticipantId(1_000 + u32::from(number));
    (id, announces(id, Seat(1_000 + number), &announce, &display))
}

fn differs(world: &World, at: ParticipantId) -> Vec<ParticipantId> {
    let problems = world.problems(at).into_iter();
    problems.filter(|(_, problem)| *problem == Problem::RosterDiffers).map(|(who, _)| who).collect()
}

#[test]
fn split_room_is_reported_and_solved() {
    let mut world = World::new(1);
    let [ada, bob, carol] = ["Ada", "Bob", "Carol"].map(|name| world.join(name));
    [ada, bob].into_iter().for_each(|id| world.open_stream(id, MIC));
    world.run(2_000);
    // The server shows Eve to Bob and not to Ada.
    let (_, eve) = ghost(&mut world, 0);
    world.event(bob, Event::Announces(&eve));
    world.run(60_000);
    world.leave(carol);
    world.run(44_000);
    assert!(differs(&world, ada).is_empty() && differs(&world, bob).is_empty());
    world.run(2_000);
    assert_eq!((differs(&world, ada), differs(&world, bob)), (Vec::from([bob]), Vec::from([ada])));
    world.run(600_000);
    assert_eq!(differs(&world, ada), [bob], "reported once");
    world.hears(ada, bob).unwrap();
    // Now it shows her to Ada, too.
    world.event(ada, Event::Announces(&eve));
    assert_eq!(world.solved(ada), [(bob, Problem::RosterDiffers)]);
    world.run(81_000);
    assert_eq!(world.solved(bob), [(ada, Problem::RosterDiffers)], "Bob has asked Ada");
}

/// The server repeats an older batch, which states a roster that the receiver agrees with.
#[test]
fn repeated_batch_does_not_hide_a_split() {
    let mut world = World::new(2);
    let [ada, bob, carol] = ["Ada", "Bob", "Carol"].map(|name| world.join(name));
    world.open_stream(bob, MIC);
    world.run(2_000);
    world.leave(carol);
    world.run(2_000);
    let agreeing = [&[1][..], world.batches(bob).last().unwrap()].concat();
    let (_, eve) = ghost(&mut world, 0);
    world.event(bob, Event::Announces(&eve));
    world.run(2_000);
    // Bob is asked for his key, and states the other roster.
    let kid = u64::from(world.devices[&bob].seat.0) << 6;
    let join_id = world.device(bob).session.identity.join_id.prefix().to_vec();
    let requester = world.devices[&ada].seat.0.to_be_bytes();
    world.event(bob, Event::KeyRequest(&[&requester[..], &[1], &join_id, &kid.to_be_bytes()].concat()));
    for _ in 0..50 {
        world.run(1_000);
        world.event(ada, Event::Keys(&agreeing));
    }
    assert_eq!(differs(&world, ada), [bob]);
    assert!(world.solved(ada).is_empty());
}

/// 100 people join in a second, some leave again, and each device hears of it in another order. Senders rotate meanwhile.
#[test]
fn hundred_joins_a_second_raise_no_alarm() {
    let mut world = World::new(3);
    world.timing.rotation = Duration::from_millis(1_700);
    let ids = ["Ada", "Bob", "Cy"].map(|name| world.join(name));
    ids.into_iter().for_each(|id| world.open_stream(id, MIC));
    world.run(3_000);
    let crowd: Vec<_> = (0..200).map(|number| ghost(&mut world, number)).collect();
    // Every fifth of those who came leaves a second later.
    let mut happenings: Vec<(u64, ParticipantId, Event<'_>)> = Vec::new();
    let leavers: Vec<[ParticipantId; 1]> = crowd.iter().map(|(id, _)| [*id]).collect();
    let mut dice = Dice(4);
    for (number, ((_, announce), leaver)) in crowd.iter().zip(&leavers).enumerate() {
        for id in ids {
            let at = world.now + number as u64 * 10;
            happenings.push((at + dice.below(400), id, Event::Announces(announce)));
            if number % 5 == 0 {
                happenings.push((at + 1_000 + dice.below(400), id, Event::Left(leaver)));
            }
        }
    }
    happenings.sort_by_key(|(at, ..)| *at);
    for (at, id, event) in happenings {
        world.run(at.saturating_sub(world.now));
        world.event(id, event);
    }
    world.timing.rotation = Duration::from_secs(600);
    for _ in 0..10 {
        world.run(20_000);
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            world.hears(ids[to], ids[from]).unwrap();
        }
    }
    for id in ids {
        assert_eq!(world.device(id).shown.len(), 2 + 160);
        assert!(world.problems(id).is_empty(), "{:?}", world.problems(id));
    }
}

#[test]
fn call_code_is_reported_when_it_changes() {
    let mut world = World::new(5);
    let ada = world.join("Ada");
    let codes = |world: &World| {
        let code = |action: &Action| if let Action::CallCodeChanged(code) = action { Some(*code) } else { None };
        world.devices[&ada].log.iter().filter_map(code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&world).len(), 1, "alone");
    let bob = world.join("Bob");
    world.run(1_000);
    world.open_stream(ada, MIC);
    world.open_stream(bob, MIC);
    world.run(11 * 60_000);
    assert_eq!(codes(&world).len(), 2, "renewals and rotations change nothing");
    let (_, eve) = ghost(&mut world, 0);
    let (_, dan) = ghost(&mut world, 1);
    let both = [&[2], &eve[1..], &dan[1..]].concat();
    world.event(ada, Event::Announces(&both));
    assert_eq!(codes(&world).len(), 3, "once for both");
    world.leave(bob);
    world.run(1_000);
    assert_eq!(codes(&world).len(), 4);
    let last = codes(&world).pop();
    assert_eq!(world.device(ada).session.call_code(), last);
}
