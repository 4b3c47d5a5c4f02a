//! A forked process refuses to seal with its parent's keys and counters.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use e2ee_frames::{
    Action, Clock, Codec, Ended, Event, EventError, FrameKind, MonotonicTime, ResumeOperation, ResumeStatement,
    SealError, Seat, Session, SessionConfig, StreamId, WallTime,
};

const CLOCK: Clock = Clock { now: MonotonicTime::from_millis(0), wall: WallTime::from_millis(1_800_000_000_000) };
const MIC: StreamId = StreamId::MICROPHONE;

const STATEMENT: ResumeStatement<'_> = ResumeStatement {
    operation: ResumeOperation::Session,
    origin: "https://call.example",
    room: [1; 16],
    call: [2; 16],
    session: [4; 16],
    participant: 5,
    token: b"token",
    nonce: [6; 32],
};

fn seal(session: &mut Session) -> Result<usize, SealError> {
    session.seal(CLOCK, MIC, Codec::Opus, FrameKind::Delta, b"frame", &mut [0; 100])
}

/// Whether a forked child finds this true.
fn in_child(check: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `check` and ends without unwinding or exit handlers.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(!check());
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(code) }
    }
    assert!(child > 0, "no child");
    let mut status = 0;
    // SAFETY: waits for the child made above; `status` is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[test]
fn fork_ends_session_in_child_only() {
    let random = |bytes: &mut [u8]| bytes.fill(7);
    let config = SessionConfig::new([1; 16], [2; 16], [3; 32], "Ada");
    let mut session = Session::new(config, random, CLOCK).unwrap();
    session.handle(CLOCK, Event::Joined { seat: Seat(1) }).unwrap();
    session.handle(CLOCK, Event::StreamOpened(MIC)).unwrap();
    seal(&mut session).unwrap();
    assert!(in_child(|| {
        seal(&mut session) == Err(SealError::Ended)
            && session.handle(CLOCK, Event::Tick) == Err(EventError::Ended)
            && session.prove_resume(&STATEMENT).is_none()
            && std::iter::from_fn(|| session.poll()).collect::<Vec<_>>() == [Action::Ended(Ended::Forked)]
    }));
    seal(&mut session).unwrap();
    assert!(session.prove_resume(&STATEMENT).is_some());
}
