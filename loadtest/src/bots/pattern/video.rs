//! Frames of a camera: mostly deltas around a mean size, large key frames, now and then a large delta.

use super::schedule::Schedule;
use super::{
    Frame,
    random::{Around, exponential, seed_of},
};
use crate::measure::clock::Time;
use crate::scenario::Video;
use rand_chacha::ChaCha8Rng;

/// Bytes of the largest frame: what an assembler holds.
const LARGEST: f64 = 400_000.0;

/// Sizes and times of one encoding's frames.
#[derive(Debug)]
pub(crate) struct VideoPattern {
    frames_per_second: u32,
    /// Mean bytes of a delta frame.
    delta: f64,
    /// Size of a key frame in deltas.
    key_factor: f64,
    /// Frames from a key frame to the next; `None`: only when it is wanted.
    key_every: Option<u64>,
    around: Around,
    /// A change of scene: how many deltas large, and frames between two on average.
    scene: Option<(f64, f64)>,
    until_key: u64,
    until_scene: f64,
    random: ChaCha8Rng,
    pub(super) schedule: Option<Schedule>,
}

impl VideoPattern {
    /// Bytes of the smallest frame: the mark by which receivers know it.
    pub(super) const SMALLEST_BYTES: usize = 64;

    /// The pattern of one encoding, which has this share of the whole's bits, for the camera with this number.
    ///
    /// The rate holds on average: a key frame's bytes are saved on the deltas until the next.
    pub(crate) fn new(video: &Video, bits_per_second: f64, frames_per_second: u32, seed: u64, camera: u64) -> Self {
        let frames_per_second = frames_per_second.max(1);
        let mean = bits_per_second / 8.0 / f64::from(frames_per_second);
        let interval = (video.key_frame_every_s * f64::from(frames_per_second)).round();
        let key_every = (interval >= 1.0).then_some(interval as u64);
        let delta = key_every.map_or(mean, |_| mean * interval / (interval - 1.0 + video.key_frame_size));
        let mut random = seed_of(seed, [1, camera, 0]);
        let scene =
            (video.scene_every_s > 0.0).then(|| (video.scene_size, video.scene_every_s * f64::from(frames_per_second)));
        let until_scene = scene.map_or(f64::INFINITY, |(_, mean)| exponential(mean, &mut random));
        Self {
            frames_per_second,
            delta,
            key_factor: video.key_frame_size,
            key_every,
            around: Around::new(video.size_spread),
            scene,
            until_key: 0,
            until_scene,
            random,
            schedule: None,
        }
    }

    pub(super) fn start(&mut self, now: Time) {
        self.schedule = Some(Schedule::new(now, self.frames_per_second, 1));
    }

    pub(super) fn frame(&mut self, key_wanted: bool) -> Frame {
        let key = key_wanted || (self.key_every.is_some() && self.until_key == 0);
        let factor = if key {
            self.until_key = self.key_every.unwrap_or(0);
            self.key_factor
        } else if let Some((factor, mean)) = self.scene.filter(|_| self.until_scene <= 0.0) {
            self.until_scene = exponential(mean, &mut self.random);
            factor
        } else {
            1.0
        };
        self.until_key = self.until_key.saturating_sub(1);
        self.until_scene -= 1.0;
        let bytes = self.delta * factor * self.around.draw(&mut self.random);
        Frame { bytes: bytes.clamp(Self::SMALLEST_BYTES as f64, LARGEST) as usize, key, ..Frame::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video() -> Video {
        Video { kilobits_per_second: 1_200, ..Video::default() }
    }

    fn sizes(video: &Video, seed: u64, frames: usize) -> Vec<Frame> {
        let mut pattern = VideoPattern::new(video, 1_200_000.0, 30, seed, 0);
        (0..frames).map(|_| pattern.frame(false)).collect()
    }

    #[test]
    fn rate_includes_key_frames() {
        let video = Video { key_frame_every_s: 4.0, key_frame_size: 8.0, scene_every_s: 0.0, ..video() };
        let frames = sizes(&video, 1, 120 * 100);
        let bytes: usize = frames.iter().map(|frame| frame.bytes).sum();
        let bits_per_second = bytes as f64 * 8.0 / (frames.len() as f64 / 30.0);
        assert!((1_150_000.0..1_250_000.0).contains(&bits_per_second), "{bits_per_second}");
        let keys: Vec<usize> = (0..frames.len()).filter(|n| frames[*n].key).collect();
        assert_eq!(keys.len(), 100);
        assert!(keys.windows(2).all(|pair| pair[1] - pair[0] == 120));
        let mean = |key: bool| {
            let of: Vec<_> = frames.iter().filter(|frame| frame.key == key).map(|frame| frame.bytes as f64).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        assert!((6.5..9.5).contains(&(mean(true) / mean(false))), "{}", mean(true) / mean(false));
    }

    #[test]
    fn requested_key_frame_restarts_interval() {
        let video = Video { key_frame_every_s: 1.0, ..video() };
        let mut pattern = VideoPattern::new(&video, 1_200_000.0, 30, 1, 0);
        let keys: Vec<usize> = (0..80).filter(|n| pattern.frame(*n == 10).key).collect();
        assert_eq!(keys, [0, 10, 40, 70]);
        let mut pattern = VideoPattern::new(&Video { key_frame_every_s: 0.0, ..video }, 1e6, 30, 1, 0);
        let keys: Vec<usize> = (0..80).filter(|n| pattern.frame(*n == 10).key).collect();
        assert_eq!(keys, [10], "only when wanted");
    }

    #[test]
    fn scene_changes_are_large() {
        let video = Video { scene_every_s: 2.0, scene_size: 10.0, size_spread: 0.0, key_frame_every_s: 0.0, ..video() };
        let frames = sizes(&video, 1, 30 * 200);
        let large = frames.iter().filter(|frame| frame.bytes > 5 * 5_000).count();
        assert!((70..140).contains(&large), "{large}");
    }

    #[test]
    fn sizes_follow_from_seed() {
        assert_eq!(sizes(&video(), 7, 300), sizes(&video(), 7, 300));
        assert_ne!(sizes(&video(), 7, 300), sizes(&video(), 8, 300));
    }
}
