//! One stream as one receiver gets it: which packets have arrived, and which should have.

use crate::measure::clock::Time;
use crate::measure::send_log::StreamLog;
use std::{ops::Range, sync::Arc};

/// Whether a packet is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Has not arrived before.
    New,
    /// Has arrived before.
    Duplicate,
}

/// One stream as this receiver gets it.
#[derive(Debug)]
pub(crate) struct ReceivedStream {
    pub(crate) stream: Arc<StreamLog>,
    /// When it was put into a slot.
    pub(crate) assigned_at: Time,
    /// The packet from which on all are expected.
    pub(crate) begun: Option<u64>,
    /// The first packet that is expected no longer.
    pub(crate) until: Option<u64>,
    /// Highest sequence number that arrived without retransmission.
    pub(crate) highest: u64,
    /// Sequence number of the first bit below.
    base: u64,
    /// Which packets have arrived, and which of them by retransmission.
    seen: Vec<[u64; 2]>,
    pub(crate) last_latency_us: Option<u64>,
    /// When the first frame that opened had arrived.
    pub(crate) opened_at: Option<Time>,
}

impl ReceivedStream {
    /// Packets that may arrive after the first and precede it.
    const BEFORE: u64 = 1_024;

    pub(crate) fn new(stream: Arc<StreamLog>, assigned_at: Time) -> Self {
        Self {
            stream,
            assigned_at,
            begun: None,
            until: None,
            highest: 0,
            base: 0,
            seen: Vec::new(),
            last_latency_us: None,
            opened_at: None,
        }
    }

    /// Marks a packet; its number is one that the publisher has used, which bounds the bitmap.
    pub(crate) fn mark(&mut self, sequence: u64, repair: bool) -> Arrival {
        if self.seen.is_empty() {
            self.base = sequence.saturating_sub(Self::BEFORE) & !63;
        }
        let Some(at) = sequence.checked_sub(self.base) else { return Arrival::Duplicate };
        let (word, bit) = ((at / 64) as usize, 1 << (at % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, [0; 2]);
        }
        let Some([seen, repaired]) = self.seen.get_mut(word) else { return Arrival::Duplicate };
        if *seen & bit != 0 {
            if !repair {
                // It was only late: its retransmission arrived first.
                *repaired &= !bit;
            }
            return Arrival::Duplicate;
        }
        *seen |= bit;
        if repair {
            *repaired |= bit;
        }
        self.begun = Some(self.begun.map_or(sequence, |begun| begun.min(sequence)));
        Arrival::New
    }

    /// The packets of the measured time that should have arrived.
    pub(crate) fn expected(&self) -> Range<u64> {
        let measured = self.stream.measured();
        let Some(begun) = self.begun else { return 0..0 };
        begun.max(measured.start)..self.until.unwrap_or(u64::MAX).min(measured.end)
    }

    /// Number of packets of a range that arrived, and how many of those by retransmission.
    pub(crate) fn count(&self, range: &Range<u64>) -> (u64, u64) {
        let mut counted = (0, 0);
        for (n, [seen, repaired]) in self.seen.iter().enumerate() {
            let first = self.base + 64 * n as u64;
            let mask = below(range.end.saturating_sub(first)) & !below(range.start.saturating_sub(first));
            counted.0 += u64::from((seen & mask).count_ones());
            counted.1 += u64::from((repaired & mask).count_ones());
        }
        counted
    }
}

/// The lowest `n` bits.
fn below(n: u64) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}
