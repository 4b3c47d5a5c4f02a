//! The log of a command, on standard error.

use anyhow::Context;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// At the level trace, these write down whole messages, with tokens in them.
const VERBOSE: &str = "tungstenite=warn,tokio_tungstenite=warn,hyper=warn,hyper_util=warn,rustls=warn";

/// Starts logging by the directives of `quiet` followed by `filter`, the value of `--log`.
///
/// # Errors
/// If `filter` is malformed.
pub(crate) fn start(quiet: &str, filter: &str) -> anyhow::Result<()> {
    let filter = self::filter(quiet, filter)?;
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).init();
    Ok(())
}

/// The directives of `quiet` followed by those of `filter`. Libraries log warnings alone, unless one is named.
///
/// # Errors
/// `filter` is malformed.
pub(crate) fn filter(quiet: &str, filter: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(format!("{VERBOSE},{quiet},{filter}")).context("--log is not a valid filter")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// What is logged, as text.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// WebSocket messages contain tokens.
    #[test]
    fn whole_messages_are_not_logged_unless_their_library_is_named() {
        let logged = |directives: &str| {
            let written = Written::default();
            let writer = written.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter("", directives).unwrap())
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::trace!(target: "tungstenite::protocol", "a token");
                tracing::trace!(target: "sfu", "a dropped packet");
            });
            let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
            (text.contains("a token"), text.contains("a dropped packet"))
        };
        assert_eq!(logged("trace"), (false, true));
        assert_eq!(logged("trace,tungstenite=trace"), (true, true));
        assert_eq!(logged("off"), (false, false));
    }
}
