//! The session keys of one call, shared by its signaling task and its media path.
//!
//! A [`Session`] is a pure state machine; this gives it the clocks and a lock. The lock is held for one frame or one
//! message at a time. What the media path finds missing is asked for by the signaling task, which waits in
//! [`SharedKeys::stirred`].

use crate::link::RoomLink;
use e2ee_frames::{
    Action, Clock, Codec, Event, EventError, FrameKind, OpenError, Opened, SealError, Session, SessionConfig,
    SessionError, StreamId,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tacet_proto::CallId;
use tokio::{sync::Notify, time::Instant};

/// A restored copy of a machine shows by its wall clock, which a session compares at every event.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A handle on the keys of one call.
#[derive(Clone)]
pub struct SharedKeys(Arc<Shared>);

struct Shared {
    session: Mutex<Session>,
    stirred: Notify,
    started: Instant,
}

/// Prints no key.
impl std::fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedKeys(..)")
    }
}

impl SharedKeys {
    /// Keys of a new device in a call.
    ///
    /// # Errors
    /// If the name is too long.
    pub fn new(link: &RoomLink, call: CallId, name: &str) -> Result<Self, SessionError> {
        let started = Instant::now();
        let config = SessionConfig::new(link.room().0.0, call.0.0, *link.invite(), name);
        let random = |buffer: &mut [u8]| {
            // There is no weaker source to fall back on.
            if getrandom::fill(buffer).is_err() {
                std::process::abort();
            }
        };
        let session = Session::new(config, random, clock_since(started))?;
        Ok(Self(Arc::new(Shared { session: Mutex::new(session), stirred: Notify::new(), started })))
    }

    /// Seals a frame into `out`; gives its length. 64 bytes more than the frame suffice but for H.264.
    ///
    /// # Errors
    /// [`SealError`]: the frame must be dropped.
    pub fn seal(
        &self,
        stream: StreamId,
        codec: Codec,
        kind: FrameKind,
        frame: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let clock = self.clock();
        self.session().seal(clock, stream, codec, kind, frame, out)
    }

    /// Opens a frame in place; the result says where in the buffer it lies.
    ///
    /// # Errors
    /// [`OpenError`]: nothing of the buffer may be shown. After [`OpenError::MissingKey`] the frame may be tried again.
    pub fn open(&self, codec: Codec, frame: &mut [u8]) -> Result<Opened, OpenError> {
        let clock = self.clock();
        let opened = self.session().open(clock, codec, frame);
        if matches!(opened, Err(OpenError::MissingKey)) {
            self.0.stirred.notify_one();
        }
        opened
    }

    /// Tells the session what happened.
    ///
    /// # Errors
    /// [`EventError`]: the event does not fit, and changed nothing.
    pub fn handle(&self, event: Event<'_>) -> Result<(), EventError> {
        let clock = self.clock();
        self.session().handle(clock, event)
    }

    /// What the session wants done, one by one.
    pub fn poll(&self) -> Option<Action> {
        self.session().poll()
    }

    /// When the session wants [`Event::Tick`]: at most [`LOOK_EVERY`] from now, so that it soon sees a clock that jumped.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = Duration::from(self.session().deadline()?);
        self.0.started.checked_add(deadline.min(self.0.started.elapsed().saturating_add(LOOK_EVERY)))
    }

    /// Returns when the media path has met a frame whose key is missing.
    pub async fn stirred(&self) {
        self.0.stirred.notified().await;
    }

    fn clock(&self) -> Clock {
        clock_since(self.0.started)
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads both clocks; the monotonic one counts from `started`.
fn clock_since(started: Instant) -> Clock {
    Clock { now: started.elapsed().into(), wall: SystemTime::now().into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::{RoomId, bytes::Fixed};

    #[test]
    fn the_clocks_are_looked_at_once_a_second() {
        let link = RoomLink::new(false, "127.0.0.1:8800", RoomId(Fixed([7; 16])), [9; 32]);
        let keys = SharedKeys::new(&link, CallId(Fixed([8; 16])), "Ada").unwrap();
        while keys.poll().is_some() {}
        assert!(keys.deadline().unwrap() <= Instant::now() + LOOK_EVERY);
    }
}
