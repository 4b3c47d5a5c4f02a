//! Keys and announces die by the receiver's own clock: whatever the server delivers, withholds or repeats.

use super::world::{CALL, Dice, INVITE, Message, ROOM, World, announces, at, open_with};
use crate::{
    Action, Event, OpenError, ParticipantId, Problem, Seat, Session, SessionConfig, StreamId,
    keys::{batch::DYING, leaves::HARD_LIFE, sender::LIFE_AFTER_LEAVE},
};
use alloc::vec::Vec;
use core::time::Duration;

const MIC: StreamId = StreamId::MICROPHONE;
const LIFE_MS: u64 = LIFE_AFTER_LEAVE.as_millis() as u64;
const HARD_LIFE_MS: u64 = HARD_LIFE.as_millis() as u64;
const MINUTE_MS: u64 = 60_000;

/// A world with this many devices, all sending.
fn talking(seed: u64, devices: usize, rotation_ms: u64) -> (World, Vec<ParticipantId>) {
    let mut world = World::new(seed);
    world.timing.rotation = Duration::from_millis(rotation_ms);
    let ids: Vec<_> = (0..devices).map(|_| world.join("x")).collect();
    ids.iter().for_each(|id| world.open_stream(*id, MIC));
    world.run(2_000);
    (world, ids)
}

/// The keys for a device that the server has seen, from this one on.
fn keys_seen(world: &World, to: ParticipantId, from: usize) -> Vec<Message> {
    let seen = world.recorded.iter().skip(from);
    seen.filter(|(at, message)| *at == to && matches!(message, Message::Keys(_)))
        .map(|(_, message)| message.clone())
        .collect()
}

/// A member leaves and keeps what it has. The server withholds all later keys from a receiver, for an hour, while the
/// sender rotates, or is silent.
#[test]
fn withheld_keys_do_not_prolong_former_ones() {
    for silent in [false, true] {
        let (mut world, ids) = talking(1, 3, 10 * MINUTE_MS);
        world.hears(ids[1], ids[0]).unwrap();
        let forged = world.seal(ids[0], MIC, b"kept back").unwrap();
        let late = world.seal(ids[0], MIC, b"kept back for longer").unwrap();
        if silent {
            world.close_stream(ids[0], MIC);
        }
        world.withheld_from.insert(ids[1]);
        world.leave(ids[2]);
        world.run(LIFE_MS - 1);
        world.open(ids[1], &forged).unwrap();
        world.run(1);
        assert_eq!(world.open(ids[1], &late), Err(OpenError::MissingKey));
        world.run(60 * MINUTE_MS);
        assert!(world.open(ids[1], &late).is_err());
    }
}

/// The server withholds a generation that was made before the leave, and delivers it afterwards.
#[test]
fn key_withheld_across_leave_dies_with_the_others() {
    for delivered_after in [10_000, LIFE_MS + 1_000, 10 * MINUTE_MS] {
        let (mut world, ids) = talking(2, 3, MINUTE_MS);
        world.hears(ids[1], ids[0]).unwrap();
        let known = world.recorded.len();
        world.withheld_from.insert(ids[1]);
        world.run(100_000);
        assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)), "the periodic one");
        let [early, late] = [(); 2].map(|()| world.seal(ids[0], MIC, b"kept back").unwrap());
        let withheld = keys_seen(&world, ids[1], known);
        world.leave(ids[2]);
        world.run(delivered_after);
        withheld.iter().for_each(|keys| world.deliver(ids[1], keys));
        let expected =
            if delivered_after < LIFE_MS { Ok((ids[0], b"kept back".to_vec())) } else { Err(OpenError::MissingKey) };
        assert_eq!(world.open(ids[1], &early), expected);
        world.run(LIFE_MS);
        assert_eq!(world.open(ids[1], &late), Err(OpenError::MissingKey));
    }
}

/// All orders of what the server may do after a leave: a key from before, the report, the new key, each at once or late.
#[test]
fn no_order_of_delivery_prolongs_keys_of_before_a_leave() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (mut world, ids) = talking(3, 3, MINUTE_MS);
        world.hears(ids[1], ids[0]).unwrap();
        world.withheld_from.insert(ids[1]);
        let first = world.recorded.len();
        world.run(100_000);
        let forged = world.seal(ids[0], MIC, b"kept back").unwrap();
        let second = world.recorded.len();
        let gone = world.devices.remove(&ids[2]).unwrap().id;
        world.event(ids[0], Event::Left(&[gone]));
        world.run(2_000);
        let before = keys_seen(&world, ids[1], first)[0].clone();
        let after = keys_seen(&world, ids[1], second).pop().unwrap();
        let mut heard = 0;
        for step in order {
            match step {
                0 => world.deliver(ids[1], &before),
                1 => {
                    world.event(ids[1], Event::Left(&[gone]));
                    heard = world.now;
                }
                _ => world.deliver(ids[1], &after),
            }
            world.run(5_000);
        }
        world.run((heard + LIFE_MS).saturating_sub(world.now));
        assert_eq!(world.open(ids[1], &forged), Err(OpenError::MissingKey), "{order:?}");
    }
}

/// A sender whose batches are not accepted goes on with its key for 45 s, and may be asked for it by one that lacks it.
#[test]
fn key_sealed_again_after_leave_says_that_it_dies() {
    let (mut world, ids) = talking(4, 2, 10 * MINUTE_MS);
    let late = world.join("late");
    world.weather.drop_percent = 100;
    world.run(2_000);
    world.accepts = false;
    let gone = world.devices.remove(&ids[1]).unwrap().id;
    world.event(late, Event::Left(&[gone]));
    world.run(100);
    world.event(ids[0], Event::Left(&[gone]));
    world.weather.drop_percent = 0;
    for _ in 0..30 {
        let _ = world.hears(late, ids[0]);
        world.run(100);
    }
    world.hears(late, ids[0]).unwrap();
    let reasons = world.batches(ids[0]).into_iter().map(|batch| batch[72]).collect::<Vec<_>>();
    assert!(reasons.iter().any(|reason| reason & DYING != 0), "{reasons:?}");
    world.run(LIFE_MS - 4_000);
    let forged = world.seal(ids[0], MIC, b"kept back").unwrap();
    world.run(4_000);
    world.withheld_from.insert(late);
    world.run(1_000);
    assert_eq!(world.open(late, &forged), Err(OpenError::MissingKey));
}

/// A sender that cannot replace its key is not heard for ever by the old one. That is reported, until it is over.
#[test]
fn generation_has_a_hard_life() {
    let (mut world, ids) = talking(5, 2, 10 * MINUTE_MS);
    world.accepts = false;
    world.withheld_from.insert(ids[1]);
    let made = 1_500;
    world.run(made + HARD_LIFE_MS - 1_000 - world.now);
    world.hears(ids[1], ids[0]).unwrap();
    world.run(1_100);
    for _ in 0..10 {
        assert_eq!(world.hears(ids[1], ids[0]), Err(OpenError::MissingKey));
        world.run(400);
    }
    assert_eq!(world.problems(ids[1]), []);
    for _ in 0..10 {
        assert_eq!(world.hears(ids[1], ids[0]), Err(OpenError::MissingKey));
        world.run(400);
    }
    assert_eq!(world.problems(ids[1]), [(ids[0], Problem::KeyMissing)], "once, after 5 s");
    let asked = |action: &&Action| matches!(action, Action::SendKeyRequest(_));
    assert!(world.devices[&ids[1]].log.iter().filter(asked).count() >= 2);
    // The server comes to its senses.
    world.withheld_from.clear();
    world.accepts = true;
    world.detach(ids[0]);
    world.attach(ids[0], false);
    for _ in 0..20 {
        let _ = world.hears(ids[1], ids[0]);
        world.run(400);
    }
    world.hears(ids[1], ids[0]).unwrap();
    assert_eq!(world.solved(ids[1]), [(ids[0], Problem::KeyMissing)]);
}

#[test]
fn later_step_does_not_prolong_a_generation() {
    let (mut world, ids) = talking(6, 2, 10 * MINUTE_MS);
    world.accepts = false;
    world.run(10 * MINUTE_MS);
    world.hears(ids[1], ids[0]).unwrap_or_else(|error| assert_eq!(error, OpenError::MissingKey));
    world.join("late");
    world.run(2 * MINUTE_MS);
    assert_eq!(world.hears(ids[1], ids[0]), Err(OpenError::MissingKey));
}

#[test]
fn frame_of_an_hour_ago_is_refused() {
    let (mut world, ids) = talking(7, 2, 10 * MINUTE_MS);
    let old = world.seal(ids[0], MIC, b"an hour ago").unwrap();
    for _ in 0..60 {
        world.run(MINUTE_MS);
        world.hears(ids[1], ids[0]).unwrap();
    }
    assert!(world.open(ids[1], &old).is_err());
    // The same with all keys withheld since then: a receiver that has heard nothing new.
    let (mut world, ids) = talking(8, 2, 10 * MINUTE_MS);
    let old = world.seal(ids[0], MIC, b"an hour ago").unwrap();
    world.withheld_from.insert(ids[1]);
    world.run(60 * MINUTE_MS);
    assert_eq!(world.open(ids[1], &old), Err(OpenError::MissingKey));
}

/// A call of many hours loses nothing by the lives of keys.
#[test]
fn muted_sender_is_heard_whenever_it_speaks() {
    let (mut world, ids) = talking(9, 2, 10 * MINUTE_MS);
    for minutes in [1, 9, 10, 11, 12, 25, 61] {
        world.close_stream(ids[0], MIC);
        world.run(minutes * MINUTE_MS);
        world.open_stream(ids[0], MIC);
        world.run(500);
        world.hears(ids[1], ids[0]).unwrap();
        world.run(11 * MINUTE_MS);
        world.hears(ids[1], ids[0]).unwrap();
    }
    assert!(ids.iter().all(|id| world.problems(*id).is_empty()));
}

/// A device outside a world, and its announces.
fn device(seed: u64, seat: u16, now: u64) -> (Session, Vec<u8>) {
    let config = SessionConfig::new(ROOM, CALL, INVITE, "x");
    let mut session = Session::new(config, Dice::source(seed), at(now)).unwrap();
    let announce = next_announce(&mut session, seat);
    session.handle(at(now), Event::Joined { seat: Seat(seat) }).unwrap();
    (session, announce)
}

fn next_announce(session: &mut Session, seat: u16) -> Vec<u8> {
    let announce = core::iter::from_fn(|| session.poll()).find_map(|action| match action {
        Action::SendAnnounce { announce, display, .. } => Some((announce, display)),
        _ => None,
    });
    let (announce, display) = announce.unwrap();
    announces(ParticipantId(seat.into()), Seat(seat), &announce, &display)
}

/// The minute in which a device removes its only member.
fn removed_at(session: &mut Session, from: u64, mut deliver: impl FnMut(u64, &mut Session)) -> u64 {
    (from / MINUTE_MS..)
        .map(|minute| minute * MINUTE_MS)
        .find(|now| {
            deliver(*now, session);
            session.handle(at(*now), Event::Tick).unwrap();
            core::iter::from_fn(|| session.poll()).any(|action| matches!(action, Action::ParticipantRemoved { .. }))
        })
        .unwrap()
}

/// Carol leaves after 21 minutes, which the server hides. It delivers each renewal of hers as late as it can.
#[test]
fn renewals_held_back_do_not_lengthen_validity() {
    let (mut ada, _) = device(1, 1, 0);
    let (mut carol, first) = device(2, 2, 0);
    let renewals = [10, 20].map(|minute| {
        carol.handle(at(minute * MINUTE_MS), Event::Tick).unwrap();
        next_announce(&mut carol, 2)
    });
    ada.handle(at(0), Event::Announces(&first)).unwrap();
    let removed = removed_at(&mut ada, 0, |now, ada| {
        for (renewal, delivered) in renewals.iter().zip([14, 24]) {
            if now == delivered * MINUTE_MS {
                ada.handle(at(now), Event::Announces(renewal)).unwrap();
            }
        }
    });
    assert_eq!(removed, 35 * MINUTE_MS, "15 minutes after the last one was made");
}

/// A newcomer cannot know how old an announce is, but both clocks say more than the skew that is allowed.
#[test]
fn announce_that_is_surely_old_is_valid_for_less() {
    let (_, old) = device(1, 1, 0);
    for (minute, until) in [(5, 20), (10, 25), (20, 25), (24, 25)] {
        let (mut newcomer, _) = device(2, 2, minute * MINUTE_MS);
        newcomer.handle(at(minute * MINUTE_MS), Event::Announces(&old)).unwrap();
        let removed = removed_at(&mut newcomer, minute * MINUTE_MS, |_, _| {});
        assert_eq!(removed, until * MINUTE_MS, "seen after {minute} minutes");
    }
    let (mut newcomer, _) = device(2, 2, 25 * MINUTE_MS);
    newcomer.handle(at(25 * MINUTE_MS), Event::Announces(&old)).unwrap();
    assert!(
        !core::iter::from_fn(|| newcomer.poll()).any(|action| matches!(action, Action::ParticipantVerified { .. }))
    );
}

/// A former member and the server: no frame of its making opens 45 s after others heard of its leave.
#[test]
fn former_member_cannot_speak_for_others() {
    let (mut world, ids) = talking(10, 3, 10 * MINUTE_MS);
    world.hears(ids[1], ids[0]).unwrap();
    let mut gone = world.leave(ids[2]);
    world.withheld_from.insert(ids[1]);
    world.run(LIFE_MS);
    // The member has the same key as the sender: its frames are the sender's.
    let frame = world.seal(ids[0], MIC, b"x").unwrap();
    let clock = world.clock();
    assert!(open_with(&mut gone.session, clock, &frame).is_err(), "it has none of the new ones");
    assert_eq!(world.open(ids[1], &frame), Err(OpenError::MissingKey));
}
