//! The built binary as a running server.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// A server with a room; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Link of its room.
    pub(crate) link: String,
}

impl Server {
    /// Starts `tacet serve` on free ports of loopback.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tacet"))
            .args(["serve", "--json", "--bind", "127.0.0.1", "--port", "0", "--media-port", "0", "--no-page"])
            .args(["--workers", "1", "--log", "warn"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { child, link: ready["link"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
