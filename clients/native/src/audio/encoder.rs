//! Samples to Opus frames.
//!
//! The size of a sealed frame is the size of what is in it. With variable bit rate, sizes follow speech so closely that
//! phrases have been recognised from them (White et al., "Phonotactic Reconstruction of Encrypted VoIP Conversations",
//! IEEE S&P 2011; RFC 6562), and discontinuous transmission shows who speaks when. So frames are all of one size unless
//! an application asks otherwise, and there is no way to switch discontinuous transmission on.

use super::{AudioError, Channels, SAMPLE_RATE};
use opus::{Application, Bitrate, Signal};

/// Bytes of the largest Opus frame (RFC 6716 section 3.2.1).
const MAX_FRAME_BYTES: usize = 1_275;

/// What an encoder aims at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Channels of the samples that it is given.
    pub channels: Channels,
    /// How many bits a second.
    pub rate: Rate,
    /// What it is tuned for.
    pub content: Content,
    /// Loss in percent that frames are prepared for: what receivers report, or a guess. At 0, frames carry nothing to
    /// repair their predecessor with; above, a part of their bits.
    pub expected_loss_percent: u8,
    /// Effort, 0 to 10: more costs processor time and sounds better.
    pub complexity: u8,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            channels: Channels::Mono,
            rate: Rate::Constant(32_000),
            content: Content::Speech,
            expected_loss_percent: 10,
            complexity: 9,
        }
    }
}

/// Bits a second, and who may see what they are spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// All frames have the same size, which tells nothing of what is said.
    Constant(u32),
    /// Frames have the size that their sound needs, about this rate on average and never much above. Sounds better for
    /// the same rate, but **sizes tell an observer what is said**: for music or public talks, not for conversations.
    Capped(u32),
}

/// What an encoder is tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Voices. In-band error correction works.
    Speech,
    /// Music. The codec then mostly works in a mode that has no in-band error correction.
    Music,
}

/// An Opus encoder for blocks of 20 ms, with in-band error correction: each frame also carries its predecessor, coarsely.
/// That travels inside the sealed frame, so that a server can neither read nor drop it.
#[derive(Debug)]
pub struct Encoder {
    inner: opus::Encoder,
    channels: Channels,
}

impl Encoder {
    /// An encoder.
    ///
    /// # Errors
    /// [`AudioError::Codec`] if Opus does not take an option: a rate outside 500 to 512,000 bits a second, a complexity
    /// above 10.
    pub fn new(options: &EncoderOptions) -> Result<Self, AudioError> {
        let (application, signal) = match options.content {
            Content::Speech => (Application::Voip, Signal::Voice),
            Content::Music => (Application::Audio, Signal::Music),
        };
        let mut inner = opus::Encoder::new(SAMPLE_RATE, options.channels.into(), application)?;
        inner.set_signal(signal)?;
        let (Rate::Constant(bits) | Rate::Capped(bits)) = options.rate;
        inner.set_bitrate(Bitrate::Bits(i32::try_from(bits).unwrap_or(i32::MAX)))?;
        let variable = matches!(options.rate, Rate::Capped(_));
        inner.set_vbr(variable)?;
        inner.set_vbr_constraint(variable)?;
        inner.set_dtx(false)?;
        inner.set_complexity(i32::from(options.complexity))?;
        inner.set_inband_fec(true)?;
        let mut encoder = Self { inner, channels: options.channels };
        encoder.set_expected_loss(options.expected_loss_percent)?;
        Ok(encoder)
    }

    /// Channels of the blocks that it takes.
    #[must_use]
    pub const fn channels(&self) -> Channels {
        self.channels
    }

    /// Prepares the frames from here on for this much loss. More than 100 counts as 100.
    ///
    /// # Errors
    /// [`AudioError::Codec`].
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), AudioError> {
        Ok(self.inner.set_packet_loss_perc(i32::from(percent.min(100)))?)
    }

    /// Encodes one block.
    ///
    /// # Errors
    /// [`AudioError::BlockLength`] for anything but 20 ms, [`AudioError::Codec`].
    pub fn encode(&mut self, block: &[f32]) -> Result<Vec<u8>, AudioError> {
        let wanted = self.channels.block_samples();
        if block.len() != wanted {
            return Err(AudioError::BlockLength { got: block.len(), wanted });
        }
        Ok(self.inner.encode_vec_float(block, MAX_FRAME_BYTES)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A second: silence, a tone, noise.
    fn second(channels: Channels) -> Vec<f32> {
        let mut noise = 1u32;
        (0..50 * channels.block_samples())
            .map(|n| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match n / (17 * channels.block_samples()) {
                    0 => 0.0,
                    1 => (n as f32 * 0.05).sin() * 0.5,
                    _ => (noise >> 8) as f32 / (1 << 24) as f32 - 0.5,
                }
            })
            .collect()
    }

    fn sizes(options: &EncoderOptions) -> BTreeSet<usize> {
        let mut encoder = Encoder::new(options).unwrap();
        let samples = second(options.channels);
        samples.chunks(options.channels.block_samples()).map(|block| encoder.encode(block).unwrap().len()).collect()
    }

    #[test]
    fn sizes_do_not_tell_silence_from_speech() {
        assert_eq!(sizes(&EncoderOptions::default()), BTreeSet::from([80]));
        let stereo = EncoderOptions { channels: Channels::Stereo, rate: Rate::Constant(64_000), ..Default::default() };
        assert_eq!(sizes(&stereo), BTreeSet::from([160]));
    }

    #[test]
    fn a_capped_rate_gives_frames_of_many_sizes() {
        let capped = EncoderOptions { rate: Rate::Capped(32_000), ..Default::default() };
        assert!(sizes(&capped).len() > 5);
    }

    #[test]
    fn the_expected_loss_can_follow_reports() {
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        encoder.set_expected_loss(0).unwrap();
        encoder.set_expected_loss(255).unwrap();
        assert_eq!(encoder.encode(&[0.0; 960]).unwrap().len(), 80);
    }

    #[test]
    fn what_opus_cannot_do_is_refused() {
        assert!(Encoder::new(&EncoderOptions { complexity: 11, ..Default::default() }).is_err());
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        assert!(matches!(encoder.encode(&[0.0; 480]), Err(AudioError::BlockLength { got: 480, wanted: 960 })));
    }
}
