//! A server that is this program itself, controlled by JSON lines: a request on its standard input, its response on the
//! standard output.

use crate::server::{Server, ServerError};
use loadtest::Usage;
use nix::sys::socket::{setsockopt, sockopt};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, BufRead, Write},
    net::UdpSocket,
    process::Stdio,
    sync::mpsc,
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Socket buffer size to request from the kernel, in bytes.
const BUFFER_BYTES: usize = 4 << 20;
/// Maximum time until a response arrives.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The parent's end of the pipes.
#[derive(Debug)]
pub(crate) struct ChildServer {
    server: Server,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl ChildServer {
    /// Starts `program` with these arguments.
    pub(crate) fn start(program: &std::path::Path, args: &[&str], core: Option<usize>) -> Result<Self, ServerError> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Server::start(&mut command, core, Server::folder()?)?;
        let pipes = (server.child().stdin.take(), server.child().stdout.take());
        let (Some(orders), Some(answers)) = pipes else { return Err(server.silent()) };
        Ok(Self { server, orders, answers: BufReader::new(answers).lines() })
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, order: &impl Serialize) -> Result<T, ServerError> {
        let mut line = serde_json::to_string(order).map_err(io::Error::from)?;
        line.push('\n');
        if self.orders.write_all(line.as_bytes()).await.is_err() {
            return Err(self.server.silent());
        }
        match timeout(ANSWER_TIMEOUT, self.answers.next_line()).await {
            Ok(Ok(Some(line))) => Ok(serde_json::from_str(&line).map_err(io::Error::from)?),
            _ => Err(self.server.silent()),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        self.server.usage()
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

/// A socket of a child on loopback. Its buffer must hold a burst while the child is busy or has no core, as in any
/// server; if the kernel grants less than requested, that is the system's limit.
pub(crate) fn media_socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES);
    let _ = setsockopt(&socket, sockopt::SndBuf, &BUFFER_BYTES);
    Ok(socket)
}

/// The child's end: a thread reads requests, so that the one that forwards never waits for them.
pub(crate) fn orders<T: DeserializeOwned + Send + 'static>() -> mpsc::Receiver<io::Result<T>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let order = line.and_then(|line| serde_json::from_str(&line).map_err(io::Error::from));
            if sender.send(order).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Responds to the last request.
pub(crate) fn answer(answer: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(answer)?;
    line.push('\n');
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}
