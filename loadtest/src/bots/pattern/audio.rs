//! Packets of a microphone: one every 20 ms, with talk spurts, and a fixed number of speakers at a time in a room.

use super::schedule::Schedule;
use super::{
    Frame, Frames,
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
/// Frames from one packet of comfort noise to the next, of a microphone that sends nothing else in silence (RFC 7587
/// section 3.1.3).
const COMFORT_NOISE_EVERY: u32 = 20;
/// Levels of speech and of a quiet room, in -dBov.
const LOUD: u8 = 25;
const QUIET: u8 = 127;
/// Bytes of the smallest frame: the mark by which receivers know it.
const SMALLEST: f64 = 24.0;
const LARGEST: f64 = 1_000.0;

/// The speaker who has the floor in a room, or in one of several groups that speak at the same time. Every microphone of the
/// group computes the same one.
#[derive(Debug)]
pub(crate) struct Floor {
    speakers: u64,
    random: ChaCha8Rng,
    speaker: u64,
    /// When the speaker loses the floor, in seconds from the origin.
    until_s: f64,
}

impl Floor {
    /// The floor of a group of `speakers` microphones.
    pub(crate) fn new(speakers: usize, seed: u64, [room, group]: [u64; 2]) -> Self {
        Self { speakers: speakers.max(1) as u64, random: seed_of(seed, [2, room, group]), speaker: 0, until_s: 0.0 }
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
    /// Number of this microphone in its group.
    own: u64,
    /// Whether it sends comfort noise in silence, at a low rate.
    dtx: bool,
    /// Frames since the last packet.
    unsent: u32,
    random: ChaCha8Rng,
    /// Whether it is in a spurt, and until when.
    spurt: (bool, f64),
    origin: Time,
    pub(super) schedule: Option<Schedule>,
}

impl AudioPattern {
    /// The pattern of the microphone with this number among the `microphones` of a room, whose floors are counted from
    /// `origin`.
    pub(crate) fn new(audio: &Audio, microphones: usize, own: usize, origin: Time, seed: u64, room: u64) -> Self {
        let groups = audio.talkers.max(1);
        let group = own % groups;
        let of_group = microphones.saturating_sub(group).div_ceil(groups);
        Self {
            speaking: audio.bytes as f64,
            silent: audio.silent_bytes as f64,
            around: Around::new(audio.size_spread),
            floor: Floor::new(of_group, seed, [room, group as u64]),
            own: (own / groups) as u64,
            dtx: audio.dtx,
            unsent: COMFORT_NOISE_EVERY,
            random: seed_of(seed, [4, room, own as u64]),
            spurt: (false, 0.0),
            origin,
            schedule: None,
        }
    }

    pub(super) fn start(&mut self, now: Time) {
        self.schedule = Some(Schedule::new(now, PACKETS_PER_SECOND, 1));
    }

    /// The frame of a time, unless the microphone is silent and sends none.
    pub(super) fn frames(&mut self, at: Time) -> Frames {
        let time_s = at.since(self.origin).as_secs_f64();
        let has_floor = self.floor.at(time_s) == self.own;
        if time_s >= self.spurt.1 {
            let talks = !self.spurt.0;
            let mean = if talks { SPURT_S } else { PAUSE_S };
            self.spurt = (talks, time_s + exponential(mean, &mut self.random));
        }
        let talks = has_floor && self.spurt.0;
        let (mean, level) = if talks { (self.speaking, LOUD) } else { (self.silent, QUIET) };
        self.unsent += 1;
        if self.dtx && !talks && self.unsent < COMFORT_NOISE_EVERY {
            return Frames::default();
        }
        self.unsent = 0;
        let bytes = (mean * self.around.draw(&mut self.random)).clamp(SMALLEST, LARGEST);
        [Frame { bytes: bytes as usize, level: Some(level), ..Frame::default() }]
            .as_slice()
            .try_into()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn microphones(count: usize, talkers: usize) -> Vec<AudioPattern> {
        let audio = Audio { bytes: 80, silent_bytes: 30, talkers, ..Audio::default() };
        (0..count).map(|own| AudioPattern::new(&audio, count, own, Time::default(), 5, 0)).collect()
    }

    fn frame(microphone: &mut AudioPattern, n: u64) -> Option<Frame> {
        microphone.frames(Time::from_nanos(n * 20_000_000)).first().copied()
    }

    /// Who talks, every 20 ms for some minutes.
    fn talk(count: usize, talkers: usize) -> Vec<Vec<usize>> {
        let mut microphones = microphones(count, talkers);
        (0..30_000u64)
            .map(|n| {
                let talks = |(who, microphone): (usize, &mut AudioPattern)| {
                    frame(microphone, n).is_some_and(|frame| frame.level == Some(LOUD)).then_some(who)
                };
                microphones.iter_mut().enumerate().filter_map(talks).collect()
            })
            .collect()
    }

    #[test]
    fn floor_has_one_speaker_at_a_time() {
        let talk = talk(4, 1);
        assert!(talk.iter().all(|talking| talking.len() <= 1));
        for who in 0..4 {
            let share = talk.iter().filter(|talking| talking.contains(&who)).count() as f64 / talk.len() as f64;
            assert!((0.08..0.25).contains(&share), "{who}: {share}");
        }
        let silence = talk.iter().filter(|talking| talking.is_empty()).count() as f64 / talk.len() as f64;
        assert!((0.25..0.5).contains(&silence), "{silence}");
    }

    #[test]
    fn groups_speak_at_the_same_time() {
        let talk = talk(7, 3);
        let most = talk.iter().map(Vec::len).max();
        assert_eq!(most, Some(3));
        assert!((0..7).all(|who| talk.iter().any(|talking| talking.contains(&who))));
        assert!(talk.iter().all(|talking| talking.windows(2).all(|pair| pair[0] % 3 != pair[1] % 3)));
    }

    #[test]
    fn silent_microphone_with_dtx_sends_little() {
        let audio = Audio { dtx: true, ..Audio::default() };
        let mut microphone = AudioPattern::new(&audio, 10, 9, Time::default(), 5, 0);
        let sent: Vec<Option<Frame>> = (0..30_000).map(|n| frame(&mut microphone, n)).collect();
        let of = |level: u8| sent.iter().flatten().filter(|frame| frame.level == Some(level)).count();
        assert!((1_200..1_500).contains(&of(QUIET)), "2.5 a second: {}", of(QUIET));
        assert!((1_000..4_000).contains(&of(LOUD)), "speech is sent whole: {}", of(LOUD));
        assert!(sent[0].is_some(), "so that it is heard of");
    }

    #[test]
    fn speech_packets_are_larger() {
        let mut microphone = microphones(1, 1).remove(0);
        let frames: Vec<Frame> = (0..5_000u64).filter_map(|n| frame(&mut microphone, n)).collect();
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
