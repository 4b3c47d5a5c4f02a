//! How much one sound is another: segmental signal-to-noise ratio, each stretch of sound laid where it fits best, since a
//! playout may move sound in time and nobody hears that.

/// Samples of a segment: 20 ms.
const SEGMENT: usize = 960;
/// Segments that are laid together: 100 ms.
const TOGETHER: usize = 5;
/// How far a place may lie from the one before, samples.
const REACH: isize = 720;
/// Segments with less energy than this say nothing: −45 dB of full scale.
const QUIET: f32 = 3e-5;
/// A segment counts with this many decibels at least and at most (Hansen and Pellom, "An effective quality evaluation
/// protocol for speech enhancement algorithms", ICSLP 1998).
const BOUNDS: (f32, f32) = (-10.0, 35.0);

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum()
}

/// Energy of the difference between `wanted` and what lies `shift` samples behind `at` in `got`, every `step`-th sample.
fn difference(wanted: &[f32], got: &[f32], at: usize, shift: isize, step: usize) -> f32 {
    let Some(from) = at.checked_add_signed(shift) else { return f32::INFINITY };
    let Some(got) = got.get(from..from + wanted.len()) else { return f32::INFINITY };
    let pairs = wanted.chunks(step).zip(got.chunks(step));
    pairs.map(|(wanted, got)| wanted[0] - got[0]).map(|difference| difference * difference).sum()
}

/// How far behind `at`, where `wanted` stands, it lies in `got`: near `shift`.
fn place(wanted: &[f32], got: &[f32], at: usize, shift: isize, reach: isize) -> isize {
    let best = |shifts: &mut dyn Iterator<Item = isize>, step| {
        shifts.min_by(|a, b| difference(wanted, got, at, *a, step).total_cmp(&difference(wanted, got, at, *b, step)))
    };
    let coarse = best(&mut (shift - reach..=shift + reach).step_by(8), 8).unwrap_or(shift);
    best(&mut (coarse - 8..=coarse + 8), 2).unwrap_or(coarse)
}

/// Mean signal-to-noise ratio, in decibels, of the segments of `wanted` that hold sound.
pub(super) fn segmental_snr(wanted: &[f32], got: &[f32]) -> f32 {
    let mut shift = None;
    let mut ratios = Vec::new();
    for (n, stretch) in wanted.chunks_exact(SEGMENT * TOGETHER).enumerate() {
        if energy(stretch) < QUIET * stretch.len() as f32 {
            continue;
        }
        let at = n * SEGMENT * TOGETHER;
        let found = match shift {
            None => place(stretch, got, at, 0, 9_600),
            // It has not moved.
            Some(shift) if difference(stretch, got, at, shift, 8) * 8.0 < energy(stretch) / 30.0 => shift,
            Some(shift) => place(stretch, got, at, shift, REACH),
        };
        shift = Some(found);
        for (m, segment) in stretch.chunks_exact(SEGMENT).enumerate() {
            let signal = energy(segment);
            if signal >= QUIET * SEGMENT as f32 {
                let noise = difference(segment, got, at + m * SEGMENT, found, 1);
                ratios.push((10.0 * (signal / noise.max(1e-9)).log10()).clamp(BOUNDS.0, BOUNDS.1));
            }
        }
    }
    ratios.iter().sum::<f32>() / ratios.len().max(1) as f32
}

/// The longest row of items that are so.
pub(super) fn longest_run<T>(items: &[T], is: impl Fn(&T) -> bool) -> usize {
    items.split(|item| !is(item)).map(<[T]>::len).max().unwrap_or(0)
}

#[test]
fn a_sound_moved_in_time_is_itself_and_noise_is_not() {
    let talk = super::speech::speech(3, 96_000);
    let moved = [vec![0.0; 3_000], talk.clone(), vec![0.0; 9_600]].concat();
    assert!(segmental_snr(&talk, &moved) > 34.9);
    let half: Vec<f32> = moved.iter().map(|sample| sample / 2.0).collect();
    let snr = segmental_snr(&talk, &half);
    assert!((snr - 6.02).abs() < 0.1, "{snr}");
    assert!(segmental_snr(&talk, &vec![0.0; 120_000]) < 0.1);
}
