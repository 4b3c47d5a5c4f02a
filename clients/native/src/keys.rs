//! The session of one call, shared by its signaling task and its media path.
//!
//! A [`Session`] is a pure state machine; [`SharedKeys`] adds clocks and a lock, which is held for one frame or one
//! message at a time. When the media path misses a key, the signaling task requests it: it waits in
//! [`SharedKeys::key_missing`].

use crate::link::RoomLink;
use e2ee_frames::{
    Action, CallCode, Clock, Codec, Event, EventError, FrameKind, OpenError, Opened, ResumeStatement, SealError,
    Session, SessionConfig, SessionError, StreamId,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tacet_proto::CallId;
use tokio::{sync::Notify, time::Instant};

/// Maximum interval between two events for the session, which compares the clocks at every event: a restored copy of a
/// machine is detected by its wall clock.
pub(crate) const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A handle to the session of one call.
#[derive(Clone)]
pub struct SharedKeys(Arc<Shared>);

/// A source of wall time.
pub type WallClock = fn() -> SystemTime;

struct Shared {
    session: Mutex<Session>,
    wall: WallClock,
    key_missing: Notify,
    started: Instant,
    /// When a frame was last sealed, in milliseconds after `started`, plus one; 0 before the first.
    sealed_at: AtomicU64,
}

/// Prints no key.
impl std::fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedKeys(..)")
    }
}

impl SharedKeys {
    /// Makes the session of a new device in a call.
    ///
    /// # Errors
    /// If the name is too long.
    pub fn new(link: &RoomLink, call: CallId, name: &str) -> Result<Self, SessionError> {
        Self::with_wall_clock(link, call, name, SystemTime::now)
    }

    /// Makes the session of a new device whose wall time comes from another source than the system.
    ///
    /// # Errors
    /// If the name is too long.
    pub fn with_wall_clock(link: &RoomLink, call: CallId, name: &str, wall: WallClock) -> Result<Self, SessionError> {
        let started = Instant::now();
        let config = SessionConfig::new(link.room().0.0, call.0.0, *link.invite(), name);
        let random = |buffer: &mut [u8]| {
            // There is no weaker source to fall back on.
            if getrandom::fill(buffer).is_err() {
                std::process::abort();
            }
        };
        let session = Session::new(config, random, clock_since(started, wall))?;
        let (session, key_missing) = (Mutex::new(session), Notify::new());
        Ok(Self(Arc::new(Shared { session, wall, key_missing, started, sealed_at: AtomicU64::new(0) })))
    }

    /// Seals a frame into `out` and returns its length: at most 64 bytes more than the frame, except for H.264.
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
        let sealed = self.session().seal(clock, stream, codec, kind, frame, out)?;
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.sealed_at.store(now.saturating_add(1), Ordering::Relaxed);
        Ok(sealed)
    }

    /// Whether a frame was sealed, and so presumably sent, within this time.
    #[must_use]
    pub fn sealed_within(&self, time: Duration) -> bool {
        let Some(at) = self.0.sealed_at.load(Ordering::Relaxed).checked_sub(1) else { return false };
        self.0.started.elapsed() < Duration::from_millis(at) + time
    }

    /// Opens a frame in place. The result contains the range of the plaintext in the buffer.
    ///
    /// # Errors
    /// [`OpenError`]: no byte of the buffer may be used. After [`OpenError::MissingKey`] the frame may be tried again.
    pub fn open(&self, codec: Codec, frame: &mut [u8]) -> Result<Opened, OpenError> {
        let clock = self.clock();
        let opened = self.session().open(clock, codec, frame);
        if matches!(opened, Err(OpenError::MissingKey)) {
            self.0.key_missing.notify_one();
        }
        opened
    }

    /// Passes an event to the session.
    ///
    /// # Errors
    /// [`EventError`]: the event does not fit, and changed nothing.
    pub fn handle(&self, event: Event<'_>) -> Result<(), EventError> {
        let clock = self.clock();
        self.session().handle(clock, event)
    }

    /// The next action that the session has queued.
    pub fn poll(&self) -> Option<Action> {
        self.session().poll()
    }

    /// The code that participants compare: equal on all devices with the same roster. `None` before the session has joined
    /// and after it has ended.
    #[must_use]
    pub fn call_code(&self) -> Option<CallCode> {
        self.session().call_code()
    }

    /// Signs that this device continues its session with the server, also after it slept. `None` in a forked copy.
    #[must_use]
    pub fn prove_resume(&self, statement: &ResumeStatement<'_>) -> Option<[u8; 64]> {
        self.session().prove_resume(statement)
    }

    /// When the session needs [`Event::Tick`]: at most `CLOCK_CHECK_INTERVAL` from now, so that it soon notices a
    /// clock that jumped.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = Duration::from(self.session().deadline()?);
        self.0.started.checked_add(deadline.min(self.0.started.elapsed().saturating_add(CLOCK_CHECK_INTERVAL)))
    }

    /// Returns when the media path has met a frame whose key is missing.
    pub async fn key_missing(&self) {
        self.0.key_missing.notified().await;
    }

    fn clock(&self) -> Clock {
        clock_since(self.0.started, self.0.wall)
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads both clocks; the monotonic one counts from `started`.
fn clock_since(started: Instant, wall: WallClock) -> Clock {
    Clock { now: started.elapsed().into(), wall: wall().into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::{RoomId, bytes::Fixed};

    #[test]
    fn deadline_is_within_clock_check_interval() {
        let link = RoomLink::new(false, "127.0.0.1:8800", RoomId(Fixed([7; 16])), [9; 32]);
        let keys = SharedKeys::new(&link, CallId(Fixed([8; 16])), "Ada").unwrap();
        while keys.poll().is_some() {}
        assert!(keys.deadline().unwrap() <= Instant::now() + CLOCK_CHECK_INTERVAL);
    }
}
