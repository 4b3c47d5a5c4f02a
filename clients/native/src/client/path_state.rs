//! State of the media path, as this client and the server see it.
//!
//! ```text
//!   starting ──► up ◄──► silent
//! ```
//! Neither end is notified when the other disappears: the engine reports silence after a few seconds, and the server has
//! its own timeout. The path counts as silent when either of them says so.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathState {
    /// Whether the engine is connected; `None` before it was for the first time.
    engine: Option<bool>,
    /// Whether the server is connected.
    server: bool,
}

impl PathState {
    /// A path that starts now.
    pub(super) const STARTING: Self = Self { engine: None, server: true };

    pub(super) fn is_up(self) -> bool {
        self.engine == Some(true) && self.server
    }

    /// Records the engine's state. Returns whether the path changed between up and not up.
    pub(super) fn on_engine_state(&mut self, up: bool) -> bool {
        // A path that was never up is starting, not silent.
        let engine = if up { Some(true) } else { self.engine.map(|_| false) };
        self.change(engine, self.server)
    }

    /// Records the server's state. Returns whether the path changed between up and not up.
    pub(super) fn on_server_state(&mut self, up: bool) -> bool {
        self.change(self.engine, up)
    }

    fn change(&mut self, engine: Option<bool>, server: bool) -> bool {
        let was_up = self.is_up();
        (self.engine, self.server) = (engine, server);
        was_up != self.is_up()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_up_while_both_ends_say_so() {
        let mut path = PathState::STARTING;
        assert!(!path.on_engine_state(false), "not up yet");
        assert!(path.on_engine_state(true) && path.is_up());
        assert!(path.on_server_state(false) && !path.is_up());
        assert!(!path.on_engine_state(false), "it was silent already");
        assert!(!path.on_server_state(true), "the engine still receives nothing");
        assert!(path.on_engine_state(true) && path.is_up());
    }
}
