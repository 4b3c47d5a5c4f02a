//! When a session that was lost is replaced: at once, then ever more slowly.
//!
//! A reset costs both sides prekeys and a resent outbox, so that a device that loses its state again and again, or one whose
//! messages a server alters, must not cause many: at most 10 in a day, after 20 s, 40 s, 80 s and so on.

use crate::{
    state::{Writer, read_flag, read_list},
    time::{DAY, Time},
};
use alloc::vec::Vec;
use core::time::Duration;
use e2ee_core::Reader;

/// Maximum number of resets of a pair of devices in a day.
pub const MAX_RESETS_A_DAY: usize = 10;
/// Least time between the first two of them.
const FIRST_PAUSE: Duration = Duration::from_secs(20);

/// Whether a session with another device is to be replaced, and when those before were.
#[derive(Default)]
pub(crate) struct Resets {
    wanted: bool,
    /// Of the last day, oldest first.
    times: Vec<Time>,
}

impl Resets {
    /// Something came that no session opens.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether a reset is wanted, and allowed now.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        let recent = || self.times.iter().filter(|time| now.since(**time) < DAY);
        let count = u32::try_from(recent().count()).unwrap_or(u32::MAX);
        // After the first 20 s, after the second 40 s.
        let pause = FIRST_PAUSE.saturating_mul(1 << count.saturating_sub(1).min(31));
        let rested = recent().next_back().is_none_or(|last| now.since(*last) >= pause);
        self.wanted && rested && recent().count() < MAX_RESETS_A_DAY
    }

    /// A new session has begun.
    pub(crate) fn started(&mut self, now: Time) {
        if core::mem::take(&mut self.wanted) {
            self.times.retain(|time| now.since(*time) < DAY);
            self.times.push(now);
        }
    }

    /// The other side has replaced it.
    pub(crate) fn settle(&mut self) {
        self.wanted = false;
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.flag(self.wanted);
        writer.list(&self.times, |writer, time| writer.u64(time.0));
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let wanted = read_flag(reader)?;
        let times = read_list(reader, MAX_RESETS_A_DAY, |reader| reader.u64().map(Time))?;
        Some(Self { wanted, times })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A desync each second for a day: 10 resets, at most 3 of them in the first minute.
    #[test]
    fn resets_are_paced() {
        let (mut resets, start) = (Resets::default(), Time(1_800_000_000_000));
        assert!(!resets.is_due(start), "none is wanted");
        let mut at = Vec::new();
        for second in 0..DAY.as_secs() {
            let now = start + Duration::from_secs(second);
            resets.want();
            if resets.is_due(now) {
                resets.started(now);
                at.push(second);
            }
        }
        assert_eq!(at, [0, 20, 60, 140, 300, 620, 1_260, 2_540, 5_100, 10_220]);
        resets.want();
        assert!(resets.is_due(start + DAY + Duration::from_secs(10_220)), "and again on the next day");
    }
}
