//! The one clock of a run: nanoseconds since 1970, the clock of the kernel's receive timestamps.

use std::time::{Duration, SystemTime};

/// Now.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    nanos(since)
}

/// A duration in nanoseconds; 584 years and more are one.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
