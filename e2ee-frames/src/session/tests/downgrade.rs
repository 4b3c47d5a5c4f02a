//! No message of a server turns encryption off.

use super::world::{Dice, World};
use crate::{
    Codec, Event, FrameKind, ParticipantId, Problem, SealError, Seat, StreamId, codec, keys::batch::HEADER_BYTES,
    sframe::header,
};
use alloc::{vec, vec::Vec};

const MIC: StreamId = StreamId::MICROPHONE;
const CODECS: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264];
/// Must not appear in any output: long enough not to occur by chance.
const SECRET: &[u8] = b"plaintext of the microphone";

fn shows(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// Every kind of event, with contents of a server that wants to disable encryption.
fn persuade(world: &mut World, at: ParticipantId, real: &[Vec<u8>; 2], dice: &mut Dice) {
    let clock = world.clock();
    let mut bytes: Vec<u8> = (0..dice.below(700)).map(|_| dice.next() as u8).collect();
    let session = &mut world.device(at).session;
    let event = match dice.below(9) {
        0 => Event::Tick,
        1 => Event::Joined { seat: Seat(dice.below(5_000) as u16) },
        2 => Event::Announces(&bytes),
        3 => Event::Keys(&bytes),
        4 => Event::KeyRequest(&bytes),
        5 => Event::Left(&[ParticipantId(99)]),
        // A genuine announce or key batch with other versions, suites, policies, profiles: any byte, any value.
        which => {
            let real = &real[usize::from(which % 2 == 0)];
            bytes.clone_from(real);
            let at = dice.below(bytes.len() as u64) as usize;
            bytes[at] = dice.next() as u8;
            if which % 2 == 0 { Event::Keys(&bytes) } else { Event::Announces(&bytes) }
        }
    };
    let _ = session.handle(clock, event);
}

#[test]
fn server_cannot_disable() {
    let mut world = World::new(1);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.open_stream(ada, MIC);
    world.open_stream(bob, MIC);
    world.run(2_000);
    let keys = [&[1][..], world.batches(bob).last().unwrap()].concat();
    let real = [world.device(bob).announces(), keys];
    let (mut dice, clock) = (Dice(2), world.clock());
    let mut sealed_frames = 0;
    for round in 0..4_000 {
        persuade(&mut world, ada, &real, &mut dice);
        let session = &mut world.device(ada).session;
        let codec = CODECS[round % CODECS.len()];
        let kind = if dice.percent(20) { FrameKind::Key } else { FrameKind::Delta };
        let mut out = vec![0; codec::max_sealed_bytes(codec, SECRET.len())];
        match session.seal(clock, MIC, codec, kind, SECRET, &mut out) {
            Ok(length) => {
                sealed_frames += 1;
                assert!(length >= SECRET.len() + crate::sframe::TAG_BYTES + 2);
                assert!(!shows(&out, SECRET), "round {round}: plaintext left");
            }
            Err(error) => panic!("round {round}: {error}"),
        }
        // Unsealed input, bare or in the envelope of its codec, is never returned.
        let mut bare = SECRET.to_vec();
        assert!(session.open(clock, codec, &mut bare).is_err());
        let (header, _) = header::parse(&out).unwrap_or((header::Header { kid: 0, ctr: 0 }, 1));
        let mut dressed = [header.encode().as_bytes(), SECRET, &[0; 16]].concat();
        assert!(session.open(clock, codec, &mut dressed).is_err());
        assert!(session.open(clock, codec, &mut out).is_err(), "not even the own frames");
    }
    assert_eq!(sealed_frames, 4_000);
    // Members are still on the roster, and frames still open.
    assert!(world.device(ada).shown.contains_key(&bob));
    world.hears(bob, ada).unwrap();
    world.hears(ada, bob).unwrap();
}

#[test]
fn stream_without_key_stays_silent() {
    let mut world = World::new(3);
    let mut session = world.session_with("Ada", super::world::INVITE);
    let clock = world.clock();
    session.handle(clock, Event::StreamOpened(MIC)).unwrap();
    let mut dice = Dice(4);
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..dice.below(700)).map(|_| dice.next() as u8).collect();
        for event in [Event::Announces(&bytes), Event::Keys(&bytes), Event::KeyRequest(&bytes), Event::Tick] {
            let _ = session.handle(clock, event);
        }
        let mut out = [0; 200];
        let sealed = session.seal(clock, MIC, Codec::Opus, FrameKind::Delta, SECRET, &mut out);
        assert_eq!((sealed, out), (Err(SealError::NoKey), [0; 200]));
    }
}

#[test]
fn other_suite_or_policy_is_refused() {
    let mut world = World::new(5);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.run(2_000);
    let true_batch = world.batches(ada).last().unwrap().clone();
    // Version, type, suite (the four others of the RFC, and none) and policy stand in front.
    let suites = [0u8, 1, 2, 3, 4, 6].map(|suite| (4, suite));
    for (position, value) in suites.into_iter().chain([(1, 2), (2, 2), (5, 1), (5, 255)]) {
        let mut batch = true_batch.clone();
        batch[position] = value;
        let before = world.problems(bob).len();
        world.event(bob, Event::Keys(&[&[1][..], &batch[..HEADER_BYTES], &batch[HEADER_BYTES..]].concat()));
        let refused = (ParticipantId(u32::MAX), Problem::KeysRefused);
        assert_eq!(world.problems(bob)[before..], [refused], "byte {position} as {value}");
    }
}
