//! Requests by the operating system to stop the process.

use std::io;

/// SIGINT and SIGTERM, or Ctrl-C where there are no Unix signals.
///
/// The process does not end by these signals from the creation of the first value on.
pub(crate) struct StopSignal {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
}

impl StopSignal {
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signals: [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?] })
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "fails where there are Unix signals")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next request.
    #[cfg(unix)]
    pub(crate) async fn received(&mut self) {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }

    /// Waits for the next request.
    #[cfg(not(unix))]
    pub(crate) async fn received(&mut self) {
        // Without a handler for Ctrl-C, the system ends the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
