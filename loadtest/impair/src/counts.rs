//! Packet counts of one direction.

use serde::Serialize;
use std::{fmt, ops::AddAssign};

/// Numbers of packets. `received + duplicated` is the sum of all others except `reordered`, plus packets in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Sent into the path.
    pub received: u64,
    /// Sent while the path was down.
    pub down: u64,
    /// Dropped by the full queue of the bottleneck.
    pub dropped: u64,
    /// Lost in flight.
    pub lost: u64,
    /// Duplicates that were created.
    pub duplicated: u64,
    /// Arrived, copies included.
    pub forwarded: u64,
    /// Packets that arrived after one that was sent later (RFC 4737).
    pub reordered: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.down += other.down;
        self.dropped += other.dropped;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.forwarded += other.forwarded;
        self.reordered += other.reordered;
    }
}

impl Counts {
    /// Packets in flight, duplicates included.
    pub fn under_way(&self) -> u64 {
        let gone = self.down + self.dropped + self.lost + self.forwarded;
        (self.received + self.duplicated).saturating_sub(gone)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, down, dropped, lost, duplicated, forwarded, reordered } = self;
        write!(
            f,
            "{received} received, {forwarded} forwarded, {lost} lost, {dropped} dropped by the queue, {down} while \
             down, {duplicated} duplicated, {reordered} reordered"
        )
    }
}
