//! Speech over a lossy path, in virtual time: encoder, seeded path, jitter buffer, decoder. The output is compared
//! with the decoded frames without any loss.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod measure;
mod speech;

use measure::{longest_run, segmental_snr};
use std::time::{Duration, Instant};
use tacet_impair::{Impairment, Link, Loss, Share};
use tacet_native::audio::{
    BlockKind, Channels, DelayBounds, Encoder, EncoderOptions, FRAME_SAMPLES, JitterStats, Playout, PlayoutStats,
};

const BLOCK: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(1);
/// Sixteen seconds of speech.
const BLOCKS: usize = 800;
/// Bytes of a packet in addition to an Opus frame: IP, UDP, RTP with extensions, SFrame, tags.
const OVERHEAD: usize = 28 + 28 + 21 + 16;

/// The receiver of a call with one speaker.
struct Listener {
    /// Which frames arrived.
    arrived: Vec<bool>,
    audio: Vec<f32>,
    heard: Vec<BlockKind>,
    stats: PlayoutStats,
}

impl Listener {
    /// Receives frames sent over a path. `pull_every` is 20 ms of the listener's clock.
    fn of(frames: &[Vec<u8>], path: Impairment, pull_every: Duration) -> Self {
        let start = Instant::now();
        let mut link = Link::new(path, 7, start);
        let mut playout = Playout::new(Channels::Mono, DelayBounds::default()).unwrap();
        let (mut arrived, mut audio, mut heard) = (vec![false; frames.len()], Vec::new(), Vec::new());
        // Sequence numbers and timestamps that wrap soon.
        let (first_sequence, first_timestamp) = (65_500u16, u32::MAX - 100_000);
        let mut next_pull = start + Duration::from_millis(3);
        for tick in 0..frames.len() as u32 * 20 + 400 {
            let now = start + TICK * tick;
            let block = (tick / 20) as usize;
            if tick.is_multiple_of(20)
                && let Some(frame) = frames.get(block)
            {
                let sequence = first_sequence.wrapping_add(block as u16);
                let timestamp = first_timestamp.wrapping_add((block * FRAME_SAMPLES) as u32);
                link.send(now, frame.len() + OVERHEAD, (sequence, timestamp, frame));
            }
            for (sequence, timestamp, frame) in link.arrived(now) {
                arrived[usize::from(sequence.wrapping_sub(first_sequence))] = true;
                playout.push(now, sequence, timestamp, frame);
            }
            if next_pull <= now {
                next_pull += pull_every;
                let block = playout.pull(now);
                assert_eq!(block.samples.len(), FRAME_SAMPLES);
                assert!(block.samples.iter().all(|sample| sample.abs() <= 1.0));
                audio.extend_from_slice(block.samples);
                heard.push(block.kind);
            }
        }
        Self { arrived, audio, heard, stats: playout.stats() }
    }

    /// Blocks from the first audio to the end of the call.
    fn during(&self) -> &[BlockKind] {
        let begin = self.heard.iter().position(|heard| *heard == BlockKind::Decoded).unwrap();
        &self.heard[begin..self.heard.len().min(BLOCKS) - 10]
    }

    /// The longest run of lost frames.
    fn longest_loss(&self) -> usize {
        longest_run(&self.arrived, |arrived| !arrived)
    }

    /// The longest run of blocks that were concealed or silent.
    fn gap(&self) -> usize {
        longest_run(self.during(), |heard| matches!(heard, BlockKind::Concealed | BlockKind::Silence))
    }
}

fn encode(talk: &[f32], expected_loss_percent: u8) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(&EncoderOptions { expected_loss_percent, ..EncoderOptions::strict() }).unwrap();
    talk.chunks(FRAME_SAMPLES).map(|block| encoder.encode(block).unwrap().unwrap()).collect()
}

/// The decoded frames without loss.
fn undisturbed(frames: &[Vec<u8>]) -> Vec<f32> {
    let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
    let mut block = vec![0.0; FRAME_SAMPLES];
    let decoded = frames.iter().flat_map(|frame| {
        decoder.decode_float(frame, &mut block, false).unwrap();
        block.clone()
    });
    decoded.collect()
}

fn report(name: &str, listener: &Listener, snr: f32) {
    let PlayoutStats { jitter, accelerated, decelerated, .. } = listener.stats;
    let JitterStats { received, lost, recovered, late, target, delay, concealed, .. } = jitter;
    let gap = listener.gap();
    println!(
        "{name}: SNR {snr:.1} dB, {received} frames, {lost} lost, {} in a row, {recovered} recovered, {late} late, longest gap \
         {gap} blocks, {concealed:?} concealed, delay {delay:?} for {target:?}, {accelerated:?} removed, {decelerated:?} added",
        listener.longest_loss(),
    );
}

fn hear(name: &str, frames: &[Vec<u8>], path: Impairment, pull_every: Duration) -> (Listener, f32) {
    let listener = Listener::of(frames, path, pull_every);
    let snr = segmental_snr(&undisturbed(frames), &listener.audio);
    report(name, &listener, snr);
    (listener, snr)
}

fn talk() -> Vec<f32> {
    speech::speech(1, BLOCKS * FRAME_SAMPLES)
}

/// 20 ms of delay and up to 10 ms of jitter.
fn usual_path() -> Impairment {
    Impairment::PERFECT.delay(BLOCK).jitter(Duration::from_millis(10))
}

#[test]
fn audio_without_loss_is_unchanged() {
    let frames = encode(&talk(), 10);
    let (listener, snr) = hear("no loss", &frames, usual_path(), BLOCK);
    assert_eq!((listener.stats.jitter.lost, listener.gap()), (0, 0));
    // 35 dB is the maximum of a segment. In the first second the delay falls from its initial target, and the segments
    // from which audio is removed score less.
    assert!(snr > 33.0, "{snr}");
}

#[test]
fn random_losses_are_recovered_by_fec() {
    let talk = talk();
    let path = usual_path().loss(Loss::independent(Share::percent(5)));
    let (repaired, snr) = hear("5 % lost, FEC", &encode(&talk, 10), path.clone(), BLOCK);
    let (guessed, snr_guessed) = hear("5 % lost, no FEC", &encode(&talk, 0), path, BLOCK);
    // Unvoiced frames carry no FEC, and of several lost frames only the last has FEC in its successor.
    let JitterStats { lost, recovered, .. } = repaired.stats.jitter;
    assert!(lost > 25 && recovered * 2 > lost, "{recovered} of {lost}");
    // If each loss cost all of its segment and of the next, 10 % of the segments would score 0 and the others 34:
    // 30.6.
    assert!(snr > 30.0, "{snr}");
    assert!(snr > snr_guessed + 1.0, "{snr} and {snr_guessed}");
    // Concealment starts and ends inside blocks, so that two losses with one frame in between may touch.
    assert!(repaired.gap() <= 2 * repaired.longest_loss() && repaired.gap() < guessed.gap());
}

#[test]
fn burst_losses_are_recovered_or_concealed() {
    let talk = talk();
    let path = usual_path().loss(Loss::bursts(Share::percent(5), 2.0).unwrap());
    let (repaired, snr) = hear("5 % lost in bursts, FEC", &encode(&talk, 10), path.clone(), BLOCK);
    let (_, snr_guessed) = hear("5 % lost in bursts, no FEC", &encode(&talk, 0), path, BLOCK);
    assert!(repaired.stats.jitter.recovered > 10);
    assert!(snr > 29.0 && snr > snr_guessed + 1.0, "{snr} and {snr_guessed}");
    // Concealment may start and end inside a block. After a burst that restarts playout, a frame must be buffered for
    // the target delay before it is played.
    assert!(repaired.longest_loss() > 4 && repaired.gap() <= repaired.longest_loss() + 3);
}

#[test]
fn jitter_is_absorbed() {
    let frames = encode(&talk(), 10);
    let most = Duration::from_millis(40);
    for (name, path) in [
        ("40 ms jitter", usual_path().jitter(most)),
        ("40 ms jitter, reordering", usual_path().reordering_jitter(most)),
    ] {
        let (listener, snr) = hear(name, &frames, path, BLOCK);
        assert_eq!((listener.stats.jitter.lost, listener.gap()), (0, 0));
        assert!(snr > 33.0, "{snr}");
        assert!(listener.stats.jitter.target <= most + BLOCK, "no more delay than it takes");
    }
}

#[test]
fn duplicates_and_reordering_are_harmless() {
    let frames = encode(&talk(), 10);
    let path = usual_path().duplicate(Share::percent(10)).reorder(Share::percent(5), Duration::from_millis(15));
    let (listener, snr) = hear("duplicates, reordering", &frames, path, BLOCK);
    let JitterStats { played, lost, duplicate, .. } = listener.stats.jitter;
    assert_eq!((played, lost, listener.gap()), (BLOCKS as u64, 0, 0));
    assert!(duplicate > 50 && snr > 32.0, "{duplicate}, {snr}");
}

#[test]
fn clock_drift_is_followed() {
    // Half a percent, far more than real clocks differ: 80 ms in this call.
    let frames = encode(&talk(), 10);
    for (name, pull_every) in [("slow listener", 20_100_000), ("fast listener", 19_900_000)] {
        let (listener, snr) = hear(name, &frames, usual_path(), Duration::from_nanos(pull_every));
        let PlayoutStats { accelerated, decelerated, .. } = listener.stats;
        assert!(listener.gap() == 0 && snr > 31.0, "{name}: {snr}");
        match name {
            "slow listener" => assert!(accelerated > Duration::from_millis(80)),
            _ => assert!(decelerated > Duration::from_millis(10)),
        }
    }
}
