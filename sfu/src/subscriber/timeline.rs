//! Timestamps of a slot across its sources.
//!
//! Encodings of one track number their timestamps from different offsets. Sender reports tie each to the publisher's wall
//! clock; so a frame of another encoding gets the timestamp that the first one would have given it. Without reports, or for
//! another track, the time between two arrivals takes the place of the time between two captures.

use crate::{publisher::sender_clock::SenderClock, units::rtp_ticks};
use std::time::Duration;

/// Least timestamp distance between the last packet of a source and the first of the next, by their arrival.
const MIN_FRAME_INTERVAL: Duration = Duration::from_millis(20);
/// The same, if the wall clock says less: both encodings show one image. Small, so that many changes do not add up.
const MIN_STEP: Duration = Duration::from_millis(1);
/// Maximum distance by which the clocks of wall time and timestamps drift apart from one report to the next.
const MAX_DRIFT: Duration = Duration::from_millis(2);
/// Maximum difference between the distances by wall clock and by arrival. Beyond it, a report is wrong.
const PLAUSIBLE: Duration = Duration::from_secs(1);

/// A moment on the publisher's wall clock and on the slot's timeline.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    /// NTP format.
    wall_clock: u64,
    timestamp: u32,
}

/// The timeline of a slot.
#[derive(Debug)]
pub(crate) struct Timeline {
    clock_rate: u32,
    anchor: Option<Anchor>,
}

impl Timeline {
    pub(crate) fn new(clock_rate: u32) -> Self {
        Self { clock_rate, anchor: None }
    }

    /// Forgets the wall clock: what follows is another track.
    pub(crate) fn end_track(&mut self) {
        self.anchor = None;
    }

    /// Notes the slot's timestamp of a moment. If a source began later than its frames were captured, the timeline of the
    /// sources before it stays.
    pub(crate) fn anchor(&mut self, wall_clock: u64, timestamp: u32) {
        let known = self.anchor.map(|anchor| anchor.at(wall_clock, self.clock_rate));
        let drift = known.map_or(0, |known| timestamp.wrapping_sub(known).cast_signed().unsigned_abs());
        if drift <= rtp_ticks(MAX_DRIFT, self.clock_rate) {
            self.anchor = Some(Anchor { wall_clock, timestamp });
        }
    }

    /// The slot's timestamp for the first packet of a source, which has the timestamp `first`. It is after `last`, the
    /// timestamp of the packet sent `pause` ago.
    pub(crate) fn begin(&mut self, (last, pause): (u32, Duration), first: u32, clock: Option<&SenderClock>) -> u32 {
        let by_arrival = last.wrapping_add(rtp_ticks(pause.max(MIN_FRAME_INTERVAL), self.clock_rate));
        let Some(wall_clock) = clock.map(|clock| clock.wall_clock(first, self.clock_rate)) else { return by_arrival };
        let by_clock = self.anchor.map(|anchor| anchor.at(wall_clock, self.clock_rate));
        let plausible = |timestamp: &u32| {
            let difference = timestamp.wrapping_sub(by_arrival).cast_signed().unsigned_abs();
            difference <= rtp_ticks(PLAUSIBLE, self.clock_rate)
        };
        let Some(by_clock) = by_clock.filter(plausible) else {
            self.anchor = Some(Anchor { wall_clock, timestamp: by_arrival });
            return by_arrival;
        };
        let earliest = last.wrapping_add(rtp_ticks(MIN_STEP, self.clock_rate));
        if by_clock.wrapping_sub(earliest).cast_signed() < 0 { earliest } else { by_clock }
    }
}

impl Anchor {
    /// The slot's timestamp at another moment.
    fn at(&self, wall_clock: u64, clock_rate: u32) -> u32 {
        let elapsed = i128::from(wall_clock.wrapping_sub(self.wall_clock).cast_signed());
        let ticks = (elapsed * i128::from(clock_rate) + (1 << 31)) >> 32; // rounded
        self.timestamp.wrapping_add((ticks & 0xffff_ffff) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::SenderInfo;
    use std::time::Instant;

    const RATE: u32 = 90_000;

    /// The clock of an encoding whose timestamp was `offset` at second 1,000 of the wall clock.
    fn clock(offset: u32) -> SenderClock {
        SenderClock::new(Instant::now(), SenderInfo { ntp: 1_000 << 32, timestamp: offset, packets: 0, octets: 0 })
    }

    #[test]
    fn frames_of_two_encodings_keep_their_distance() {
        let (mut timeline, low, high) = (Timeline::new(RATE), clock(5), clock(u32::MAX - 7));
        let first = timeline.begin((0, Duration::ZERO), 5, Some(&low));
        // The high encoding's frame was captured 100 ms later, and came after 180 ms of a slow path.
        let pause = Duration::from_millis(180);
        let second = timeline.begin((first, pause), (u32::MAX - 7).wrapping_add(9_000), Some(&high));
        assert_eq!(second - first, 9_000);
        assert_eq!(timeline.begin((first, pause), 3, None) - first, 16_200, "without a report, by arrival");
    }

    #[test]
    fn timestamps_never_go_backwards_and_do_not_drift() {
        let (mut timeline, low, high) = (Timeline::new(RATE), clock(0), clock(70_000));
        let mut last = timeline.begin((0, Duration::ZERO), 0, Some(&low));
        let start = last;
        for change in 1..=20_u32 {
            // Each change shows an image again that was sent before, in the other encoding.
            let (captured, of) = (3_000 * change, if change % 2 == 0 { &low } else { &high });
            let shown = start + captured;
            let offset = if change % 2 == 0 { 0 } else { 70_000 };
            let next = timeline.begin((shown.max(last), Duration::ZERO), captured + offset, Some(of));
            assert!(next > shown.max(last));
            assert!(next - shown <= 90 * change, "after {change} changes");
            last = next;
        }
    }

    #[test]
    fn reports_that_contradict_arrival_are_not_believed() {
        let mut timeline = Timeline::new(RATE);
        let first = timeline.begin((0, Duration::ZERO), 0, Some(&clock(0)));
        let next = timeline.begin((first, Duration::from_millis(33)), 0, Some(&clock(500_000_000)));
        assert_eq!(next - first, 2_970);
    }

    #[test]
    fn clocks_that_drift_apart_are_followed() {
        let mut timeline = Timeline::new(RATE);
        let mut last = timeline.begin((0, Duration::ZERO), 0, Some(&clock(0)));
        // For an hour, the timestamps of each second gain 90 ticks.
        for second in 1..=3_600_u32 {
            last += RATE + 90;
            timeline.anchor((1_000 + u64::from(second)) << 32, last);
        }
        let captured = 3_601 * RATE;
        let next = timeline.begin((last, Duration::from_secs(1)), captured, Some(&clock(0)));
        assert_eq!(next - last, RATE);
    }

    #[test]
    fn another_track_begins_by_arrival() {
        let mut timeline = Timeline::new(RATE);
        let first = timeline.begin((0, Duration::ZERO), 0, Some(&clock(0)));
        timeline.end_track();
        let next = timeline.begin((first, Duration::from_millis(50)), 900, Some(&clock(0)));
        assert_eq!(next - first, 4_500);
    }
}
