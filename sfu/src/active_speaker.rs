//! Active speakers, from the audio levels in RTP header extensions (RFC 6464).

use crate::ids::ParticipantId;
use std::time::{Duration, Instant};

/// Interval at which active speakers are determined.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);
/// Levels are in −dBov: 0 is the loudest, 127 is silence.
const SILENCE: u8 = 127;
/// Level at which a track starts to count as speech …
const SPEECH_STARTS: u8 = 45;
/// … and at which it continues to.
const SPEECH_CONTINUES: u8 = 55;
/// Speech outlasts pauses of this length between words.
const PAUSE: Duration = Duration::from_millis(700);
/// A participant takes the first place when it is this many dB louder than the first.
const LEAD: u8 = 6;

/// Smoothed audio level of one track.
#[derive(Debug, Default)]
pub(crate) struct AudioLevel {
    /// Sixteen times the smoothed level; `None` before the first packet.
    smoothed: Option<u16>,
    /// When it was last loud enough for speech.
    last_speech: Option<Instant>,
}

impl AudioLevel {
    /// Handles a level as on the wire: voice activity bit and 7 bits of level.
    pub(crate) fn on_packet(&mut self, now: Instant, level: u8) {
        let level = u16::from(level & 0x7f) << 4;
        let smoothed = self.smoothed.unwrap_or(u16::from(SILENCE) << 4);
        // Fast attack, slow decay: a syllable counts, the gap after it does not.
        let smoothed = if level < smoothed { (smoothed + level) / 2 } else { smoothed + (level - smoothed) / 16 };
        self.smoothed = Some(smoothed);
        let threshold = if self.speaks(now) { SPEECH_CONTINUES } else { SPEECH_STARTS };
        if smoothed >> 4 <= u16::from(threshold) {
            self.last_speech = Some(now);
        }
    }

    /// The level in −dBov, if the track is speech.
    pub(crate) fn speech(&self, now: Instant) -> Option<u8> {
        self.speaks(now).then_some(self.smoothed.map_or(SILENCE, |level| (level >> 4) as u8))
    }

    fn speaks(&self, now: Instant) -> bool {
        self.last_speech.is_some_and(|last| now.saturating_duration_since(last) < PAUSE)
    }
}

/// The active speakers of a room, as last reported.
#[derive(Debug, Default)]
pub(crate) struct ActiveSpeakers {
    reported: Vec<(ParticipantId, u8)>,
}

impl ActiveSpeakers {
    /// Whether the last report was empty.
    pub(crate) fn is_quiet(&self) -> bool {
        self.reported.is_empty()
    }

    /// Handles the participants that speak now, in any order and each at most once. Returns them, loudest first, if a
    /// participant started or stopped speaking, or another one is clearly the loudest.
    pub(crate) fn update(&mut self, mut speaking: Vec<(ParticipantId, u8)>) -> Option<Vec<(ParticipantId, u8)>> {
        speaking.sort_unstable_by_key(|&(participant, level)| (level, participant));
        if let (Some(&(first, _)), Some(&(_, loudest))) = (self.reported.first(), speaking.first())
            && let Some(place) = speaking.iter().position(|&(participant, _)| participant == first)
            && let Some(&(_, level)) = speaking.get(place)
            && level < loudest.saturating_add(LEAD)
            && let Some(up_to) = speaking.get_mut(..=place)
        {
            up_to.rotate_right(1);
        }
        let same_members = speaking.len() == self.reported.len()
            && speaking
                .iter()
                .all(|(participant, _)| self.reported.iter().any(|(reported, _)| reported == participant));
        let same_first = speaking.first().map(|first| first.0) == self.reported.first().map(|first| first.0);
        if same_members && same_first {
            return None;
        }
        self.reported.clone_from(&speaking);
        Some(speaking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ParticipantId = ParticipantId(1);
    const B: ParticipantId = ParticipantId(2);

    fn packets(track: &mut AudioLevel, start: Instant, ms: std::ops::Range<u64>, level: u8) {
        for at in ms.step_by(20) {
            track.on_packet(start + Duration::from_millis(at), level);
        }
    }

    #[test]
    fn speech_starts_fast_and_outlasts_pauses() {
        let (mut track, start) = (AudioLevel::default(), Instant::now());
        packets(&mut track, start, 0..1_000, 90);
        assert_eq!(track.speech(start + Duration::from_millis(1_000)), None, "noise");
        packets(&mut track, start, 1_000..1_100, 0x80 | 25);
        assert!(track.speech(start + Duration::from_millis(1_100)).is_some());
        packets(&mut track, start, 1_100..1_500, 100);
        assert!(track.speech(start + Duration::from_millis(1_500)).is_some(), "a pause between words");
        packets(&mut track, start, 1_500..2_500, 100);
        assert_eq!(track.speech(start + Duration::from_millis(2_500)), None);
    }

    #[test]
    fn track_without_packets_stops_speaking() {
        let (mut track, start) = (AudioLevel::default(), Instant::now());
        packets(&mut track, start, 0..200, 20);
        assert!(track.speech(start + Duration::from_millis(200)).is_some());
        assert_eq!(track.speech(start + Duration::from_millis(1_000)), None);
    }

    #[test]
    fn only_clear_changes_are_reported() {
        let mut speakers = ActiveSpeakers::default();
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
