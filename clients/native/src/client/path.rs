//! Whether media gets through, as this client and the server see it.
//!
//! ```text
//!   Starting ──► Up ◄──► Interrupted ──► lost
//!      └──────────────────────────────────┘
//! ```
//! Neither end sees the other go: the engine notices silence after five seconds and gives up after thirty, and the server
//! counts its own silence. Whoever notices first starts the clock.

use super::end::Loss;
use std::time::{Duration, Instant};

/// How long ICE and DTLS may take: a second or two on a bad line.
const START: Duration = Duration::from_secs(15);

/// State of a media path.
#[derive(Debug)]
pub(super) struct Path {
    /// As the engine says; `None` before it was ever up.
    own: Option<bool>,
    /// As the server says.
    server: bool,
    /// Since when it is as it is.
    since: Instant,
    patience: Duration,
}

impl Path {
    /// A path that starts now. Once it was up, it may be silent for `patience`.
    pub(super) fn start(now: Instant, patience: Duration) -> Self {
        Self { own: None, server: true, since: now, patience }
    }

    pub(super) fn is_up(&self) -> bool {
        self.own == Some(true) && self.server
    }

    /// The engine says whether it is up. Gives whether that changes the path.
    pub(super) fn engine(&mut self, now: Instant, up: bool) -> bool {
        // Not up yet is no interruption.
        let own = if up { Some(true) } else { self.own.map(|_| false) };
        self.change(now, own, self.server)
    }

    /// The server says whether it is up. Gives whether that changes the path.
    pub(super) fn server(&mut self, now: Instant, up: bool) -> bool {
        self.change(now, self.own, up)
    }

    /// Why it is to be made anew, if it is.
    pub(super) fn lost(&self, now: Instant) -> Option<Loss> {
        let waited = now.saturating_duration_since(self.since);
        match self.own {
            None => (waited >= START).then_some(Loss::NeverConnected),
            Some(_) => (!self.is_up() && waited >= self.patience).then_some(Loss::Silent),
        }
    }

    fn change(&mut self, now: Instant, own: Option<bool>, server: bool) -> bool {
        let was_up = self.is_up();
        (self.own, self.server) = (own, server);
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

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_path_that_never_comes_up_is_lost_after_a_while() {
        let start = Instant::now();
        let mut path = Path::start(start, PATIENCE);
        assert!(!path.engine(start, false), "not up yet");
        assert_eq!(path.lost(start + START / 2), None);
        assert_eq!(path.lost(start + START), Some(Loss::NeverConnected));
    }

    #[test]
    fn an_interruption_may_pass_and_is_forgotten() {
        let start = Instant::now();
        let mut path = Path::start(start, PATIENCE);
        assert!(path.engine(start, true) && path.is_up());
        assert!(path.engine(start, false));
        assert!(path.engine(start + PATIENCE / 2, true));
        assert_eq!(path.lost(start + 3 * PATIENCE), None);
    }

    #[test]
    fn silence_that_either_end_notices_is_a_loss() {
        let start = Instant::now();
        let mut path = Path::start(start, PATIENCE);
        path.engine(start, true);
        assert!(path.server(start, false));
        assert!(!path.engine(start + PATIENCE / 2, false), "it was known");
        assert_eq!(path.lost(start + PATIENCE / 2), None);
        assert_eq!(path.lost(start + PATIENCE), Some(Loss::Silent));
        assert!(!path.server(start + PATIENCE, true), "the engine still hears nothing");
    }
}
