//! CPU time of the calling thread.

use std::time::Duration;

/// How long a thread has run, and how long it was runnable without a core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadTime {
    ran: Duration,
    waited: Duration,
}

impl ThreadTime {
    /// Reads the counters of the calling thread.
    pub(crate) fn now() -> Self {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the timespec is alive for the call.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        let ran = Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        );
        let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let waited = schedstat.split_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or_default();
        Self { ran, waited: Duration::from_nanos(waited) }
    }

    /// Shares of `elapsed` for which the thread ran, and for which it was runnable without a core.
    pub(crate) fn shares_since(&self, before: &Self, elapsed: Duration) -> (f64, f64) {
        let share = |now: Duration, before: Duration| {
            now.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
        };
        (share(self.ran, before.ran), share(self.waited, before.waited))
    }
}
