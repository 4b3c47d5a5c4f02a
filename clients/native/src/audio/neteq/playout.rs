//! Plays one participant's audio: jitter buffer, decoder, and concealment of the seams.
//!
//! The player pulls a block every 20 ms by its own clock. The clocks of sender and loudspeaker differ: time stretching
//! shortens or lengthens the audio until the delay is back at its target.

use super::{
    delay_estimator::{DelayBounds, duration},
    jitter_buffer::{JitterBuffer, JitterStats, PlayoutStep, TimeScale},
    time_stretch,
};
use crate::audio::{AudioError, Channels, FRAME_SAMPLES, MAX_PACKET_SAMPLES, SAMPLE_RATE};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Samples over which a discontinuity is smoothed: 2.5 ms.
const CROSS_FADE: usize = 120;
/// Minimum number of pieces between two stretched ones: more frequent stretching is audible.
const STRETCH_EVERY: u32 = 4;

/// The least faithful content of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockKind {
    /// Silence: no audio was due.
    Silence,
    /// Comfort noise: the sender is silent, and sends little.
    Comfort,
    /// Audio as it was sent.
    Decoded,
    /// Lost audio, decoded from in-band FEC.
    Recovered,
    /// Lost audio, concealed.
    Concealed,
}

/// 20 ms of audio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block<'a> {
    /// Interleaved samples, [`Channels::block_samples`] of them.
    pub samples: &'a [f32],
    /// What the samples are.
    pub kind: BlockKind,
}

/// Counters of a playout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutStats {
    /// Counters of the jitter buffer.
    pub jitter: JitterStats,
    /// Frames that Opus could not decode.
    pub undecodable: u64,
    /// Audio removed to lower the delay.
    pub accelerated: Duration,
    /// Audio added to raise the delay.
    pub decelerated: Duration,
}

/// Plays the frames of one stream.
pub struct Playout {
    channels: Channels,
    buffer: JitterBuffer,
    decoder: opus::Decoder,
    /// Decoded samples that were not pulled yet.
    queue: Vec<f32>,
    /// What the queue holds.
    queued: BlockKind,
    /// The piece of audio of the current step, on its way into the queue.
    piece: Vec<f32>,
    /// The block that was pulled last.
    block: Vec<f32>,
    /// The last sample of each channel.
    last: [f32; 2],
    /// Whether the next piece does not continue the one before it.
    discontinuity: bool,
    since_stretch: u32,
    stats: PlayoutStats,
}

impl std::fmt::Debug for Playout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Playout").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Playout {
    /// A playout with these channels, whatever the sender's are.
    ///
    /// # Errors
    /// [`AudioError::Codec`] if a decoder cannot be allocated.
    pub fn new(channels: Channels, bounds: DelayBounds) -> Result<Self, AudioError> {
        Ok(Self {
            channels,
            buffer: JitterBuffer::new(bounds),
            decoder: opus::Decoder::new(SAMPLE_RATE, channels.into())?,
            queue: Vec::new(),
            queued: BlockKind::Silence,
            piece: Vec::new(),
            block: Vec::new(),
            last: [0.0; 2],
            discontinuity: false,
            since_stretch: 0,
            stats: PlayoutStats::default(),
        })
    }

    /// Takes an opened frame that arrived at `now`, with its RTP sequence number and timestamp (48 kHz).
    pub fn push(&mut self, now: Instant, sequence: u16, timestamp: u32, frame: &[u8]) {
        self.buffer.insert(now, sequence, timestamp, Bytes::copy_from_slice(frame));
    }

    /// Discards what was not played yet: another source follows, as when a slot shows another speaker.
    pub fn restart(&mut self) {
        self.buffer.restart();
        self.queue.clear();
        self.discontinuity = true;
        // A decoder that cannot be reset still decodes; the first frame is coloured by the previous source.
        let _ = self.decoder.reset_state();
    }

    /// The next 20 ms; always a whole block.
    pub fn pull(&mut self, now: Instant) -> Block<'_> {
        let wanted = self.channels.block_samples();
        let mut kind = if self.queue.is_empty() { BlockKind::Silence } else { self.queued };
        while self.queue.len() < wanted {
            let step = self.buffer.step(now, self.queue.len() / self.channels.count());
            self.queued = self.play(step);
            self.fit(now);
            self.join();
            self.queue.append(&mut self.piece);
            kind = kind.max(self.queued);
        }
        self.block.clear();
        self.block.extend(self.queue.drain(..wanted));
        Block { samples: &self.block, kind }
    }

    /// Current counters.
    #[must_use]
    pub fn stats(&self) -> PlayoutStats {
        PlayoutStats { jitter: self.buffer.stats(), ..self.stats }
    }

    /// Fills `piece` with the audio of a step.
    fn play(&mut self, step: PlayoutStep) -> BlockKind {
        let decoded = match &step {
            PlayoutStep::Silence => {
                self.piece.clear();
                self.piece.resize(self.channels.block_samples(), 0.0);
                self.discontinuity |= self.queued != BlockKind::Silence;
                return BlockKind::Silence;
            }
            PlayoutStep::Decode(frame) => self.decode(frame, MAX_PACKET_SAMPLES, false),
            PlayoutStep::DecodeFec { following, samples } => self.decode(following, *samples, true),
            // After a frame in which no one spoke, the decoder conceals by comfort noise.
            PlayoutStep::Conceal { samples } | PlayoutStep::Comfort { samples } => self.decode(&[], *samples, false),
        };
        self.discontinuity |= self.queued == BlockKind::Silence;
        match (decoded, step) {
            (Ok(()), PlayoutStep::Decode(_)) => BlockKind::Decoded,
            (Ok(()), PlayoutStep::DecodeFec { .. }) => BlockKind::Recovered,
            (Ok(()), PlayoutStep::Comfort { .. }) => BlockKind::Comfort,
            (Ok(()), _) => BlockKind::Concealed,
            (Err(_), step) => {
                self.stats.undecodable += 1;
                let samples = match step {
                    PlayoutStep::DecodeFec { samples, .. } => samples,
                    _ => FRAME_SAMPLES,
                };
                if self.decode(&[], samples, false).is_err() {
                    self.piece.clear();
                    self.piece.resize(self.channels.block_samples(), 0.0);
                    self.discontinuity = true;
                }
                BlockKind::Concealed
            }
        }
    }

    fn decode(&mut self, packet: &[u8], samples: usize, copy: bool) -> Result<(), opus::Error> {
        let channels = self.channels.count();
        self.piece.clear();
        self.piece.resize(samples * channels, 0.0);
        let decoded = self.decoder.decode_float(packet, &mut self.piece, copy)?;
        self.piece.truncate(decoded * channels);
        self.piece
            .iter_mut()
            .for_each(|sample| *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 });
        Ok(())
    }

    /// Stretches the piece if the delay requires it.
    fn fit(&mut self, now: Instant) {
        self.since_stretch = self.since_stretch.saturating_add(1);
        if self.queued != BlockKind::Decoded || self.since_stretch < STRETCH_EVERY {
            return;
        }
        let channels = self.channels.count();
        let changed = match self.buffer.time_scale(now, self.piece.len() / channels) {
            TimeScale::Keep => return,
            TimeScale::Accelerate => {
                let gone = time_stretch::accelerate(&mut self.piece, channels);
                self.stats.accelerated += duration(gone as i64);
                gone
            }
            TimeScale::Decelerate => {
                let added = time_stretch::decelerate(&mut self.piece, channels);
                self.stats.decelerated += duration(added as i64);
                added
            }
        };
        if changed > 0 {
            self.since_stretch = 0;
        }
    }

    /// Smooths a discontinuity at the start of the piece, and remembers its last samples.
    fn join(&mut self) {
        let channels = self.channels.count();
        if std::mem::take(&mut self.discontinuity) {
            let jump: Vec<f32> = self.last.iter().zip(&self.piece).map(|(last, first)| last - first).collect();
            for (n, frame) in self.piece.chunks_mut(channels).take(CROSS_FADE).enumerate() {
                let share = 1.0 - n as f32 / CROSS_FADE as f32;
                let moved = frame.iter_mut().zip(&jump);
                moved.for_each(|(sample, jump)| *sample = (*sample + jump * share).clamp(-1.0, 1.0));
            }
        }
        let end = self.piece.len().saturating_sub(channels);
        for (last, sample) in self.last.iter_mut().zip(self.piece.get(end..).unwrap_or_default()) {
            *last = *sample;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audio::{Encoder, EncoderOptions};
    use proptest::prelude::*;
    use std::f32::consts::TAU;

    const BLOCK: Duration = Duration::from_millis(20);

    /// A tone, as Opus frames.
    fn tone(frames: usize) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        let samples: Vec<f32> = (0..frames * 960).map(|n| (n as f32 * TAU / 240.0).sin() * 0.5).collect();
        samples.chunks(960).map(|block| encoder.encode(block).unwrap().unwrap()).collect()
    }

    fn playout(channels: Channels) -> Playout {
        Playout::new(channels, DelayBounds::default()).unwrap()
    }

    /// The largest difference of adjacent samples: a tone of this pitch and level has 0.013.
    fn steepest(samples: &[f32]) -> f32 {
        samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn start_and_end_do_not_click() {
        let (start, mut playout) = (Instant::now(), playout(Channels::Mono));
        let mut played = Vec::new();
        let frames = tone(30);
        for n in 0..60u32 {
            let now = start + BLOCK * n;
            if let Some(frame) = frames.get(n as usize) {
                playout.push(now, n as u16, n * 960, frame);
            }
            let block = playout.pull(now);
            let silent = block.samples.iter().all(|sample| *sample == 0.0);
            assert!(block.kind != BlockKind::Silence || silent || n > 3, "{n}");
            played.extend_from_slice(block.samples);
        }
        assert!(steepest(&played) < 0.05, "{}", steepest(&played));
        assert!(played[58 * 960..].iter().all(|sample| *sample == 0.0), "silence at the end");
    }

    #[test]
    fn mono_is_played_on_both_channels() {
        let (now, mut playout) = (Instant::now(), playout(Channels::Stereo));
        tone(10).iter().zip(0u32..).for_each(|(frame, n)| playout.push(now, n as u16, n * 960, frame));
        let block = playout.pull(now + BLOCK * 5);
        assert_eq!((block.samples.len(), block.kind), (1_920, BlockKind::Decoded));
        assert!(block.samples.chunks(2).all(|frame| (frame[0] - frame[1]).abs() < 1e-3));
    }

    #[test]
    fn sixty_ms_frame_fills_three_blocks() {
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
        let (start, mut playout) = (Instant::now(), playout(Channels::Mono));
        let mut heard = Vec::new();
        for n in 0..60u32 {
            let now = start + BLOCK * n;
            if n.is_multiple_of(3) {
                let frame = encoder.encode_vec_float(&[0.1; 2_880], 1_000).unwrap();
                playout.push(now, (n / 3) as u16, n * 960, &frame);
            }
            heard.push(playout.pull(now).kind);
        }
        let begin = heard.iter().position(|heard| *heard == BlockKind::Decoded).unwrap();
        assert!(begin <= 4 && heard[begin..].iter().all(|heard| *heard == BlockKind::Decoded), "{heard:?}");
    }

    #[test]
    fn restart_discards_the_previous_source() {
        let (now, mut playout) = (Instant::now(), playout(Channels::Mono));
        tone(6).iter().zip(0u32..).for_each(|(frame, n)| playout.push(now + BLOCK * n, n as u16, n * 960, frame));
        assert_eq!(playout.pull(now + BLOCK * 5).kind, BlockKind::Decoded);
        playout.restart();
        assert_eq!(playout.pull(now + BLOCK * 6).kind, BlockKind::Silence);
        playout.push(now + BLOCK * 7, 9_000, 77, &tone(1)[0]);
        assert_eq!(playout.pull(now + BLOCK * 11).kind, BlockKind::Decoded, "the target delay has passed");
    }

    #[test]
    fn undecodable_frame_is_concealed() {
        let (now, mut playout) = (Instant::now(), playout(Channels::Mono));
        // A SILK frame whose code announces two frames of equal size, with an odd number of bytes.
        (0..10).for_each(|n| playout.push(now, n, u32::from(n) * 960, &[0x49, 1, 2]));
        for n in 5..20 {
            assert_eq!(playout.pull(now + BLOCK * n).samples.len(), 960);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pull_returns_whole_blocks_for_any_arrivals(
            events in prop::collection::vec((0u32..12, 0u8..40, any::<bool>(), 0usize..4), 1..60),
        ) {
            let frames = tone(8);
            let (start, mut playout) = (Instant::now(), playout(Channels::Stereo));
            let mut now = start;
            for (n, (jump, wait, pull, kind)) in events.into_iter().enumerate() {
                now += Duration::from_millis(u64::from(wait));
                let number = (n as u32 + jump).saturating_sub(6);
                let frame: &[u8] = match kind {
                    0 => &[0xff, 0xff, 0xff],
                    1 => &[0x48],
                    _ => &frames[number as usize % 8],
                };
                playout.push(now, number as u16, number * 960, frame);
                if pull {
                    let block = playout.pull(now);
                    prop_assert_eq!(block.samples.len(), 1_920);
                    prop_assert!(block.samples.iter().all(|sample| sample.abs() <= 1.0));
                }
            }
        }
    }
}
