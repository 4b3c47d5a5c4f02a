//! Received sound: a playout per participant and source, and frames that wait for their key.

use super::{
    event::{ClientEvent, Mixed, Sound},
    options::SoundOutput,
    pictures::{KEY_PATIENCE, MAX_HELD},
};
use crate::audio::{AudioError, Channels, DelayBounds, Heard, Level, Mixer, Playout};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};
use tacet_proto::{ParticipantId, media::Source};

/// Most streams that are played at once. More than a server sends: each costs a decoder.
const MAX_STREAMS: usize = 256;

/// Whose sound, and which.
type Key = (ParticipantId, Source);

/// All received sound of a client.
#[derive(Debug)]
pub(super) struct Sounds {
    output: SoundOutput,
    channels: Channels,
    streams: BTreeMap<Key, Stream>,
    mixer: Mixer,
    held: VecDeque<HeldSound>,
}

#[derive(Debug)]
struct Stream {
    playout: Playout,
    /// The slot in which it comes: its sequence numbers are those of the slot.
    slot: u32,
    level: Level,
}

/// A sealed frame whose key is missing, and where it came from.
#[derive(Debug)]
pub(super) struct HeldSound {
    pub(super) slot: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) arrived: Instant,
    pub(super) sealed: Vec<u8>,
}

impl Sounds {
    pub(super) fn new(output: SoundOutput, channels: Channels) -> Self {
        Self { output, channels, streams: BTreeMap::new(), mixer: Mixer::new(channels), held: VecDeque::new() }
    }

    /// Takes an opened frame. Gives whether it is the first of its stream.
    pub(super) fn frame(&mut self, key: Key, of: &HeldSound, frame: &[u8]) -> Result<bool, AudioError> {
        if self.output == SoundOutput::Nothing {
            return Ok(false);
        }
        let new = !self.streams.contains_key(&key);
        if new {
            if self.streams.len() >= MAX_STREAMS {
                return Ok(false);
            }
            let playout = Playout::new(self.channels, DelayBounds::default())?;
            self.streams.insert(key, Stream { playout, slot: of.slot, level: Level::SILENCE });
        }
        if let Some(stream) = self.streams.get_mut(&key) {
            if stream.slot != of.slot {
                stream.slot = of.slot;
                stream.playout.restart();
            }
            stream.playout.push(of.arrived, of.sequence, of.timestamp, frame);
        }
        Ok(new)
    }

    /// Holds a frame whose key may come.
    pub(super) fn hold(&mut self, frame: HeldSound) {
        if self.held.len() >= MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back(frame);
    }

    /// The frames that are held and not too old, to be tried again.
    pub(super) fn release(&mut self, now: Instant) -> Vec<HeldSound> {
        let fresh = |frame: &HeldSound| now.saturating_duration_since(frame.arrived) < KEY_PATIENCE;
        std::mem::take(&mut self.held).into_iter().filter(fresh).collect()
    }

    /// Somebody has left, or withdrawn a track.
    pub(super) fn remove(&mut self, participant: ParticipantId, source: Option<Source>) {
        self.streams.retain(|(of, which), _| *of != participant || source.is_some_and(|source| source != *which));
    }

    /// The connection is lost: what comes is of others.
    pub(super) fn clear(&mut self) {
        self.streams.clear();
        self.held.clear();
    }

    /// The next 20 ms.
    pub(super) fn pull(&mut self, now: Instant, hand_out: &mut impl FnMut(ClientEvent)) {
        let mut blocks: Vec<(Key, Level, Vec<f32>)> = Vec::new();
        for (key, stream) in &mut self.streams {
            let block = stream.playout.pull(now);
            stream.level = Level::SILENCE;
            if block.heard != Heard::Silence {
                stream.level = Level::measure(block.samples);
                blocks.push((*key, stream.level, block.samples.to_vec()));
            }
        }
        match self.output {
            SoundOutput::Nothing => {}
            SoundOutput::Mixed => {
                let samples = self.mixer.mix(blocks.iter().map(|(_, _, samples)| samples.as_slice())).to_vec();
                let levels = blocks.iter().map(|((participant, _), level, _)| (*participant, *level)).collect();
                hand_out(ClientEvent::Mixed(Mixed { samples, levels }));
            }
            SoundOutput::Separate => {
                for ((participant, source), level, samples) in blocks {
                    hand_out(ClientEvent::Sound(Sound { participant, source, samples, level }));
                }
            }
        }
    }

    /// How loud a participant is now.
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

    const ADA: Key = (ParticipantId(1), Source::Microphone);
    const BOB: Key = (ParticipantId(2), Source::Microphone);

    fn of(slot: u32, n: u16, arrived: Instant) -> HeldSound {
        HeldSound { slot, sequence: n, timestamp: u32::from(n) * 960, arrived, sealed: Vec::new() }
    }

    /// A second of a tone of two participants through playouts; what is handed out.
    fn second(output: SoundOutput) -> Vec<ClientEvent> {
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        let mut sounds = Sounds::new(output, Channels::Mono);
        let start = Instant::now();
        let mut events = Vec::new();
        for n in 0..50u16 {
            let now = start + Duration::from_millis(20) * u32::from(n);
            let tone: Vec<f32> =
                (0..FRAME_SAMPLES).map(|s| ((usize::from(n) * FRAME_SAMPLES + s) as f32 * 0.06).sin() / 3.0).collect();
            let frame = encoder.encode(&tone).unwrap();
            for (key, slot) in [(ADA, 7), (BOB, 8)] {
                assert_eq!(
                    sounds.frame(key, &of(slot, n, now), &frame).unwrap(),
                    n == 0 && output != SoundOutput::Nothing
                );
            }
            sounds.pull(now, &mut |event| events.push(event));
        }
        if output != SoundOutput::Nothing {
            assert!(sounds.level(ADA.0) < Level::SILENCE);
        }
        sounds.remove(ADA.0, None);
        assert_eq!(sounds.level(ADA.0), Level::SILENCE);
        events
    }

    #[test]
    fn everyone_is_in_the_mix_and_levels_tell_who() {
        let events = second(SoundOutput::Mixed);
        assert_eq!(events.len(), 50, "one block each 20 ms, silence included");
        let Some(ClientEvent::Mixed(last)) = events.last() else { panic!("{events:?}") };
        assert_eq!(last.samples.len(), FRAME_SAMPLES);
        assert_eq!(last.levels.iter().map(|(of, _)| *of).collect::<Vec<_>>(), [ADA.0, BOB.0]);
        let loudest = last.samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        assert!(loudest > 0.5, "two tones of a third: {loudest}");
    }

    #[test]
    fn participants_can_be_heard_apart_or_not_at_all() {
        let events = second(SoundOutput::Separate);
        let of =
            |who: Key| events.iter().filter(|e| matches!(e, ClientEvent::Sound(s) if s.participant == who.0)).count();
        assert!(of(ADA) > 30 && of(BOB) > 30, "{} {}", of(ADA), of(BOB));
        assert_eq!(second(SoundOutput::Nothing), []);
    }

    #[test]
    fn held_frames_are_few_and_fresh() {
        let mut sounds = Sounds::new(SoundOutput::Mixed, Channels::Mono);
        let start = Instant::now();
        sounds.hold(of(1, 0, start));
        for n in 1..=MAX_HELD {
            sounds.hold(of(1, n as u16, start + KEY_PATIENCE));
        }
        assert_eq!(sounds.release(start + KEY_PATIENCE).len(), MAX_HELD);
        sounds.hold(of(1, 0, start));
        assert!(sounds.release(start + KEY_PATIENCE).is_empty());
    }
}
