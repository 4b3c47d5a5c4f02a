//! Accepts TCP connections, and pauses when the system cannot accept any.
//!
//! While no file descriptor is free, connections stay in the kernel's queue and each attempt to accept one fails at once.
//! Calls go on meanwhile: the listener pauses, logs that once a minute, and counts.

use crate::{log_limit::LogLimit, metrics::Metrics};
use axum::extract::connect_info::Connected;
use axum_server::{AddrListener, Address};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// Pause after a failed attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// Address of the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(SocketAddr);

/// A listener that outlasts a shortage of file descriptors.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    metrics: Arc<Metrics>,
    log: LogLimit,
}

impl Acceptor {
    /// A listener that counts failures.
    pub(crate) fn new(listener: TcpListener, metrics: Arc<Metrics>) -> Self {
        Self { listener, metrics, log: LogLimit::default() }
    }

    fn failed(&self, error: &io::Error, now: Instant) {
        self.metrics.accept_errors.fetch_add(1, Ordering::Relaxed);
        if let Some(count) = self.log.due(now) {
            tracing::warn!(%error, count, "cannot accept connections; if too many files are open, raise LimitNOFILE");
        }
    }
}

/// The failure is of one connection, which ended while it waited, and not of the listener.
fn is_of_the_peer(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl AddrListener<TcpStream, Peer> for Acceptor {
    async fn bind_to(Peer(address): Peer) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(address).await?, Arc::default()))
    }

    async fn accept_stream(&self) -> io::Result<(TcpStream, Peer)> {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return Ok((stream, Peer(address))),
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    self.failed(&error, Instant::now());
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn get_local_addr(&self) -> io::Result<Peer> {
        self.listener.local_addr().map(Peer)
    }
}

impl Address for Peer {
    type Stream = TcpStream;
    type Listener = Acceptor;
}

impl Connected<Peer> for SocketAddr {
    fn connect_info(Peer(address): Peer) -> Self {
        address
    }
}
