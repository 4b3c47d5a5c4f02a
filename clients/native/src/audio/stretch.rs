//! Sound made a little shorter or longer without another pitch.
//!
//! Voiced speech repeats itself every few milliseconds. Where a piece resembles the piece behind it, one of the two can
//! be left out, or said twice, with a cross-fade between them (WSOLA: Verhelst and Roelands, "An overlap-add technique
//! based on waveform similarity for high quality time-scale modification of speech", ICASSP 1993).
//!
//! ```text
//!   a ─ b ─ rest            shorter: (a fading into b) ─ rest
//!                           longer:  a ─ (b fading into a) ─ b ─ rest
//! ```

/// Shortest and longest piece, samples: 2.5 ms, 10 ms.
const SHORTEST: usize = 120;
const LONGEST: usize = 480;
/// Pieces are tried in steps of so many samples, and compared at every so many samples.
const STEP: usize = 4;
/// How alike two pieces must be, as a correlation, to pass for a repetition.
const ALIKE: f32 = 0.75;
/// Mean square below which nobody hears what is done: −50 dBov.
const QUIET: f32 = 1e-5;

/// Leaves a piece out of interleaved samples; gives how many samples of each channel are gone, none where it would be
/// heard.
pub(super) fn shorten(samples: &mut Vec<f32>, channels: usize) -> usize {
    let Some(piece) = repetition(samples, channels) else { return 0 };
    let length = piece * channels;
    let Some((a, rest)) = samples.split_at_mut_checked(length) else { return 0 };
    cross_fade(a, rest, channels);
    samples.drain(length..2 * length);
    piece
}

/// Repeats a piece of interleaved samples; gives how many samples of each channel were added, none where it would be
/// heard.
pub(super) fn lengthen(samples: &mut Vec<f32>, channels: usize) -> usize {
    let Some(piece) = repetition(samples, channels) else { return 0 };
    let length = piece * channels;
    let (Some(a), Some(b)) = (samples.get(..length), samples.get(length..2 * length)) else { return 0 };
    let mut between = b.to_vec();
    cross_fade(&mut between, a, channels);
    samples.splice(length..length, between);
    piece
}

/// Fades `from` into `to`, in place.
fn cross_fade(from: &mut [f32], to: &[f32], channels: usize) {
    let frames = (from.len() / channels) as f32;
    for (n, (from, to)) in from.chunks_mut(channels).zip(to.chunks(channels)).enumerate() {
        let share = (n as f32 + 0.5) / frames;
        from.iter_mut().zip(to).for_each(|(from, to)| *from += (to - *from) * share);
    }
}

/// Length of the piece at the front that the piece behind it resembles most, in samples of each channel.
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

/// How much the first `frames` of the first channels go together, −1 to 1.
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

    /// The largest step between neighbours, which a click raises.
    fn steepest(samples: &[f32], channels: usize) -> f32 {
        samples.iter().zip(samples.iter().skip(channels)).fold(0.0, |most, (a, b)| (b - a).abs().max(most))
    }

    #[test]
    fn a_tone_stays_itself_only_shorter_or_longer() {
        for channels in [1, 2] {
            let original = tone(200.0, 960, channels);
            let mut shorter = original.clone();
            let gone = shorten(&mut shorter, channels);
            assert!(gone % 200 < 5 || gone % 200 > 195, "whole periods: {gone}");
            assert_eq!(shorter.len(), original.len() - gone * channels);
            let mut longer = original.clone();
            let added = lengthen(&mut longer, channels);
            assert_eq!(longer.len(), original.len() + added * channels);
            for changed in [shorter, longer] {
                assert!(steepest(&changed, channels) < steepest(&original, channels) * 1.1, "no click");
            }
        }
    }

    #[test]
    fn noise_is_left_alone_and_silence_gives_way() {
        let mut noise = 1u32;
        let mut samples: Vec<f32> = (0..960)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        assert_eq!((shorten(&mut samples, 1), samples.len()), (0, 960));
        let mut silence = vec![0.0; 960];
        assert_eq!((shorten(&mut silence, 1), silence.len()), (480, 480));
    }

    proptest! {
        #[test]
        fn any_samples_have_an_answer(samples in prop::collection::vec(-1.0f32..1.0, 0..3_000), stereo: bool) {
            let channels = if stereo { 2 } else { 1 };
            let (mut shorter, mut longer) = (samples.clone(), samples.clone());
            let gone = shorten(&mut shorter, channels);
            let added = lengthen(&mut longer, channels);
            prop_assert_eq!(shorter.len() + gone * channels, samples.len());
            prop_assert_eq!(longer.len(), samples.len() + added * channels);
            prop_assert!(shorter.iter().chain(&longer).all(|sample| sample.abs() <= 1.0));
        }
    }
}
