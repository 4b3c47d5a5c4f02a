//! The call code is equal for equal rosters, and only for those.

use super::world::{INVITE, World, announces, at};
use crate::{Action, CallCode, Clock, Event, ParticipantId, Seat};
use alloc::vec::Vec;
use core::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn code(world: &mut World, id: ParticipantId) -> CallCode {
    world.device(id).session.call_code().unwrap()
}

#[test]
fn call_code_follows_roster() {
    let mut world = World::new(1);
    let ada = world.join("Ada");
    let mut codes = Vec::from([code(&mut world, ada)]);
    let mut present = Vec::from([ada]);
    let agreed = |world: &mut World, present: &[ParticipantId]| {
        world.run(1_000);
        let code_of_ada = code(world, ada);
        for id in present {
            assert_eq!(code(world, *id), code_of_ada, "devices learn of each other in different orders");
        }
        code_of_ada
    };
    for name in ["Bob", "Cy", "Dee"] {
        present.push(world.join(name));
        codes.push(agreed(&mut world, &present));
    }
    let cy = present.remove(2);
    let gone = world.leave(cy);
    codes.push(agreed(&mut world, &present));
    assert_eq!(gone.session.call_code(), Some(codes[3]), "it was not notified");
    present.push(world.join("Cy"));
    codes.push(agreed(&mut world, &present));
    for (index, one) in codes.iter().enumerate() {
        assert!(codes[..index].iter().all(|other| other != one), "a device that comes back is another");
    }
    // Renewed announces, new generations and streams do not change the roster.
    world.open_stream(ada, crate::StreamId::MICROPHONE);
    world.run(15 * 60_000);
    assert_eq!(agreed(&mut world, &present), codes[5]);
}

#[test]
fn call_code_absent_before_join_and_after_end() {
    let mut world = World::new(2);
    let mut session = world.session_with("Ada", INVITE);
    let clock = world.clock();
    assert_eq!(session.call_code(), None);
    session.handle(clock, Event::Joined { seat: Seat(4) }).unwrap();
    assert!(session.call_code().is_some());
    session.handle(Clock { wall: clock.wall.saturating_add(HOUR), ..clock }, Event::Tick).unwrap_err();
    assert_eq!(session.call_code(), None);
}

/// The server announces Mallory to Ada and Bob instead of each other. Mallory has the invite, and their names and seats.
#[test]
fn call_code_differs_with_device_in_the_middle() {
    let mut world = World::new(3);
    let seated = |world: &mut World, name: &str, seat: u16| {
        let mut session = world.session_with(name, INVITE);
        let Some(Action::SendAnnounce { announce, display, .. }) = session.poll() else { panic!("no announce") };
        session.handle(at(1_000), Event::Joined { seat: Seat(seat) }).unwrap();
        (session, announces(ParticipantId(u32::from(seat)), Seat(seat), &announce, &display))
    };
    let after = |mut session: crate::Session, body: &[u8]| {
        session.handle(at(1_000), Event::Announces(body)).unwrap();
        let verified = core::iter::from_fn(|| session.poll());
        assert!(verified.into_iter().any(|action| matches!(action, Action::ParticipantVerified { .. })));
        session.call_code().unwrap()
    };
    let ((ada, of_ada), (bob, of_bob)) = (seated(&mut world, "Ada", 1), seated(&mut world, "Bob", 2));
    let ((_, of_false_ada), (_, of_false_bob)) = (seated(&mut world, "Ada", 1), seated(&mut world, "Bob", 2));
    assert_ne!(after(ada, &of_false_bob), after(bob, &of_false_ada));
    let ((ada, of_ada_again), (bob, of_bob_again)) = (seated(&mut world, "Ada", 1), seated(&mut world, "Bob", 2));
    assert!(of_ada != of_ada_again && of_bob != of_bob_again);
    assert_eq!(after(ada, &of_bob_again), after(bob, &of_ada_again));
}
