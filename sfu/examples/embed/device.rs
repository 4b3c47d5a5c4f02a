//! End-to-end encryption of one device: `e2ee-frames` with the clock and random numbers of this example. See
//! `docs/embedding.md`.

use anyhow::Result;
use e2ee_frames::{Action, Clock, Codec, Event, FrameKind, Session, SessionConfig, StreamId, codec};
use std::{
    ops::Range,
    time::{Instant, SystemTime},
};

/// The only stream of a speaker.
const STREAM: StreamId = StreamId::MICROPHONE;

/// A device in a call.
pub(crate) struct Device {
    session: Session,
    started: Instant,
}

impl Device {
    pub(crate) fn new(name: &str, invite: &[u8; 32]) -> Result<Self> {
        // Without random numbers there is no encryption.
        let random = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap_or_else(|_| std::process::abort());
        let config = SessionConfig::new(*b"room of the call", *b"an example call.", *invite, name);
        let started = Instant::now();
        Ok(Self { session: Session::new(config, random, clock_since(started))?, started })
    }

    /// Handles an event; returns the resulting actions.
    pub(crate) fn happened(&mut self, event: Event<'_>) -> Result<Vec<Action>> {
        self.session.handle(self.clock(), event)?;
        Ok(std::iter::from_fn(|| self.session.poll()).collect())
    }

    /// Opens the microphone stream; returns the resulting actions.
    pub(crate) fn speak(&mut self) -> Result<Vec<Action>> {
        self.happened(Event::StreamOpened(STREAM))
    }

    /// Handles the passing of time; returns the resulting actions.
    pub(crate) fn tick(&mut self) -> Result<Vec<Action>> {
        let due = self.session.deadline().is_some_and(|deadline| deadline <= self.clock().now);
        if due { self.happened(Event::Tick) } else { Ok(Vec::new()) }
    }

    /// Seals a frame. Send nothing after an error.
    pub(crate) fn seal(&mut self, frame: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = vec![0; codec::max_sealed_bytes(Codec::Opus, frame.len())];
        let length = self.session.seal(self.clock(), STREAM, Codec::Opus, FrameKind::Delta, frame, &mut sealed)?;
        sealed.truncate(length);
        Ok(sealed)
    }

    /// Opens a frame in place; returns its range and the device that sealed it.
    pub(crate) fn open(&mut self, frame: &mut [u8]) -> Result<(Range<usize>, u32)> {
        let opened = self.session.open(self.clock(), Codec::Opus, frame)?;
        Ok((opened.range, opened.participant.0))
    }

    fn clock(&self) -> Clock {
        clock_since(self.started)
    }
}

/// Reads both clocks; the monotonic one counts from `started`.
fn clock_since(started: Instant) -> Clock {
    Clock { now: started.elapsed().into(), wall: SystemTime::now().into() }
}
