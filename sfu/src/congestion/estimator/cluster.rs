//! One probe: what was sent of it, and what arrived.

use super::packet::{Transit, duration, micros};
use crate::units::{Bitrate, DataSize};
use std::time::{Duration, Instant};

/// Number of a probe. It is never 0, with which a history can stand for packets of no probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(pub(super) u16);

impl ClusterId {
    /// The number, from 1 to 65,535.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The id with a number that [`Self::get`] returned; `None` for 0.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    pub(super) fn following(self) -> Self {
        Self(self.0.checked_add(1).unwrap_or(1))
    }
}

/// A burst of packets to be sent faster than the estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeCluster {
    /// Stands in [`super::PacketResult::cluster`] of each of its packets.
    pub id: ClusterId,
    /// Bitrate of the burst, on the wire, media included.
    pub rate: Bitrate,
    /// Least time between its first and its last packet.
    pub duration: Duration,
    /// Least number of its packets.
    pub min_packets: u32,
}

/// Why a probe is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Short: whether there might be more.
    Sniff,
    /// Its result becomes the estimate.
    Confirm,
}

/// Share of a probe's duration that its reported packets span, and of its packets: it is complete then.
const COMPLETE: f64 = 0.8;
/// Departures come in steps; the last step is this long at most.
const STEP: i64 = 4_000;
/// Least number of packets that must arrive.
const LEAST_ARRIVED: u32 = 4;
/// A probe without a complete report after this time has failed.
const EXPIRES: Duration = Duration::from_millis(2_500);
/// If less than this share of the sent rate arrives, the path is full at what arrives, and a little less is used.
const SATURATED: f64 = 0.9;
const BELOW_SATURATION: f64 = 0.95;

/// What a complete probe says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) purpose: Purpose,
    /// Bitrate that was asked for.
    pub(super) asked: Bitrate,
    /// Bitrate that the path carries, at least.
    pub(super) carried: Bitrate,
    /// Share of packets that did not arrive.
    pub(super) loss: f64,
}

/// A probe that has been requested.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster {
    request: ProbeCluster,
    purpose: Purpose,
    requested: Instant,
    packets: u32,
    lost: u32,
    /// Bytes that arrived, without those of the first packet: its time is not in the span.
    bytes: DataSize,
    first: Option<Transit>,
    last: Transit,
}

impl Cluster {
    pub(super) fn new(now: Instant, request: ProbeCluster, purpose: Purpose) -> Self {
        Self {
            request,
            purpose,
            requested: now,
            packets: 0,
            lost: 0,
            bytes: DataSize::ZERO,
            first: None,
            last: Transit { sent: 0, received: 0 },
        }
    }

    pub(super) fn id(&self) -> ClusterId {
        self.request.id
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.requested) > EXPIRES
    }

    /// Counts a packet that feedback covers; `None` if it is missing.
    pub(super) fn add(&mut self, packet: Option<Transit>, size: DataSize) {
        self.packets = self.packets.saturating_add(1);
        let Some(transit) = packet else {
            self.lost = self.lost.saturating_add(1);
            return;
        };
        if self.first.is_none() {
            self.first = Some(transit);
            self.last = transit;
        } else {
            self.bytes += size;
            self.last.sent = self.last.sent.max(transit.sent);
            self.last.received = self.last.received.max(transit.received);
        }
    }

    /// The result, once enough packets are reported.
    pub(super) fn measured(&self) -> Option<Measured> {
        let first = self.first?;
        let (sent, received) = (self.last.sent - first.sent, self.last.received - first.received);
        let least = micros(self.request.duration.mul_f64(COMPLETE));
        let arrived = self.packets.saturating_sub(self.lost);
        if self.packets < self.request.min_packets || arrived < LEAST_ARRIVED || sent + STEP < least {
            return None;
        }
        let rate = |micros: i64| self.bytes / duration(micros.max(1));
        let (sent, received) = (rate(sent), rate(received));
        let saturated = received < sent.mul_f64(SATURATED);
        let carried = if saturated { received.mul_f64(BELOW_SATURATION) } else { sent.min(received) };
        Some(Measured {
            purpose: self.purpose,
            asked: self.request.rate,
            carried: carried.min(self.request.rate),
            loss: f64::from(self.lost) / f64::from(self.packets.max(1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(min_packets: u32) -> Cluster {
        let duration = Duration::from_millis(20);
        let request = ProbeCluster { id: ClusterId(1), rate: Bitrate::from_kbps(2_000), duration, min_packets };
        Cluster::new(Instant::now(), request, Purpose::Confirm)
    }

    /// Packets of 1,000 bytes each 4 ms: 2 Mbit/s; they arrive each `spacing`.
    fn probe(packets: i64, spacing: i64, lost: i64) -> Option<Measured> {
        let mut cluster = cluster(5);
        for number in 0..packets {
            let transit = Transit { sent: number * 4_000, received: number * spacing };
            cluster.add((number >= lost).then_some(transit), DataSize::from_bytes(1_000));
        }
        cluster.measured()
    }

    #[test]
    fn probe_measures_the_lesser_of_sent_and_received() {
        assert_eq!(probe(4, 4_000, 0), None);
        assert_eq!(probe(6, 4_000, 0).unwrap().carried, Bitrate::from_kbps(2_000));
        assert_eq!(probe(6, 2_000, 0).unwrap().carried, Bitrate::from_kbps(2_000));
        assert_eq!(probe(6, 8_000, 0).unwrap().carried, Bitrate::from_kbps(950));
    }

    #[test]
    fn probe_counts_loss() {
        assert!((probe(10, 4_000, 2).unwrap().loss - 0.2).abs() < 1e-9);
        assert_eq!(probe(10, 4_000, 7), None, "too few arrived");
    }

    #[test]
    fn cluster_ids_skip_zero() {
        assert_eq!(ClusterId(u16::MAX).following(), ClusterId(1));
        assert_eq!(ClusterId::from_number(0), None);
        assert_eq!(ClusterId::from_number(7).map(ClusterId::get), Some(7));
    }
}
