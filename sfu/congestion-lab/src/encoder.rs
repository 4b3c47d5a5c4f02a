//! A camera's encoder: frames whose size follows a rate.

use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tacet_impair::Random;

/// Frames a second.
pub(crate) const FRAMES: f64 = 30.0;
/// How long an encoder takes to follow a new rate.
const FOLLOWS: Duration = Duration::from_millis(100);
/// A key frame beside others.
const KEY_FRAME: f64 = 4.0;
/// Frames differ in size by this share, either way.
const VARIES: f64 = 0.2;
/// Bytes of video in a packet, and of headers around it.
const PAYLOAD: usize = 1_150;
const HEADERS: usize = 50;

/// Follows every rate between two limits: the source that RFC 8867 section 4.2 has in mind.
#[derive(Debug)]
pub(crate) struct Encoder {
    least: f64,
    most: f64,
    rate: f64,
    coming: VecDeque<(Instant, f64)>,
}

impl Encoder {
    pub(crate) fn new(least: f64, most: f64, first: f64) -> Self {
        Self { least, most, rate: first.clamp(least, most), coming: VecDeque::new() }
    }

    /// A new rate; it is met after a while.
    pub(crate) fn set_rate(&mut self, now: Instant, rate: f64) {
        if self.coming.back().map_or(self.rate, |(_, last)| *last) != rate {
            self.coming.push_back((now + FOLLOWS, rate));
        }
    }

    pub(crate) fn rate(&mut self, now: Instant) -> f64 {
        while let Some((_, rate)) = self.coming.pop_front_if(|(at, _)| *at <= now) {
            self.rate = rate.clamp(self.least, self.most);
        }
        self.rate
    }
}

/// Cuts a rate into frames, and frames into packets.
#[derive(Debug)]
pub(crate) struct Frames {
    random: Random,
    key: bool,
}

impl Frames {
    pub(crate) const fn new(random: Random) -> Self {
        Self { random, key: true }
    }

    /// The packets of the next frame, in bytes on the wire.
    pub(crate) fn next(&mut self, rate: f64) -> impl Iterator<Item = usize> + use<> {
        let key = if std::mem::take(&mut self.key) { KEY_FRAME } else { 1.0 };
        let varied = 1.0 + VARIES * (2.0 * self.random.fraction() - 1.0);
        let mut left = ((rate / FRAMES / 8.0 * key * varied) as usize).max(60);
        std::iter::from_fn(move || {
            let payload = left.min(PAYLOAD);
            left -= payload;
            (payload > 0).then_some(payload + HEADERS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_meet_the_rate() {
        let mut frames = Frames::new(Random::new(1));
        let key: usize = frames.next(1e6).map(|bytes| bytes - HEADERS).sum();
        assert!((13_000..21_000).contains(&key), "{key}");
        let bytes: usize = (0..3_000).flat_map(|_| frames.next(1e6)).map(|bytes| bytes - HEADERS).sum();
        assert!((bytes as f64 * 8.0 / 100.0 - 1e6).abs() < 1e4, "{bytes}");
    }

    #[test]
    fn encoder_follows_within_limits_after_a_while() {
        let now = Instant::now();
        let mut encoder = Encoder::new(150e3, 1.5e6, 300e3);
        encoder.set_rate(now, 9e6);
        assert!((encoder.rate(now + FOLLOWS / 2) - 300e3).abs() < 1.0);
        assert!((encoder.rate(now + FOLLOWS) - 1.5e6).abs() < 1.0);
    }
}
