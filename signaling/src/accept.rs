//! Accepts TCP connections within their limits, and pauses when the system cannot accept any.
//!
//! While no file descriptor is free, connections stay in the kernel's queue and each attempt to accept one fails at once.
//! Calls go on meanwhile: the listener pauses, logs that once a minute, and counts. The limit on connections leaves file
//! descriptors free, so that this is a fault of the settings and not something that strangers can bring about.

use crate::{
    http::Refusals,
    http1::Http1,
    log_limit::LogLimit,
    metrics::{Metrics, Refusal},
    sockets::{Place, Sockets, TooMany, WatchedStream},
};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{MissedTickBehavior, interval, sleep},
};

/// Pause after a failed attempt.
const PAUSE: Duration = Duration::from_millis(100);
/// Interval at which deadlines are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Connections that may be closing beside those that count. Many more would use up the reserve of file descriptors.
const CLOSING: usize = 8;

/// A listener that keeps the limits on connections, and outlasts a shortage of file descriptors.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    sockets: Arc<Sockets>,
    refusals: Arc<Refusals>,
    metrics: Arc<Metrics>,
    failures: LogLimit,
    replacements: LogLimit,
}

impl Acceptor {
    pub(crate) fn new(
        listener: TcpListener,
        sockets: Arc<Sockets>,
        refusals: Arc<Refusals>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (failures, replacements) = (LogLimit::default(), LogLimit::default());
        Self { listener, sockets, refusals, metrics, failures, replacements }
    }

    /// Accepts connections and serves each in a task, until the future is dropped.
    pub(crate) async fn run(self, http: Http1) -> io::Result<()> {
        let accepting = async {
            loop {
                let (stream, peer) = self.accept().await;
                if let Some(place) = self.place(peer) {
                    self.make_way().await;
                    tokio::spawn(http.clone().serve(WatchedStream::new(stream, place), peer));
                }
            }
        };
        let looking = async {
            let mut every = interval(LOOK);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                self.sockets.expire(Instant::now());
            }
        };
        tokio::select! {
            never = accepting => never,
            never = looking => never,
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Messages are small, and each is urgent.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer);
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    self.failed(&error, Instant::now());
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// A place for a connection from this address, unless there are too many.
    fn place(&self, peer: SocketAddr) -> Option<Place> {
        let now = Instant::now();
        let replaced = self.metrics.sockets_replaced.load(Ordering::Relaxed);
        match self.sockets.admit(peer.ip(), now) {
            Ok(place) => {
                if self.metrics.sockets_replaced.load(Ordering::Relaxed) != replaced
                    && let Some(count) = self.replacements.due(now)
                {
                    let most = self.sockets.total();
                    tracing::warn!(
                        count,
                        most,
                        "too many connections, in all or from one address: the oldest that are in no room are closed for \
                         new ones"
                    );
                }
                Some(place)
            }
            Err(TooMany::OfAddress) => {
                self.refusals.refused(Refusal::Sockets);
                None
            }
            Err(TooMany::InAll) => {
                self.refusals.refused(Refusal::Full);
                None
            }
        }
    }

    /// Waits until connections that were closed for new ones have freed their files.
    async fn make_way(&self) {
        while self.sockets.closing() > CLOSING {
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn failed(&self, error: &io::Error, now: Instant) {
        self.metrics.accept_errors.fetch_add(1, Ordering::Relaxed);
        if let Some(count) = self.failures.due(now) {
            tracing::warn!(%error, count, "cannot accept connections; if too many files are open, raise LimitNOFILE");
        }
    }
}

/// The failure is of one connection, which ended while it waited, and not of the listener.
fn is_of_the_peer(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
