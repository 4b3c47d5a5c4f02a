//! E2EE sessions in memory, for the benchmarks of frames and keys.

use e2ee_frames::{Action, Clock, Event, MonotonicTime, Seat, Session, SessionConfig, StreamId, WallTime};

/// Both clocks of every benchmark: time stands still.
pub const CLOCK: Clock = Clock { now: MonotonicTime::from_millis(0), wall: WallTime::from_millis(1_800_000_000_000) };

/// Deterministic random bytes, since a benchmark has no secrets.
pub fn source(mut state: u64) -> impl FnMut(&mut [u8]) + Send {
    move |bytes: &mut [u8]| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    }
}

/// Returns the pending actions of a session.
pub fn drain(session: &mut Session) -> Vec<Action> {
    std::iter::from_fn(|| session.poll()).collect()
}

/// A seated device with this number, and the server's message that announces it.
pub fn device(number: u16) -> Option<(Session, Vec<u8>)> {
    let config = SessionConfig::new([1; 16], [2; 16], [3; 32], "bench");
    let mut session = Session::new(config, source(number.into()), CLOCK).ok()?;
    let Some(Action::SendAnnounce { announce, display, .. }) = session.poll() else { return None };
    let mut body = vec![1];
    body.extend_from_slice(&u32::from(number).to_be_bytes());
    body.extend_from_slice(&number.to_be_bytes());
    body.extend_from_slice(&announce);
    body.extend_from_slice(&u16::try_from(display.len()).ok()?.to_be_bytes());
    body.extend_from_slice(&display);
    session.handle(CLOCK, Event::Joined { seat: Seat(number) }).ok()?;
    Some((session, body))
}

/// A sender with an open camera stream, and a receiver with its key.
pub fn pair() -> Option<(Session, Session)> {
    let ((mut sender, of_sender), (mut receiver, of_receiver)) = (device(0)?, device(1)?);
    sender.handle(CLOCK, Event::Announces(&of_receiver)).ok()?;
    receiver.handle(CLOCK, Event::Announces(&of_sender)).ok()?;
    sender.handle(CLOCK, Event::StreamOpened(StreamId::CAMERA)).ok()?;
    for action in drain(&mut sender) {
        if let Action::SendKeyBatch { number, body } = action {
            receiver.handle(CLOCK, Event::Keys(&[&[1], body.as_slice()].concat())).ok()?;
            sender.handle(CLOCK, Event::KeyBatchAccepted { number }).ok()?;
        }
    }
    Some((sender, receiver))
}
