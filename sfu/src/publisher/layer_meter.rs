//! Measures the layers of an encoding: the bitrate of each decode target, and which spatial layers still arrive.
//!
//! Packets are only added up. A timer of the room looks at the sums every [`INTERVAL`](super::track_activity::INTERVAL).

use super::{numbering::bits, track_activity::INTERVAL};
use crate::{
    units::{Bitrate, DataSize},
    wire::dependency_descriptor::{MAX_SPATIAL_LAYERS, MAX_TARGETS},
};
use std::time::Duration;

/// Number of looks that bitrates are averaged over.
const AVERAGED: usize = (2_000 / INTERVAL.as_millis()) as usize;
/// Number of looks that key frames are spread over: eight seconds.
const SPREAD: f32 = 32.0;
/// Number of looks without a packet, while others of the track arrive, after which a spatial layer has stopped.
const STOPPED: u8 = (1_500 / INTERVAL.as_millis()) as u8;

/// Bytes of each target.
type Sums = [u32; MAX_TARGETS];

/// The meter of one encoding.
#[derive(Debug, Default)]
pub(crate) struct LayerMeter {
    /// Bytes since the last look.
    bytes: Sums,
    /// Of these, bytes of key frames.
    of_key_frames: Sums,
    /// Bytes between looks, the latest ones, and those of them that are of key frames; a ring.
    averaged: [[Sums; 2]; AVERAGED],
    /// Bytes of key frames between looks, averaged over [`SPREAD`].
    spread: [f32; MAX_TARGETS],
    /// Looks since the first packet.
    looks: usize,
    /// Mask of the spatial layers that packets have arrived of since the last look.
    arrived: u8,
    /// For each spatial layer, the number of looks since a packet of it.
    silent: [u8; MAX_SPATIAL_LAYERS],
}

/// Adds bytes of a packet to the sums of these targets.
fn add(sums: &mut Sums, targets: u16, length: u32) {
    for target in bits(targets) {
        if let Some(bytes) = sums.get_mut(target) {
            *bytes = bytes.saturating_add(length);
        }
    }
}

impl LayerMeter {
    /// Adds a packet of a spatial layer that these targets contain.
    pub(crate) fn on_packet(&mut self, targets: u16, spatial: u8, length: usize, of_key_frame: bool) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        add(&mut self.bytes, targets, length);
        if of_key_frame {
            add(&mut self.of_key_frames, targets, length);
        }
        self.arrived |= 1u8.checked_shl(spatial.into()).unwrap_or(0);
    }

    /// Whether any packet has arrived since the last look.
    pub(crate) fn is_flowing(&self) -> bool {
        self.arrived != 0
    }

    /// Looks at what has arrived. A layer falls silent only while another one of the track flows: a track that stops as a
    /// whole is muted, or does not change.
    pub(crate) fn look(&mut self, track_flows: bool) {
        if self.looks == 0 && self.arrived == 0 {
            return;
        }
        let position = self.looks % AVERAGED;
        if let Some(sums) = self.averaged.get_mut(position) {
            let of_key_frames = std::mem::take(&mut self.of_key_frames);
            for (spread, bytes) in self.spread.iter_mut().zip(of_key_frames) {
                *spread += (bytes as f32 - *spread) / SPREAD;
            }
            *sums = [std::mem::take(&mut self.bytes), of_key_frames];
        }
        self.looks = self.looks.saturating_add(1);
        for (spatial, silent) in self.silent.iter_mut().enumerate() {
            let arrived = self.arrived >> spatial & 1 != 0;
            *silent = if arrived { 0 } else { silent.saturating_add(u8::from(track_flows)) };
        }
        self.arrived = 0;
    }

    /// The average bitrate of a target over the last two seconds; `None` before the first packets.
    pub(crate) fn rate(&self, target: u8) -> Option<Bitrate> {
        self.average(target, |[all, _]| all)
    }

    /// The same with key frames spread over some seconds: what the target takes for longer.
    pub(crate) fn sustained_rate(&self, target: u8) -> Option<Bitrate> {
        let between = self.average(target, |[all, of_key_frames]| all.saturating_sub(of_key_frames))?;
        let spread = self.spread.get(usize::from(target)).copied().unwrap_or_default();
        Some(between + DataSize::from_bytes(spread as u64) / INTERVAL)
    }

    fn average(&self, target: u8, counted: impl Fn([u32; 2]) -> u32) -> Option<Bitrate> {
        let looks = self.looks.min(AVERAGED);
        let of_target = |sums: &[Sums; 2]| sums.map(|sums| sums.get(usize::from(target)).copied().unwrap_or_default());
        let bytes = self.averaged.iter().map(|sums| u64::from(counted(of_target(sums)))).sum();
        let time = INTERVAL * u32::try_from(looks).ok().filter(|looks| *looks > 0)?;
        Some(DataSize::from_bytes(bytes) / time.max(Duration::from_millis(1)))
    }

    /// Whether a spatial layer no longer arrives though others do.
    pub(crate) fn has_stopped(&self, spatial: u8) -> bool {
        self.silent.get(usize::from(spatial)).is_some_and(|silent| *silent >= STOPPED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_the_average_of_two_seconds() {
        let mut meter = LayerMeter::default();
        assert_eq!(meter.rate(0), None);
        for _ in 0..3 {
            meter.on_packet(0b11, 0, 1_000, false);
            meter.on_packet(0b10, 0, 3_000, false);
            meter.look(true);
        }
        assert_eq!((meter.rate(0), meter.rate(1)), (Some(Bitrate::from_kbps(32)), Some(Bitrate::from_kbps(128))));
        for _ in 0..AVERAGED {
            meter.look(true);
        }
        assert_eq!(meter.rate(1), Some(Bitrate::ZERO), "older than two seconds");
    }

    #[test]
    fn key_frame_is_spread_over_eight_seconds_in_the_sustained_rate() {
        let mut meter = LayerMeter::default();
        meter.on_packet(0b11, 0, 1_000, false);
        meter.on_packet(0b11, 0, 9_000, true);
        meter.look(true);
        let kbps = |rate: Option<Bitrate>| rate.map(|rate| rate.bps() / 1_000);
        assert_eq!([kbps(meter.rate(1)), kbps(meter.sustained_rate(1))], [Some(320), Some(32 + 8)]);
    }

    #[test]
    fn layer_stops_while_another_flows_and_not_when_all_pause() {
        let mut meter = LayerMeter::default();
        meter.on_packet(1, 1, 100, false);
        meter.look(true);
        for _ in 0..100 {
            meter.look(false);
        }
        assert!(!meter.has_stopped(1), "the whole track pauses");
        for _ in 0..STOPPED {
            assert!(!meter.has_stopped(1));
            meter.look(true);
        }
        assert!(meter.has_stopped(1));
        meter.on_packet(1, 1, 100, false);
        meter.look(true);
        assert!(!meter.has_stopped(1), "it has come back");
    }
}
