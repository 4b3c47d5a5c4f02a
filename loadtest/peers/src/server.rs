//! A server under comparison as a process: started on its core, measured, ended, and its folder removed.

use crate::pin;
use loadtest::Usage;
use std::{fs::File, io, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Instant, sleep},
};

/// Maximum time until a server responds.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Polling interval.
const LOOK: Duration = Duration::from_millis(50);
/// Lines of a log that are shown when a server fails.
const LOG_LINES: usize = 5;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program could not be started.
    #[error("{program} does not start: {source}")]
    Start {
        /// The program.
        program: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A folder, file or port of ours.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It exited, or did not listen in time.
    #[error("the server does not answer; its last lines: {log}")]
    Silent {
        /// The end of its log.
        log: String,
    },
}

/// A running server, which is stopped when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Folder of its settings and its log.
    folder: TempDir,
}

impl Server {
    /// Creates a folder for the settings of a server, removed with the server.
    pub(crate) fn folder() -> io::Result<TempDir> {
        tempfile::Builder::new().prefix("tacet-peers-").tempdir()
    }

    /// Starts `command` on a core. Its output goes to a log in `folder` unless the command redirects it.
    pub(crate) fn start(command: &mut Command, core: Option<usize>, folder: TempDir) -> Result<Self, ServerError> {
        let log = File::create(log_path(folder.path()))?;
        command.stderr(Stdio::from(log)).kill_on_drop(true);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        // The kernel starts the child on the core of the thread that asks for it.
        let child = pin::on_core(core, || command.spawn()).map_err(|source| ServerError::Start { program, source })?;
        Ok(Self { child, folder })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until a TCP port of it answers.
    pub(crate) async fn listens(&mut self, port: u16) -> Result<(), ServerError> {
        let until = Instant::now() + START_TIMEOUT;
        while Instant::now() < until && self.child.try_wait()?.is_none() {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Err(self.silent())
    }

    /// The error of a server that does not answer.
    pub(crate) fn silent(&self) -> ServerError {
        let log = std::fs::read(log_path(self.folder.path())).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().rev().filter(|line| !line.trim().is_empty()).take(LOG_LINES).collect();
        ServerError::Silent { log: lines.into_iter().rev().collect::<Vec<_>>().join(" | ") }
    }

    /// Resources used by all its threads since it started.
    pub(crate) fn usage(&self) -> Usage {
        self.child.id().map(Usage::of).unwrap_or_default()
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        // It has nothing worth saving, so it is killed.
        let _ = self.child.kill().await;
    }
}

fn log_path(folder: &Path) -> std::path::PathBuf {
    folder.join("log")
}

/// A TCP port of loopback that was free a moment ago, for programs that cannot pick one themselves.
pub(crate) async fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failed_server_is_quoted() {
        let folder = Server::folder().unwrap();
        let path = folder.path().to_owned();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such setting >&2"]);
        let mut server = Server::start(&mut command, None, folder).unwrap();
        let error = server.listens(free_port().await.unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("no such setting"), "{error}");
        server.stop().await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn missing_program_is_named() {
        let started = Server::start(&mut Command::new("/no/such/sfu"), None, Server::folder().unwrap());
        assert!(started.unwrap_err().to_string().contains("/no/such/sfu"));
    }
}
