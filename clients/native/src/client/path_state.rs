//! State of the media path, as this client and the server see it.
//!
//! ```text
//!   Starting ──► Up ◄──► Interrupted ──► lost
//!      └──────────────────────────────────┘
//! ```
//! Neither end is notified when the other disappears: the engine reports silence after five seconds and fails after
//! thirty, and the server has its own timeout. The first report of either starts the clock.

use super::disconnect::DisconnectReason;
use std::time::{Duration, Instant};

/// Maximum time for ICE and DTLS; one or two seconds are usual on a bad path.
const START_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct PathState {
    /// Whether the engine is connected; `None` before it was for the first time.
    engine: Option<bool>,
    /// Whether the server is connected.
    server: bool,
    /// When the path last changed.
    since: Instant,
    silence_timeout: Duration,
}

impl PathState {
    /// A path that starts now. Once up, it may be interrupted for `silence_timeout`.
    pub(super) fn start(now: Instant, silence_timeout: Duration) -> Self {
        Self { engine: None, server: true, since: now, silence_timeout }
    }

    pub(super) fn is_up(&self) -> bool {
        self.engine == Some(true) && self.server
    }

    /// Records the engine's state. Returns whether the path changed between up and not up.
    pub(super) fn on_engine_state(&mut self, now: Instant, up: bool) -> bool {
        // A path that was never up is starting, not interrupted.
        let engine = if up { Some(true) } else { self.engine.map(|_| false) };
        self.change(now, engine, self.server)
    }

    /// Records the server's state. Returns whether the path changed between up and not up.
    pub(super) fn on_server_state(&mut self, now: Instant, up: bool) -> bool {
        self.change(now, self.engine, up)
    }

    /// Why the path counts as lost at `now`, if it does.
    pub(super) fn loss(&self, now: Instant) -> Option<DisconnectReason> {
        let elapsed = now.saturating_duration_since(self.since);
        match self.engine {
            None => (elapsed >= START_TIMEOUT).then_some(DisconnectReason::MediaNeverConnected),
            Some(_) => (!self.is_up() && elapsed >= self.silence_timeout).then_some(DisconnectReason::MediaSilent),
        }
    }

    fn change(&mut self, now: Instant, engine: Option<bool>, server: bool) -> bool {
        let was_up = self.is_up();
        (self.engine, self.server) = (engine, server);
        let changed = was_up != self.is_up();
        if changed {
            self.since = now;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(5);

    #[test]
    fn path_that_never_comes_up_is_lost() {
        let start = Instant::now();
        let mut path = PathState::start(start, SILENCE);
        assert!(!path.on_engine_state(start, false), "not up yet");
        assert_eq!(path.loss(start + START_TIMEOUT / 2), None);
        assert_eq!(path.loss(start + START_TIMEOUT), Some(DisconnectReason::MediaNeverConnected));
    }

    #[test]
    fn path_recovers_from_a_short_interruption() {
        let start = Instant::now();
        let mut path = PathState::start(start, SILENCE);
        assert!(path.on_engine_state(start, true) && path.is_up());
        assert!(path.on_engine_state(start, false));
        assert!(path.on_engine_state(start + SILENCE / 2, true));
        assert_eq!(path.loss(start + 3 * SILENCE), None);
    }

    #[test]
    fn path_is_lost_when_either_end_reports_silence() {
        let start = Instant::now();
        let mut path = PathState::start(start, SILENCE);
        path.on_engine_state(start, true);
        assert!(path.on_server_state(start, false));
        assert!(!path.on_engine_state(start + SILENCE / 2, false), "it was interrupted already");
        assert_eq!(path.loss(start + SILENCE / 2), None);
        assert_eq!(path.loss(start + SILENCE), Some(DisconnectReason::MediaSilent));
        assert!(!path.on_server_state(start + SILENCE, true), "the engine still receives nothing");
    }
}
