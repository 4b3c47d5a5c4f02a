//! Calls without interference.

use super::world::World;
use crate::{Action, Codec, Event, EventError, FrameKind, OpenError, SealError, StreamId, codec};

const MIC: StreamId = StreamId::MICROPHONE;

#[test]
fn two_devices_exchange_frames() {
    let mut world = World::new(1);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.run(1_000);
    assert_eq!(world.device(ada).shown[&bob], "Bob");
    world.open_stream(ada, MIC);
    world.open_stream(bob, MIC);
    world.run(1_000);
    world.hears(bob, ada).unwrap();
    world.hears(ada, bob).unwrap();
}

#[test]
fn seal_needs_key_and_stream() {
    let mut world = World::new(2);
    let session = world.session_with("Ada", super::world::INVITE);
    let mut session = session;
    let clock = world.clock();
    let mut out = [0; 100];
    let mut seal =
        |session: &mut crate::Session| session.seal(clock, MIC, Codec::Opus, FrameKind::Delta, b"x", &mut out);
    assert_eq!(seal(&mut session), Err(SealError::StreamNotOpen));
    session.handle(clock, Event::StreamOpened(MIC)).unwrap();
    assert_eq!(seal(&mut session), Err(SealError::NoKey));
    session.poll();
    assert_eq!(session.poll(), None, "nothing but the announce before joining");
    session.handle(clock, Event::Joined { seat: crate::Seat(4) }).unwrap();
    assert!(seal(&mut session).is_ok());
    assert_eq!(session.poll(), Some(Action::GenerationChanged { generation: 0, step: 0 }));
    assert_eq!(session.poll(), Some(Action::StreamReady { stream: MIC }));
}

#[test]
fn stream_opens_once_and_counter_continues() {
    let mut world = World::new(3);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.open_stream(ada, MIC);
    world.run(1_000);
    let clock = world.clock();
    let again = world.device(ada).session.handle(clock, Event::StreamOpened(MIC));
    assert_eq!(again, Err(EventError::StreamAlreadyOpen));
    let first = world.seal(ada, MIC, b"one").unwrap();
    world.close_stream(ada, MIC);
    assert_eq!(world.seal(ada, MIC, b"no"), Err(SealError::StreamNotOpen));
    world.open_stream(ada, MIC);
    let second = world.seal(ada, MIC, b"two").unwrap();
    let counter = |frame: &[u8]| crate::sframe::header::parse(frame).unwrap().0.ctr;
    assert_eq!((counter(&first), counter(&second)), (0, 1));
    world.open(bob, &first).unwrap();
    world.open(bob, &second).unwrap();
    assert_eq!(world.open(bob, &first), Err(OpenError::Replay));
}

#[test]
fn every_codec_round_trip() {
    let mut world = World::new(4);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.open_stream(ada, StreamId::CAMERA);
    world.run(1_000);
    let clock = world.clock();
    let frame = [0; 5_000];
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
        for kind in [FrameKind::Key, FrameKind::Delta] {
            let mut sealed = alloc::vec![0; codec::max_sealed_bytes(codec, frame.len())];
            let session = &mut world.device(ada).session;
            let length = session.seal(clock, StreamId::CAMERA, codec, kind, &frame, &mut sealed).unwrap();
            let opened = world.device(bob).session.open(clock, codec, &mut sealed[..length]).unwrap();
            assert_eq!(
                (opened.participant, opened.stream, opened.kind),
                (ada, StreamId::CAMERA, codec::shown(codec, kind))
            );
            assert_eq!(sealed[opened.range], frame);
        }
    }
}
