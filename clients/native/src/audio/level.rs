//! Audio level, as the RTP header extension of RFC 6464 carries it.

/// A level in −dBov: 0 is full scale, 127 is digital silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// Digital silence.
    pub const SILENCE: Self = Self(127);

    /// Measures samples of any number of channels: their root mean square relative to full scale (RFC 6465 appendix
    /// A.1). No samples count as silence.
    #[must_use]
    pub fn measure(samples: &[f32]) -> Self {
        let energy: f64 = samples.iter().filter(|s| s.is_finite()).map(|s| f64::from(*s) * f64::from(*s)).sum();
        let mean = energy / samples.len().max(1) as f64;
        // Digital silence is minus infinity, which the conversion clamps.
        let below = -10.0 * mean.max(1e-13).log10();
        Self(below.round().clamp(0.0, 127.0) as u8)
    }

    /// A level that was received, in −dBov; values above 127 count as silence.
    #[must_use]
    pub const fn from_dbov(level: u8) -> Self {
        if level > 127 { Self::SILENCE } else { Self(level) }
    }

    /// The level in −dBov, 0 to 127.
    #[must_use]
    pub const fn dbov(self) -> u8 {
        self.0
    }

    /// The byte of the header extension `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464 section 3); `voice`
    /// says whether the block contains speech.
    #[must_use]
    pub const fn header_byte(self, voice: bool) -> u8 {
        self.0 | if voice { 0x80 } else { 0 }
    }

    /// Fraction of a level bar to fill, from 0.0 to 1.0: nothing at −60 dBov and below.
    #[must_use]
    pub fn bar(self) -> f32 {
        (1.0 - f32::from(self.0) / 60.0).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_is_zero_and_halving_adds_six() {
        assert_eq!(Level::measure(&[1.0, -1.0]).dbov(), 0);
        assert_eq!(Level::measure(&[0.5, -0.5]).dbov(), 6);
        assert_eq!(Level::measure(&[0.25, -0.25]).dbov(), 12);
        let sine: Vec<f32> = (0..960).map(|n| (n as f32 * std::f32::consts::TAU / 96.0).sin()).collect();
        assert_eq!(Level::measure(&sine).dbov(), 3, "a full-scale sine");
    }

    #[test]
    fn silence_and_invalid_samples_stay_in_range() {
        assert_eq!(Level::measure(&[]), Level::SILENCE);
        assert_eq!(Level::measure(&[0.0; 960]), Level::SILENCE);
        assert_eq!(Level::measure(&[f32::NAN, f32::INFINITY]), Level::SILENCE);
        assert_eq!(Level::measure(&[100.0]).dbov(), 0);
    }

    #[test]
    fn header_byte_combines_voice_and_level() {
        assert_eq!(Level::SILENCE.header_byte(false), 0x7f);
        assert_eq!(Level::measure(&[0.5]).header_byte(true), 0x86);
    }

    #[test]
    fn bar_is_full_at_full_scale_and_empty_in_silence() {
        assert!(Level(0).bar() > 0.99 && Level(30).bar() > 0.4 && Level(30).bar() < 0.6);
        assert!(Level::SILENCE.bar() == 0.0);
    }
}
