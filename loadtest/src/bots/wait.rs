//! Waiting for many sockets, with a wake-up from outside and times finer than a millisecond.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::Arc,
};

/// Events of one wait.
const EVENTS: usize = 256;

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Waiter {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
}

/// Ends a wait from another thread.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<OwnedFd>);

impl Waker {
    pub(crate) fn wake(&self) {
        let one = 1u64;
        // SAFETY: the descriptor is open, and eight live bytes are written. A full counter wakes just as well.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), ptr::from_ref(&one).cast(), 8) };
    }
}

fn owned(descriptor: RawFd) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

impl Waiter {
    const WAKE: u64 = u64::MAX;

    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are involved.
        let (epoll, wake) = unsafe {
            (libc::epoll_create1(libc::EPOLL_CLOEXEC), libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))
        };
        let waiter = Self { epoll: owned(epoll)?, wake: Arc::new(owned(wake)?) };
        waiter.add(waiter.wake.as_raw_fd(), Self::WAKE)?;
        Ok(waiter)
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(self.wake.clone())
    }

    /// Reports this descriptor as `token` whenever it is readable.
    pub(crate) fn add(&self, descriptor: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: both descriptors are open and the event is alive; the kernel copies it.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor, &mut event) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits at most `timeout_ns`, and appends the tokens of readable descriptors.
    pub(crate) fn wait(&self, timeout_ns: u64, ready: &mut Vec<u64>) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.epoll.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = libc::timespec {
            tv_sec: (timeout_ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (timeout_ns % 1_000_000_000) as libc::c_long,
        };
        // epoll_wait counts milliseconds, ppoll nanoseconds; an epoll instance can be polled itself.
        // SAFETY: one live pollfd, a live timespec, no signal mask.
        let result = unsafe { libc::ppoll(&mut poll, 1, &timeout, ptr::null()) };
        if result <= 0 {
            let error = io::Error::last_os_error();
            let harmless = result == 0 || error.kind() == io::ErrorKind::Interrupted;
            return if harmless { Ok(()) } else { Err(error) };
        }
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // SAFETY: the kernel writes at most `EVENTS` events.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), EVENTS as libc::c_int, 0) };
        for event in events.iter().take(usize::try_from(count).unwrap_or_default()) {
            let token = event.u64;
            if token == Self::WAKE {
                let mut counter = 0u64;
                // SAFETY: eight live bytes; the descriptor does not block.
                let _ = unsafe { libc::read(self.wake.as_raw_fd(), ptr::from_mut(&mut counter).cast(), 8) };
            } else {
                ready.push(token);
            }
        }
        Ok(())
    }
}

/// Lets this thread's timers fire within a microsecond instead of the kernel's default of fifty.
pub(crate) fn make_timers_exact() {
    // SAFETY: no pointers are involved; failure leaves the default.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000) };
}

/// CPU time of this thread, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the timespec is alive.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn readable_sockets_and_wakers_end_a_wait() {
        let waiter = Waiter::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        waiter.add(socket.as_raw_fd(), 7).unwrap();
        let mut ready = Vec::new();
        waiter.wait(0, &mut ready).unwrap();
        assert!(ready.is_empty());
        waiter.waker().wake();
        waiter.wait(60_000_000_000, &mut ready).unwrap();
        assert!(ready.is_empty(), "a wake-up names no socket");
        socket.send_to(&[1], socket.local_addr().unwrap()).unwrap();
        waiter.wait(60_000_000_000, &mut ready).unwrap();
        assert_eq!(ready, [7]);
    }
}
