//! CPU time of a worker's thread, read from another thread, so that the worker makes no system call for it. Linux only.

#[cfg(target_os = "linux")]
use std::os::unix::thread::JoinHandleExt;
use std::{thread::JoinHandle, time::Duration};

/// The CPU clock of a thread.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuClock(libc::clockid_t);

/// There is no CPU clock of a thread.
#[cfg(not(target_os = "linux"))]
#[derive(Clone, Copy, Debug)]
pub(super) enum CpuClock {}

#[cfg(not(target_os = "linux"))]
impl CpuClock {
    pub(super) fn of<T>(_: &JoinHandle<T>) -> Option<Self> {
        None
    }

    pub(super) fn read(self) -> Option<Duration> {
        None
    }
}

#[cfg(target_os = "linux")]
impl CpuClock {
    /// The clock of a running thread; `None` if the system has none.
    pub(super) fn of<T>(thread: &JoinHandle<T>) -> Option<Self> {
        let mut clock: libc::clockid_t = 0;
        // SAFETY: the handle is borrowed, so the thread was not joined and its identifier is valid; the pointer is to an
        // integer that lives through the call.
        let result = unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock) };
        (result == 0).then_some(Self(clock))
    }

    /// Returns the CPU time used so far; `None` after the thread has ended.
    pub(super) fn read(self) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a timespec that lives through the call.
        let result = unsafe { libc::clock_gettime(self.0, &raw mut time) };
        if result != 0 {
            return None;
        }
        Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    #[test]
    fn cpu_clock_advances_with_a_busy_thread() {
        let (stop, stopped) = mpsc::channel::<()>();
        let busy = thread::spawn(move || while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {});
        let clock = CpuClock::of(&busy).unwrap();
        while clock.read().unwrap() < Duration::from_millis(20) {
            thread::yield_now();
        }
        stop.send(()).unwrap();
        busy.join().unwrap();
    }
}
