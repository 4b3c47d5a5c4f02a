//! When keys are made, distributed, replaced and requested.

use super::world::{CALL, ROOM, Weather, World, at};
use crate::{
    Action, Clock, Event, OpenError, ParticipantId, Problem, SealError, Seat, StreamId, WallTime, keys::batch,
};
use alloc::vec::Vec;

const MIC: StreamId = StreamId::MICROPHONE;
const CAMERA: StreamId = StreamId::CAMERA;

/// A world with this many devices, all sending.
fn talking(seed: u64, devices: usize) -> (World, Vec<ParticipantId>) {
    let mut world = World::new(seed);
    let ids: Vec<_> = (0..devices).map(|_| world.join("x")).collect();
    ids.iter().for_each(|id| world.open_stream(*id, MIC));
    world.run(2_000);
    (world, ids)
}

#[test]
fn joins_coalesce_into_one_ratchet_step() {
    let (mut world, ids) = talking(1, 2);
    world.hears(ids[1], ids[0]).unwrap();
    let before = world.epochs(ids[0]);
    let late = [world.join("c"), world.join("d"), world.join("e")];
    world.run(1_000);
    let (generation, step) = *before.last().unwrap();
    assert_eq!(world.epochs(ids[0])[before.len()..], [(generation, step + 1)]);
    for id in late.into_iter().chain([ids[1]]) {
        world.hears(id, ids[0]).unwrap();
    }
}

#[test]
fn joiner_cannot_decrypt_past() {
    let (mut world, ids) = talking(2, 2);
    let past = world.seal(ids[0], MIC, b"before").unwrap();
    let joiner = world.join("late");
    world.run(2_000);
    assert_eq!(world.open(joiner, &past), Err(OpenError::MissingKey));
    world.hears(joiner, ids[0]).unwrap();
    world.run(5_000);
    assert_eq!(world.open(joiner, &past), Err(OpenError::MissingKey));
}

#[test]
fn ninth_ratchet_step_is_new_generation() {
    let (mut world, ids) = talking(3, 2);
    for _ in 0..9 {
        world.hears(ids[1], ids[0]).unwrap();
        world.join("x");
        world.run(1_800);
    }
    let epochs = world.epochs(ids[0]);
    assert!(epochs.contains(&(0, 7)) && epochs.contains(&(1, 0)), "{epochs:?}");
    let all: Vec<_> = world.devices.keys().copied().filter(|id| *id != ids[0]).collect();
    for id in all {
        world.hears(id, ids[0]).unwrap();
    }
}

#[test]
fn unmute_after_many_joins_decrypts() {
    let (mut world, ids) = talking(4, 2);
    world.hears(ids[1], ids[0]).unwrap();
    world.close_stream(ids[0], MIC);
    let before = world.epochs(ids[0]);
    for _ in 0..9 {
        world.join("x");
        world.run(1_000);
    }
    assert_eq!(world.epochs(ids[0]), before, "a muted sender does not ratchet");
    world.open_stream(ids[0], MIC);
    let frame = world.seal(ids[0], MIC, b"hello").unwrap();
    world.run(100);
    let all: Vec<_> = world.devices.keys().copied().filter(|id| *id != ids[0]).collect();
    assert_eq!(all.len(), 10);
    for id in all {
        assert_eq!(world.open(id, &frame), Ok((ids[0], b"hello".to_vec())));
    }
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
}

#[test]
fn first_unmute_needs_no_key_traffic() {
    let mut world = World::new(5);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.run(2_000);
    let before = world.batches(ada).len();
    world.open_stream(ada, MIC);
    world.hears(bob, ada).unwrap();
    assert_eq!(world.batches(ada).len(), before);
}

#[test]
fn leaver_cannot_decrypt_after_t() {
    let (mut world, ids) = talking(6, 3);
    let mut gone = world.leave(ids[2]);
    world.run(999);
    let early = world.seal(ids[0], MIC, b"window").unwrap();
    let clock = world.clock();
    assert!(super::world::open_with(&mut gone.session, clock, &early).is_ok(), "the old key is used inside the window");
    world.run(1);
    let late = world.seal(ids[0], MIC, b"after").unwrap();
    let clock = world.clock();
    assert_eq!(super::world::open_with(&mut gone.session, clock, &late).unwrap_err(), OpenError::MissingKey);
    assert_eq!(world.open(ids[1], &late), Ok((ids[0], b"after".to_vec())));
}

#[test]
fn switch_is_on_time_without_tick() {
    let (mut world, ids) = talking(7, 3);
    world.leave(ids[2]);
    world.run(0);
    world.now += 1_000;
    world.seal(ids[0], MIC, b"x").unwrap();
    assert_eq!(world.epochs(ids[0]).last(), Some(&(1, 0)));
}

#[test]
fn leaves_during_rotation_coalesce() {
    let (mut world, ids) = talking(8, 6);
    for id in &ids[2..] {
        world.leave(*id);
        world.run(100);
    }
    world.run(5_000);
    let generations: Vec<u32> = world.epochs(ids[0]).iter().map(|(generation, _)| *generation).collect();
    assert_eq!(generations.iter().max(), Some(&2), "four leaves in half a second are two rotations");
    world.hears(ids[1], ids[0]).unwrap();
}

#[test]
fn leaver_cannot_forge_for_silent_sender() {
    let (mut world, ids) = talking(9, 3);
    // Ada speaks once and falls silent; Eve, who knows Ada's key, leaves and keeps a frame under it back.
    world.hears(ids[1], ids[0]).unwrap();
    let withheld = world.seal(ids[0], MIC, b"withheld").unwrap();
    world.close_stream(ids[0], MIC);
    world.leave(ids[2]);
    world.run(1_000 + 10_000 + 1);
    assert_eq!(world.open(ids[1], &withheld), Err(OpenError::MissingKey), "the old generation died by time");
}

#[test]
fn old_generation_expires_ten_seconds_after_new_frame() {
    let (mut world, ids) = talking(10, 3);
    let old = world.seal(ids[0], MIC, b"old").unwrap();
    let older = world.seal(ids[0], MIC, b"older").unwrap();
    world.leave(ids[2]);
    world.run(1_000);
    world.hears(ids[1], ids[0]).unwrap();
    world.run(9_000);
    assert!(world.open(ids[1], &old).is_ok());
    world.run(1_001);
    assert_eq!(world.open(ids[1], &older), Err(OpenError::MissingKey));
}

#[test]
fn lost_key_is_requested_and_resent() {
    let mut world = World::new(11);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.weather = Weather { drop_percent: 100, ..Weather::default() };
    world.open_stream(ada, MIC);
    world.run(2_000);
    assert_eq!(world.hears(bob, ada), Err(OpenError::MissingKey));
    world.weather = Weather::default();
    // The first request is sent after a second, since the key may still be in flight; the answer takes 200 ms.
    world.run(1_300);
    world.hears(bob, ada).unwrap();
}

#[test]
fn key_requests_back_off() {
    let mut world = World::new(12);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.weather = Weather { drop_percent: 100, ..Weather::default() };
    world.open_stream(ada, MIC);
    world.run(1_000);
    let start = world.now;
    let mut asked = Vec::new();
    for _ in 0..160 {
        let _ = world.hears(bob, ada);
        let requests = |action: &&Action| matches!(action, Action::SendKeyRequest(_));
        let before = world.device(bob).log.iter().filter(requests).count();
        world.run(100);
        if world.device(bob).log.iter().filter(requests).count() > before {
            asked.push((world.now - start).div_ceil(1_000));
        }
    }
    assert_eq!(asked, [1, 2, 4, 8, 12, 16].map(|second: u64| second), "1, 2, then every 4 seconds");
}

#[test]
fn key_request_from_non_member_ignored() {
    let (mut world, ids) = talking(13, 2);
    world.run(2_000);
    let before = world.batches(ids[0]).len();
    let ada_seat = world.device(ids[0]).seat;
    let bob_seat = world.device(ids[1]).seat;
    let join_id = world.device(ids[0]).session.identity.join_id.prefix().to_vec();
    let request = |requester: Seat, of: Seat| {
        let kid = u64::from(of.0) << 6;
        [&requester.0.to_be_bytes()[..], &[1], &join_id, &kid.to_be_bytes()].concat()
    };
    // A seat without a verified participant; a key of another device; then Bob.
    for body in [request(Seat(99), ada_seat), request(bob_seat, Seat(77))] {
        world.event(ids[0], Event::KeyRequest(&body));
        world.run(2_000);
        assert_eq!(world.batches(ids[0]).len(), before);
    }
    for _ in 0..5 {
        world.event(ids[0], Event::KeyRequest(&request(bob_seat, ada_seat)));
    }
    world.run(2_000);
    assert_eq!(world.batches(ids[0]).len(), before + 1, "a flood gets one answer");
}

#[test]
fn key_request_of_joiner_to_muted_sender_is_ignored() {
    let (mut world, ids) = talking(14, 2);
    let past = world.seal(ids[0], MIC, b"past").unwrap();
    world.close_stream(ids[0], MIC);
    let joiner = world.join("curious");
    world.run(2_000);
    for _ in 0..10 {
        assert_eq!(world.open(joiner, &past), Err(OpenError::MissingKey));
        world.run(1_000);
    }
}

#[test]
fn batch_is_held_until_announce() {
    let mut world = World::new(15);
    let ada = world.join("Ada");
    world.open_stream(ada, MIC);
    // Bob receives Ada's key before her announce.
    let mut bob = world.session_with("Bob", super::world::INVITE);
    let Some(Action::SendAnnounce { announce, display, .. }) = bob.poll() else { panic!("announce") };
    let clock = world.clock();
    bob.handle(clock, Event::Joined { seat: Seat(60) }).unwrap();
    let of_bob = super::world::announces(ParticipantId(50), Seat(60), &announce, &display);
    world.event(ada, Event::Announces(&of_bob));
    world.run(1_000);
    let clock = world.clock();
    let keys = [&[1][..], world.batches(ada).last().unwrap()].concat();
    bob.handle(clock, Event::Keys(&keys)).unwrap();
    assert_eq!(bob.held.len(), 1);
    let of_ada = world.device(ada).announces();
    bob.handle(at(world.now + 4_000), Event::Announces(&of_ada)).unwrap();
    assert_eq!(bob.held.len(), 0);
    let installed = core::iter::from_fn(|| bob.poll()).any(|action| matches!(action, Action::KeyInstalled { .. }));
    assert!(installed);
}

#[test]
fn held_batches_are_bounded() {
    let (mut world, ids) = talking(16, 2);
    let mut header = world.batches(ids[0])[0][..batch::HEADER_BYTES].to_vec();
    let at = header.windows(16).position(|window| window == world.devices[&ids[0]].session.identity.join_id.prefix());
    header[at.unwrap()] ^= 1;
    let body = [&[1][..], &header, &[0; batch::ENTRY_BYTES]].concat();
    for _ in 0..100 {
        world.event(ids[1], Event::Keys(&body));
    }
    assert_eq!(world.device(ids[1]).session.held.len(), 4, "of one sender");
    let at = at.unwrap();
    for sender in 0..100 {
        let mut body = body.clone();
        body[1 + at + 1] = sender;
        world.event(ids[1], Event::Keys(&body));
    }
    assert_eq!(world.device(ids[1]).session.held.len(), 64);
    world.run(5_000);
    assert_eq!(world.device(ids[1]).session.held.len(), 0);
}

#[test]
fn hour_renews_announces_and_keys() {
    let (mut world, ids) = talking(17, 3);
    for _ in 0..60 {
        world.run(60_000);
        world.hears(ids[1], ids[0]).unwrap();
        world.hears(ids[2], ids[1]).unwrap();
    }
    assert_eq!(world.device(ids[0]).shown.len(), 2);
    let renewals = |action: &&Action| matches!(action, Action::SendAnnounce { .. });
    assert_eq!(world.device(ids[0]).log.iter().filter(renewals).count(), 6);
    let generation = world.epochs(ids[0]).last().unwrap().0;
    assert!((5..=6).contains(&generation), "a generation every ten minutes: {generation}");
    assert!(ids.iter().all(|id| world.problems(*id).is_empty()));
}

#[test]
fn expired_member_is_removed() {
    let (mut world, ids) = talking(18, 3);
    // The server hides that Carol is gone: she is silent, and the server reports nothing.
    let gone = world.devices.remove(&ids[2]).unwrap();
    world.run(15 * 60_000 - 3_000);
    assert!(world.device(ids[0]).shown.contains_key(&gone.id));
    let before = world.epochs(ids[0]).last().unwrap().0;
    world.run(6_000);
    assert!(!world.device(ids[0]).shown.contains_key(&gone.id));
    assert_eq!(world.epochs(ids[0]).last().unwrap().0, before + 1);
    world.hears(ids[1], ids[0]).unwrap();
}

#[test]
fn announce_validity_starts_at_first_sight() {
    let (mut world, ids) = talking(24, 3);
    let gone = world.devices.remove(&ids[2]).unwrap();
    // The server hides that Carol is gone. Shortly before her announce runs out, it feigns that she left and returned.
    world.run(15 * 60_000 - 4_000);
    world.event(ids[0], Event::Left(&[gone.id]));
    world.event(ids[0], Event::Announces(&gone.announces()));
    assert!(world.device(ids[0]).shown.contains_key(&gone.id));
    world.run(4_000);
    assert!(!world.device(ids[0]).shown.contains_key(&gone.id));
    // Nor does it help to show her announce once more when it has run out.
    world.event(ids[0], Event::Announces(&gone.announces()));
    assert!(!world.device(ids[0]).shown.contains_key(&gone.id));
    world.run(10_000);
    world.hears(ids[1], ids[0]).unwrap();
}

#[test]
fn device_with_other_link_is_refused() {
    let mut world = World::new(20);
    let ada = world.join("Ada");
    world.open_stream(ada, MIC);
    let session = world.session_with("Eve", [99; 32]);
    let eve = world.seat(session, Seat(50));
    world.run(3_000);
    assert_eq!(world.problems(ada), [(eve, Problem::AnnounceRefused)]);
    assert_eq!(world.problems(eve), [(ada, Problem::AnnounceRefused)]);
    assert!(world.batches(ada).is_empty() && world.device(ada).shown.is_empty());
    assert_eq!(world.hears(eve, ada), Err(OpenError::UnknownSender));
}

#[test]
fn clock_skew_is_distinct_problem() {
    let mut world = World::new(21);
    let ada = world.join("Ada");
    let config = crate::SessionConfig::new(ROOM, CALL, super::world::INVITE, "Late");
    let slow = WallTime::from_millis(world.clock().wall.as_millis() - 26 * 60_000);
    let clock = Clock { wall: slow, ..world.clock() };
    let mut late = crate::Session::new(config, super::world::Dice::source(5), clock).unwrap();
    let Some(Action::SendAnnounce { announce, display, .. }) = late.poll() else { panic!("announce") };
    let body = super::world::announces(ParticipantId(50), Seat(9), &announce, &display);
    world.event(ada, Event::Announces(&body));
    assert_eq!(world.problems(ada), [(ParticipantId(50), Problem::ClockSkew)]);
}

#[test]
fn streams_have_separate_counters_and_limit() {
    let (mut world, ids) = talking(22, 2);
    world.open_stream(ids[0], CAMERA);
    let audio = world.seal(ids[0], MIC, b"audio").unwrap();
    let video = world.seal(ids[0], CAMERA, b"video").unwrap();
    assert_ne!(audio[..1], video[..1]);
    world.open(ids[1], &audio).unwrap();
    world.open(ids[1], &video).unwrap();
    // The fifth is for chat, which the session opens itself.
    for stream in (2..65).filter(|stream| StreamId(*stream) != StreamId::DATA) {
        world.open_stream(ids[0], StreamId(stream));
        world.seal(ids[0], StreamId(stream), b"x").unwrap();
    }
    world.open_stream(ids[0], StreamId(65));
    assert_eq!(world.seal(ids[0], StreamId(65), b"x"), Err(SealError::Unsupported));
}
