//! The audio level of a track, and whether it is speech.

use std::time::{Duration, Instant};

/// Levels are in −dBov: 0 is the loudest, 127 is silence.
const SILENCE: u8 = 127;
/// Speech starts when two of the last three packets have this level or a louder one …
const STARTS: u8 = 45;
/// … and goes on while two of three have this one: the vowels of a sentence are 20 dB apart.
const GOES_ON: u8 = 55;
/// A microphone with a low gain: not enough to start speech, yet more than the noise of a quiet room. Heard where there is room.
const FAINT: u8 = 65;
/// Pauses between words are shorter. A track is silent after this time without speech.
pub(crate) const PAUSE: Duration = Duration::from_millis(700);
/// Who speaks takes a breath of this length now and then; music and machines do not.
const BREATH: Duration = Duration::from_millis(200);
/// Speech for longer than this without a breath is none.
const LONGEST_SPURT: Duration = Duration::from_secs(30);

/// Level of packets of a track whose client says that its participant speaks: that of speech at a usual distance.
const CLAIMED: u8 = 30;
/// Number of loud packets with which speech starts.
pub(crate) const STARTING_PACKETS: usize = 2;

/// Loudness falls by a 16th of this many dB with each packet: by 6 dB a second, less than between two words.
const RELEASE: u16 = 2;

/// Audio level of one track.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AudioLevel {
    /// Sixteen times the loudness in −dBov; `None` before the first packet.
    loudness: Option<u16>,
    /// Bit n: whether the nth packet before the last was loud enough to start speech …
    starts: u8,
    /// … and for speech to go on.
    goes_on: u8,
    /// … and for not being silent.
    faint: u8,
    /// When the track last spoke, and since when without a breath.
    spoke: Option<Spurt>,
    /// When it was last not silent, and since when without a breath.
    audible: Option<Spurt>,
}

#[derive(Clone, Copy, Debug)]
struct Spurt {
    since: Instant,
    last: Instant,
}

impl Spurt {
    /// The spurt with another packet: the one before, or a new one after a breath.
    fn on_packet(before: Option<Self>, now: Instant) -> Self {
        let before = before.filter(|spurt| now.saturating_duration_since(spurt.last) < BREATH);
        Self { since: before.map_or(now, |spurt| spurt.since), last: now }
    }

    /// Whether it is longer than anyone speaks without a breath.
    fn is_unbroken(&self) -> bool {
        self.last.saturating_duration_since(self.since) > LONGEST_SPURT
    }
}

impl AudioLevel {
    /// Handles a level as on the wire: voice activity bit and 7 bits of level. Returns whether the packet is speech.
    pub(crate) fn on_packet(&mut self, now: Instant, level: u8) -> bool {
        let level = level & 0x7f;
        self.follow(u16::from(level) << 4);
        self.starts = of_three(self.starts, level <= STARTS);
        self.goes_on = of_three(self.goes_on, level <= GOES_ON);
        self.faint = of_three(self.faint, level <= FAINT);
        if self.is_faint() {
            self.audible = Some(Spurt::on_packet(self.audible, now));
        }
        let speech = self.is_loud() || is_most(self.goes_on) && self.speaks(now);
        if speech {
            self.spoke = Some(Spurt::on_packet(self.spoke, now));
        }
        speech
    }

    /// Whether the track speaks, or pauses between two words.
    pub(crate) fn speaks(&self, now: Instant) -> bool {
        self.last_speech().is_some_and(|last| now.saturating_duration_since(last) < PAUSE)
    }

    /// When the track last spoke.
    pub(crate) fn last_speech(&self) -> Option<Instant> {
        self.spoke.map(|spurt| spurt.last)
    }

    /// Whether two of the last three packets were loud enough to start speech.
    pub(crate) fn is_loud(&self) -> bool {
        is_most(self.starts)
    }

    /// Whether the track is loud for longer than anyone speaks without a breath.
    pub(crate) fn is_unbroken(&self) -> bool {
        self.spoke.is_some_and(|spurt| spurt.is_unbroken())
    }

    /// Whether two of the last three packets were not silent.
    pub(crate) fn is_faint(&self) -> bool {
        is_most(self.faint)
    }

    /// Whether the track is not silent, or pauses between two words. A noise without end is as good as silence.
    pub(crate) fn is_audible(&self, now: Instant) -> bool {
        let goes_on = |spurt: Spurt| !spurt.is_unbroken() && now.saturating_duration_since(spurt.last) < PAUSE;
        self.audible.is_some_and(goes_on)
    }

    /// How loud the track has been lately, in −dBov: the level of its vowels, which a pause does not change.
    pub(crate) fn loudness(&self) -> u8 {
        self.loudness.map_or(SILENCE, |loudness| (loudness >> 4) as u8)
    }

    /// Rises fast, falls slowly.
    fn follow(&mut self, level: u16) {
        let loudness = self.loudness.unwrap_or(u16::from(SILENCE) << 4);
        let quieter = level.min(loudness.saturating_add(RELEASE));
        self.loudness = Some(if level < loudness { loudness.midpoint(level) } else { quieter });
    }
}

/// The level of a packet without one, by what the client says of its participant.
pub(crate) const fn of_claim(speaking: bool) -> u8 {
    if speaking { CLAIMED } else { SILENCE }
}

/// Shifts the newest of three packets in.
fn of_three(packets: u8, newest: bool) -> u8 {
    (packets << 1 | u8::from(newest)) & 0b111
}

fn is_most(packets: u8) -> bool {
    packets.count_ones() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of this level every 20 ms.
    fn packets(track: &mut AudioLevel, start: Instant, ms: std::ops::Range<u64>, level: u8) {
        for at in ms.step_by(20) {
            track.on_packet(start + Duration::from_millis(at), level);
        }
    }

    #[test]
    fn speech_starts_with_the_second_loud_packet_of_three() {
        let start = Instant::now();
        let spoken = |levels: &[u8]| {
            let mut track = AudioLevel::default();
            let packet = |level: &u8| track.on_packet(start, *level);
            levels.iter().map(packet).collect::<Vec<_>>()
        };
        assert_eq!(spoken(&[90, 40, 90, 40, 50, 90, 90]), [false, false, false, true, true, true, false]);
        assert_eq!(spoken(&[90, 40, 90, 90, 40, 90]), [false; 6], "single clicks");
        assert_eq!(spoken(&[50, 50, 50, 50]), [false; 4], "loud enough to go on, not to start");
        assert_eq!(spoken(&[0x80 | 45, 0x80 | 45]), [false, true], "the voice activity bit is not a level");
    }

    #[test]
    fn speech_outlasts_pauses_between_words() {
        let (mut track, start) = (AudioLevel::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        packets(&mut track, start, 0..1_000, 90);
        assert!(!track.speaks(at(1_000)), "noise");
        packets(&mut track, start, 1_000..1_100, 25);
        packets(&mut track, start, 1_100..1_500, 100);
        assert!(track.speaks(at(1_500)));
        packets(&mut track, start, 1_500..1_900, 100);
        assert!(!track.speaks(at(1_900)));
    }

    #[test]
    fn faint_speech_is_audible_and_noise_without_end_is_not() {
        let (mut track, start) = (AudioLevel::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        packets(&mut track, start, 0..1_000, 70);
        assert!(!track.is_audible(at(1_000)), "the noise of a quiet room");
        packets(&mut track, start, 1_000..1_100, 60);
        assert!(track.is_audible(at(1_100)) && !track.speaks(at(1_100)));
        packets(&mut track, start, 1_100..1_900, 80);
        assert!(!track.is_audible(at(1_900)));
        packets(&mut track, start, 1_900..31_800, 60);
        assert!(track.is_audible(at(31_800)));
        packets(&mut track, start, 31_800..32_000, 60);
        assert!(!track.is_audible(at(32_000)), "a fan");
    }

    #[test]
    fn track_without_packets_falls_silent() {
        let (mut track, start) = (AudioLevel::default(), Instant::now());
        packets(&mut track, start, 0..200, 20);
        assert!(track.speaks(start + Duration::from_millis(200)));
        assert!(!track.speaks(start + Duration::from_millis(1_000)));
    }

    #[test]
    fn loudness_is_that_of_the_vowels() {
        let (mut track, start) = (AudioLevel::default(), Instant::now());
        packets(&mut track, start, 0..200, 25);
        assert!((25..=26).contains(&track.loudness()), "{}", track.loudness());
        packets(&mut track, start, 200..900, 90);
        assert!((28..=30).contains(&track.loudness()), "after a pause: {}", track.loudness());
        packets(&mut track, start, 900..60_000, 70);
        assert_eq!(track.loudness(), 70);
    }

    #[test]
    fn half_a_minute_without_a_breath_is_no_speech() {
        let start = Instant::now();
        let mut music = AudioLevel::default();
        packets(&mut music, start, 0..30_000, 30);
        assert!(!music.is_unbroken());
        packets(&mut music, start, 30_000..30_100, 30);
        assert!(music.is_unbroken());
        let mut speech = AudioLevel::default();
        for second in 0..60 {
            packets(&mut speech, start, second * 1_000..second * 1_000 + 780, 30);
        }
        assert!(!speech.is_unbroken());
    }
}
