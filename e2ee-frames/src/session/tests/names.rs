//! Names as a session hands them out.

use super::world::{INVITE, World};
use crate::{Action, ParticipantId, Seat, names::NAMELESS};
use alloc::{string::String, vec::Vec};

fn shown(world: &World, at: ParticipantId) -> Vec<String> {
    world.devices[&at].shown.values().cloned().collect()
}

#[test]
fn names_are_handed_out_harmless_and_numbered() {
    let mut world = World::new(1);
    let ada = world.join("Ada");
    for name in ["Bob", "A\u{200b}da", "Аda", "\u{202e}(rotaredom)", "", "Bob"] {
        world.join(name);
    }
    world.run(1_000);
    assert_eq!(shown(&world, ada), ["Bob", "Ada 2", "Аda 3", "(rotaredom)", NAMELESS, "Bob 2"]);
}

/// A device of the protocol that cleans nothing. Its name is cleaned where it is shown.
#[test]
fn names_of_other_clients_are_cleaned() {
    let mut world = World::new(2);
    let ada = world.join("Ada");
    let mut session = world.session_with("x", INVITE);
    let Some(Action::SendAnnounce { .. }) = session.poll() else { panic!("no announce") };
    session.name.choose_unchecked("\u{202e}A\u{0}da\u{2028}");
    session.announce(true).unwrap();
    world.seat(session, Seat(9));
    world.run(1_000);
    assert_eq!(shown(&world, ada), ["Ada 2"]);
}

#[test]
fn number_stays_while_its_owner_stays() {
    let mut world = World::new(3);
    let ada = world.join("Ada");
    let [first, second] = ["Bob", "Bob"].map(|name| world.join(name));
    world.run(1_000);
    world.leave(first);
    // Renewals of announces change no name.
    world.run(25 * 60_000);
    assert_eq!(world.device(ada).shown[&second], "Bob 2");
    assert!(!world.device(ada).shown.contains_key(&first));
    world.join("Bob");
    world.run(1_000);
    assert_eq!(shown(&world, ada), ["Bob 2", "Bob"]);
}
