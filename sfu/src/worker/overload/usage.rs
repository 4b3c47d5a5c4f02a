//! How a worker's thread spends its time. The worker has no clock, so the driver reports it.
//!
//! A thread that waits for a core is neither busy nor idle: it can run no more than it is given.

use std::time::Duration;

/// What the system has counted of a thread since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTime {
    /// CPU time.
    pub ran: Duration,
    /// Time for which it could have run and had no core.
    pub waited: Duration,
}

/// What a thread did in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) time: Duration,
    ran: Duration,
    /// It had nothing to do.
    idle: Duration,
}

impl Usage {
    /// Forgets a half of what is more than about this long.
    pub(super) fn fade(&mut self, time: Duration) {
        if self.time > time {
            *self = Self { time: self.time / 2, ran: self.ran / 2, idle: self.idle / 2 };
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.time = self.time.saturating_add(other.time);
        self.ran = self.ran.saturating_add(other.ran);
        self.idle = self.idle.saturating_add(other.idle);
    }

    /// Part of the time for which it ran, in percent.
    pub(super) fn ran(self) -> u64 {
        percentage(self.ran, self.time)
    }

    /// Part of the time that it was given for which it ran, in percent.
    pub(super) fn busy(self) -> u64 {
        percentage(self.ran, self.ran.saturating_add(self.idle))
    }
}

/// Adds up what the driver reports.
#[derive(Debug, Default)]
pub(super) struct UsageMeter {
    polled: Duration,
    thread: Option<ThreadTime>,
    before: Option<ThreadTime>,
}

impl UsageMeter {
    /// The thread waited for datagrams for this time, and for a core in a part of it.
    pub(super) fn on_poll(&mut self, time: Duration) {
        self.polled = self.polled.saturating_add(time);
    }

    pub(super) fn on_thread_time(&mut self, time: ThreadTime) {
        self.thread = Some(time);
    }

    /// The usage of the time since the last call. Where the system counts nothing, all time but that of polls is CPU time.
    pub(super) fn take(&mut self, time: Duration) -> Usage {
        let polled = std::mem::take(&mut self.polled);
        let now = self.thread.take();
        let before = std::mem::replace(&mut self.before, now);
        let Some((now, before)) = now.zip(before) else {
            return Usage { time, ran: time.saturating_sub(polled), idle: polled };
        };
        let ran = now.ran.saturating_sub(before.ran);
        let waited = now.waited.saturating_sub(before.waited);
        Usage { time, ran, idle: polled.min(time.saturating_sub(ran).saturating_sub(waited)) }
    }
}

/// 100 % of no time at all: it says nothing about what is left.
fn percentage(part: Duration, all: Duration) -> u64 {
    let percentage = part.as_micros().saturating_mul(100).checked_div(all.as_micros());
    percentage.and_then(|percentage| u64::try_from(percentage).ok()).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn usage(meter: &mut UsageMeter, [time, polled, ran, waited]: [u32; 4]) -> (u64, u64) {
        meter.on_poll(polled * MS);
        let ThreadTime { ran: before, waited: waited_before } = meter.before.unwrap_or_default();
        meter.on_thread_time(ThreadTime { ran: before + ran * MS, waited: waited_before + waited * MS });
        let usage = meter.take(time * MS);
        (usage.ran(), usage.busy())
    }

    #[test]
    fn wait_for_a_core_is_neither_busy_nor_idle() {
        let mut meter = UsageMeter::default();
        usage(&mut meter, [250, 0, 0, 0]);
        assert_eq!(usage(&mut meter, [200, 100, 100, 0]), (50, 50));
        assert_eq!(usage(&mut meter, [200, 100, 50, 100]), (25, 50), "half of the poll");
        assert_eq!(usage(&mut meter, [200, 20, 20, 160]), (10, 50));
        assert_eq!(usage(&mut meter, [200, 0, 20, 180]), (10, 100));
        assert_eq!(usage(&mut meter, [200, 150, 10, 190]), (5, 100), "a wait that is counted when it ends");
        assert_eq!(usage(&mut meter, [200, 50, 50, 0]), (25, 50), "what was not counted is not idle");
    }

    #[test]
    fn without_a_count_all_but_polls_is_busy() {
        let mut meter = UsageMeter::default();
        meter.on_poll(50 * MS);
        let usage = meter.take(200 * MS);
        assert_eq!((usage.ran(), usage.busy()), (75, 75));
        assert_eq!(meter.take(Duration::ZERO).busy(), 100);
    }
}
