//! Time as C passes it.

use e2ee_frames::{Clock, MonotonicTime, WallTime};

/// One reading of both clocks of the caller, in milliseconds. The two must be independent: a session that sees one jump
/// against the other ends, since the machine slept or was restored from a snapshot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockReading {
    /// Monotonic time, from any start.
    pub now: u64,
    /// Time of day, since 1970-01-01 00:00 UTC.
    pub wall: u64,
}

impl From<ClockReading> for Clock {
    fn from(reading: ClockReading) -> Self {
        Self { now: MonotonicTime::from_millis(reading.now), wall: WallTime::from_millis(reading.wall) }
    }
}

/// The reading behind a pointer; `None` for null.
///
/// # Safety
/// `clock` is null or points to a readable `ClockReading`.
pub(crate) unsafe fn read(clock: *const ClockReading) -> Option<Clock> {
    // SAFETY: by contract. It is copied, so that it may lie inside a buffer of the same call.
    (!clock.is_null()).then(|| unsafe { clock.read_unaligned() }.into())
}
