//! Attacks by a malicious server, SFU or former member: rows of the threat model's table.

use super::world::{Dice, Message, World, open_with};
use crate::{
    Action, Codec, Event, FrameKind, OpenError, ParticipantId, Problem, Seat, Session, SessionConfig, StreamId,
    WallTime, codec,
    keys::{
        batch::{self, ENTRY_BYTES, Ends, HEADER_BYTES, Header, Recipient},
        schedule::{Epoch, SessionKey},
    },
    sframe::{audit, header},
};
use alloc::{vec, vec::Vec};
use e2ee_core::{AgreementKey, SecretBytes, Standard};
use proptest::prelude::*;
use x25519_dalek::StaticSecret;

const MIC: StreamId = StreamId::MICROPHONE;

fn pair(seed: u64) -> (World, ParticipantId, ParticipantId) {
    let mut world = World::new(seed);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.open_stream(ada, MIC);
    world.open_stream(bob, MIC);
    world.run(2_000);
    (world, ada, bob)
}

/// The last key message that reached a device.
fn last_keys(world: &World, to: ParticipantId) -> Vec<u8> {
    let keys = |(at, message): &(ParticipantId, Message)| match message {
        Message::Keys(body) if *at == to => Some(body.clone()),
        _ => None,
    };
    world.recorded.iter().rev().find_map(keys).unwrap()
}

fn installs(world: &World, id: ParticipantId) -> usize {
    world.devices[&id].log.iter().filter(|action| matches!(action, Action::KeyInstalled { .. })).count()
}

#[test]
fn prop_bitflip_every_position() {
    let (mut world, ada, bob) = pair(1);
    let clock = world.clock();
    let frame: Vec<u8> = (0..200u8).collect();
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
        for kind in [FrameKind::Delta, FrameKind::Key] {
            let mut sealed = vec![0; codec::max_sealed_bytes(codec, frame.len())];
            let length = world.device(ada).session.seal(clock, MIC, codec, kind, &frame, &mut sealed).unwrap();
            sealed.truncate(length);
            let receiver = &mut world.device(bob).session;
            for bit in 0..length * 8 {
                let mut flipped = sealed.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(receiver.open(clock, codec, &mut flipped).is_err(), "{codec:?} {kind:?} bit {bit}");
            }
            let opened = receiver.open(clock, codec, &mut sealed).unwrap();
            assert_eq!(sealed[opened.range], frame, "bad frames changed nothing");
        }
    }
}

#[test]
fn frame_is_bound_to_codec_and_kind() {
    let (mut world, ada, bob) = pair(2);
    let clock = world.clock();
    let mut sealed = vec![0; 200];
    let sender = &mut world.device(ada).session;
    let length = sender.seal(clock, MIC, Codec::Opus, FrameKind::Delta, b"frame", &mut sealed).unwrap();
    let receiver = &mut world.device(bob).session;
    let mut as_vp9 = sealed[..length].to_vec();
    assert_eq!(receiver.open(clock, Codec::Vp9, &mut as_vp9), Err(OpenError::NotAuthentic));
    let mut as_vp8 = [&[0x11][..], &sealed[..length]].concat();
    assert_eq!(receiver.open(clock, Codec::Vp8, &mut as_vp8), Err(OpenError::NotAuthentic));
}

#[test]
fn frame_of_a_on_b_track_is_attributed_to_a() {
    let mut world = World::new(3);
    let (ada, bob, carol) = (world.join("Ada"), world.join("Bob"), world.join("Carol"));
    world.open_stream(ada, MIC);
    world.open_stream(bob, MIC);
    world.run(2_000);
    // `open` takes no track, SSRC or label of the server: attribution depends only on the frame.
    let (of_ada, of_bob) = (world.seal(ada, MIC, b"a").unwrap(), world.seal(bob, MIC, b"b").unwrap());
    assert_eq!(world.open(carol, &of_bob), Ok((bob, b"b".to_vec())));
    assert_eq!(world.open(carol, &of_ada), Ok((ada, b"a".to_vec())));
}

#[test]
fn plaintext_opus_vp8_av1_h264_never_emitted() {
    let (mut world, _, bob) = pair(4);
    let clock = world.clock();
    let frames: [(Codec, &[u8]); 8] = [
        (Codec::Opus, &[0xf8, 0xff, 0xfe]),
        (Codec::Opus, &[0x78; 80]),
        (Codec::Vp8, &[0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00, 1, 2, 3]),
        (Codec::Vp8, &[0x11; 300]),
        (Codec::Vp9, &[0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0, 0x0b, 0x36]),
        (Codec::Av1, &[0x12, 0x00, 0x0a, 0x0b, 0, 0, 0, 4, 0x3c, 0xff, 0xbc, 0xfb, 0xf9, 0x80, 0x40, 0x32, 2, 0x10, 0]),
        (Codec::H264, &[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0x80]),
        (Codec::H264, &[0, 0, 0, 1, 0x41, 0x9a, 0x84, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 0x80]),
    ];
    for (codec, frame) in frames {
        let mut frame = frame.to_vec();
        assert!(world.device(bob).session.open(clock, codec, &mut frame).is_err());
    }
}

#[test]
fn arbitrary_input_changes_nothing() {
    let (mut world, ada, bob) = pair(5);
    let mut dice = Dice(55);
    let clock = world.clock();
    let good = world.seal(ada, MIC, b"good").unwrap();
    let (header, _) = header::parse(&good).unwrap();
    let receiver = &mut world.device(bob).session;
    for round in 0..3_000u64 {
        let mut bytes: Vec<u8> = (0..dice.below(400)).map(|_| dice.next() as u8).collect();
        if round % 3 == 0 {
            // A header that names a real key.
            let start = header::Header { ctr: dice.next(), ..header }.encode();
            bytes.splice(0..0, start.as_bytes().iter().copied());
        }
        for codec in [Codec::Opus, Codec::Vp8, Codec::Av1, Codec::H264] {
            assert!(receiver.open(clock, codec, &mut bytes.clone()).is_err());
        }
        for event in [Event::Announces(&bytes), Event::Keys(&bytes), Event::KeyRequest(&bytes)] {
            let _ = receiver.handle(clock, event);
        }
    }
    assert_eq!(world.open(bob, &good), Ok((ada, b"good".to_vec())));
}

#[test]
fn kid_collision_two_senders() {
    let mut world = World::new(6);
    let hearer = world.join("Hearer");
    let senders = [(); 3].map(|()| {
        let session = world.session_with("x", super::world::INVITE);
        world.seat(session, Seat(77))
    });
    for sender in senders {
        world.open_stream(sender, MIC);
    }
    world.run(3_000);
    // The server seats three devices together: two are distinguished by their keys, the third is refused.
    let heard: Vec<_> = senders.iter().filter(|sender| world.hears(hearer, **sender).is_ok()).collect();
    assert_eq!(heard.len(), 2);
    let refused = world.problems(hearer);
    assert!(!refused.is_empty() && refused.iter().all(|(_, problem)| *problem == Problem::KeysRefused));
}

/// Two guests with changed clients write the next seat into their keys. The device that gets it is heard all the same.
#[test]
fn seat_of_someone_else_is_not_taken() {
    let mut world = World::new(20);
    let ada = world.join("Ada");
    let squatters = [2, 3].map(|seat| {
        let session = world.session_with("Mallory", super::world::INVITE);
        world.seat_as(session, Seat(seat), Seat(4))
    });
    squatters.into_iter().for_each(|squatter| world.open_stream(squatter, MIC));
    world.run(2_000);
    let victim = world.join("Victim");
    assert_eq!(world.devices[&victim].seat, Seat(4));
    world.open_stream(victim, MIC);
    world.run(2_000);
    world.hears(ada, victim).unwrap();
    let blamed = world.problems(ada);
    assert!(!blamed.is_empty());
    for (participant, problem) in blamed {
        assert!(squatters.contains(&participant) && problem == Problem::KeysRefused, "{participant:?} {problem:?}");
    }
}

/// Honest devices change seats only with a new session: the batches of the former one are not taken for its successor's.
#[test]
fn participant_that_returns_on_another_seat_is_heard() {
    let (mut world, ada, bob) = pair(21);
    let old = last_keys(&world, bob);
    let announce = {
        world.event(ada, Event::Left(&[bob]));
        world.event(bob, Event::Left(&[ada]));
        world.leave(ada);
        let again = world.join("Ada");
        world.open_stream(again, MIC);
        world.run(3_000);
        world.hears(bob, again).unwrap();
        world.device(again).announces()
    };
    world.event(bob, Event::Keys(&old));
    world.event(bob, Event::Announces(&announce));
    world.run(6_000);
    assert!(world.problems(bob).is_empty(), "{:?}", world.problems(bob));
}

#[test]
fn crash_restart_never_reuses_key_nonce() {
    audit::start();
    let mut world = World::new(7);
    let bob = world.join("Bob");
    for _ in 0..3 {
        let ada = world.join("Ada");
        world.open_stream(ada, MIC);
        world.run(1_500);
        for _ in 0..20 {
            world.seal(ada, MIC, b"x").unwrap();
        }
        world.hears(bob, ada).unwrap();
        // The process dies, with its counters.
        world.leave(ada);
        world.run(1_500);
    }
    assert_eq!(audit::stop(), 63);
}

#[test]
fn keybatch_replay_rejected() {
    let (mut world, ada, bob) = pair(8);
    let carol = world.join("Carol");
    world.run(1_500);
    world.hears(bob, ada).unwrap();
    let old = world.recorded.clone();
    world.leave(carol);
    world.run(2_000);
    world.hears(bob, ada).unwrap();
    let before = installs(&world, bob);
    for (to, message) in old.iter().filter(|(to, _)| *to == bob) {
        world.deliver(*to, message);
    }
    world.run(100);
    assert_eq!(installs(&world, bob), before);
    world.hears(bob, ada).unwrap();
}

#[test]
fn feigned_leave_does_not_roll_keys_back() {
    let (mut world, ada, bob) = pair(9);
    let old_frame = world.seal(ada, MIC, b"old").unwrap();
    let old_keys = last_keys(&world, bob);
    let carol = world.join("Carol");
    world.run(1_500);
    world.leave(carol);
    world.run(2_000);
    world.hears(bob, ada).unwrap();
    // The server reports to Bob that Ada left and returned, and delivers her first key again.
    let announce = world.device(ada).announces();
    world.event(bob, Event::Left(&[ada]));
    world.event(bob, Event::Announces(&announce));
    let before = installs(&world, bob);
    world.event(bob, Event::Keys(&old_keys));
    assert_eq!(installs(&world, bob), before);
    assert_eq!(world.open(bob, &old_frame), Err(OpenError::MissingKey));
}

#[test]
fn keybatch_reflection_rejected() {
    let (mut world, ada, bob) = pair(10);
    let mut keys = last_keys(&world, bob);
    world.event(ada, Event::Keys(&keys));
    assert_eq!(world.problems(ada).len(), 1);
    // Presented as Bob's, for Ada: the box opens, since its key is the same in both directions; the context does not match.
    let (ada_seat, bob_seat) = (world.device(ada).seat.0, world.device(bob).seat.0);
    let bob_join_id = world.device(bob).session.identity.join_id;
    let epoch = Epoch { generation: 7, step: 0 };
    let header = Header::read(batch::bound(keys[1..].first_chunk().unwrap())).unwrap();
    let join_id = *bob_join_id.prefix();
    let forged = Header { seat: Seat(bob_seat), join_id, epoch, ..header };
    keys.splice(1..1 + forged.write().len(), forged.write());
    keys[1 + HEADER_BYTES..][..2].copy_from_slice(&ada_seat.to_be_bytes());
    let before = installs(&world, ada);
    world.event(ada, Event::Keys(&keys));
    assert_eq!(installs(&world, ada), before);
    assert_eq!(world.problems(ada).last(), Some(&(bob, Problem::KeysRefused)));
}

#[test]
fn box_for_other_device_is_refused() {
    let mut world = World::new(11);
    let (ada, bob, carol) = (world.join("Ada"), world.join("Bob"), world.join("Carol"));
    world.run(2_000);
    let mut keys = last_keys(&world, bob);
    world.open_stream(ada, MIC);
    world.leave(carol);
    world.run(2_000);
    keys.clone_from(&last_keys(&world, bob));
    let dave = world.join("Dave");
    world.run(1_000);
    let seat = world.device(dave).seat;
    world.event(dave, Event::Keys(&keys));
    assert_eq!(world.problems(dave), [(ada, Problem::KeysRefused)], "addressed to Bob");
    keys[1 + HEADER_BYTES..][..2].copy_from_slice(&seat.0.to_be_bytes());
    world.event(dave, Event::Keys(&keys));
    assert_eq!(world.problems(dave), [(ada, Problem::KeysRefused); 2], "readdressed");
}

/// A key batch from `from` to `to` as `from` itself, or an attacker with these secrets, could make it.
fn forge(
    world: &mut World,
    from: ParticipantId,
    to: ParticipantId,
    box_key: &StaticSecret,
    forgery: &Forgery,
) -> Vec<u8> {
    let recipient = &world.devices[&to].session;
    let (recipient_id, recipient_hash, recipient_seq) =
        (recipient.identity.join_id, recipient.ephemeral.announce_hash, recipient.ephemeral.seq);
    let public = recipient.ephemeral.secret.public();
    let sender = &world.devices[&from].session;
    let key = |secret| {
        SessionKey::new(SecretBytes::copy_of(&[secret; 32]), forgery.epoch, sender.identity.join_id, sender.call)
    };
    let header = Header {
        call: sender.call,
        seat: world.devices[&from].seat,
        join_id: *sender.identity.join_id.prefix(),
        announce_seq: sender.ephemeral.seq,
        epoch: forgery.epoch,
        reason: 1,
        created: WallTime::default(),
        roster_hash: [0; 32],
        commitment: key(forgery.committed).commitment::<Standard>(),
        nonce: [forgery.secret; 24],
    };
    let bytes = header.write();
    let ends = Ends {
        sender: &sender.identity.join_id,
        sender_announce: &sender.ephemeral.announce_hash,
        recipient: &recipient_id,
        recipient_announce: &recipient_hash,
    };
    let shared = box_key.agree(&public);
    let clear = Recipient { seat: world.devices[&to].seat, announce_seq: recipient_seq };
    let key = key(forgery.secret);
    let entry = batch::write_entry::<Standard>(&bytes, &header.nonce, clear, &ends, &shared, &key).unwrap();
    [&[1][..], &batch::write(&bytes, &[entry])].concat()
}

struct Forgery {
    epoch: Epoch,
    secret: u8,
    committed: u8,
}

const NEXT: Epoch = Epoch { generation: 5, step: 0 };

#[test]
fn equivocation_detected() {
    let (mut world, ada, bob) = pair(12);
    let own = world.device(ada).session.ephemeral.secret.clone();
    // A key that is not the committed one.
    let body = forge(&mut world, ada, bob, &own, &Forgery { epoch: NEXT, secret: 1, committed: 2 });
    world.event(bob, Event::Keys(&body));
    assert_eq!(world.problems(bob), [(ada, Problem::Equivocation)]);
    // An honest one, then another under the same name.
    let before = installs(&world, bob);
    for secret in [3, 4] {
        let body = forge(&mut world, ada, bob, &own, &Forgery { epoch: NEXT, secret, committed: secret });
        world.event(bob, Event::Keys(&body));
    }
    assert_eq!(installs(&world, bob), before + 1);
    assert_eq!(world.problems(bob)[1..], [(ada, Problem::Equivocation)]);
}

#[test]
fn kci_with_recipient_static_key_fails() {
    let (mut world, ada, bob) = pair(13);
    // A thief of Bob's signing key still lacks both ephemeral secrets, so no box "from Ada" opens.
    let thief = StaticSecret::from([42; 32]);
    let before = installs(&world, bob);
    let body = forge(&mut world, ada, bob, &thief, &Forgery { epoch: NEXT, secret: 1, committed: 1 });
    world.event(bob, Event::Keys(&body));
    assert_eq!(installs(&world, bob), before);
    assert_eq!(world.problems(bob), [(ada, Problem::KeysRefused)]);
}

#[test]
fn transcript_plus_static_keys_opens_nothing() {
    /// Random bytes whose first 48 (signing key and incarnation) are the victim's.
    fn source(seed: u64) -> impl FnMut(&mut [u8]) + Send {
        let (mut stolen, mut own) = (Dice(1), Dice(seed));
        let mut drawn = 0;
        move |bytes: &mut [u8]| {
            for byte in bytes {
                drawn += 1;
                *byte = if drawn <= 48 { stolen.next() } else { own.next() } as u8;
            }
        }
    }
    let mut world = World::new(14);
    let ada = world.join("Ada");
    world.open_stream(ada, MIC);
    let config = || SessionConfig::new(super::world::ROOM, super::world::CALL, super::world::INVITE, "Bob");
    let clock = world.clock();
    let bob = Session::new(config(), source(2), clock).unwrap();
    let bob = world.seat(bob, Seat(9));
    world.run(2_000);
    let frame = world.seal(ada, MIC, b"secret").unwrap();
    world.open(bob, &frame).unwrap();
    // Later: everything the server saw, the invite secret and Bob's device key; only the ephemeral keys are missing.
    let mut thief = Session::new(config(), source(3), clock).unwrap();
    assert_eq!(thief.identity.join_id, world.device(bob).session.identity.join_id);
    thief.handle(clock, Event::Joined { seat: Seat(9) }).unwrap();
    let announce = world.device(ada).announces();
    thief.handle(clock, Event::Announces(&announce)).unwrap();
    let transcript: Vec<_> = world.recorded.iter().filter(|(to, _)| *to == bob).cloned().collect();
    assert!(!transcript.is_empty());
    for (_, message) in transcript {
        let Message::Keys(body) = message else { continue };
        thief.handle(clock, Event::Keys(&body)).unwrap();
    }
    assert!(open_with(&mut thief, clock, &frame).is_err());
}

#[test]
fn second_device_of_participant_replaces_first() {
    let (mut world, ada, bob) = pair(15);
    let mut session = world.session_with("Mallory", super::world::INVITE);
    let Some(Action::SendAnnounce { announce, display, .. }) = session.poll() else { panic!("announce") };
    let body = super::world::announces(bob, world.devices[&bob].seat, &announce, &display);
    world.event(ada, Event::Announces(&body));
    let log = &world.devices[&ada].log;
    let removed = log.iter().position(|action| matches!(action, Action::ParticipantRemoved { .. })).unwrap();
    let shown = |action: &Action| matches!(action, Action::ParticipantVerified { name, .. } if name == "Mallory");
    assert!(log.iter().skip(removed).any(shown));
}

#[test]
fn event_before_seal() {
    // `World` asserts that every batch goes to a seat that its sender shows; this checks the order.
    let (mut world, ada, _) = pair(18);
    let carol = world.join("Carol");
    world.run(1_500);
    let log = &world.devices[&ada].log;
    let seat = world.devices[&carol].seat;
    let shown = log
        .iter()
        .position(|action| matches!(action, Action::ParticipantVerified { participant, .. } if *participant == carol));
    let sealed = log.iter().position(|action| {
        matches!(action, Action::SendKeyBatch { body, .. } if body[HEADER_BYTES..].starts_with(&seat.0.to_be_bytes()))
    });
    assert!(shown.unwrap() < sealed.unwrap());
}

#[test]
fn seal_only_to_roster() {
    let (mut world, ada, bob) = pair(19);
    // A device whose announce does not verify never receives a key, whatever the server sends.
    let session = world.session_with("Ghost", [9; 32]);
    let ghost = world.seat(session, Seat(40));
    world.run(2_000);
    let kid = u64::from(world.devices[&ada].seat.0) << 6;
    let join_id = world.devices[&ada].session.identity.join_id.prefix().to_vec();
    let request = [&Seat(40).0.to_be_bytes()[..], &[1], &join_id, &kid.to_be_bytes()].concat();
    world.event(ada, Event::KeyRequest(&request));
    world.leave(ghost);
    world.run(2_000);
    let bobs_seat = world.devices[&bob].seat.0.to_be_bytes();
    for body in world.batches(ada) {
        assert!(body[HEADER_BYTES..].chunks(ENTRY_BYTES).all(|entry| entry.starts_with(&bobs_seat)));
    }
    assert_eq!(world.epochs(ada).last(), Some(&(1, 0)), "any leaving rotates, also that of a ghost");
}

#[test]
fn device_is_shown_once() {
    let (mut world, ada, bob) = pair(16);
    let mut ghost = world.device(bob).announces();
    ghost[1..5].copy_from_slice(&999u32.to_be_bytes());
    world.event(ada, Event::Announces(&ghost));
    assert_eq!(world.problems(ada), [(ParticipantId(999), Problem::AnnounceRefused)]);
    assert_eq!(world.device(ada).shown.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn replay_exact_and_old(order in proptest::collection::vec(0usize..40, 1..120)) {
        let (mut world, ada, bob) = pair(17);
        let frames: Vec<_> = (0..40).map(|_| world.seal(ada, MIC, b"x").unwrap()).collect();
        let mut opened = [false; 40];
        for index in order {
            let expected = if opened[index] { Err(OpenError::Replay) } else { Ok((ada, b"x".to_vec())) };
            prop_assert_eq!(world.open(bob, &frames[index]), expected);
            opened[index] = true;
        }
    }
}
