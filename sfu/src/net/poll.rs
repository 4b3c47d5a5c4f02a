//! Waiting for a socket or for another thread: `epoll` and `eventfd`.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::{Duration, Instant},
};

/// Wakes a thread that waits in [`Poll::wait`].
#[derive(Debug)]
pub(super) struct Wakeup(OwnedFd);

impl Wakeup {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed; the returned descriptor is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        owned(fd).map(Self)
    }

    /// Ends the current or the next wait.
    pub(super) fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // It fails only when the counter is full, and then the thread is woken anyway.
        // SAFETY: the buffer is valid for its length, and the descriptor is open.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    fn reset(&self) {
        let mut count = [0u8; 8];
        // SAFETY: the buffer is valid for its length, and the descriptor is open.
        let _ = unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

/// What is waited for, by its name in events.
const SOCKET: u64 = 0;
const WAKEUP: u64 = 1;

/// Waits for a socket and a [`Wakeup`].
#[derive(Debug)]
pub(super) struct Poll {
    epoll: OwnedFd,
}

impl Poll {
    pub(super) fn new(socket: BorrowedFd<'_>, wakeup: &Wakeup) -> io::Result<Self> {
        // SAFETY: no pointers are passed; the returned descriptor is checked.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        for (fd, name) in [(socket.as_raw_fd(), SOCKET), (wakeup.0.as_raw_fd(), WAKEUP)] {
            let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: name };
            // SAFETY: both descriptors are open, and the event is valid for the call.
            if unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self { epoll })
    }

    /// Waits until the socket can be read, the wake-up was called, or the deadline has come.
    pub(super) fn wait(&self, wakeup: &Wakeup, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = deadline.map_or(-1, |at| milliseconds(at.saturating_duration_since(Instant::now())));
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
        // SAFETY: the array is valid for two events.
        let ready = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 2, timeout) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        let ready = usize::try_from(ready).unwrap_or_default();
        if events.iter().take(ready).any(|event| event.u64 == WAKEUP) {
            wakeup.reset();
        }
        Ok(())
    }
}

/// Rounded up: to wake too early would be to wake twice.
fn milliseconds(duration: Duration) -> libc::c_int {
    duration.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX)
}

/// Waits until the socket can be written, for so long at most. False: it still cannot.
pub(super) fn wait_writable(socket: BorrowedFd<'_>, timeout: Duration) -> bool {
    let mut fd = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one valid pollfd is passed, and its descriptor is open.
    unsafe { libc::poll(&raw mut fd, 1, milliseconds(timeout)) > 0 }
}

fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
