//! Speech through a bad path, in virtual time: encoder, seeded path, jitter buffer, decoder. What is heard is compared
//! with what the same frames sound like when none is missing.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod measure;
mod speech;

use measure::{longest_run, segmental_snr};
use std::time::{Duration, Instant};
use tacet_impair::{Impairment, Link, Loss, Share};
use tacet_native::audio::{
    Channels, DelayBounds, Encoder, EncoderOptions, FRAME_SAMPLES, Heard, JitterStats, Playout, PlayoutStats,
};

const BLOCK: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(1);
/// Sixteen seconds of speech.
const BLOCKS: usize = 800;
/// Bytes of a packet around an Opus frame: IP, UDP, RTP with extensions, SFrame, tags.
const OVERHEAD: usize = 28 + 28 + 21 + 16;

/// A call of one speaker and one listener.
struct Listener {
    /// Which frames arrived.
    arrived: Vec<bool>,
    sound: Vec<f32>,
    heard: Vec<Heard>,
    stats: PlayoutStats,
}

impl Listener {
    /// What is heard of frames sent over a path. The listener's clock counts `pull_every` as 20 ms.
    fn of(frames: &[Vec<u8>], path: Impairment, pull_every: Duration) -> Self {
        let start = Instant::now();
        let mut link = Link::new(path, 7, start);
        let mut playout = Playout::new(Channels::Mono, DelayBounds::default()).unwrap();
        let (mut arrived, mut sound, mut heard) = (vec![false; frames.len()], Vec::new(), Vec::new());
        // Numbers and times that wrap soon.
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
                sound.extend_from_slice(block.samples);
                heard.push(block.heard);
            }
        }
        Self { arrived, sound, heard, stats: playout.stats() }
    }

    /// Blocks from the first sound to the end of the call.
    fn during(&self) -> &[Heard] {
        let begin = self.heard.iter().position(|heard| *heard == Heard::Sound).unwrap();
        &self.heard[begin..self.heard.len().min(BLOCKS) - 10]
    }

    /// The most frames in a row that were lost.
    fn longest_loss(&self) -> usize {
        longest_run(&self.arrived, |arrived| !arrived)
    }

    /// The most blocks in a row in which something was not heard as it was sent.
    fn gap(&self) -> usize {
        longest_run(self.during(), |heard| matches!(heard, Heard::Concealed | Heard::Silence))
    }
}

fn encode(talk: &[f32], expected_loss_percent: u8) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(&EncoderOptions { expected_loss_percent, ..Default::default() }).unwrap();
    talk.chunks(FRAME_SAMPLES).map(|block| encoder.encode(block).unwrap()).collect()
}

/// What the frames sound like when all of them are there.
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
    let PlayoutStats { jitter, shortened, lengthened, .. } = listener.stats;
    let JitterStats { received, lost, recovered, late, target, delay, concealed, .. } = jitter;
    let gap = listener.gap();
    println!(
        "{name}: SNR {snr:.1} dB, {received} frames, {lost} lost, {} in a row, {recovered} recovered, {late} late, longest gap \
         {gap} blocks, {concealed:?} concealed, delay {delay:?} for {target:?}, {shortened:?} left out, {lengthened:?} added",
        listener.longest_loss(),
    );
}

fn hear(name: &str, frames: &[Vec<u8>], path: Impairment, pull_every: Duration) -> (Listener, f32) {
    let listener = Listener::of(frames, path, pull_every);
    let snr = segmental_snr(&undisturbed(frames), &listener.sound);
    report(name, &listener, snr);
    (listener, snr)
}

fn talk() -> Vec<f32> {
    speech::speech(1, BLOCKS * FRAME_SAMPLES)
}

/// 20 ms and up to 10 ms more.
fn usual_path() -> Impairment {
    Impairment::PERFECT.delay(BLOCK).jitter(Duration::from_millis(10))
}

#[test]
fn without_loss_what_is_heard_is_what_was_sent() {
    let frames = encode(&talk(), 10);
    let (listener, snr) = hear("no loss", &frames, usual_path(), BLOCK);
    assert_eq!((listener.stats.jitter.lost, listener.gap()), (0, 0));
    // 35 is the most that a segment counts. The delay sinks in the first second from the first guess to what is needed,
    // and the segments in which a piece is left out count less.
    assert!(snr > 33.0, "{snr}");
}

#[test]
fn random_losses_are_repaired_by_copies() {
    let talk = talk();
    let path = usual_path().loss(Loss::independent(Share::percent(5)));
    let (repaired, snr) = hear("5 % lost, copies", &encode(&talk, 10), path, BLOCK);
    let (guessed, snr_guessed) = hear("5 % lost, no copies", &encode(&talk, 0), path, BLOCK);
    // Frames without voice carry no copy, and in a row of lost frames only the last has its copy behind it.
    let JitterStats { lost, recovered, .. } = repaired.stats.jitter;
    assert!(lost > 25 && recovered * 2 > lost, "{recovered} of {lost}");
    // If each loss cost the whole of its segment and of the next, 10 % of the segments would count 0 and the rest 34: 30.6.
    assert!(snr > 30.0, "{snr}");
    assert!(snr > snr_guessed + 1.0, "{snr} and {snr_guessed}");
    // What was concealed begins and ends inside blocks, so that two losses with a frame between them touch each other.
    assert!(repaired.gap() <= 2 * repaired.longest_loss() && repaired.gap() < guessed.gap());
}

#[test]
fn bursts_are_bridged() {
    let talk = talk();
    let path = usual_path().loss(Loss::bursts(Share::percent(5), 2.0).unwrap());
    let (repaired, snr) = hear("5 % lost in bursts, copies", &encode(&talk, 10), path, BLOCK);
    let (_, snr_guessed) = hear("5 % lost in bursts, no copies", &encode(&talk, 0), path, BLOCK);
    assert!(repaired.stats.jitter.recovered > 10);
    assert!(snr > 29.0 && snr > snr_guessed + 1.0, "{snr} and {snr_guessed}");
    // What was concealed may begin and end inside a block; and when a burst was so long that sound begins anew, a frame
    // must be here for as long as the delay before it is heard.
    assert!(repaired.longest_loss() > 4 && repaired.gap() <= repaired.longest_loss() + 3);
}

#[test]
fn jitter_is_absorbed() {
    let frames = encode(&talk(), 10);
    let most = Duration::from_millis(40);
    for (name, path) in [
        ("40 ms jitter", usual_path().jitter(most)),
        ("40 ms jitter, overtaking", usual_path().reordering_jitter(most)),
    ] {
        let (listener, snr) = hear(name, &frames, path, BLOCK);
        assert_eq!((listener.stats.jitter.lost, listener.gap()), (0, 0));
        assert!(snr > 33.0, "{snr}");
        assert!(listener.stats.jitter.target <= most + BLOCK, "no more delay than it takes");
    }
}

#[test]
fn repeated_and_overtaken_packets_do_no_harm() {
    let frames = encode(&talk(), 10);
    let path = usual_path().duplicate(Share::percent(10)).reorder(Share::percent(5), Duration::from_millis(15));
    let (listener, snr) = hear("duplicates, reordering", &frames, path, BLOCK);
    let JitterStats { played, lost, duplicate, .. } = listener.stats.jitter;
    assert_eq!((played, lost, listener.gap()), (BLOCKS as u64, 0, 0));
    assert!(duplicate > 50 && snr > 32.0, "{duplicate}, {snr}");
}

#[test]
fn clocks_that_disagree_are_followed() {
    // Half a percent, many times what real clocks are apart: 80 ms in this call.
    let frames = encode(&talk(), 10);
    for (name, pull_every) in [("slow listener", 20_100_000), ("fast listener", 19_900_000)] {
        let (listener, snr) = hear(name, &frames, usual_path(), Duration::from_nanos(pull_every));
        let PlayoutStats { shortened, lengthened, .. } = listener.stats;
        assert!(listener.gap() == 0 && snr > 31.0, "{name}: {snr}");
        match name {
            "slow listener" => assert!(shortened > Duration::from_millis(80)),
            _ => assert!(lengthened > Duration::from_millis(10)),
        }
    }
}
