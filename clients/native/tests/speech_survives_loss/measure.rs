//! Segmental signal-to-noise ratio of two signals. Each segment is aligned where it fits best, since playout may shift
//! audio in time inaudibly.

/// Samples of a segment: 20 ms.
const SEGMENT: usize = 960;
/// Number of segments that are aligned together: 100 ms.
const TOGETHER: usize = 5;
/// Maximum shift from one alignment to the next, in samples.
const REACH: isize = 720;
/// Mean square below which a segment is ignored: −45 dB of full scale.
const QUIET: f32 = 3e-5;
/// Bounds of a segment's score in decibels (Hansen and Pellom, "An effective quality evaluation protocol for speech
/// enhancement algorithms", ICSLP 1998).
const BOUNDS: (f32, f32) = (-10.0, 35.0);

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum()
}

/// Energy of the difference between `wanted` and `got` at `at + shift`, of every `step`-th sample.
fn difference(wanted: &[f32], got: &[f32], at: usize, shift: isize, step: usize) -> f32 {
    let Some(from) = at.checked_add_signed(shift) else { return f32::INFINITY };
    let Some(got) = got.get(from..from + wanted.len()) else { return f32::INFINITY };
    let pairs = wanted.chunks(step).zip(got.chunks(step));
    pairs.map(|(wanted, got)| wanted[0] - got[0]).map(|difference| difference * difference).sum()
}

/// The shift near `shift` at which `got` matches `wanted`, which is at `at`.
fn place(wanted: &[f32], got: &[f32], at: usize, shift: isize, reach: isize) -> isize {
    let best = |shifts: &mut dyn Iterator<Item = isize>, step| {
        shifts.min_by(|a, b| difference(wanted, got, at, *a, step).total_cmp(&difference(wanted, got, at, *b, step)))
    };
    let coarse = best(&mut (shift - reach..=shift + reach).step_by(8), 8).unwrap_or(shift);
    best(&mut (coarse - 8..=coarse + 8), 2).unwrap_or(coarse)
}

/// Mean signal-to-noise ratio, in decibels, of the segments of `wanted` that are not silent.
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
            // The alignment has not changed.
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

/// The longest run of items for which `is` holds.
pub(super) fn longest_run<T>(items: &[T], is: impl Fn(&T) -> bool) -> usize {
    items.split(|item| !is(item)).map(<[T]>::len).max().unwrap_or(0)
}

#[test]
fn shifted_signal_matches_and_noise_does_not() {
    let talk = super::speech::speech(3, 96_000);
    let moved = [vec![0.0; 3_000], talk.clone(), vec![0.0; 9_600]].concat();
    assert!(segmental_snr(&talk, &moved) > 34.9);
    let half: Vec<f32> = moved.iter().map(|sample| sample / 2.0).collect();
    let snr = segmental_snr(&talk, &half);
    assert!((snr - 6.02).abs() < 0.1, "{snr}");
    assert!(segmental_snr(&talk, &vec![0.0; 120_000]) < 0.1);
}
