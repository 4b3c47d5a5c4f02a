//! The estimate, and how it moves between signals: up while nothing objects, down at an overuse
//! (draft-ietf-rmcat-gcc-02 section 5.5).

use super::known_capacity::KnownCapacity;
use crate::units::{Bitrate, DataSize};
use std::time::{Duration, Instant};

/// Lowest estimate: audio and little more.
pub(super) const FLOOR: Bitrate = Bitrate::from_kbps(50);
/// Share of what arrives that an overuse leaves, to an estimate far below the wish and to one that meets it. On a shared
/// path, those who have what they want yield more than those who do not.
const DECREASE: (f64, f64) = (0.87, 0.82);
/// Growth a second, far from the known capacity.
const GROWTH: f64 = 1.08;
/// Near it: one packet for each round trip and this.
const RESPONSE: Duration = Duration::from_millis(100);
const PACKET: DataSize = DataSize::from_bytes(1_200);
/// Slowest growth near it, a second.
const LEAST_GROWTH: Bitrate = Bitrate::from_kbps(4);
/// No growth within this time of a decrease: its effect is not visible yet.
const REST: Duration = Duration::from_millis(300);
/// The estimate never grows further above what arrives: a factor, and a constant.
const ABOVE_ACKED: f64 = 1.5;
/// The factor with room to spare, where nothing tests it.
const ABOVE_ACKED_SPARE: f64 = 1.25;
const ABOVE_ACKED_MIN: Bitrate = Bitrate::from_kbps(10);

/// The estimate and when it changed.
#[derive(Debug)]
pub(super) struct RateControl {
    estimate: Bitrate,
    decreased: Option<Instant>,
    grown: Option<Instant>,
    capacity: KnownCapacity,
}

impl RateControl {
    pub(super) fn new(start: Bitrate) -> Self {
        Self { estimate: start.max(FLOOR), decreased: None, grown: None, capacity: KnownCapacity::default() }
    }

    pub(super) fn estimate(&self) -> Bitrate {
        self.estimate
    }

    /// Whether there was a decrease within `time` before `now`.
    pub(super) fn decreased_within(&self, now: Instant, time: Duration) -> bool {
        self.decreased.is_some_and(|at| now.saturating_duration_since(at) <= time)
    }

    /// Lowers the estimate to `rate`, if that is less. Either way it counts as a decrease.
    pub(super) fn decrease_to(&mut self, now: Instant, rate: Bitrate) {
        self.cap(rate);
        self.decreased = Some(now);
    }

    /// Lowers the estimate to `rate`, if that is less, without the rest that a decrease needs.
    pub(super) fn cap(&mut self, rate: Bitrate) {
        self.estimate = self.estimate.min(rate).max(FLOOR);
    }

    /// Raises the estimate to `rate`, if that is more.
    pub(super) fn raise_to(&mut self, rate: Bitrate) {
        self.estimate = self.estimate.max(rate);
    }

    /// A probe has shown that the path carries `rate`.
    pub(super) fn on_probe(&mut self, now: Instant, rate: Bitrate) {
        self.raise_to(rate);
        self.capacity.forget();
        self.grown = Some(now);
    }

    /// The path is another one.
    pub(super) fn forget_capacity(&mut self) {
        self.capacity.forget();
    }

    /// Handles a growing queue, while `acked` arrives and `wanted` is wished. Returns whether the estimate falls.
    pub(super) fn on_overuse(&mut self, now: Instant, acked: Bitrate, rtt: Duration, wanted: Bitrate) -> bool {
        // Once for each round trip: a decrease shows no earlier.
        if self.decreased_within(now, rtt.clamp(Duration::from_millis(100), Duration::from_millis(400))) {
            return false;
        }
        let before = self.estimate;
        let met = (before.as_f64() / wanted.as_f64().max(1.0)).min(1.0);
        self.decrease_to(now, acked.mul_f64(DECREASE.0 + met * (DECREASE.1 - DECREASE.0)));
        self.capacity.on_overuse(acked);
        self.estimate < before
    }

    /// Whether more arrives than the path carried before, for the first time.
    pub(super) fn exceeds_capacity(&mut self, acked: Bitrate) -> bool {
        self.capacity.is_exceeded(acked)
    }

    /// Grows for the time since the last call of this or [`Self::hold`], up to `ceiling`; `has_room`, if less has been sent than the
    /// estimate for a while.
    pub(super) fn grow(
        &mut self,
        now: Instant,
        acked: Bitrate,
        rtt: Duration,
        ceiling: Bitrate,
        has_room: bool,
    ) -> bool {
        let elapsed = self.hold(now);
        if self.decreased_within(now, REST) {
            return false;
        }
        let near = self.capacity.is_near(acked, self.estimate);
        let above = if has_room { ABOVE_ACKED_SPARE } else { ABOVE_ACKED };
        let limit = (acked.mul_f64(above) + ABOVE_ACKED_MIN).min(ceiling);
        let seconds = elapsed.as_secs_f64().min(1.0);
        let by_packets = self.estimate + (PACKET / (rtt + RESPONSE)).max(LEAST_GROWTH).mul_f64(seconds);
        // A small estimate grows by packets even far from the capacity, where 8 % would be less: so that it catches up with
        // larger ones that share the path.
        let grown = if near { by_packets } else { by_packets.max(self.estimate.mul_f64(GROWTH.powf(seconds))) };
        let before = self.estimate;
        self.raise_to(grown.min(limit));
        self.estimate > before
    }

    /// Lets the time since the last call of this or [`Self::grow`] pass without growth. Returns it.
    pub(super) fn hold(&mut self, now: Instant) -> Duration {
        let before = self.grown.replace(now);
        before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    fn grow_for(control: &mut RateControl, from: Instant, seconds: u32, acked: Bitrate, ceiling: Bitrate) -> Instant {
        for number in 0..seconds * 20 {
            control.grow(from + number * Duration::from_millis(50), acked, RTT, ceiling, false);
        }
        from + Duration::from_secs(seconds.into())
    }

    #[test]
    fn growth_is_exponential_then_by_packets() {
        let (now, acked) = (Instant::now(), Bitrate::from_kbps(1_000));
        let mut control = RateControl::new(acked);
        let now = grow_for(&mut control, now, 3, acked, Bitrate::MAX);
        assert!(control.estimate().bps().abs_diff(1_259_000) < 10_000, "{control:?}");
        assert!(control.on_overuse(now, acked, RTT, acked));
        assert_eq!(control.estimate(), Bitrate::from_kbps(820));
        assert!(!control.on_overuse(now + RTT / 2, acked, RTT, acked), "once for each round trip");
        grow_for(&mut control, now, 3, acked, Bitrate::MAX);
        // 48 kbit/s a second, after the rest.
        assert!(control.estimate().bps().abs_diff(950_000) < 10_000, "{control:?}");
    }

    #[test]
    fn overuse_leaves_more_to_an_unmet_wish() {
        let (now, acked) = (Instant::now(), Bitrate::from_kbps(1_000));
        for (wanted, left) in [(0, 820), (1_000, 820), (2_000, 845), (1_000_000, 869)] {
            let mut control = RateControl::new(acked);
            control.on_overuse(now, acked, RTT, Bitrate::from_kbps(wanted));
            assert_eq!(control.estimate().bps() / 1_000, left);
        }
    }

    #[test]
    fn estimate_stays_within_bounds() {
        let now = Instant::now();
        let mut control = RateControl::new(Bitrate::ZERO);
        assert_eq!(control.estimate(), FLOOR);
        control.on_overuse(now, Bitrate::ZERO, RTT, Bitrate::ZERO);
        assert_eq!(control.estimate(), FLOOR);
        let now = grow_for(&mut control, now, 100, Bitrate::from_kbps(100), Bitrate::MAX);
        assert_eq!(control.estimate(), Bitrate::from_kbps(160), "1.5 times what arrives");
        grow_for(&mut control, now, 100, Bitrate::MAX, Bitrate::from_kbps(400));
        assert_eq!(control.estimate(), Bitrate::from_kbps(400));
        grow_for(&mut control, now, 1, Bitrate::MAX, Bitrate::ZERO);
        assert_eq!(control.estimate(), Bitrate::from_kbps(400), "a ceiling below the estimate lowers nothing");
    }
}
