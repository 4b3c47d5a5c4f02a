//! Packets of a microphone: one every 20 ms, with talk spurts, and one speaker at a time in a room.

use super::schedule::Schedule;
use super::{
    Frame,
    random::{Around, exponential, seed_of},
};
use crate::measure::clock::Time;
use crate::scenario::Audio;
use rand_chacha::{ChaCha8Rng, rand_core::RngCore};

/// Packets of 20 ms.
const PACKETS_PER_SECOND: u32 = 50;
/// Mean length of a talk spurt and of the pause after it (ITU-T P.59), while a speaker has the floor.
const SPURT_S: f64 = 1.0;
const PAUSE_S: f64 = 0.6;
/// Mean time for which a speaker has the floor.
const FLOOR_S: f64 = 4.0;
/// Levels of speech and of a quiet room, in -dBov.
const LOUD: u8 = 25;
const QUIET: u8 = 127;
/// Bytes of the smallest frame: the mark by which receivers know it.
const SMALLEST: f64 = 24.0;
const LARGEST: f64 = 1_000.0;

/// The speaker who has the floor in a room. Every microphone of the room computes the same one.
#[derive(Debug)]
pub(crate) struct Floor {
    speakers: u64,
    random: ChaCha8Rng,
    speaker: u64,
    /// When the speaker loses the floor, in seconds from the origin.
    until_s: f64,
}

impl Floor {
    /// The floor of a room with `speakers` microphones.
    pub(crate) fn new(speakers: usize, seed: u64, room: u64) -> Self {
        Self { speakers: speakers.max(1) as u64, random: seed_of(seed, [2, room, 0]), speaker: 0, until_s: 0.0 }
    }

    /// The speaker at a time, which must not decrease.
    fn at(&mut self, time_s: f64) -> u64 {
        while time_s >= self.until_s {
            self.until_s += exponential(FLOOR_S, &mut self.random).max(0.1);
            // Another speaker, if there is one.
            let others = self.speakers.saturating_sub(1).max(1);
            self.speaker = (self.speaker + 1 + self.random.next_u64() % others) % self.speakers;
        }
        self.speaker
    }
}

/// Sizes, levels and times of one microphone's packets.
#[derive(Debug)]
pub(crate) struct AudioPattern {
    speaking: f64,
    silent: f64,
    around: Around,
    floor: Floor,
    /// Number of this microphone in the room.
    own: u64,
    random: ChaCha8Rng,
    /// Whether it is in a spurt, and until when.
    spurt: (bool, f64),
    origin: Time,
    pub(super) schedule: Option<Schedule>,
}

impl AudioPattern {
    /// The pattern of the microphone with this number in its room. The floor is counted from `origin`.
    pub(crate) fn new(audio: &Audio, floor: Floor, own: usize, origin: Time, seed: u64, room: u64) -> Self {
        Self {
            speaking: audio.bytes as f64,
            silent: audio.silent_bytes as f64,
            around: Around::new(audio.size_spread),
            floor,
            own: own as u64,
            random: seed_of(seed, [4, room, own as u64]),
            spurt: (false, 0.0),
            origin,
            schedule: None,
        }
    }

    pub(super) fn start(&mut self, now: Time) {
        self.schedule = Some(Schedule::new(now, PACKETS_PER_SECOND, 1));
    }

    pub(super) fn frame(&mut self, at: Time) -> Frame {
        let time_s = at.since(self.origin).as_secs_f64();
        let has_floor = self.floor.at(time_s) == self.own;
        if time_s >= self.spurt.1 {
            let talks = !self.spurt.0;
            let mean = if talks { SPURT_S } else { PAUSE_S };
            self.spurt = (talks, time_s + exponential(mean, &mut self.random));
        }
        let talks = has_floor && self.spurt.0;
        let (mean, level) = if talks { (self.speaking, LOUD) } else { (self.silent, QUIET) };
        let bytes = (mean * self.around.draw(&mut self.random)).clamp(SMALLEST, LARGEST);
        Frame { bytes: bytes as usize, key: false, level: Some(level) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn microphones(count: usize) -> Vec<AudioPattern> {
        let audio = Audio { bytes: 80, silent_bytes: 30, ..Audio::default() };
        (0..count).map(|own| AudioPattern::new(&audio, Floor::new(count, 5, 0), own, Time::default(), 5, 0)).collect()
    }

    /// Who talks, every 20 ms for some minutes.
    fn talk(count: usize) -> Vec<Vec<usize>> {
        let mut microphones = microphones(count);
        (0..30_000u64)
            .map(|n| {
                let talks = |(who, microphone): (usize, &mut AudioPattern)| {
                    (microphone.frame(Time::from_nanos(n * 20_000_000)).level == Some(LOUD)).then_some(who)
                };
                microphones.iter_mut().enumerate().filter_map(talks).collect()
            })
            .collect()
    }

    #[test]
    fn floor_has_one_speaker_at_a_time() {
        let talk = talk(4);
        assert!(talk.iter().all(|talking| talking.len() <= 1));
        for who in 0..4 {
            let share = talk.iter().filter(|talking| talking.contains(&who)).count() as f64 / talk.len() as f64;
            assert!((0.08..0.25).contains(&share), "{who}: {share}");
        }
        let silence = talk.iter().filter(|talking| talking.is_empty()).count() as f64 / talk.len() as f64;
        assert!((0.25..0.5).contains(&silence), "{silence}");
    }

    #[test]
    fn speech_packets_are_larger() {
        let mut microphone = microphones(1).remove(0);
        let frames: Vec<Frame> = (0..5_000u64).map(|n| microphone.frame(Time::from_nanos(n * 20_000_000))).collect();
        let mean = |loud: bool| {
            let of: Vec<f64> = frames
                .iter()
                .filter(|frame| (frame.level == Some(LOUD)) == loud)
                .map(|frame| frame.bytes as f64)
                .collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        assert!((75.0..85.0).contains(&mean(true)), "{}", mean(true));
        assert!((24.0..35.0).contains(&mean(false)), "{}", mean(false));
    }
}
