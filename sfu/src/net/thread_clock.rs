//! What the system has counted of a thread, read by itself: how long it ran, and how long it waited for a core. Linux only.

use crate::worker::ThreadTime;

/// Reads the counts of the thread that has opened it.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(super) struct ThreadClock(std::fs::File);

/// There are no counts.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) enum ThreadClock {}

#[cfg(not(target_os = "linux"))]
impl ThreadClock {
    pub(super) fn of_this_thread() -> Option<Self> {
        None
    }

    pub(super) fn read(&self) -> Option<ThreadTime> {
        match *self {}
    }
}

#[cfg(target_os = "linux")]
impl ThreadClock {
    /// `None` if the system does not count.
    pub(super) fn of_this_thread() -> Option<Self> {
        let clock = Self(std::fs::File::open("/proc/thread-self/schedstat").ok()?);
        clock.read().is_some().then_some(clock)
    }

    /// One system call, and no allocation.
    pub(super) fn read(&self) -> Option<ThreadTime> {
        let mut text = [0; 64];
        let length = std::os::unix::fs::FileExt::read_at(&self.0, &mut text, 0).ok()?;
        parse(text.get(..length)?)
    }
}

/// Nanoseconds on a core, nanoseconds runnable without one, and a number of times
/// ([sched-stats](https://docs.kernel.org/scheduler/sched-stats.html)).
#[cfg(target_os = "linux")]
fn parse(text: &[u8]) -> Option<ThreadTime> {
    let mut fields = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let mut time = || Some(std::time::Duration::from_nanos(fields.next()?.parse().ok()?));
    Some(ThreadTime { ran: time()?, waited: time()? })
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn clock_advances_with_a_busy_thread() {
        let clock = ThreadClock::of_this_thread().unwrap();
        let before = clock.read().unwrap();
        while clock.read().unwrap().ran < before.ran + Duration::from_millis(20) {}
        assert!(clock.read().unwrap().waited >= before.waited);
    }

    #[test]
    fn counts_are_parsed() {
        let time = ThreadTime { ran: Duration::from_nanos(5), waited: Duration::from_nanos(7) };
        assert_eq!(parse(b"5 7 1\n"), Some(time));
        assert_eq!([&b"5\n"[..], b"", b"5 x 1", b"\xff"].map(parse), [None; 4]);
    }
}
