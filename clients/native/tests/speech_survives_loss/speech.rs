//! Synthetic speech with the properties that matter to a codec and a jitter buffer: voiced segments with a moving
//! pitch and formants, fricatives, syllables, and pauses between phrases. Generated from a seed; no recording is used.

use std::f32::consts::TAU;
use tacet_impair::Random;
use tacet_native::audio::SAMPLE_RATE;

/// The first three formants of some vowels, in hertz: Peterson and Barney, "Control methods used in a study of the
/// vowels", JASA 24 (1952), averages for men.
const VOWELS: [[f32; 3]; 6] = [
    [270.0, 2_290.0, 3_010.0],
    [390.0, 1_990.0, 2_550.0],
    [530.0, 1_840.0, 2_480.0],
    [730.0, 1_090.0, 2_440.0],
    [570.0, 840.0, 2_410.0],
    [300.0, 870.0, 2_240.0],
];
const BANDWIDTHS: [f32; 3] = [60.0, 90.0, 120.0];
const RATE: f32 = SAMPLE_RATE as f32;

/// A filter that resonates at one frequency.
#[derive(Default)]
struct Resonator {
    before: [f32; 2],
}

impl Resonator {
    fn next(&mut self, input: f32, hertz: f32, bandwidth: f32) -> f32 {
        let radius = (-std::f32::consts::PI * bandwidth / RATE).exp();
        let back = [2.0 * radius * (TAU * hertz / RATE).cos(), -radius * radius];
        let output = input * (1.0 - back[0] - back[1]) + back[0] * self.before[0] + back[1] * self.before[1];
        self.before = [output, self.before[0]];
        output
    }
}

/// Mono samples of speech, at most half of full scale.
pub(super) fn speech(seed: u64, samples: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut talk = Vec::with_capacity(samples + SAMPLE_RATE as usize);
    while talk.len() < samples {
        for _ in 0..4 + random.below(6) {
            syllable(&mut random, &mut talk);
        }
        let pause = (0.2 + random.fraction() as f32 * 0.4) * RATE;
        talk.extend(std::iter::repeat_n(0.0, pause as usize));
    }
    talk.truncate(samples);
    let peak = talk.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    talk.iter_mut().for_each(|sample| *sample *= 0.5 / peak);
    talk
}

/// A fricative, then a vowel that glides to another.
fn syllable(random: &mut Random, talk: &mut Vec<f32>) {
    let mut between = |low: f32, high: f32| low + (high - low) * random.fraction() as f32;
    let (hiss, voice) = ((between(0.03, 0.09) * RATE) as usize, (between(0.09, 0.22) * RATE) as usize);
    let (hiss_at, loudness) = (between(3_000.0, 6_500.0), between(0.5, 1.0));
    let (pitch, end_of_pitch) = (between(95.0, 180.0), between(95.0, 180.0));
    let mut vowel = || VOWELS[random.below(VOWELS.len() as u64) as usize];
    let (from, to) = (vowel(), vowel());

    let mut filter = Resonator::default();
    for n in 0..hiss {
        let noise = random.fraction() as f32 - 0.5;
        talk.push(filter.next(noise, hiss_at, 1_500.0) * arch(n, hiss) * loudness * 0.4);
    }
    let mut filters: [Resonator; 3] = Default::default();
    let mut phase = 0.0f32;
    for n in 0..voice {
        let way = n as f32 / voice as f32;
        phase += (pitch + (end_of_pitch - pitch) * way) / RATE;
        let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
        phase = phase.fract();
        let breath = (random.fraction() as f32 - 0.5) * 0.01;
        let formants = filters.iter_mut().zip(from.iter().zip(to)).zip(BANDWIDTHS);
        let sample: f32 = formants
            .map(|((filter, (from, to)), width)| filter.next(pulse + breath, from + (to - from) * way, width))
            .sum();
        talk.push(sample * arch(n, voice) * loudness);
    }
}

/// Rises over the first fifth and falls over the last.
fn arch(n: usize, of: usize) -> f32 {
    let way = n as f32 / of as f32;
    (way * 5.0).min((1.0 - way) * 5.0).clamp(0.0, 1.0)
}
