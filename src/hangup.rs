//! SIGHUP: read files again, or end with the terminal.

use std::io;

/// SIGHUP, by which daemons are asked to read their files again.
///
/// The process does not end by this signal from the creation of the first value on, except when its terminal is gone.
pub(crate) struct Hangup {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
    /// Whether the process was started in a terminal.
    #[cfg(unix)]
    in_terminal: bool,
}

/// Why SIGHUP was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), expect(dead_code, reason = "there is no SIGHUP"))]
pub(crate) enum Cause {
    /// Someone asks for it.
    Reload,
    /// The terminal was closed, so no one could stop the process by it.
    TerminalClosed,
}

impl Hangup {
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signal: signal(SignalKind::hangup())?, in_terminal: has_terminal() })
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "fails where there are Unix signals")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    pub(crate) async fn received(&mut self) -> Cause {
        self.signal.recv().await;
        if self.in_terminal && !has_terminal() { Cause::TerminalClosed } else { Cause::Reload }
    }

    /// Waits forever.
    #[cfg(not(unix))]
    pub(crate) async fn received(&mut self) -> Cause {
        std::future::pending().await
    }
}

/// Whether the process has a controlling terminal. One that was closed cannot be opened.
#[cfg(unix)]
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}
