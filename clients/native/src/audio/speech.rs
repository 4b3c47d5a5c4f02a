//! Whether a participant speaks, by the levels of the audio that is sent: for servers whose table of header extensions has no
//! audio level, so that no packet shows how loud it is.

use super::Level;
use std::time::{Duration, Instant};

/// Speech begins when two of three blocks of 20 ms are this loud, as with the server: single clicks are none …
const BEGINS: Level = Level::from_dbov(45);
/// … and goes on at this level.
const GOES_ON: Level = Level::from_dbov(55);
/// How long it lasts after the last loud block, so that the server hears of it at most twice a second.
const LASTS: Duration = Duration::from_secs(1);

/// Detects speech. Lower levels are louder.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpeechDetector {
    /// Bit n: whether the nth block before the last was loud.
    loud: u8,
    /// When it was last loud, while it speaks.
    speaks: Option<Instant>,
}

impl SpeechDetector {
    /// Takes the level of the next block. Returns whether the participant speaks, if that has changed.
    pub fn add(&mut self, now: Instant, level: Level) -> Option<bool> {
        self.loud = (self.loud << 1 | u8::from(level <= BEGINS)) & 0b111;
        match self.speaks {
            None if self.loud.count_ones() >= 2 => {
                self.speaks = Some(now);
                Some(true)
            }
            Some(_) if level <= GOES_ON => {
                self.speaks = Some(now);
                None
            }
            Some(last) if now.saturating_duration_since(last) >= LASTS => self.stop(),
            _ => None,
        }
    }

    /// Nothing is sent from now on. Returns whether the participant speaks, if that has changed.
    pub fn stop(&mut self) -> Option<bool> {
        self.loud = 0;
        self.speaks.take().map(|_| false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOUD: u8 = 20;
    const SOFT: u8 = 50;
    const SILENT: u8 = 90;

    struct Microphone {
        detector: SpeechDetector,
        start: Instant,
        ms: u64,
    }

    impl Microphone {
        fn new() -> Self {
            Self { detector: SpeechDetector::default(), start: Instant::now(), ms: 0 }
        }

        /// Blocks of these levels. Returns what has changed, and at which millisecond.
        fn record(&mut self, levels: impl IntoIterator<Item = u8>) -> Vec<(u64, bool)> {
            let mut changes = Vec::new();
            for level in levels {
                let now = self.start + Duration::from_millis(self.ms);
                changes.extend(self.detector.add(now, Level::from_dbov(level)).map(|speaks| (self.ms, speaks)));
                self.ms += 20;
            }
            changes
        }
    }

    #[test]
    fn speech_begins_with_two_loud_blocks_of_three_and_outlasts_pauses() {
        let mut microphone = Microphone::new();
        assert_eq!(microphone.record([SILENT, LOUD, SILENT, SILENT, LOUD, SOFT, SOFT]), [], "clicks");
        assert_eq!(microphone.record([LOUD, SILENT, LOUD]), [(180, true)]);
        assert_eq!(microphone.record([SILENT; 45]), [], "a pause of 0.9 s");
        assert_eq!(microphone.record([SOFT; 100]), [], "soft syllables");
        assert_eq!(microphone.record([SILENT; 100]), [(4_080, false)], "a second after the last of them");
        assert_eq!(microphone.record([SOFT; 100]), [], "soft ones begin nothing");
    }

    #[test]
    fn speech_changes_at_most_twice_a_second() {
        let mut microphone = Microphone::new();
        let mut random = 1u64;
        let levels = std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if random >> 33 & 63 == 0 { LOUD } else { SILENT }
        });
        let changes = microphone.record(levels.take(30_000));
        assert!(changes.len() > 20, "{}", changes.len());
        assert!(changes.windows(3).all(|three| three[2].0 - three[0].0 >= 1_000), "{changes:?}");
    }

    #[test]
    fn speech_ends_with_the_media() {
        let mut microphone = Microphone::new();
        assert_eq!(microphone.detector.stop(), None);
        microphone.record([LOUD; 3]);
        assert_eq!((microphone.detector.stop(), microphone.detector.stop()), (Some(false), None));
    }
}
