//! One participant's sound: a jitter buffer, a decoder, and what makes the result unbroken.
//!
//! Whoever plays pulls a block every 20 ms, by whatever clock the loudspeaker has. Sender, network and loudspeaker may
//! disagree about what a second is: pieces of sound are left out or repeated until the delay is the target again.

use super::{
    AudioError, Channels, FRAME_SAMPLES, MAX_PACKET_SAMPLES, SAMPLE_RATE,
    delay::{DelayBounds, duration},
    jitter::{JitterBuffer, JitterStats, Lag, Step},
    stretch,
};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Samples over which a jump between two pieces of sound is evened out: 2.5 ms.
const SEAM: usize = 120;
/// So many blocks lie between two stretched ones, at least: more often would be heard.
const STRETCH_EVERY: u32 = 4;

/// What a block holds, the worst of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// Nothing: no sound was due.
    Silence,
    /// What was sent.
    Sound,
    /// Lost sound, rebuilt from the copy in the frame behind it.
    Recovered,
    /// Lost sound, guessed.
    Concealed,
}

/// 20 ms of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block<'a> {
    /// Interleaved samples: [`Channels::block_samples`] of them.
    pub samples: &'a [f32],
    /// What they are.
    pub heard: Heard,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutStats {
    /// On the way in.
    pub jitter: JitterStats,
    /// Frames that looked like Opus and were none.
    pub undecodable: u64,
    /// Sound left out to lower the delay.
    pub shortened: Duration,
    /// Sound repeated to raise it.
    pub lengthened: Duration,
}

/// Plays the frames of one stream.
pub struct Playout {
    channels: Channels,
    buffer: JitterBuffer,
    decoder: opus::Decoder,
    /// Decoded and not yet pulled.
    queue: Vec<f32>,
    /// What the queue holds.
    queued: Heard,
    /// One piece of sound, on its way into the queue.
    piece: Vec<f32>,
    /// The block that was pulled last.
    block: Vec<f32>,
    /// The last sample of each channel.
    last: [f32; 2],
    /// The next piece does not continue the one before it.
    seam: bool,
    since_stretch: u32,
    stats: PlayoutStats,
}

impl std::fmt::Debug for Playout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Playout").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Playout {
    /// Plays with these channels, whatever the sender has.
    ///
    /// # Errors
    /// [`AudioError::Codec`] if there is no memory for a decoder.
    pub fn new(channels: Channels, bounds: DelayBounds) -> Result<Self, AudioError> {
        Ok(Self {
            channels,
            buffer: JitterBuffer::new(bounds),
            decoder: opus::Decoder::new(SAMPLE_RATE, channels.into())?,
            queue: Vec::new(),
            queued: Heard::Silence,
            piece: Vec::new(),
            block: Vec::new(),
            last: [0.0; 2],
            seam: false,
            since_stretch: 0,
            stats: PlayoutStats::default(),
        })
    }

    /// Takes an opened frame that arrived at `now`, with its RTP sequence number and timestamp (48 kHz).
    pub fn push(&mut self, now: Instant, sequence: u16, timestamp: u32, frame: &[u8]) {
        self.buffer.insert(now, sequence, timestamp, Bytes::copy_from_slice(frame));
    }

    /// Forgets what was not played yet: another source follows, as when a slot shows another speaker.
    pub fn restart(&mut self) {
        self.buffer.restart();
        self.queue.clear();
        self.seam = true;
        // A decoder that cannot be reset still decodes; the first frame sounds of the old voice.
        let _ = self.decoder.reset_state();
    }

    /// The next 20 ms, in any case.
    pub fn pull(&mut self, now: Instant) -> Block<'_> {
        let wanted = self.channels.block_samples();
        let mut heard = if self.queue.is_empty() { Heard::Silence } else { self.queued };
        while self.queue.len() < wanted {
            let step = self.buffer.step(now, self.queue.len() / self.channels.count());
            self.queued = self.play(step);
            self.fit(now);
            self.join();
            self.queue.append(&mut self.piece);
            heard = heard.max(self.queued);
        }
        self.block.clear();
        self.block.extend(self.queue.drain(..wanted));
        Block { samples: &self.block, heard }
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> PlayoutStats {
        PlayoutStats { jitter: self.buffer.stats(), ..self.stats }
    }

    /// Makes a step's piece of sound.
    fn play(&mut self, step: Step) -> Heard {
        let decoded = match &step {
            Step::Silence => {
                self.piece.clear();
                self.piece.resize(self.channels.block_samples(), 0.0);
                self.seam |= self.queued != Heard::Silence;
                return Heard::Silence;
            }
            Step::Frame(frame) => self.decode(frame, MAX_PACKET_SAMPLES, false),
            Step::Recover { following, samples } => self.decode(following, *samples, true),
            Step::Conceal { samples } => self.decode(&[], *samples, false),
        };
        self.seam |= self.queued == Heard::Silence;
        match (decoded, step) {
            (Ok(()), Step::Frame(_)) => Heard::Sound,
            (Ok(()), Step::Recover { .. }) => Heard::Recovered,
            (Ok(()), _) => Heard::Concealed,
            (Err(_), step) => {
                self.stats.undecodable += 1;
                let samples = match step {
                    Step::Recover { samples, .. } => samples,
                    _ => FRAME_SAMPLES,
                };
                if self.decode(&[], samples, false).is_err() {
                    self.piece.clear();
                    self.piece.resize(self.channels.block_samples(), 0.0);
                    self.seam = true;
                }
                Heard::Concealed
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

    /// Stretches the piece if the delay asks for it.
    fn fit(&mut self, now: Instant) {
        self.since_stretch = self.since_stretch.saturating_add(1);
        if self.queued != Heard::Sound || self.since_stretch < STRETCH_EVERY {
            return;
        }
        let channels = self.channels.count();
        let changed = match self.buffer.lag(now, self.piece.len() / channels) {
            Lag::Fine => return,
            Lag::Late => {
                let gone = stretch::shorten(&mut self.piece, channels);
                self.stats.shortened += duration(gone as i64);
                gone
            }
            Lag::Early => {
                let added = stretch::lengthen(&mut self.piece, channels);
                self.stats.lengthened += duration(added as i64);
                added
            }
        };
        if changed > 0 {
            self.since_stretch = 0;
        }
    }

    /// Evens out the jump from the last sample to the piece where it begins anew, and remembers its end.
    fn join(&mut self) {
        let channels = self.channels.count();
        if std::mem::take(&mut self.seam) {
            let jump: Vec<f32> = self.last.iter().zip(&self.piece).map(|(last, first)| last - first).collect();
            for (n, frame) in self.piece.chunks_mut(channels).take(SEAM).enumerate() {
                let share = 1.0 - n as f32 / SEAM as f32;
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

    /// A tone as frames.
    fn tone(frames: usize) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        let samples: Vec<f32> = (0..frames * 960).map(|n| (n as f32 * TAU / 240.0).sin() * 0.5).collect();
        samples.chunks(960).map(|block| encoder.encode(block).unwrap()).collect()
    }

    fn playout(channels: Channels) -> Playout {
        Playout::new(channels, DelayBounds::default()).unwrap()
    }

    /// The largest step between neighbours: a tone of this pitch and level has 0.013.
    fn steepest(samples: &[f32]) -> f32 {
        samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_tone_begins_and_ends_without_a_click() {
        let (start, mut playout) = (Instant::now(), playout(Channels::Mono));
        let mut sound = Vec::new();
        let frames = tone(30);
        for n in 0..60u32 {
            let now = start + BLOCK * n;
            if let Some(frame) = frames.get(n as usize) {
                playout.push(now, n as u16, n * 960, frame);
            }
            let block = playout.pull(now);
            let silent = block.samples.iter().all(|sample| *sample == 0.0);
            assert!(block.heard != Heard::Silence || silent || n > 3, "{n}");
            sound.extend_from_slice(block.samples);
        }
        assert!(steepest(&sound) < 0.05, "{}", steepest(&sound));
        assert!(sound[58 * 960..].iter().all(|sample| *sample == 0.0), "silence at the end");
    }

    #[test]
    fn mono_is_played_on_both_sides() {
        let (now, mut playout) = (Instant::now(), playout(Channels::Stereo));
        tone(10).iter().zip(0u32..).for_each(|(frame, n)| playout.push(now, n as u16, n * 960, frame));
        let block = playout.pull(now + BLOCK * 5);
        assert_eq!((block.samples.len(), block.heard), (1_920, Heard::Sound));
        assert!(block.samples.chunks(2).all(|frame| (frame[0] - frame[1]).abs() < 1e-3));
    }

    #[test]
    fn frames_of_sixty_milliseconds_fill_three_blocks() {
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
        let (start, mut playout) = (Instant::now(), playout(Channels::Mono));
        let mut heard = Vec::new();
        for n in 0..60u32 {
            let now = start + BLOCK * n;
            if n.is_multiple_of(3) {
                let frame = encoder.encode_vec_float(&[0.1; 2_880], 1_000).unwrap();
                playout.push(now, (n / 3) as u16, n * 960, &frame);
            }
            heard.push(playout.pull(now).heard);
        }
        let begin = heard.iter().position(|heard| *heard == Heard::Sound).unwrap();
        assert!(begin <= 4 && heard[begin..].iter().all(|heard| *heard == Heard::Sound), "{heard:?}");
    }

    #[test]
    fn another_source_is_not_mixed_with_what_was_held() {
        let (now, mut playout) = (Instant::now(), playout(Channels::Mono));
        tone(6).iter().zip(0u32..).for_each(|(frame, n)| playout.push(now + BLOCK * n, n as u16, n * 960, frame));
        assert_eq!(playout.pull(now + BLOCK * 5).heard, Heard::Sound);
        playout.restart();
        assert_eq!(playout.pull(now + BLOCK * 6).heard, Heard::Silence);
        playout.push(now + BLOCK * 7, 9_000, 77, &tone(1)[0]);
        assert_eq!(playout.pull(now + BLOCK * 11).heard, Heard::Sound, "the delay it takes has passed");
    }

    #[test]
    fn what_looks_like_opus_and_is_none_is_concealed() {
        let (now, mut playout) = (Instant::now(), playout(Channels::Mono));
        // One frame of the speech layer, cut to nothing but a code for two frames that do not share it equally.
        (0..10).for_each(|n| playout.push(now, n, u32::from(n) * 960, &[0x49, 1, 2]));
        for n in 5..20 {
            assert_eq!(playout.pull(now + BLOCK * n).samples.len(), 960);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_arrivals_give_whole_blocks(
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
