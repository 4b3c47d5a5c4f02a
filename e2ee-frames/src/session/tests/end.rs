//! The end of sessions whose counters may be in use elsewhere.

use super::world::{World, at};
use crate::keys::identity::JoinId;
use crate::{Action, Clock, Codec, Ended, Event, EventError, FrameKind, OpenError, SealError, StreamId, WallTime};

const MIC: StreamId = StreamId::MICROPHONE;

/// The clocks of a device whose wall clock is off by this many milliseconds.
fn skewed(now: u64, skew: i64) -> Clock {
    let Clock { now, wall } = at(now);
    Clock { now, wall: WallTime::from_millis(wall.as_millis().saturating_add_signed(skew)) }
}

#[test]
fn wall_clock_jump_ends_session() {
    for jump in [-31_000i64, 31_000] {
        let mut world = World::new(1);
        let (ada, bob) = (world.join("Ada"), world.join("Bob"));
        world.open_stream(ada, MIC);
        world.open_stream(bob, MIC);
        world.run(2_000);
        let mut of_bob = world.seal(bob, MIC, b"frame").unwrap();
        let jumped = skewed(world.now, jump);
        let session = &mut world.device(ada).session;
        assert_eq!(session.handle(jumped, Event::Tick), Err(EventError::Ended));
        assert_eq!((session.poll(), session.poll()), (Some(Action::Ended(Ended::ClockJumped)), None));
        assert_eq!(session.deadline(), None);
        // It cannot be revived, not even by the right time.
        let clock = world.clock();
        let session = &mut world.device(ada).session;
        assert_eq!(session.handle(clock, Event::StreamOpened(StreamId::CAMERA)), Err(EventError::Ended));
        let sealed = session.seal(clock, MIC, Codec::Opus, FrameKind::Delta, b"frame", &mut [0; 100]);
        assert_eq!(sealed, Err(SealError::Ended));
        assert_eq!(session.open(clock, Codec::Opus, &mut of_bob), Err(OpenError::Ended));
        assert!(session.own.key.current().is_none() && !session.receiver.knows(&JoinId([0; 32])));
    }
}

#[test]
fn clock_drift_is_tolerated() {
    let mut world = World::new(2);
    let ada = world.join("Ada");
    world.open_stream(ada, MIC);
    let mut skew = 0;
    for minute in 1..120 {
        // Half a second per minute, for an hour each way, with occasional corrections of twenty seconds.
        skew += if minute < 60 { 500 } else { -500 };
        let correction = if minute % 20 == 0 { 20_000 } else { 0 };
        let clock = skewed(world.now + minute * 60_000, skew + correction);
        world.device(ada).session.handle(clock, Event::Tick).unwrap();
    }
    world.now += 7_200_000;
    world.seal(ada, MIC, b"frame").unwrap();
}
