//! Waiting for a socket, for another thread or for a deadline, on any platform.

use mio::{Events, Interest, Token, Waker, net::UdpSocket};
use std::{
    io,
    time::{Duration, Instant},
};

/// Wakes a thread that waits in [`Poll::wait`].
#[derive(Debug)]
pub(super) struct Wakeup(Waker);

impl Wakeup {
    /// Ends the current wait, or the next one.
    pub(super) fn wake(&self) {
        if let Err(error) = self.0.wake() {
            tracing::error!(%error, "cannot wake a worker");
        }
    }
}

/// Tokens of events. What became ready does not matter: the driver looks at everything after each wait.
const SOCKET: Token = Token(0);
const WAKEUP: Token = Token(1);

/// Waits for a socket and a [`Wakeup`].
///
/// Readiness is edge-triggered: a socket that was not read until it was empty is not reported again.
#[derive(Debug)]
pub(super) struct Poll {
    poll: mio::Poll,
    events: Events,
}

impl Poll {
    /// A poll, and the wakeup that ends its waits.
    pub(super) fn new() -> io::Result<(Self, Wakeup)> {
        let poll = mio::Poll::new()?;
        let wakeup = Wakeup(Waker::new(poll.registry(), WAKEUP)?);
        Ok((Self { poll, events: Events::with_capacity(2) }, wakeup))
    }

    /// Adds the socket that is waited for.
    pub(super) fn register(&self, socket: &mut UdpSocket) -> io::Result<()> {
        self.poll.registry().register(socket, SOCKET, Interest::READABLE)
    }

    /// Waits until a datagram arrived, [`Wakeup::wake`] was called, or the deadline has passed.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = deadline.map(|at| whole_milliseconds(at.saturating_duration_since(Instant::now())));
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

/// Rounds up, since waking before the deadline would mean waking twice.
fn whole_milliseconds(duration: Duration) -> Duration {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(milliseconds.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, sync::Arc, thread};

    #[test]
    fn wait_ends_at_the_deadline() {
        let (mut poll, _wakeup) = Poll::new().unwrap();
        let deadline = Instant::now() + Duration::from_micros(1_500);
        poll.wait(Some(deadline)).unwrap();
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn wait_ends_when_another_thread_wakes() {
        let (mut poll, wakeup) = Poll::new().unwrap();
        let wakeup = Arc::new(wakeup);
        let waker = thread::spawn({
            let wakeup = wakeup.clone();
            move || wakeup.wake()
        });
        poll.wait(None).unwrap();
        waker.join().unwrap();
    }

    #[test]
    fn wait_ends_when_a_datagram_arrives() {
        let (mut poll, _wakeup) = Poll::new().unwrap();
        let mut socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        poll.register(&mut socket).unwrap();
        let to = socket.local_addr().unwrap();
        std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().send_to(b"datagram", to).unwrap();
        poll.wait(None).unwrap();
        assert_eq!(socket.recv(&mut [0; 16]).unwrap(), 8);
    }
}
