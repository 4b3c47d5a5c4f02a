//! The log of a command, on standard error.

use anyhow::Context;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

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

/// The directives of `quiet` followed by those of `filter`.
///
/// # Errors
/// `filter` is malformed.
pub(crate) fn filter(quiet: &str, filter: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(format!("{quiet},{filter}")).context("--log is not a valid filter")
}
