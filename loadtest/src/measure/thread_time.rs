//! What the system has counted of a thread: how long it ran, and how long it waited for a core. Linux only.

use std::{fs, path::Path, time::Duration};

/// How long a thread has run, and how long it was runnable without a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ThreadTime {
    pub(crate) ran: Duration,
    pub(crate) waited: Duration,
}

impl ThreadTime {
    /// Of the calling thread; zero if the system does not count.
    pub(crate) fn now() -> Self {
        Self::of(Path::new("/proc/thread-self")).unwrap_or_default()
    }

    /// Of the thread with this folder in `/proc`; `None` if it has ended, or if the system does not count.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(folder.join("schedstat")).ok()?)
    }

    /// Nanoseconds on a core, nanoseconds runnable without one, and a number of times
    /// ([sched-stats](https://docs.kernel.org/scheduler/sched-stats.html)).
    fn parse(schedstat: &str) -> Option<Self> {
        let mut fields = schedstat.split_ascii_whitespace();
        let mut time = || Some(Duration::from_nanos(fields.next()?.parse().ok()?));
        Some(Self { ran: time()?, waited: time()? })
    }

    /// Shares of `elapsed` for which the thread ran, and for which it was runnable without a core.
    pub(crate) fn shares_since(&self, before: &Self, elapsed: Duration) -> (f64, f64) {
        let share = |now: Duration, before: Duration| {
            now.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
        };
        (share(self.ran, before.ran), share(self.waited, before.waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_parsed() {
        let time = ThreadTime { ran: Duration::from_nanos(5), waited: Duration::from_nanos(7) };
        assert_eq!(ThreadTime::parse("5 7 1\n"), Some(time));
        assert_eq!(["5\n", "", "5 x 1"].map(ThreadTime::parse), [None; 3]);
    }

    #[test]
    fn shares_of_the_elapsed_time() {
        let at = |ran, waited| ThreadTime { ran: Duration::from_millis(ran), waited: Duration::from_millis(waited) };
        assert_eq!(at(70, 30).shares_since(&at(20, 5), Duration::from_millis(100)), (0.5, 0.25));
    }
}
