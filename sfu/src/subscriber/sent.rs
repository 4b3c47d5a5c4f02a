//! What a slot has sent, for its sender reports, and at which bitrate.

use crate::units::{Bitrate, DataSize};
use std::time::{Duration, Instant};

/// Totals of media without retransmissions: packets and payload bytes, modulo 2³² (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

impl Sent {
    /// Counts a packet with a payload of `octets` bytes.
    pub(crate) fn count(&mut self, octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add((octets & 0xffff_ffff) as u32);
    }
}

/// What headers, extensions and the tag of SRTP add to a payload of audio on the wire, about.
const HEADERS: u64 = 70;
/// Shortest time over which a bitrate is measured.
const MEASURED: Duration = Duration::from_millis(500);
/// Share of the highest bitrate so far that counts after a further measurement: speakers pause.
const KEPT: f64 = 0.8;

/// Bitrate of what a slot has sent, on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SentRate {
    /// The last look, and the totals then.
    seen: Option<(Instant, Sent)>,
    rate: Option<Bitrate>,
}

impl SentRate {
    /// Looks at the totals, about once a second.
    pub(crate) fn look(&mut self, now: Instant, sent: Sent) {
        let (since, before) = *self.seen.get_or_insert((now, sent));
        let elapsed = now.saturating_duration_since(since);
        if elapsed < MEASURED {
            return;
        }
        let packets = u64::from(sent.packets.wrapping_sub(before.packets));
        let bytes = u64::from(sent.octets.wrapping_sub(before.octets)) + packets * HEADERS;
        let rate = DataSize::from_bytes(bytes) / elapsed;
        self.rate = Some(self.rate.map_or(rate, |before| rate.max(before.mul_f64(KEPT))));
        self.seen = Some((now, sent));
    }

    /// The bitrate; `None` before it was measured.
    pub(crate) fn rate(&self) -> Option<Bitrate> {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitrate_of_audio_outlives_a_pause_for_some_seconds() {
        let (mut rate, mut sent, start) = (SentRate::default(), Sent::default(), Instant::now());
        let mut second = |packets: u32, number: u64| {
            (0..packets).for_each(|_| sent.count(100));
            rate.look(start + Duration::from_secs(number), sent);
            rate.rate().map(|rate| rate.bps() / 1_000)
        };
        assert_eq!([second(50, 0), second(50, 1), second(0, 2), second(0, 3)], [None, Some(68), Some(54), Some(43)]);
        assert_eq!(second(50, 4), Some(68));
    }

    #[test]
    fn totals_wrap_around() {
        let mut sent = Sent { packets: u32::MAX, octets: u32::MAX };
        sent.count(10);
        assert_eq!(sent, Sent { packets: 0, octets: 9 });
    }
}
