//! Sessions that must not go on.

use super::world::World;
use crate::{Action, Codec, Ended, Event, EventError, FrameKind, OpenError, SealError, StreamId};

const MIC: StreamId = StreamId::MICROPHONE;

#[test]
fn a_jump_of_the_wall_clock_ends_the_session() {
    for jump in [-31_000i64, 31_000] {
        let mut world = World::new(1);
        let (ada, bob) = (world.join("Ada"), world.join("Bob"));
        world.open_stream(ada, MIC);
        world.open_stream(bob, MIC);
        world.run(2_000);
        let mut of_bob = world.seal(bob, MIC, b"frame").unwrap();
        let (now, wall) = (world.now, world.wall().saturating_add_signed(jump));
        let session = &mut world.device(ada).session;
        assert_eq!(session.handle(now, wall, Event::Tick), Err(EventError::Ended));
        assert_eq!((session.poll(), session.poll()), (Some(Action::Ended(Ended::ClockJumped)), None));
        assert_eq!(session.deadline(), None);
        // Nothing brings it back, not even the right time.
        let wall = world.wall();
        let session = &mut world.device(ada).session;
        assert_eq!(session.handle(now, wall, Event::StreamOpened(StreamId::CAMERA)), Err(EventError::Ended));
        let sealed = session.seal(now, MIC, Codec::Opus, FrameKind::Delta, b"frame", &mut [0; 100]);
        assert_eq!(sealed, Err(SealError::Ended));
        assert_eq!(session.open(now, Codec::Opus, &mut of_bob), Err(OpenError::Ended));
        assert!(session.own.current.is_none() && !session.receiver.knows(&[0; 32]));
    }
}

#[test]
fn clocks_may_drift_and_be_corrected() {
    let mut world = World::new(2);
    let ada = world.join("Ada");
    world.open_stream(ada, MIC);
    let mut wall = world.wall();
    for minute in 1..120 {
        // Half a second a minute, an hour either way, and now and then a correction of twenty seconds.
        wall = wall.saturating_add_signed(if minute < 60 { 60_500 } else { 59_500 });
        let correction = if minute % 20 == 0 { 20_000 } else { 0 };
        let now = world.now + minute * 60_000;
        world.device(ada).session.handle(now, wall + correction, Event::Tick).unwrap();
    }
    world.now += 7_200_000;
    world.seal(ada, MIC, b"frame").unwrap();
}
