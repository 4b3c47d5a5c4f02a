//! Received audio of a client: one jitter buffer and decoder for each participant and source, the mixer, and sealed
//! frames that wait for their key.

use super::{
    event::{ClientEvent, MixedAudio, ParticipantAudio},
    options::AudioOutput,
    video_receiver::{KEY_TIMEOUT, MAX_HELD_FRAMES},
};
use crate::audio::{AudioError, BlockKind, Channels, DelayBounds, Level, Mixer, Playout};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};
use tacet_proto::{ParticipantId, media::Source};

/// Maximum number of streams that are decoded at once: each costs a decoder. A server sends fewer.
const MAX_STREAMS: usize = 256;

/// Sender and source of a stream, both authenticated.
type StreamKey = (ParticipantId, Source);

#[derive(Debug)]
pub(super) struct AudioReceiver {
    output: AudioOutput,
    channels: Channels,
    streams: BTreeMap<StreamKey, Stream>,
    mixer: Mixer,
    held: VecDeque<HeldAudioFrame>,
}

#[derive(Debug)]
struct Stream {
    playout: Playout,
    /// SSRC of the slot that carries it: RTP sequence numbers and timestamps belong to the slot.
    slot: u32,
    level: Level,
}

/// A sealed frame and its RTP header.
#[derive(Debug)]
pub(super) struct HeldAudioFrame {
    pub(super) slot: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) arrived: Instant,
    pub(super) sealed: Vec<u8>,
}

impl AudioReceiver {
    pub(super) fn new(output: AudioOutput, channels: Channels) -> Self {
        Self { output, channels, streams: BTreeMap::new(), mixer: Mixer::new(channels), held: VecDeque::new() }
    }

    /// Takes an opened frame; `sealed` says where it came from. Returns whether it is the first of its stream.
    pub(super) fn on_frame(
        &mut self,
        key: StreamKey,
        sealed: &HeldAudioFrame,
        frame: &[u8],
    ) -> Result<bool, AudioError> {
        if self.output == AudioOutput::Disabled {
            return Ok(false);
        }
        let new = !self.streams.contains_key(&key);
        if new {
            if self.streams.len() >= MAX_STREAMS {
                return Ok(false);
            }
            let playout = Playout::new(self.channels, DelayBounds::default())?;
            self.streams.insert(key, Stream { playout, slot: sealed.slot, level: Level::SILENCE });
        }
        if let Some(stream) = self.streams.get_mut(&key) {
            if stream.slot != sealed.slot {
                stream.slot = sealed.slot;
                stream.playout.restart();
            }
            stream.playout.push(sealed.arrived, sealed.sequence, sealed.timestamp, frame);
        }
        Ok(new)
    }

    /// Holds a frame whose key is missing; drops the oldest if too many are held.
    pub(super) fn hold(&mut self, frame: HeldAudioFrame) {
        if self.held.len() >= MAX_HELD_FRAMES {
            self.held.pop_front();
        }
        self.held.push_back(frame);
    }

    /// Takes the held frames, without those that are too old, to be tried again.
    pub(super) fn take_held(&mut self, now: Instant) -> Vec<HeldAudioFrame> {
        let fresh = |frame: &HeldAudioFrame| now.saturating_duration_since(frame.arrived) < KEY_TIMEOUT;
        std::mem::take(&mut self.held).into_iter().filter(fresh).collect()
    }

    /// Removes a participant's stream of this source, or all of its streams.
    pub(super) fn remove(&mut self, participant: ParticipantId, source: Option<Source>) {
        self.streams.retain(|(of, which), _| *of != participant || source.is_some_and(|source| source != *which));
    }

    /// Removes all streams and held frames.
    pub(super) fn clear(&mut self) {
        self.streams.clear();
        self.held.clear();
    }

    /// Decodes the next 20 ms of all streams and emits them as the output mode says.
    pub(super) fn pull(&mut self, now: Instant, emit: &mut impl FnMut(ClientEvent)) {
        let mut blocks: Vec<(StreamKey, Level, Vec<f32>)> = Vec::new();
        for (key, stream) in &mut self.streams {
            let block = stream.playout.pull(now);
            stream.level = Level::SILENCE;
            if block.kind != BlockKind::Silence {
                stream.level = Level::measure(block.samples);
                blocks.push((*key, stream.level, block.samples.to_vec()));
            }
        }
        match self.output {
            AudioOutput::Disabled => {}
            AudioOutput::Mixed => {
                let samples = self.mixer.mix(blocks.iter().map(|(_, _, samples)| samples.as_slice())).to_vec();
                let levels = blocks.iter().map(|((participant, _), level, _)| (*participant, *level)).collect();
                emit(ClientEvent::MixedAudio(MixedAudio { samples, levels }));
            }
            AudioOutput::PerParticipant => {
                for ((participant, source), level, samples) in blocks {
                    emit(ClientEvent::ParticipantAudio(ParticipantAudio { participant, source, samples, level }));
                }
            }
        }
    }

    /// Level of a participant's loudest stream in the block that was pulled last.
    pub(super) fn level(&self, participant: ParticipantId) -> Level {
        let levels = self.streams.iter().filter(|((of, _), _)| *of == participant).map(|(_, stream)| stream.level);
        levels.min().unwrap_or(Level::SILENCE)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audio::{Encoder, EncoderOptions, FRAME_SAMPLES};
    use std::time::Duration;

    const ADA: StreamKey = (ParticipantId(1), Source::Microphone);
    const BOB: StreamKey = (ParticipantId(2), Source::Microphone);

    fn of(slot: u32, n: u16, arrived: Instant) -> HeldAudioFrame {
        HeldAudioFrame { slot, sequence: n, timestamp: u32::from(n) * 960, arrived, sealed: Vec::new() }
    }

    /// A second of a tone of two participants through playouts; what is handed out.
    fn second(output: AudioOutput) -> Vec<ClientEvent> {
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        let mut audio = AudioReceiver::new(output, Channels::Mono);
        let start = Instant::now();
        let mut events = Vec::new();
        for n in 0..50u16 {
            let now = start + Duration::from_millis(20) * u32::from(n);
            let tone: Vec<f32> =
                (0..FRAME_SAMPLES).map(|s| ((usize::from(n) * FRAME_SAMPLES + s) as f32 * 0.06).sin() / 3.0).collect();
            let frame = encoder.encode(&tone).unwrap().unwrap();
            for (key, slot) in [(ADA, 7), (BOB, 8)] {
                assert_eq!(
                    audio.on_frame(key, &of(slot, n, now), &frame).unwrap(),
                    n == 0 && output != AudioOutput::Disabled
                );
            }
            audio.pull(now, &mut |event| events.push(event));
        }
        if output != AudioOutput::Disabled {
            assert!(audio.level(ADA.0) < Level::SILENCE);
        }
        audio.remove(ADA.0, None);
        assert_eq!(audio.level(ADA.0), Level::SILENCE);
        events
    }

    #[test]
    fn mixed_output_contains_all_participants_and_levels() {
        let events = second(AudioOutput::Mixed);
        assert_eq!(events.len(), 50, "one block each 20 ms, silence included");
        let Some(ClientEvent::MixedAudio(last)) = events.last() else { panic!("{events:?}") };
        assert_eq!(last.samples.len(), FRAME_SAMPLES);
        assert_eq!(last.levels.iter().map(|(of, _)| *of).collect::<Vec<_>>(), [ADA.0, BOB.0]);
        let loudest = last.samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        assert!(loudest > 0.5, "two tones of a third: {loudest}");
    }

    #[test]
    fn audio_output_per_participant_or_disabled() {
        let events = second(AudioOutput::PerParticipant);
        let of = |who: StreamKey| {
            events.iter().filter(|e| matches!(e, ClientEvent::ParticipantAudio(s) if s.participant == who.0)).count()
        };
        assert!(of(ADA) > 30 && of(BOB) > 30, "{} {}", of(ADA), of(BOB));
        assert_eq!(second(AudioOutput::Disabled), []);
    }

    #[test]
    fn held_frames_are_bounded_and_expire() {
        let mut audio = AudioReceiver::new(AudioOutput::Mixed, Channels::Mono);
        let start = Instant::now();
        audio.hold(of(1, 0, start));
        for n in 1..=MAX_HELD_FRAMES {
            audio.hold(of(1, n as u16, start + KEY_TIMEOUT));
        }
        assert_eq!(audio.take_held(start + KEY_TIMEOUT).len(), MAX_HELD_FRAMES);
        audio.hold(of(1, 0, start));
        assert!(audio.take_held(start + KEY_TIMEOUT).is_empty());
    }
}
