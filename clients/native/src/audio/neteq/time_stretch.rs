//! Time stretching: makes audio a little shorter or longer without changing its pitch.
//!
//! Voiced speech repeats itself every few milliseconds. Where a segment resembles the segment after it, one of the two
//! can be removed or repeated, with a cross-fade between them (WSOLA: Verhelst and Roelands, "An overlap-add technique
//! based on waveform similarity for high quality time-scale modification of speech", ICASSP 1993).
//!
//! ```text
//!   a ─ b ─ rest            accelerate: (a fading into b) ─ rest
//!                           decelerate: a ─ (b fading into a) ─ b ─ rest
//! ```

/// Shortest and longest segment, in samples: 2.5 ms and 10 ms.
const SHORTEST: usize = 120;
const LONGEST: usize = 480;
/// Segment lengths are tried, and samples compared, in steps of this many samples.
const STEP: usize = 4;
/// Minimum correlation of two segments that count as a repetition.
const ALIKE: f32 = 0.75;
/// Mean square below which any change is inaudible: −50 dBov.
const QUIET: f32 = 1e-5;

/// Removes a segment of interleaved samples. Returns the number of samples per channel that were removed; zero if it
/// would be audible.
pub(super) fn accelerate(samples: &mut Vec<f32>, channels: usize) -> usize {
    let Some(piece) = repetition(samples, channels) else { return 0 };
    let length = piece * channels;
    let Some((a, rest)) = samples.split_at_mut_checked(length) else { return 0 };
    cross_fade(a, rest, channels);
    samples.drain(length..2 * length);
    piece
}

/// Repeats a segment of interleaved samples. Returns the number of samples per channel that were added; zero if it
/// would be audible.
pub(super) fn decelerate(samples: &mut Vec<f32>, channels: usize) -> usize {
    let Some(piece) = repetition(samples, channels) else { return 0 };
    let length = piece * channels;
    let (Some(a), Some(b)) = (samples.get(..length), samples.get(length..2 * length)) else { return 0 };
    let mut between = b.to_vec();
    cross_fade(&mut between, a, channels);
    samples.splice(length..length, between);
    piece
}

/// Cross-fades `from` into `to`, in place.
fn cross_fade(from: &mut [f32], to: &[f32], channels: usize) {
    let frames = (from.len() / channels) as f32;
    for (n, (from, to)) in from.chunks_mut(channels).zip(to.chunks(channels)).enumerate() {
        let share = (n as f32 + 0.5) / frames;
        from.iter_mut().zip(to).for_each(|(from, to)| *from += (to - *from) * share);
    }
}

/// Length, in samples per channel, of the segment at the front that is most similar to the segment after it.
fn repetition(samples: &[f32], channels: usize) -> Option<usize> {
    let longest = LONGEST.min(samples.len() / channels / 2);
    if longest < SHORTEST {
        return None;
    }
    let energy: f32 = samples.iter().map(|sample| sample * sample).sum();
    if energy < QUIET * samples.len() as f32 {
        return Some(longest);
    }
    let alike =
        |&piece: &usize| correlation(samples, samples.get(piece * channels..).unwrap_or_default(), piece, channels);
    (SHORTEST..=longest)
        .step_by(STEP)
        .map(|piece| (piece, alike(&piece)))
        .filter(|(_, alike)| *alike >= ALIKE)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(piece, _)| piece)
}

/// Correlation, from −1 to 1, of the first `frames` samples of the first channel of each.
fn correlation(a: &[f32], b: &[f32], frames: usize, channels: usize) -> f32 {
    let pairs = a.iter().step_by(channels * STEP).zip(b.iter().step_by(channels * STEP)).take(frames / STEP);
    let (mut ab, mut aa, mut bb) = (0.0f32, 0.0f32, 0.0f32);
    for (a, b) in pairs {
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    let scale = (aa * bb).sqrt();
    if scale > 0.0 { ab / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f32::consts::TAU;

    fn tone(period: f32, frames: usize, channels: usize) -> Vec<f32> {
        (0..frames * channels).map(|n| ((n / channels) as f32 * TAU / period).sin() * 0.5).collect()
    }

    /// The largest difference of adjacent samples, which a click raises.
    fn steepest(samples: &[f32], channels: usize) -> f32 {
        samples.iter().zip(samples.iter().skip(channels)).fold(0.0, |most, (a, b)| (b - a).abs().max(most))
    }

    #[test]
    fn tone_is_stretched_by_whole_periods() {
        for channels in [1, 2] {
            let original = tone(200.0, 960, channels);
            let mut shorter = original.clone();
            let gone = accelerate(&mut shorter, channels);
            assert!(gone % 200 < 5 || gone % 200 > 195, "whole periods: {gone}");
            assert_eq!(shorter.len(), original.len() - gone * channels);
            let mut longer = original.clone();
            let added = decelerate(&mut longer, channels);
            assert_eq!(longer.len(), original.len() + added * channels);
            for changed in [shorter, longer] {
                assert!(steepest(&changed, channels) < steepest(&original, channels) * 1.1, "no click");
            }
        }
    }

    #[test]
    fn noise_is_unchanged_and_silence_is_shortened() {
        let mut noise = 1u32;
        let mut samples: Vec<f32> = (0..960)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        assert_eq!((accelerate(&mut samples, 1), samples.len()), (0, 960));
        let mut silence = vec![0.0; 960];
        assert_eq!((accelerate(&mut silence, 1), silence.len()), (480, 480));
    }

    proptest! {
        #[test]
        fn any_samples_are_stretched_or_unchanged(samples in prop::collection::vec(-1.0f32..1.0, 0..3_000), stereo: bool) {
            let channels = if stereo { 2 } else { 1 };
            let (mut shorter, mut longer) = (samples.clone(), samples.clone());
            let gone = accelerate(&mut shorter, channels);
            let added = decelerate(&mut longer, channels);
            prop_assert_eq!(shorter.len() + gone * channels, samples.len());
            prop_assert_eq!(longer.len(), samples.len() + added * channels);
            prop_assert!(shorter.iter().chain(&longer).all(|sample| sample.abs() <= 1.0));
        }
    }
}
