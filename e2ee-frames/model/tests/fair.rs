//! An honest server: all devices read each other in the end.

mod exploring;

use e2ee_frames_model::{
    Protocol, Rule, Sizes, Times,
    fair::{Fair, Message, Move},
};
use exploring::{counterexample, explore};

const IN_THE_END: &str = "in the end everyone reads everyone";
const ALL_READ: &str = "all devices are there, send and are read";
const NOT_YET: &str = "a device does not read yet";
const ASKED: &str = "a request is on its way";

/// No periodic rotation, which would heal whatever else fails.
const TIMES: Times = Times {
    window: 2,
    linger: 2,
    coalesce_joins: 1,
    settle: 1,
    coalesce_answers: 1,
    answer_every: 2,
    rotation: 1_000,
    hold: 3,
    request_every: 2,
    grace: 1,
    first_grace: 2,
    forget: 8,
    life: 12,
    ages: None,
    rosters: None,
};
const SIZES: Sizes = Sizes { steps: 3, ..Sizes::REAL };
const PROTOCOL: Protocol = Protocol { times: TIMES, sizes: SIZES, eager: true, without: None };

/// Three devices, one of which joins later and one of which may leave.
const THREE: Fair = Fair {
    protocol: PROTOCOL,
    devices: 3,
    present: 2,
    senders: 1,
    delay: 1,
    quiet_from: 4,
    ends_at: 20,
    leaves: 1,
    switches: 2,
    losses: 2,
    outages: 0,
};

#[test]
fn three_devices() {
    explore("three devices", THREE, &[ALL_READ, NOT_YET, ASKED]);
}

#[test]
fn three_devices_on_a_slow_server() {
    let call = Fair { delay: 2, losses: 1, ..THREE };
    explore("three devices, slow server", call, &[ALL_READ, NOT_YET, ASKED]);
}

#[test]
fn three_devices_in_a_large_room() {
    let call = Fair { protocol: Protocol { eager: false, ..PROTOCOL }, ..THREE };
    explore("three devices, large room", call, &[ALL_READ, NOT_YET, ASKED]);
}

#[test]
fn three_devices_and_periodic_rotation() {
    let protocol = Protocol { times: Times { rotation: 8, ..TIMES }, ..PROTOCOL };
    explore("three devices, rotating", Fair { protocol, ..THREE }, &[ALL_READ, NOT_YET, ASKED]);
}

#[test]
fn three_devices_all_of_which_send() {
    let call = Fair { senders: 3, switches: 3, leaves: 0, losses: 0, ends_at: 14, ..THREE };
    explore("three senders", call, &[ALL_READ, NOT_YET, ASKED]);
}

#[test]
fn four_devices() {
    let call = Fair { devices: 4, present: 3, switches: 1, losses: 1, quiet_from: 3, ends_at: 16, ..THREE };
    explore("four devices", call, &[ALL_READ, NOT_YET, ASKED]);
}

/// The server relays and accepts at some time, and the sender's connection may be lost before, between and after.
#[test]
fn three_devices_and_an_outage() {
    let call = Fair { outages: 1, losses: 0, switches: 1, quiet_from: 3, ..THREE };
    explore("three devices, one outage", call, &[ALL_READ, NOT_YET]);
}

#[test]
fn without_requests_lost_key_stays_lost() {
    let protocol = Protocol { without: Some(Rule::Requests), ..PROTOCOL };
    let moves = counterexample("no requests", Fair { protocol, ..THREE }, IN_THE_END);
    assert!(moves.iter().any(|step| matches!(step, Move::Lose(Message::Keys(_)))));
}

/// A frame distinguishes eight generations, here two. A device that lost as many in a row while the sender was muted takes
/// the next frame for one of the generation it has, finds it not authentic, and requests the key anyway.
#[test]
fn lost_generations_are_requested_up_to_kid_range() {
    let protocol = Protocol { sizes: Sizes { generations: 2, ..SIZES }, ..PROTOCOL };
    let call = Fair { protocol, devices: 4, present: 4, leaves: 2, switches: 1, quiet_from: 3, ..THREE };
    explore("two generations apart, two lost", call, &[ASKED]);
}
