//! Waiting for sockets and for a time, with a wake-up from other threads.

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll},
    io::Errno,
    thread::set_current_timer_slack,
};
use std::{
    io,
    num::NonZeroU64,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

/// Readable sockets that one wait tells; the others are told by the next.
const EVENTS: usize = 64;
const WAKE_UP: u64 = u64::MAX;

/// Descriptors that are waited for.
#[derive(Debug)]
pub(super) struct Waiter {
    epoll: OwnedFd,
    wake_up: OwnedFd,
}

impl Waiter {
    pub(super) fn new() -> io::Result<Self> {
        let waiter = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            wake_up: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        };
        waiter.add(&waiter.wake_up, WAKE_UP)?;
        Ok(waiter)
    }

    /// Tells this token whenever the descriptor can be read, until it is closed.
    pub(super) fn add(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        epoll::add(&self.epoll, descriptor, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Ends the present wait, or the next one.
    pub(super) fn wake(&self) {
        // It fails only when the counter is full, and then the wait ends as well.
        let _ = rustix::io::write(&self.wake_up, &1u64.to_ne_bytes());
    }

    /// Waits until something can be read, somebody wakes it or the time has come; appends the tokens of what can be read.
    pub(super) fn wait(&self, until: Option<Instant>, ready: &mut Vec<u64>) -> io::Result<()> {
        let timeout = until.map(|at| timespec(at.saturating_duration_since(Instant::now())));
        // epoll_wait counts milliseconds, poll nanoseconds; and an epoll descriptor can be polled itself.
        let mut descriptor = [PollFd::new(&self.epoll, PollFlags::IN)];
        match poll(&mut descriptor, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut events = Vec::with_capacity(EVENTS);
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&at_once)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            match event.data.u64() {
                WAKE_UP => drop(rustix::io::read(&self.wake_up, &mut [0; 8])),
                token => ready.push(token),
            }
        }
        Ok(())
    }
}

fn timespec(duration: Duration) -> Timespec {
    // A wait that ends early is no error: whoever waits looks at the clock again.
    Timespec { tv_sec: duration.as_secs().min(3_600) as _, tv_nsec: duration.subsec_nanos().into() }
}

/// Lets this thread's timers fire within a microsecond instead of the kernel's default of fifty.
pub(super) fn make_timers_exact() {
    // If it is refused, timers are a little later.
    let _ = set_current_timer_slack(NonZeroU64::new(1_000));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn readable_sockets_wake_ups_and_time_end_a_wait() {
        let waiter = Waiter::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        waiter.add(&socket, 7).unwrap();
        let mut ready = Vec::new();
        let soon = Instant::now() + Duration::from_millis(2);
        waiter.wait(Some(soon), &mut ready).unwrap();
        assert!(Instant::now() >= soon);
        waiter.wake();
        waiter.wait(Some(Instant::now() + LONG), &mut ready).unwrap();
        assert!(ready.is_empty(), "a wake-up names no socket");
        socket.send_to(&[1], socket.local_addr().unwrap()).unwrap();
        waiter.wait(Some(Instant::now() + LONG), &mut ready).unwrap();
        assert_eq!(ready, [7]);
    }
}
