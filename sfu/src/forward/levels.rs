//! Who speaks, from the audio levels that publishers put into RTP header extensions (RFC 6464).

use crate::ids::ParticipantId;
use std::time::{Duration, Instant};

/// How often speakers are determined.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);
/// Levels are in −dBov: 0 is loudest, 127 is silence.
const SILENCE: u8 = 127;
/// One begins to speak at this level …
const BEGINS: u8 = 45;
/// … and goes on at this one.
const GOES_ON: u8 = 55;
/// Pauses between words are no end of speech.
const PAUSE: Duration = Duration::from_millis(700);
/// The second must be this much louder than the first to take its place.
const LEAD: u8 = 6;

/// The level of one track.
#[derive(Debug, Default)]
pub(crate) struct Loudness {
    /// Sixteen times the smoothed level; `None` before the first packet.
    smoothed: Option<u16>,
    /// When it was last loud enough for speech.
    loud: Option<Instant>,
}

impl Loudness {
    /// Takes in a level as on the wire: voice bit and 7 bits.
    pub(crate) fn on_packet(&mut self, now: Instant, level: u8) {
        let level = u16::from(level & 0x7f) << 4;
        let smoothed = self.smoothed.unwrap_or(u16::from(SILENCE) << 4);
        // Up at once, down slowly: a syllable counts, the gap behind it does not.
        let smoothed = if level < smoothed { (smoothed + level) / 2 } else { smoothed + (level - smoothed) / 16 };
        self.smoothed = Some(smoothed);
        let threshold = if self.speaks(now) { GOES_ON } else { BEGINS };
        if smoothed >> 4 <= u16::from(threshold) {
            self.loud = Some(now);
        }
    }

    /// The level in −dBov, if this is speech.
    pub(crate) fn speech(&self, now: Instant) -> Option<u8> {
        self.speaks(now).then_some(self.smoothed.map_or(SILENCE, |level| (level >> 4) as u8))
    }

    fn speaks(&self, now: Instant) -> bool {
        self.loud.is_some_and(|loud| now.saturating_duration_since(loud) < PAUSE)
    }
}

/// The speakers last told of.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    told: Vec<(ParticipantId, u8)>,
}

impl Speakers {
    /// Whether nobody spoke when last looked at.
    pub(crate) fn is_quiet(&self) -> bool {
        self.told.is_empty()
    }

    /// Takes who speaks now, at most once each, in any order; gives the list, loudest first, if it is news: somebody
    /// began or ended, or another one is clearly the loudest.
    pub(crate) fn update(&mut self, mut speaking: Vec<(ParticipantId, u8)>) -> Option<Vec<(ParticipantId, u8)>> {
        speaking.sort_unstable_by_key(|&(participant, level)| (level, participant));
        if let (Some(&(first, _)), Some(&(_, loudest))) = (self.told.first(), speaking.first())
            && let Some(place) = speaking.iter().position(|&(participant, _)| participant == first)
            && let Some(&(_, level)) = speaking.get(place)
            && level < loudest.saturating_add(LEAD)
            && let Some(up_to) = speaking.get_mut(..=place)
        {
            up_to.rotate_right(1);
        }
        let same_members = speaking.len() == self.told.len()
            && speaking.iter().all(|(participant, _)| self.told.iter().any(|(told, _)| told == participant));
        let same_first = speaking.first().map(|first| first.0) == self.told.first().map(|first| first.0);
        if same_members && same_first {
            return None;
        }
        self.told.clone_from(&speaking);
        Some(speaking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ParticipantId = ParticipantId(1);
    const B: ParticipantId = ParticipantId(2);

    fn packets(loudness: &mut Loudness, start: Instant, ms: std::ops::Range<u64>, level: u8) {
        for at in ms.step_by(20) {
            loudness.on_packet(start + Duration::from_millis(at), level);
        }
    }

    #[test]
    fn speech_begins_fast_and_outlasts_a_pause() {
        let (mut loudness, start) = (Loudness::default(), Instant::now());
        packets(&mut loudness, start, 0..1_000, 90);
        assert_eq!(loudness.speech(start + Duration::from_millis(1_000)), None, "noise");
        packets(&mut loudness, start, 1_000..1_100, 0x80 | 25);
        assert!(loudness.speech(start + Duration::from_millis(1_100)).is_some());
        packets(&mut loudness, start, 1_100..1_500, 100);
        assert!(loudness.speech(start + Duration::from_millis(1_500)).is_some(), "a pause between words");
        packets(&mut loudness, start, 1_500..2_500, 100);
        assert_eq!(loudness.speech(start + Duration::from_millis(2_500)), None);
    }

    #[test]
    fn a_track_that_stops_sending_stops_speaking() {
        let (mut loudness, start) = (Loudness::default(), Instant::now());
        packets(&mut loudness, start, 0..200, 20);
        assert!(loudness.speech(start + Duration::from_millis(200)).is_some());
        assert_eq!(loudness.speech(start + Duration::from_millis(1_000)), None);
    }

    #[test]
    fn only_changes_are_told_and_small_differences_are_none() {
        let mut speakers = Speakers::default();
        assert_eq!(speakers.update(vec![]), None);
        assert_eq!(speakers.update(vec![(A, 30)]), Some(vec![(A, 30)]));
        assert_eq!(speakers.update(vec![(A, 35)]), None);
        assert_eq!(
            speakers.update(vec![(A, 30), (B, 27)]),
            Some(vec![(A, 30), (B, 27)]),
            "a newcomer, not much louder"
        );
        assert_eq!(speakers.update(vec![(A, 32), (B, 27)]), None);
        assert_eq!(speakers.update(vec![(A, 40), (B, 27)]), Some(vec![(B, 27), (A, 40)]));
        assert_eq!(speakers.update(vec![]), Some(vec![]));
        assert!(speakers.is_quiet());
    }
}
